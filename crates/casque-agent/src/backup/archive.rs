//! Writes a backup.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use casque_format::backup::{DATA, Header};
use casque_format::digest::Hasher;
use casque_format::paths;
use fs_err as fs;
use rustix::fs::{FileType, OFlags, Stat, readlinkat};
use tar::EntryType;

use super::frames::{self, Digested};
use super::sums::Sums;
use super::walk::{Found, open, walk};
use super::{Progress, Trouble, file};
use crate::root::Root;

/// Set on a file of which not every block exists; others get all their blocks when they are restored.
pub const HOLES: &str = "CASQUE.holes";
/// Fast, and within a tenth of what is possible.
const LEVEL: i32 = 3;
/// What a file takes beside its content, roughly.
const BLOCK: u64 = 4096;

/// What goes into a backup.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    /// The log files, too.
    pub logs: bool,
}

/// What a volume comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that they take.
    pub room: u64,
    /// What is left out because it means nothing without its process.
    pub sockets: Vec<PathBuf>,
}

/// Looks at everything that is to be written, and refuses what cannot be.
pub fn measure(root: &Root, contents: Contents) -> Result<Measure, Trouble> {
    let mut measure = Measure::default();
    let mut links = Links::default();
    walk(&data(root)?, Path::new(""), &mut |found| {
        let Some(descends) = contents.takes(found) else { return Ok(false) };
        match found.kind() {
            FileType::Socket => {
                measure.sockets.push(Path::new(paths::DATA).join(found.path));
                return Ok(false);
            }
            FileType::RegularFile if links.earlier(found).is_none() => {
                measure.bytes += size(&found.stat);
                measure.room += blocks(&found.stat) + BLOCK;
            }
            FileType::RegularFile | FileType::Directory | FileType::Symlink => measure.room += BLOCK,
            _ => return Err(Trouble::Special(Path::new(paths::DATA).join(found.path))),
        }
        measure.entries += 1;
        Ok(descends)
    })?;
    Ok(measure)
}

/// Writes everything, from header to trailer; returns what it was written to, and how many bytes.
pub fn write<W: Write>(
    root: &Root,
    contents: Contents,
    header: &Header,
    to: W,
    still_stopped: impl FnOnce() -> Result<(), Trouble>,
    progress: &mut Progress,
) -> Result<(W, u64), Trouble> {
    let mut digested = Digested::new(to);
    frames::write_header(header, &mut digested).map_err(Trouble::Output)?;
    let mut encoder = zstd::stream::write::Encoder::new(digested, LEVEL).map_err(Trouble::Output)?;
    encoder.include_checksum(true).map_err(Trouble::Output)?;
    let mut archive = Archive {
        tar: tar::Builder::new(encoder),
        sums: Sums::default(),
        links: Links::default(),
        written: 0,
        progress,
    };
    walk(&data(root)?, Path::new(""), &mut |found| match contents.takes(found) {
        Some(descends) => archive.add(found).map(|()| descends),
        None => Ok(false),
    })?;
    archive.write_sums()?;
    // Whoever started services meanwhile has made this worthless.
    still_stopped()?;
    let encoder = archive.tar.into_inner().map_err(Trouble::Output)?;
    let (trailer, mut to) = encoder.finish().map_err(Trouble::Output)?.trailer();
    frames::write_trailer(&trailer, &mut to).map_err(Trouble::Output)?;
    Ok((to, trailer.bytes))
}

impl Contents {
    /// Says whether something belongs into the backup, and of a directory whether what is in it does.
    fn takes(self, found: &Found) -> Option<bool> {
        let whole = Path::new(paths::DATA).join(found.path);
        let is = |path: &str| whole == Path::new(path);
        match () {
            // Of this container alone.
            () if is(paths::LOCK) || is(paths::RESTORING) => None,
            // Goes on changing, and another container would send the same lines again.
            () if is(paths::SYSLOG_BUFFER) => None,
            () if is(paths::LOGS) => Some(self.logs),
            () if found.path == Path::new("lost+found") => None,
            () => Some(true),
        }
    }
}

/// The first place of each file that has several.
#[derive(Default)]
struct Links(BTreeMap<(u64, u64), PathBuf>);

