//! One-shots that run once on a volume: a lock that its containers share, and a file that says what was done.
//!
//! A wait for the lock is a child's, never PID 1's: both have the same open file, so the lock that the child gets stays
//! with PID 1 when the child is gone. The kernel gives it back when the container dies.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::once::{Done, VERSION};
use casque_format::run::Once;

use super::Engine;
use crate::exit::{Exit, StartError};
use crate::service::State;
use crate::spawn::{self, Command};
use crate::supervisor::Event;
use crate::sys;

/// The locks that are held, or waited for.
#[derive(Debug)]
pub(super) struct Onces {
    directory: PathBuf,
    held: BTreeMap<usize, Held>,
}

#[derive(Debug)]
struct Held {
    lock: File,
    waits: bool,
}

/// What becomes of the end of a process.
pub(super) enum Ended {
    /// It is that of the one-shot.
    Of(Exit),
    /// It was a child that waited for the lock, and now it is ours.
    Locked,
}

impl Onces {
    /// Returns nothing done or begun, what was done being written down in `directory`.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, held: BTreeMap::new() }
    }

    /// Says whether the lock is ours.
    fn is_held(&self, id: usize) -> bool {
        self.held.get(&id).is_some_and(|held| !held.waits)
    }

    fn open(&self, name: &str) -> Result<File, StartError> {
        let path = self.directory.join(format!("{name}.lock"));
        let opened = DirBuilder::new().recursive(true).mode(0o755).create(&self.directory).and_then(|()| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o644);
            options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(&path)
        });
        opened.map_err(|source| StartError {
            text: format!("cannot open `{}`, which keeps it from running twice: {source}", path.display()),
            code: 126,
            permanent: true,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    /// Returns the version that has done it; what cannot be understood is no version.
    fn done(&self, name: &str) -> Option<String> {
        let done: Done = serde_json::from_slice(&fs::read(self.path(name)).ok()?).ok()?;
        (done.version == VERSION).then_some(done.product_version)
    }

    fn record(&self, name: &str, version: &str) -> Result<(), String> {
        let path = self.path(name);
        let done = Done { version: VERSION, product_version: version.to_owned() };
        let written = serde_json::to_vec_pretty(&done).map_err(io::Error::from);
        let written = written.and_then(|text| replace(&path, &self.directory, &text));
        written.map_err(|error| format!("cannot write that down in `{}`: {error}", path.display()))
    }
}

/// Writes a file whole or not at all, so that it is there after a power failure too.
fn replace(path: &Path, directory: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&temporary)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

impl Engine {
    /// Says whether a one-shot that runs once may start now; if not, it is done or waits.
    pub(super) fn may_run_once(&mut self, id: usize, now: Duration) -> Result<bool, StartError> {
        let plan = self.supervisor.services()[id].plan();
        let Some(once) = plan.spec.once else {
            return Ok(true);
        };
        let name = plan.name.clone();
        if !self.onces.is_held(id) {
            let lock = self.onces.open(&name)?;
            if !sys::try_lock(&lock) {
                self.wait_for_lock(id, &name, lock, now)?;
                return Ok(false);
            }
            self.onces.held.insert(id, Held { lock, waits: false });
        }
        match self.onces.done(&name) {
            Some(by) if once == Once::Volume || by == self.version => {
                self.onces.held.remove(&id);
                self.events.push_back(Event::DoneBefore(id, by));
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    fn wait_for_lock(&mut self, id: usize, name: &str, lock: File, now: Duration) -> Result<(), StartError> {
        let child = spawn::wait_for_lock(&lock).map_err(|source| StartError {
            text: format!("cannot make a process: {source}"),
            code: 126,
            permanent: false,
        })?;
        self.log.say(&format!("`{name}` waits for another container that runs it on this volume"));
        let plan = self.supervisor.services()[id].plan();
        // It has no output of its own.
        self.children.add(id, child, Command::service(&plan.spec, false, 0), 0, now);
        self.onces.held.insert(id, Held { lock, waits: true });
        Ok(())
    }

    /// Gives the lock back when a one-shot could not be started.
    pub(super) fn release(&mut self, id: usize) {
        self.onces.held.remove(&id);
    }

    /// A process of a service has ended; of a one-shot that runs once, writes down what was done.
    pub(super) fn ended_once(&mut self, id: usize, exit: Exit) -> Ended {
        let Some(held) = self.onces.held.get_mut(&id) else {
            return Ended::Of(exit);
        };
        let service = &self.supervisor.services()[id];
        if held.waits && exit == Exit::Code(0) && matches!(service.state(), State::Starting { .. }) {
            held.waits = false;
            return Ended::Locked;
        }
        let name = service.plan().name.clone();
        let waited = held.waits;
        // Released when all is written.
        let held = self.onces.held.remove(&id);
        let exit = match exit {
            Exit::Code(0) if !waited => match self.onces.record(&name, &self.version) {
                Ok(()) => Exit::Code(0),
                Err(problem) => Exit::NotRecorded(problem),
            },
            exit => exit,
        };
        if exit != Exit::Code(0) && !waited {
            let stays = match self.onces.done(&name) {
                Some(by) => format!("the volume stays as version {by} left it"),
                None => "the volume stays as one on which it was never done".to_owned(),
            };
            self.log.say(&format!("`{name}` counts as not done for version {}: {stays}", self.version));
        }
        drop(held.map(|held| held.lock));
        Ended::Of(exit)
    }
}
