//! The files of an image archive, to be listed and written again behind others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use casque_format::digest::{Digest, Hasher};
use fs_err::File;

use crate::node::{Kind, Node};
use crate::read::{Hashed, ReadError};
use crate::source::{Section, clean_name};
use crate::tar_reader::TarReader;
use crate::tar_writer::TarWriter;

use super::ArchiveError;

/// What is in the tar of an image archive, in its order: files and directories, nothing else.
#[derive(Debug)]
pub struct Members {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: PathBuf,
    kind: Kind,
    mtime: u64,
    /// Where its content begins.
    offset: u64,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMember {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Digest,
}

impl Members {
    /// Finds the members of a tar, but those of these names.
    pub fn open(path: &Path, without: &[&str]) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(ReadError::Open)?;
        let length = file.metadata().map_err(ReadError::Open)?.len();
        let not_tar = |source| ReadError::NotTar { archive: path.to_owned(), source };
        let odd = |member: &Path| ReadError::OddMember {
            archive: path.to_owned(),
            member: member.display().to_string(),
        };
        let whole = Section::of(file.try_clone().map_err(ReadError::Open)?, length);
        let mut reader = TarReader::new(whole);
        let mut names = BTreeSet::new();
        let mut entries = Vec::new();
        while let Some(entry) = reader.next().map_err(not_tar)? {
            let raw = PathBuf::from(OsString::from_vec(entry.path));
            // `./` in front of everything is what some programs write.
            let Some(name) = clean_name(&raw).filter(|name| name != Path::new("")) else { continue };
            if without.iter().any(|other| Path::new(other) == name) {
                continue;
            }
            let kind = match entry.type_flag {
                b'0' if entry.size > length.saturating_sub(entry.offset) => {
                    let member = name.display().to_string();
                    return Err(ReadError::Truncated { archive: path.to_owned(), member });
                }
                b'0' => Kind::File { size: entry.size },
                b'5' => Kind::Directory,
                _ => return Err(odd(&name)),
            };
            if !names.insert(name.clone()) {
                return Err(odd(&name));
            }
            entries.push(Entry { name, kind, mtime: entry.mtime, offset: entry.offset });
        }
        Ok(Self { path: path.to_owned(), file, entries })
    }

    /// Reads every file, and returns them in their order.
    pub fn list(&self) -> Result<Vec<ListedMember>, ReadError> {
        let mut listed = Vec::new();
        let mut file = self.file.file();
        for entry in &self.entries {
            let Kind::File { size } = entry.kind else { continue };
            let name = entry.name.display().to_string();
            let unreadable =
                |source| ReadError::Unreadable { archive: self.path.clone(), member: name.clone(), source };
            file.seek(SeekFrom::Start(entry.offset)).map_err(unreadable)?;
            let mut content = Hashed { inner: file.take(size), hasher: Hasher::default() };
            let mut reader = BufReader::with_capacity(1 << 17, &mut content);
            let copied = io::copy(&mut reader, &mut io::sink()).map_err(unreadable)?;
            if copied != size {
                return Err(ReadError::Truncated { archive: self.path.clone(), member: name });
            }
            listed.push(ListedMember { name, size, sha256: content.hasher.finish() });
        }
        Ok(listed)
    }

    /// Writes a tar of these files and then the members, as casque writes them whoever wrote what was read.
    ///
    /// The kernel copies the contents, or shares them where it can. `path` is where `out` is, for errors.
    pub fn write_behind(
        &self,
        first: &[(&str, &[u8])],
        out: &mut std::fs::File,
        path: &Path,
    ) -> Result<(), ArchiveError> {
        let refuse = |source| ArchiveError::Write { path: path.to_owned(), source };
        // The same archive and the same files in front make the same bytes.
        let mtime = self.entries.first().map_or(0, |entry| entry.mtime);
        let mut tar = TarWriter::new(BufWriter::new(out));
        for (name, mut content) in first.iter().copied() {
            let node = node(Kind::File { size: content.len() as u64 }, mtime);
            tar.append(Path::new(name), &node, &mut content).map_err(refuse)?;
        }
        for entry in &self.entries {
            let node = node(entry.kind.clone(), entry.mtime);
            let Kind::File { size } = entry.kind else {
                tar.append(&entry.name, &node, &mut io::empty()).map_err(refuse)?;
                continue;
            };
            let out = tar.begin(&entry.name, &node).map_err(refuse)?;
            out.flush().map_err(refuse)?;
            let mut file = self.file.file();
            file.seek(SeekFrom::Start(entry.offset)).map_err(ArchiveError::Layer)?;
            // With std's own files, `copy` is copy_file_range.
            let copied = io::copy(&mut file.take(size), out.get_mut()).map_err(refuse)?;
            if copied != size {
                return Err(ArchiveError::Layer(io::ErrorKind::UnexpectedEof.into()));
            }
            tar.pad(size).map_err(refuse)?;
        }
        tar.finish().map(drop).map_err(refuse)
    }
}

fn node(kind: Kind, mtime: u64) -> Node {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    Node { kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
}
