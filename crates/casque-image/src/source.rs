//! Where an image's parts are: in a tar, or in the directory of an OCI layout.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use crate::read::ReadError;
use crate::tar_reader::{Skip, TarReader};

/// The parts of one image archive by name.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    members: Members,
}

#[derive(Debug)]
enum Members {
    Tar { file: Arc<File>, places: BTreeMap<String, Place> },
    Directory,
}

#[derive(Debug, Clone)]
enum Place {
    Bytes {
        start: u64,
        length: u64,
    },
    /// Docker and Podman write a layer once and link to it.
    Link {
        target: String,
    },
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(ReadError::Open)?;
        let members = if file.metadata().map_err(ReadError::Open)?.is_dir() {
            Members::Directory
        } else {
            let file = Arc::new(file);
            let places = places(path, &file)?;
            Members::Tar { file, places }
        };
        Ok(Self { path: path.to_owned(), members })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.section(member).is_ok()
    }

    /// Returns the names of everything below `blobs/sha256/`.
    pub(crate) fn blobs(&self) -> Result<Vec<String>, ReadError> {
        const PREFIX: &str = "blobs/sha256/";
        match &self.members {
            Members::Tar { places, .. } => {
                Ok(places.keys().filter(|name| name.starts_with(PREFIX)).cloned().collect())
            }
            Members::Directory => {
                let directory = self.path.join(PREFIX);
                if !directory.is_dir() {
                    return Ok(Vec::new());
                }
                let mut names = Vec::new();
                for entry in fs_err::read_dir(directory).map_err(ReadError::Open)? {
                    let name = entry.map_err(ReadError::Open)?.file_name();
                    names.push(format!("{PREFIX}{}", name.to_string_lossy()));
                }
                names.sort();
                Ok(names)
            }
        }
    }

    /// Reads a whole document, which has at most `limit` bytes.
    pub(crate) fn read(&self, member: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        let mut section = self.section(member)?;
        if section.length > limit {
            return Err(ReadError::TooLarge { archive: self.path.clone(), member: member.to_owned(), limit });
        }
        let mut bytes = Vec::new();
        section.read_to_end(&mut bytes).map_err(|source| self.unreadable(member, source))?;
        Ok(bytes)
    }

    /// Returns the bytes of a member.
    pub(crate) fn section(&self, member: &str) -> Result<Section, ReadError> {
        let missing = || ReadError::Missing { archive: self.path.clone(), member: member.to_owned() };
        match &self.members {
            Members::Tar { file, places } => {
                let mut name = member.to_owned();
                for _ in 0..8 {
                    match places.get(&name) {
                        Some(Place::Bytes { start, length }) => {
                            let file = Arc::clone(file);
                            return Ok(Section { file, start: *start, length: *length, position: 0 });
                        }
                        Some(Place::Link { target }) => name.clone_from(target),
                        None => return Err(missing()),
                    }
                }
                Err(missing())
            }
            Members::Directory => {
                let clean = clean_name(Path::new(member)).ok_or_else(missing)?;
                let file = match File::open(self.path.join(clean)) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
                    Err(error) => return Err(ReadError::Open(error)),
                };
                let metadata = file.metadata().map_err(ReadError::Open)?;
                if !metadata.is_file() {
                    return Err(missing());
                }
                Ok(Section { file: Arc::new(file), start: 0, length: metadata.len(), position: 0 })
            }
        }
    }

    pub(crate) fn unreadable(&self, member: &str, source: io::Error) -> ReadError {
        ReadError::Unreadable { archive: self.path.clone(), member: member.to_owned(), source }
    }
}

/// Finds where the members of a tar are, without reading their content.
fn places(path: &Path, file: &Arc<File>) -> Result<BTreeMap<String, Place>, ReadError> {
    let not_tar = |source| ReadError::NotTar { archive: path.to_owned(), source };
    let length = file.metadata().map_err(ReadError::Open)?.len();
    let whole = Section { file: Arc::clone(file), start: 0, length, position: 0 };
    let mut reader = TarReader::new(whole);
    let mut places = BTreeMap::new();
    while let Some(entry) = reader.next().map_err(not_tar)? {
        let name = PathBuf::from(OsString::from_vec(entry.path));
        let Some(name) = clean_name(&name) else { continue };
        let member = name.to_string_lossy().into_owned();
        let target = PathBuf::from(OsString::from_vec(entry.link));
        let link = match entry.type_flag {
            b'0' if entry.size > length.saturating_sub(entry.offset) => {
                return Err(ReadError::Truncated { archive: path.to_owned(), member });
            }
            b'0' => {
                let place = Place::Bytes { start: entry.offset, length: entry.size };
                places.insert(member, place);
                continue;
            }
            b'1' => join(Path::new(""), &target),
            b'2' => join(name.parent().unwrap_or(Path::new("")), &target),
            _ => None,
        };
        if let Some(target) = link {
            places.insert(member, Place::Link { target });
        }
    }
    Ok(places)
}

/// Resolves a link inside the archive; `None` where it leads out.
fn join(base: &Path, target: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let joined = base.join(target);
    for part in joined.to_str()?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns a member's name relative to the root; `None` where it could lead out.
pub(crate) fn clean_name(name: &Path) -> Option<PathBuf> {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// A part of a file, read on its own.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    file: Arc<File>,
    start: u64,
    length: u64,
    position: u64,
}

impl Section {
    /// Takes a whole file.
    pub(crate) fn of(file: File, length: u64) -> Self {
        Self { file: Arc::new(file), start: 0, length, position: 0 }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], self.start + self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Skip for Section {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        if count > self.length.saturating_sub(self.position) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += count;
        Ok(())
    }
}
