//! Waits until PID 1 has written to the buffer.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::read;
use tokio::io::unix::AsyncFd;

use crate::{sys, ui};

/// Where the kernel gives no watch (a user may have few), this is how late a line is.
const WITHOUT_WATCH: Duration = Duration::from_secs(2);

/// A watch on the directory of the buffer.
pub struct News(Option<AsyncFd<OwnedFd>>);

impl News {
    /// Begins to watch: what is written from now on is seen by [`Self::wait`].
    pub fn of(directory: &Path) -> Self {
        let watch = || -> io::Result<AsyncFd<OwnedFd>> {
            let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            inotify::add_watch(&watch, directory, WatchFlags::MODIFY | WatchFlags::CREATE)?;
            sys::readable(watch)
        };
        let watch = watch().inspect_err(|error| {
            ui::warning(&format!(
                "cannot watch `{}`: {error}; lines get to the syslog receiver {} s later",
                directory.display(),
                WITHOUT_WATCH.as_secs()
            ));
        });
        Self(watch.ok())
    }

    /// Waits for something that was written since the last time.
    pub async fn wait(&mut self) {
        let Some(watch) = &self.0 else { return tokio::time::sleep(WITHOUT_WATCH).await };
        let Ok(mut ready) = watch.readable().await else { return tokio::time::sleep(WITHOUT_WATCH).await };
        let mut events = [MaybeUninit::<u8>::uninit(); 4096];
        // What happened does not matter, nor that more of it was lost.
        while read(watch.get_ref(), &mut events).is_ok_and(|(got, _)| !got.is_empty()) {}
        ready.clear_ready();
    }
}
