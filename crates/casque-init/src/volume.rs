//! The volume is one container's at a time: two databases on the same files would destroy them.
//!
//! The lock is flock(2)'s, on a file in the volume: it works over containers, and the kernel gives it back whatever
//! becomes of the one that had it. No process but PID 1 has the open file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::sys;

const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// No host name is longer on Linux.
const LONGEST_NAME: u64 = 64;

/// The lock of the volume, held or not.
#[derive(Debug)]
pub(crate) struct Volume<'a> {
    path: Option<&'a Path>,
    held: Option<File>,
}

impl<'a> Volume<'a> {
    /// Returns a volume whose lock is `path`; without one it is nobody else's.
    pub(crate) fn of(path: Option<&'a Path>) -> Self {
        Self { path, held: None }
    }

    /// Takes the lock if its file is there; says who else uses the volume.
    pub(crate) fn hold_if_there(&mut self) -> Result<(), String> {
        // What else can be wrong with the volume is said by whoever prepares it.
        self.take(false).or_else(|error| error.busy().map_or(Ok(()), Err))
    }

    /// Takes the lock unless it is held; says who else uses the volume. Where nothing can be locked it returns a warning.
    pub(crate) fn hold(&mut self) -> Result<Option<String>, String> {
        match self.take(true) {
            Ok(()) => Ok(None),
            Err(Trouble::Busy(problem)) => Err(problem),
            Err(Trouble::Other(error)) => Ok(Some(format!(
                "cannot lock `{}`, so nothing keeps a second container from this volume: {error}",
                self.path.unwrap_or(Path::new("")).display()
            ))),
        }
    }

    fn take(&mut self, create: bool) -> Result<(), Trouble> {
        let Some(path) = self.path.filter(|_| self.held.is_none()) else {
            return Ok(());
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false).mode(0o644);
        let mut file =
            options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path).map_err(Trouble::Other)?;
        match sys::lock(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Trouble::Busy(busy(&mut file)));
            }
            Err(error) => return Err(Trouble::Other(error)),
        }
        // A full disk takes nothing but the name from the message above.
        let _ = file.set_len(0).and_then(|()| file.write_all(&fs::read(HOST_NAME)?));
        self.held = Some(file);
        Ok(())
    }
}

enum Trouble {
    Busy(String),
    Other(io::Error),
}

impl Trouble {
    fn busy(self) -> Option<String> {
        match self {
            Self::Busy(problem) => Some(problem),
            Self::Other(_) => None,
        }
    }
}

fn busy(file: &mut File) -> String {
    let mut name = String::new();
    let _ = file.take(LONGEST_NAME).read_to_string(&mut name);
    let who = match name.trim() {
        "" => String::new(),
        name => format!(" `{name}`"),
    };
    format!(
        "another container{who} uses this volume; stop it first, or start this one with a volume of its own"
    )
}
