//! Waiting for changes in a directory.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::error::{Doing, Error};
use crate::process::ProcessHandle;

/// A directory that is watched.
#[derive(Debug)]
pub struct Watch {
    descriptor: OwnedFd,
}

/// What a [`Watch`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Files were written, made, renamed or removed.
    Changed,
    /// The process ended.
    Ended,
}

impl Watch {
    /// Begins to watch `directory`: no later change goes unnoticed.
    pub fn directory(directory: &Path) -> Result<Self, Error> {
        let descriptor =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).doing_to("watch", directory)?;
        let changes = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
        inotify::add_watch(&descriptor, directory, changes).doing_to("watch", directory)?;
        Ok(Self { descriptor })
    }

    /// Waits for a change since the last call, or for the end of `process`.
    pub fn wait(&self, process: &ProcessHandle) -> Result<News, Error> {
        loop {
            let mut both = [
                PollFd::new(&self.descriptor, PollFlags::IN),
                PollFd::new(process.descriptor(), PollFlags::IN),
            ];
            match poll(&mut both, None) {
                Err(Errno::INTR) => continue,
                other => other.doing("wait for changes")?,
            };
            if both[0].revents().is_empty() {
                return Ok(News::Ended);
            }
            // Which change it was does not matter: the caller looks at everything.
            let mut events = [0; 4096];
            match rustix::io::read(&self.descriptor, &mut events) {
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => return Ok(News::Changed),
                Err(error) => Err(error).doing("wait for changes")?,
            }
        }
    }
}
