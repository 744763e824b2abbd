//! The volume that a backup is restored into: empty before, whole afterwards, and in between nobody's.
//!
//! Below [`paths::RESTORING`] are `new`, where everything is unpacked, and for the moment in which it gets its place, `moved`, a list of
//! what goes there. While either is there no container starts on the volume, and another restore begins by undoing it.

use std::io;
use std::path::{Path, PathBuf};

use casque_format::paths;
use fs_err as fs;
use rustix::fs::{FlockOperation, flock, statvfs};

use super::{Trouble, file};
use crate::root::Root;
use crate::write::{self, Access};

const NEW: &str = "new";
const MOVED: &str = "moved";
/// Beside what the backup takes, for directories and a start.
const MARGIN: u64 = 16 << 20;

/// Says whether a restore into the volume has begun and not ended.
pub fn is_unfinished(root: &Root) -> bool {
    let place = root.join(paths::RESTORING);
    [NEW, MOVED].iter().any(|name| place.join(name).symlink_metadata().is_ok())
}

/// Refuses a volume with less room than `needed` bytes.
pub fn check_room(root: &Root, needed: u64) -> Result<(), Trouble> {
    let found = statvfs(root.join(paths::DATA)).map_err(file("look at", paths::DATA))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = needed.saturating_add(MARGIN);
    if free < needed {
        return Err(Trouble::NoRoom { free: free >> 20, needed: needed.div_ceil(1 << 20) });
    }
    Ok(())
}

/// A volume that this process alone restores into.
pub struct Room {
    data: PathBuf,
    place: PathBuf,
    _lock: fs::File,
}

impl Room {
    /// Takes an empty volume, and removes what a killed restore has left in it.
    pub fn claim(root: &Root) -> Result<Self, Trouble> {
        let (data, place) = (root.join(paths::DATA), root.join(paths::RESTORING));
        check_empty(&data, &place)?;
        write::make_directory(&place, 0o700).map_err(file("make", &place))?;
        let lock = fs::File::open(&place).map_err(file("open", &place))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            // NFS locks no directories.
            Ok(()) | Err(rustix::io::Errno::BADF) => {}
            Err(_) => return Err(Trouble::Busy),
        }
        let room = Self { data, place, _lock: lock };
        room.sweep().map_err(file("clear", &room.place))?;
        let new = room.new_root();
        fs::create_dir(&new).map_err(file("make", new))?;
        Ok(room)
    }

    /// Returns the directory to unpack into.
    pub fn new_root(&self) -> PathBuf {
        self.place.join(NEW)
    }

    /// Gives up: the volume is as it was.
    pub fn abandon(self) {
        // What stays is hidden, keeps containers from starting, and goes with the next restore.
        let _ = self.sweep().and_then(|()| fs::remove_dir(&self.place));
    }

    /// Puts everything in its place.
    pub fn commit(self) -> Result<(), Trouble> {
        let new = self.new_root();
        self.move_all(&new).map_err(file("move what is restored from", new))
    }

    fn move_all(&self, new: &Path) -> io::Result<()> {
        let names = names(new)?;
        let list = serde_json::to_vec(&names).map_err(io::Error::from)?;
        write::replace(&self.place.join(MOVED), &list, Access::PRIVATE)?;
        for name in &names {
            fs::rename(new.join(name), self.data.join(name))?;
        }
        fs::remove_dir(new)?;
        fs::File::open(&self.data)?.sync_all()?;
        // From here on it is a volume like any other.
        fs::remove_file(self.place.join(MOVED))?;
        fs::remove_dir(&self.place)?;
        fs::File::open(&self.data)?.sync_all()
    }

    fn sweep(&self) -> io::Result<()> {
        let new = self.new_root();
        for name in moved(&self.place) {
            if new.join(&name).symlink_metadata().is_err() {
                remove(&self.data.join(name))?;
            }
        }
        remove(&new)?;
        remove(&self.place.join(MOVED))
    }
}

/// Refuses a volume that has more than empty directories, which an engine may have made for mounts.
fn check_empty(data: &Path, place: &Path) -> Result<(), Trouble> {
    let moved = moved(place);
    for name in names(data).map_err(file("read", data))? {
        let path = data.join(&name);
        let is_ours = path == place || name == "lost+found" || moved.contains(&name);
        if !is_ours && !fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none()) {
            return Err(Trouble::NotEmpty(name));
        }
    }
    Ok(())
}

/// Returns the names in a directory, sorted.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(directory)?;
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Returns what a killed restore may have moved; a list that is not whole was never begun with.
fn moved(place: &Path) -> Vec<String> {
    let list = fs::read(place.join(MOVED)).ok();
    list.and_then(|list| serde_json::from_slice(&list).ok()).unwrap_or_default()
}

fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}
