//! Sockets inside a container's network.
//!
//! A socket belongs to the network of the thread that makes it, wherever it is used later. So a
//! thread of its own moves into the container's network, for good, and makes its sockets there.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::error::{Doing, Error};
use crate::sys;

/// The network a process sees; it lasts as long as this value even when the process is gone.
#[derive(Debug)]
pub struct ContainerNetwork {
    namespace: File,
}

impl ContainerNetwork {
    /// Makes a network with a loopback device and nothing else, in which there is no process yet.
    pub fn new() -> Result<Self, Error> {
        let make = || {
            sys::unshare(UnshareFlags::NEWNET).doing("make a network")?;
            sys::loopback_up().doing("switch the loopback device on")?;
            let path = Path::new("/proc/thread-self/ns/net");
            let namespace = File::open(path).doing_to("open", path)?;
            Ok(Self { namespace })
        };
        on_a_thread(make)
    }

    /// Does `work` on a thread in this network: sockets it makes and processes it starts belong there.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        on_a_thread(|| {
            self.enter()?;
            Ok(work())
        })
    }

    /// Opens the network of process `pid`.
    pub fn of(pid: i32) -> Result<Self, Error> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let namespace = File::open(&path).doing_to("open", &path)?;
        Ok(Self { namespace })
    }

    /// Moves the calling thread, and those it starts later, into this network for good.
    pub fn enter(&self) -> Result<(), Error> {
        move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .doing("enter the container's network")?;
        Ok(())
    }
}

/// Does `work` on a thread of its own, which may go where this one must not.
fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}
