//! What is known of a container: its directory, its lock and its state file.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use casque_sandbox::{FileLock, Privileges, ProcessHandle};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::error::RunError;
use super::name::Name;
use super::publish::Publish;
use super::user::User;

/// The version of [`State`] this code writes.
const VERSION: u32 = 1;

/// A container that runs or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// Such as `vendor/backend:v43.4.4`.
    pub(crate) image: String,
    /// The digest of the image's configuration, as engines show it.
    pub(crate) image_id: String,
    /// Number of its process 1, as seen by the host.
    pub(crate) pid: i32,
    /// When that process began, in the kernel's ticks: the number alone may be used again.
    pub(crate) pid_start: u64,
    /// Seconds since 1970 when it was started.
    pub(crate) started: u64,
    /// The signal that asks process 1 for an ordered stop.
    pub(crate) stop_signal: i32,
    /// Its published ports.
    pub(crate) published: Vec<Publish>,
    /// Who runs it; none is root.
    #[serde(default)]
    pub(crate) user: Option<User>,
    /// What root may do inside.
    #[serde(default = "usual_privileges")]
    pub(crate) privileges: Privileges,
    /// Nothing inside gets more rights than it has.
    #[serde(default)]
    pub(crate) no_new_privileges: bool,
    /// What is its `/data`.
    pub(crate) data: PathBuf,
    /// How it ended; nothing while it runs, or when its supervisor was killed.
    pub(crate) ended: Option<i32>,
}

/// What a container had whose state does not say it.
fn usual_privileges() -> Privileges {
    Privileges::Container
}

/// Where all containers are known.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    directory: PathBuf,
}

impl Home {
    /// Returns the containers of a state directory, which need not exist.
    pub(crate) fn new(state: &Path) -> Result<Self, RunError> {
        let state = std::path::absolute(state).map_err(RunError::File)?;
        Ok(Self { directory: state.join("containers") })
    }

    /// Returns the place of a container, known or not.
    pub(crate) fn place(&self, name: &Name) -> Place {
        Place { name: name.clone(), directory: self.directory.join(name.as_str()) }
    }

    /// Returns the place of a container that has been started before.
    pub(crate) fn known(&self, name: &Name) -> Result<Place, RunError> {
        let place = self.place(name);
        // A start that did not work leaves its lock alone.
        if place.lock_path().exists()
            && (place.load()?.is_some() || FileLock::try_acquire(&place.lock_path())?.is_none())
        {
            return Ok(place);
        }
        Err(RunError::Unknown { name: name.to_string(), running: self.running()? })
    }

    /// Returns the names of the containers that run, sorted.
    fn running(&self) -> Result<Vec<String>, RunError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(RunError::File)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(RunError::File)?.file_name();
            let Some(name) = name.to_str().and_then(|name| name.parse::<Name>().ok()) else { continue };
            if self.place(&name).running().is_ok() {
                names.push(name.to_string());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The directory of one container.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) name: Name,
    /// That directory.
    pub(crate) directory: PathBuf,
}

impl Place {
    /// Takes the name, and clears what an earlier container of that name left.
    pub(crate) fn claim(&self) -> Result<FileLock, RunError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.directory).map_err(|error| {
            let text = format!("cannot make directory `{}`: {error}", self.directory.display());
            RunError::File(io::Error::new(error.kind(), text))
        })?;
        let Some(lock) = FileLock::try_acquire(&self.lock_path())? else {
            return Err(RunError::NameTaken { name: self.name.to_string() });
        };
        self.clear()?;
        Ok(lock)
    }

    /// Removes everything but the lock, which the caller holds.
    pub(crate) fn clear(&self) -> Result<(), RunError> {
        for entry in fs::read_dir(&self.directory).map_err(RunError::File)? {
            let path = entry.map_err(RunError::File)?.path();
            if path != self.lock_path() {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the directory of a container that has ended and that nobody will ask for.
    pub(crate) fn forget(&self) -> Result<(), RunError> {
        remove(&self.directory)
    }

    /// Returns the state of a container that runs now.
    pub(crate) fn running(&self) -> Result<State, RunError> {
        let name = || self.name.to_string();
        let free = FileLock::try_acquire(&self.lock_path())?.is_some();
        let state = self.load()?;
        match state {
            None if free => Err(RunError::Lost { name: name() }),
            None => Err(RunError::Starting { name: name() }),
            Some(State { ended: Some(code), .. }) => Err(RunError::Ended { name: name(), code }),
            Some(_) if free => Err(RunError::Lost { name: name() }),
            Some(state) => Ok(state),
        }
    }

    /// Takes hold of its process 1.
    pub(crate) fn process(&self, state: &State) -> Result<ProcessHandle, RunError> {
        Ok(ProcessHandle::open(state.pid, state.pid_start)?)
    }

    /// Waits until its supervisor has put everything away, and returns how it ended.
    pub(crate) fn wait_for_end(&self) -> Result<i32, RunError> {
        let _lock = FileLock::acquire(&self.lock_path())?;
        match self.load()? {
            Some(State { ended: Some(code), .. }) => Ok(code),
            _ => Err(RunError::Lost { name: self.name.to_string() }),
        }
    }

    /// Reads the state, if there is any.
    pub(crate) fn load(&self) -> Result<Option<State>, RunError> {
        let path = self.path("state.json");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(RunError::File)?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| RunError::State { path, source })
    }

    /// Writes the state, all of it or nothing.
    pub(crate) fn save(&self, state: &State) -> Result<(), RunError> {
        let temporary = self.path(".state.json.new");
        let text = serde_json::to_vec_pretty(state).expect("the state is plain text and numbers");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = fs::OpenOptions::from_options(options);
        let mut file = file.open(&temporary).map_err(RunError::File)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(RunError::File)?;
        fs::rename(&temporary, self.path("state.json")).map_err(RunError::File)
    }

    /// Returns a path in its directory.
    pub(crate) fn path(&self, entry: &str) -> PathBuf {
        self.directory.join(entry)
    }

    fn lock_path(&self) -> PathBuf {
        self.path("lock")
    }
}

impl State {
    /// Returns the state of a container that runs since now.
    pub(crate) fn new(image: String, image_id: String) -> Self {
        Self {
            version: VERSION,
            image,
            image_id,
            pid: 0,
            pid_start: 0,
            started: 0,
            stop_signal: 15,
            published: Vec::new(),
            data: PathBuf::new(),
            user: None,
            privileges: usual_privileges(),
            no_new_privileges: false,
            ended: None,
        }
    }
}

/// Removes a file or a whole directory.
pub(crate) fn remove(path: &Path) -> Result<(), RunError> {
    let facts = fs::symlink_metadata(path).map_err(RunError::File)?;
    let result = if facts.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    result.map_err(RunError::File)
}