impl Links {
    /// Returns where the same file was before.
    fn earlier(&mut self, found: &Found) -> Option<PathBuf> {
        if found.stat.st_nlink < 2 {
            return None;
        }
        let key = (found.stat.st_dev, found.stat.st_ino);
        if let Some(earlier) = self.0.get(&key) {
            return Some(earlier.clone());
        }
        self.0.insert(key, found.path.to_owned());
        None
    }
}

struct Archive<'a, 'b, W: Write> {
    tar: tar::Builder<W>,
    sums: Sums,
    links: Links,
    written: u64,
    progress: &'a mut Progress<'b>,
}

impl<W: Write> Archive<'_, '_, W> {
    fn add(&mut self, found: &Found) -> Result<(), Trouble> {
        let path = Path::new(DATA).join(found.path);
        let mut header = head(&found.stat);
        let written = match found.kind() {
            FileType::Directory => {
                header.set_entry_type(EntryType::Directory);
                self.tar.append_data(&mut header, &path, io::empty())
            }
            FileType::Symlink => {
                header.set_entry_type(EntryType::Symlink);
                let target =
                    readlinkat(found.parent, found.name, Vec::new()).map_err(file("read", found.path))?;
                self.tar.append_link(&mut header, &path, Path::new(OsStr::from_bytes(target.to_bytes())))
            }
            FileType::RegularFile => match self.links.earlier(found) {
                Some(earlier) => {
                    header.set_entry_type(EntryType::Link);
                    self.tar.append_link(&mut header, &path, Path::new(DATA).join(earlier))
                }
                None => return self.add_file(found, &path, header),
            },
            // Sockets; whatever else was refused.
            _ => Ok(()),
        };
        written.map_err(Trouble::Output)
    }

    fn add_file(&mut self, found: &Found, path: &Path, mut header: tar::Header) -> Result<(), Trouble> {
        let opened = std::fs::File::from(open(found, OFlags::empty())?);
        // Logs grow; what is there now is what is written.
        let stat = rustix::fs::fstat(&opened).map_err(file("read", found.path))?;
        let size = size(&stat);
        if blocks(&stat) + BLOCK < size {
            self.tar.append_pax_extensions([(HOLES, &b"1"[..])]).map_err(Trouble::Output)?;
        }
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        let mut content = Content {
            from: opened.take(size),
            hasher: Hasher::default(),
            read: 0,
            before: self.written,
            progress: self.progress,
            problem: None,
        };
        let written = self.tar.append_data(&mut header, path, &mut content);
        let (read, digest, problem) = (content.read, content.hasher.finish(), content.problem);
        match (written, problem) {
            (_, Some(source)) => return Err(file("read", found.path)(source)),
            (Err(error), _) => return Err(Trouble::Output(error)),
            _ if read < size => return Err(Trouble::Changed(Path::new(paths::DATA).join(found.path))),
            (Ok(()), _) => {}
        }
        self.written += size;
        self.sums.add(path, digest);
        if self.sums.is_due() { self.write_sums() } else { Ok(()) }
    }

    fn write_sums(&mut self) -> Result<(), Trouble> {
        let Some((name, text)) = self.sums.take() else { return Ok(()) };
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        self.tar.append_data(&mut header, name, &*text).map_err(Trouble::Output)
    }
}

/// A file that is read while it is digested. Errors of reading are told from those of writing.
struct Content<'a, 'b> {
    from: io::Take<std::fs::File>,
    hasher: Hasher,
    read: u64,
    before: u64,
    progress: &'a mut Progress<'b>,
    problem: Option<io::Error>,
}

impl Read for Content<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = match self.from.read(into) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.problem = Some(error);
                return Err(io::Error::other("the file cannot be read"));
            }
        };
        self.hasher.update(&into[..count]);
        self.read += count as u64;
        (self.progress)(self.before + self.read);
        Ok(count)
    }
}

fn head(stat: &Stat) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    // Before 1970 nobody had a volume.
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

fn blocks(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512)
}

fn data(root: &Root) -> Result<OwnedFd, Trouble> {
    let opened = fs::File::open(root.join(paths::DATA)).map_err(file("read", paths::DATA))?;
    Ok(OwnedFd::from(std::fs::File::from(opened)))
}
