//! Reading `.deb` files: an `ar` archive of two packed tars.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err::File;
use thiserror::Error;

use crate::compress::{CompressError, Compression};
use crate::control::{Control, ControlError};
use crate::kept;
use crate::stanza::Stanza;

/// A control file may have this much at most; the largest in Debian are some hundred kilobytes.
const LARGEST_CONTROL_FILE: u64 = 64 << 20;

/// A package file whose control part was read.
#[derive(Debug, Clone)]
pub struct Deb {
    path: PathBuf,
    /// What the package says about itself.
    pub control: Control,
    /// The control file as it is written.
    pub(crate) stanza: String,
    /// The other files of the control part.
    pub(crate) members: Vec<ControlFile>,
    data: Member,
    /// Where the unpacked data part is kept for the next time.
    kept: Option<PathBuf>,
}

/// A file that accompanies a package, such as `preinst` or `md5sums`.
#[derive(Debug, Clone)]
pub(crate) struct ControlFile {
    pub(crate) name: String,
    pub(crate) mode: u32,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    offset: u64,
    size: u64,
    compression: Compression,
}

/// A package file that cannot be used.
#[derive(Debug, Error)]
pub enum DebError {
    /// It could not be read; the path is in the cause.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// Its unpacked files could not be kept for the next time; the path is in the cause.
    #[error("cannot keep its unpacked files for the next build")]
    Keep(#[source] io::Error),
    /// It is not a package file.
    #[error("`{}` is not a Debian package: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A part of it cannot be unpacked.
    #[error("cannot unpack `{}`", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CompressError,
    },
    /// Its control file does not describe a package.
    #[error("cannot read the control file of `{}`", path.display())]
    Control {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ControlError,
    },
}

impl Deb {
    /// Reads the control part of the file at `path`.
    pub fn open(path: &Path) -> Result<Self, DebError> {
        let mut file = File::open(path).map_err(DebError::Read)?;
        let (control, data) = members(&mut file, path)?;
        let mut tar = tar::Archive::new(unpacked(file, &control, path)?);
        let mut stanza = String::new();
        let mut files = vec![];
        let damaged = |error| compressed(path, error);
        for entry in tar.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let name = entry.path().map_err(damaged)?.to_string_lossy().trim_start_matches("./").to_owned();
            if !entry.header().entry_type().is_file() {
                continue;
            }
            if name.contains('/') || entry.size() > LARGEST_CONTROL_FILE {
                return Err(format_error(path, "its control part holds something else than small files"));
            }
            let mode = entry.header().mode().map_err(damaged)? & 0o777;
            let mut bytes = vec![];
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            if name == "control" {
                stanza = String::from_utf8(bytes)
                    .map_err(|_| format_error(path, "its control file is not UTF-8 text"))?;
            } else {
                files.push(ControlFile { name, mode, bytes });
            }
        }
        let parsed = Stanza::first(&stanza).ok_or_else(|| format_error(path, "it has no control file"))?;
        let control =
            Control::parse(&parsed).map_err(|source| DebError::Control { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), control, stanza, members: files, data, kept: None })
    }

    /// Keeps the unpacked files at `place` for the next time, or takes them from there.
    pub fn keeping(self, place: PathBuf) -> Self {
        Self { kept: Some(place), ..self }
    }

    /// Tells whether the package has this maintainer script or other control file.
    pub fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    pub(crate) fn member(&self, name: &str) -> Option<&ControlFile> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Returns the unpacked tar of the package's files.
    pub(crate) fn read_data(&self) -> Result<Vec<u8>, DebError> {
        let Some(place) = &self.kept else { return self.unpack_data() };
        if let Some(bytes) = kept::read(place).map_err(DebError::Read)? {
            return Ok(bytes);
        }
        let bytes = self.unpack_data()?;
        kept::write(place, &bytes).map_err(DebError::Keep)?;
        Ok(bytes)
    }

    fn unpack_data(&self) -> Result<Vec<u8>, DebError> {
        let file = File::open(&self.path).map_err(DebError::Read)?;
        let mut bytes = vec![];
        unpacked(file, &self.data, &self.path)?
            .read_to_end(&mut bytes)
            .map_err(|error| compressed(&self.path, error))?;
        Ok(bytes)
    }

    pub(crate) fn damaged(&self, error: io::Error) -> DebError {
        compressed(&self.path, error)
    }
}

fn compressed(path: &Path, error: io::Error) -> DebError {
    DebError::Compressed { path: path.to_owned(), source: CompressError::Read(error) }
}

fn format_error(path: &Path, reason: &'static str) -> DebError {
    DebError::Format { path: path.to_owned(), reason }
}

fn unpacked(mut file: File, member: &Member, path: &Path) -> Result<Box<dyn Read>, DebError> {
    file.seek(SeekFrom::Start(member.offset)).map_err(DebError::Read)?;
    member
        .compression
        .reader(file.take(member.size))
        .map_err(|source| DebError::Compressed { path: path.to_owned(), source })
}

/// Finds the control and the data part. Each member has a header of 60 bytes and starts at an even offset.
fn members(file: &mut File, path: &Path) -> Result<(Member, Member), DebError> {
    let refuse = |reason| format_error(path, reason);
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(|_| refuse("it is too short"))?;
    if &magic != b"!<arch>\n" {
        return Err(refuse("it is not an ar archive"));
    }
    let mut offset = 8_u64;
    let (mut control, mut data) = (None, None);
    while control.is_none() || data.is_none() {
        let mut header = [0; 60];
        file.seek(SeekFrom::Start(offset)).map_err(DebError::Read)?;
        file.read_exact(&mut header).map_err(|_| refuse("it ends before its data part"))?;
        let header = std::str::from_utf8(&header).map_err(|_| refuse("a member's header is not text"))?;
        if !header.ends_with("`\n") {
            return Err(refuse("a member's header is damaged"));
        }
        let name = header.get(..16).unwrap_or_default().trim_end().trim_end_matches('/');
        let size: u64 = header
            .get(48..58)
            .and_then(|size| size.trim_end().parse().ok())
            .ok_or_else(|| refuse("a member's size is not a number"))?;
        let place = if name.starts_with("control.tar") { &mut control } else { &mut data };
        if let Some(suffix) = name.strip_prefix("control.tar").or_else(|| name.strip_prefix("data.tar")) {
            let compression = Compression::from_suffix(suffix)
                .ok_or_else(|| refuse("a part is packed in an unknown way"))?;
            *place = Some(Member { offset: offset + 60, size, compression });
        } else if name == "debian-binary" && offset != 8 {
            return Err(refuse("its members are out of order"));
        }
        offset += 60 + size + size % 2;
    }
    control.zip(data).ok_or_else(|| refuse("it lacks a part"))
}
