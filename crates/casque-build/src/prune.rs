//! What a cache holds, and removing what nobody has used for a while.
//!
//! The time of an entry is that of its last use. Layers are no entries of their own: they go with the last stage that
//! has them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use casque_format::digest::Digest;
use serde::Serialize;
use walkdir::WalkDir;

use crate::cache::Cache;
use crate::error::BuildError;
use crate::stage::Record;

/// What a cache holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Where it is.
    pub directory: PathBuf,
    /// Bytes on disk, all together.
    pub bytes: u64,
    /// The same by kind.
    pub kinds: Vec<KindUsage>,
}

/// What a cache holds of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindUsage {
    /// `downloads`, `unpacked`, `wheels`, `bytecode`, `stages`, `layers`, or `steps` for what steps downloaded.
    pub kind: &'static str,
    /// How many there are.
    pub entries: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Seconds since 1970 of the latest use.
    pub last_used: Option<u64>,
}

/// What to remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prune {
    /// What was last used before.
    pub before: Option<SystemTime>,
    /// What was used longest ago, until no more than so many bytes are left.
    pub most_bytes: Option<u64>,
    /// Everything.
    pub all: bool,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// How many entries.
    pub entries: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Something that is removed as a whole.
#[derive(Debug, Clone)]
struct Entry {
    kind: &'static str,
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    /// Of a stage.
    layers: BTreeSet<Digest>,
}

const DOWNLOADS: &str = "downloads";
const STAGES: &str = "stages";
const LAYERS: &str = "layers";
const UNPACKED: &str = "unpacked";
const WHEELS: &str = "wheels";
const BYTECODE: &str = "bytecode";
/// Compressed layers.
const COMPRESSED: &str = "compressed";

impl Cache {
    /// Returns what is here.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn usage(&self) -> Result<Usage, BuildError> {
        let entries = self.entries().map_err(BuildError::Cache)?;
        let layers = self.layer_files().map_err(BuildError::Cache)?;
        let kinds = [DOWNLOADS, UNPACKED, WHEELS, BYTECODE, STAGES, LAYERS, COMPRESSED].map(|kind| {
            let of = |kind| entries.iter().chain(layers.values()).filter(move |entry| entry.kind == kind);
            let of_kind = of(kind);
            let users = of(if kind == LAYERS { STAGES } else { kind });
            let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
            KindUsage {
                kind,
                entries: of_kind.clone().count(),
                bytes: of_kind.clone().map(|entry| entry.bytes).sum(),
                last_used: users.map(|entry| entry.used).max().and_then(since).map(|time| time.as_secs()),
            }
        });
        let bytes = kinds.iter().map(|kind| kind.bytes).sum();
        Ok(Usage { directory: self.directory.clone(), bytes, kinds: kinds.to_vec() })
    }

    /// Removes entries. The cache has to be open alone: see [`Cache::open_alone`].
    ///
    /// # Errors
    /// An entry that cannot be removed; those before it are gone, and the cache is whole.
    pub fn prune(&self, prune: &Prune) -> Result<Pruned, BuildError> {
        self.prune_entries(prune).map_err(BuildError::Cache)
    }

    fn prune_entries(&self, prune: &Prune) -> io::Result<Pruned> {
        let mut entries = self.entries()?;
        entries.sort_by(|one, other| (one.used, &one.path).cmp(&(other.used, &other.path)));
        let mut layers = self.layer_files()?;
        let mut holders: BTreeMap<Digest, usize> = BTreeMap::new();
        for digest in entries.iter().flat_map(|entry| &entry.layers) {
            *holders.entry(*digest).or_default() += 1;
        }
        let mut pruned = Pruned::default();
        // What a killed build wrote and no stage came to have.
        let orphans: Vec<Digest> =
            layers.keys().filter(|digest| !holders.contains_key(digest)).copied().collect();
        for digest in orphans {
            remove(layers.remove(&digest), &mut pruned)?;
        }
        let mut left: u64 = entries.iter().chain(layers.values()).map(|entry| entry.bytes).sum();
        for entry in entries {
            let old = prune.before.is_some_and(|before| entry.used < before);
            let large = prune.most_bytes.is_some_and(|most| left > most);
            if !(prune.all || old || large) {
                continue;
            }
            let before = pruned.bytes;
            for digest in entry.layers.clone() {
                let holders = holders.entry(digest).or_default();
                *holders = holders.saturating_sub(1);
                if *holders == 0 {
                    remove(layers.remove(&digest), &mut pruned)?;
                }
            }
            remove(Some(entry), &mut pruned)?;
            left = left.saturating_sub(pruned.bytes - before);
        }
        Ok(pruned)
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let directory = |name: &str| self.directory.join(name);
        for file in files(&directory("store"))? {
            entries.push(Entry::of(DOWNLOADS, file.clone(), &file)?);
        }
        for path in children(&directory("stages"))? {
            let record = path.join("stage.json");
            let used = if record.is_file() { record.clone() } else { path.clone() };
            let mut entry = Entry::of(STAGES, path, &used)?;
            let text = fs_err::read(&record).unwrap_or_default();
            if let Ok(record) = serde_json::from_slice::<Record>(&text) {
                entry.layers = record.layers.iter().map(|layer| layer.diff_id).collect();
            }
            entries.push(entry);
        }
        for (kind, name) in [(UNPACKED, "unpacked"), (WHEELS, "wheels"), (BYTECODE, "bytecode")] {
            for path in children(&directory(name))? {
                entries.push(Entry::of(kind, path.clone(), &path)?);
            }
        }
        for path in children(&self.outputs())?.into_iter().filter(|path| path.is_file()) {
            entries.push(Entry::of(COMPRESSED, path.clone(), &path)?);
        }
        Ok(entries)
    }

    /// Returns the layers by their digests.
    fn layer_files(&self) -> io::Result<BTreeMap<Digest, Entry>> {
        let mut found = BTreeMap::new();
        for path in files(&self.directory.join("layers"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // One without such a name is one that its writer had no time to name; opening the cache removes it.
            if let Ok(digest) = name.parse() {
                found.insert(digest, Entry::of(LAYERS, path.clone(), &path)?);
            }
        }
        Ok(found)
    }
}

impl Entry {
    fn of(kind: &'static str, path: PathBuf, used: &Path) -> io::Result<Self> {
        let mut bytes = 0;
        for entry in WalkDir::new(&path) {
            // A running build may be about to rename it.
            if let Ok(metadata) = entry.map_err(io::Error::from).and_then(|entry| Ok(entry.metadata()?)) {
                bytes += metadata.blocks() * 512;
            }
        }
        let used = fs_err::symlink_metadata(used)?.modified()?;
        Ok(Self { kind, path, bytes, used, layers: BTreeSet::new() })
    }
}

fn remove(entry: Option<Entry>, pruned: &mut Pruned) -> io::Result<()> {
    let Some(entry) = entry else { return Ok(()) };
    let metadata = fs_err::symlink_metadata(&entry.path)?;
    if metadata.is_dir() {
        // A stage without its record is none, so whoever is killed here leaves nothing that is half there.
        let record = entry.path.join("stage.json");
        if record.is_file() {
            fs_err::remove_file(record)?;
        }
        fs_err::remove_dir_all(&entry.path)?;
    } else {
        fs_err::remove_file(&entry.path)?;
    }
    pruned.entries += 1;
    pruned.bytes += entry.bytes;
    Ok(())
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_file() {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests;
