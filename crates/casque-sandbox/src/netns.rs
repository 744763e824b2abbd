//! Sockets inside a container's network.
//!
//! A socket belongs to the network of the thread that makes it, wherever it is used later. So a
//! thread of its own moves into the container's network, for good, and makes its sockets there.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Doing, Error};

/// The network a process sees; it lasts as long as this value even when the process is gone.
#[derive(Debug)]
pub struct ContainerNetwork {
    namespace: File,
}

impl ContainerNetwork {
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
