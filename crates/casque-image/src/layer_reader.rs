//! The entries of a layer, one after the other.

use std::ffi::OsString;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::node::{Kind, Node, is_recorded};
use crate::source::{Section, clean_name};
use crate::tar_reader::{Skip, Stream, TarEntry, TarReader, damaged};

/// What a layer says about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// This is there.
    Node(Node),
    /// Another name of the file at `target`.
    HardLink { target: PathBuf },
    /// Nothing of the layers below is there any more.
    Whiteout,
    /// The directory shows nothing of the layers below.
    Opaque,
}

/// One entry: its path relative to the root, and where its content begins in the layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerEntry {
    pub(crate) path: PathBuf,
    pub(crate) item: Item,
    pub(crate) offset: u64,
}

/// What ends the reading of a layer early.
#[derive(Debug)]
pub(crate) enum Stop<E> {
    /// The layer itself cannot be read.
    Layer(io::Error),
    /// The visitor cannot go on.
    Visitor(E),
}

/// A layer as a plain tar, whatever it is compressed with.
pub(crate) enum Plain {
    Section(Section),
    Stream(Box<dyn Read>),
}

impl Plain {
    pub(crate) fn open(mut section: Section) -> io::Result<Self> {
        let mut magic = Vec::new();
        section.by_ref().take(4).read_to_end(&mut magic)?;
        section.seek(SeekFrom::Start(0))?;
        Ok(match magic[..] {
            [0x1f, 0x8b, ..] => {
                Self::Stream(Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(section))))
            }
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Stream(Box::new(zstd::Decoder::new(section)?)),
            _ => Self::Section(section),
        })
    }

    /// Returns the bytes from `offset` on.
    pub(crate) fn from(self, offset: u64) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Section(mut section) => {
                section.seek(SeekFrom::Start(offset))?;
                Ok(Box::new(BufReader::new(section)))
            }
            Self::Stream(mut stream) => {
                Stream(&mut stream).skip(offset)?;
                Ok(stream)
            }
        }
    }

    /// Visits every entry with its content; what the visitor does not read is not read where that can be avoided.
    pub(crate) fn visit<E>(
        self,
        visit: impl FnMut(LayerEntry, &mut dyn Read) -> Result<(), Stop<E>>,
    ) -> Result<(), Stop<E>> {
        match self {
            Self::Section(section) => each(section, visit),
            Self::Stream(stream) => each(Stream(stream), visit),
        }
    }

    /// Visits every entry without reading contents where that can be avoided.
    pub(crate) fn scan<E>(self, mut visit: impl FnMut(LayerEntry) -> Result<(), E>) -> Result<(), Stop<E>> {
        self.visit(|entry, _| visit(entry).map_err(Stop::Visitor))
    }
}

/// Visits every entry of a tar stream with its content, then reads the stream to its end.
pub(crate) fn stream<E>(
    mut reader: impl Read,
    visit: impl FnMut(LayerEntry, &mut dyn Read) -> Result<(), Stop<E>>,
) -> Result<(), Stop<E>> {
    each(Stream(&mut reader), visit)?;
    io::copy(&mut reader, &mut io::sink()).map_err(Stop::Layer)?;
    Ok(())
}

fn each<E>(
    reader: impl Skip,
    mut visit: impl FnMut(LayerEntry, &mut dyn Read) -> Result<(), Stop<E>>,
) -> Result<(), Stop<E>> {
    let mut reader = TarReader::new(reader);
    while let Some(entry) = reader.next().map_err(Stop::Layer)? {
        if let Some(entry) = understand(entry).map_err(Stop::Layer)? {
            visit(entry, &mut reader.content())?;
        }
    }
    Ok(())
}

/// Takes an entry for what it means in a layer; `None` for what says nothing about a path.
fn understand(entry: TarEntry) -> io::Result<Option<LayerEntry>> {
    let offset = entry.offset;
    let path = inside(&entry.path)?;
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let Some(hidden) = name.strip_prefix(b".wh.") else {
        let item = item(entry)?;
        return Ok(Some(LayerEntry { path, item, offset }));
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    match hidden {
        b".wh..opq" => Ok(Some(LayerEntry { path: directory.to_owned(), item: Item::Opaque, offset })),
        b"" | b"." | b".." => Err(leads_out(&entry.path)),
        // Bookkeeping of aufs.
        hidden if hidden.starts_with(b".wh.") => Ok(None),
        hidden => {
            let path = directory.join(path_from(hidden.to_vec()));
            Ok(Some(LayerEntry { path, item: Item::Whiteout, offset }))
        }
    }
}

fn item(entry: TarEntry) -> io::Result<Item> {
    let (major, minor) = entry.device;
    let kind = match entry.type_flag {
        b'0' => Kind::File { size: entry.size },
        b'1' => return Ok(Item::HardLink { target: inside(&entry.link)? }),
        b'2' => Kind::Symlink { target: path_from(entry.link) },
        b'3' => Kind::CharacterDevice { major, minor },
        b'4' => Kind::BlockDevice { major, minor },
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(damaged(&format!("an entry has the unknown type `{}`", other as char)));
        }
    };
    let xattrs = entry.xattrs.into_iter().map(|(name, value)| (OsString::from_vec(name), value));
    Ok(Item::Node(Node {
        kind,
        mode: entry.mode & 0o7777,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: xattrs.filter(|(name, _)| is_recorded(name)).collect(),
    }))
}

fn inside(name: &[u8]) -> io::Result<PathBuf> {
    clean_name(&path_from(name.to_vec())).ok_or_else(|| leads_out(name))
}

fn path_from(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

fn leads_out(name: &[u8]) -> io::Error {
    damaged(&format!("the name `{}` leads out of the image", String::from_utf8_lossy(name)))
}
