//! Reads a backup, and believes nothing of it before its end.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use casque_format::backup::{DATA, Header, SUMS};
use casque_format::digest::{Digest, Hasher};
use casque_format::image::Product;
use casque_format::version;
use tar::EntryType;

use super::archive::HOLES;
use super::frames::{self, Digested};
use super::stage::{Meta, Stage};
use super::sums::Sums;
use super::{Progress, Trouble, Unusable, file};

/// No part of the digests is longer: a mebibyte and one more line.
const LONGEST_PART: u64 = 2 << 20;
const CHUNK: usize = 1 << 16;

/// A backup of which the header was read.
pub struct Backup<R> {
    header: Header,
    input: Digested<R>,
}

impl<R: BufRead> Backup<R> {
    /// Reads the header.
    pub fn open(input: R) -> Result<Self, Unusable> {
        let mut input = Digested::new(input);
        Ok(Self { header: frames::read_header(&mut input)?, input })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Refuses what is not for this product, or not for this version of it yet.
    pub fn check_product(&self, product: &Product) -> Result<(), Unusable> {
        let header = &self.header;
        if header.stamp.product != product.name {
            let (found, version) = (header.stamp.product.clone(), header.product_version.clone());
            return Err(Unusable::OtherProduct { found, version, own: product.name.clone() });
        }
        if version::compare(&header.product_version, &product.version).is_gt() {
            let (found, own) = (header.product_version.clone(), product.version.clone());
            return Err(Unusable::NewerData { found, own });
        }
        Ok(())
    }

    /// Reads everything to the last byte, and puts it into `stage` if there is one.
    pub fn read(mut self, mut stage: Option<&mut Stage>, progress: &mut Progress) -> Result<Header, Trouble> {
        let broken = |error: io::Error| Unusable::because(&error);
        let decoder = zstd::stream::read::Decoder::with_buffer(&mut self.input).map_err(broken)?;
        let mut archive = tar::Archive::new(decoder.single_frame());
        let mut content = Content { sums: Sums::default(), bytes: 0, progress };
        for entry in archive.entries().map_err(broken)? {
            content.take(entry.map_err(broken)?, stage.as_deref_mut())?;
        }
        if content.sums.take().is_some() {
            return Err(damaged("the digests of its last files are missing"));
        }
        // Whatever else there is belongs to what was digested.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
        let (trailer, mut input) = self.input.trailer();
        frames::read_trailer(&trailer, &mut input)?;
        if let Some(stage) = stage {
            stage.finish()?;
        }
        Ok(self.header)
    }
}

fn damaged(text: impl Into<String>) -> Trouble {
    Unusable::Damaged(text.into()).into()
}

struct Content<'a, 'b> {
    sums: Sums,
    bytes: u64,
    progress: &'a mut Progress<'b>,
}

impl Content<'_, '_> {
    fn take<R: Read>(&mut self, mut entry: tar::Entry<R>, stage: Option<&mut Stage>) -> Result<(), Trouble> {
        let broken = |error: io::Error| Unusable::because(&error);
        let whole = PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path_bytes()));
        if whole.as_os_str().as_bytes().starts_with(SUMS.as_bytes()) {
            return self.compare(&whole, entry);
        }
        let path = within(&whole)?;
        let header = entry.header();
        let meta = Meta {
            mode: header.mode().map_err(broken)? & 0o7777,
            owner: (number(header.uid())?, number(header.gid())?),
            mtime: i64::try_from(header.mtime().map_err(broken)?).unwrap_or_default(),
        };
        let link = || match entry.link_name_bytes() {
            Some(name) => Ok(PathBuf::from(std::ffi::OsStr::from_bytes(&name))),
            None => Err(damaged(format!("the link `{}` leads nowhere", whole.display()))),
        };
        match (header.entry_type(), stage) {
            (EntryType::Directory, Some(stage)) => stage.directory(&path, meta),
            (EntryType::Symlink, Some(stage)) => stage.symlink(&path, &link()?, meta),
            (EntryType::Link, Some(stage)) => stage.hard_link(&path, &within(&link()?)?),
            (EntryType::Directory | EntryType::Symlink | EntryType::Link, None) => Ok(()),
            (EntryType::Regular, stage) => {
                let has_holes = holes(&mut entry).map_err(broken)?;
                let mut to = match stage {
                    Some(stage) => Some((stage.file(&path)?, stage)),
                    None => None,
                };
                let digest = self.copy(&mut entry, to.as_mut().map(|(file, _)| file), has_holes, &path)?;
                if let Some((file, stage)) = to {
                    stage.seal(&file, &path, meta)?;
                }
                self.sums.add(&whole, digest);
                Ok(())
            }
            _ => Err(damaged(format!("`{}` is of a kind that no backup has", whole.display()))),
        }
    }

    fn copy<R: Read>(
        &mut self,
        from: &mut tar::Entry<R>,
        mut to: Option<&mut std::fs::File>,
        has_holes: bool,
        path: &Path,
    ) -> Result<Digest, Trouble> {
        let size = from.size();
        let (mut hasher, mut chunk) = (Hasher::default(), vec![0; CHUNK]);
        let mut left = size;
        while left > 0 {
            let wanted = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = &mut chunk[..wanted];
            from.read_exact(piece).map_err(|error| Unusable::because(&error))?;
            hasher.update(piece);
            left -= wanted as u64;
            if let Some(to) = &mut to {
                let written = match has_holes && piece.iter().all(|&byte| byte == 0) {
                    true => io::Seek::seek(to, io::SeekFrom::Current(wanted as i64)).map(|_| ()),
                    false => to.write_all(piece),
                };
                written.map_err(file("write", path))?;
            }
            self.bytes += wanted as u64;
            (self.progress)(self.bytes);
        }
        if let (Some(to), true) = (to, has_holes) {
            to.set_len(size).map_err(file("write", path))?;
        }
        Ok(hasher.finish())
    }

    /// Compares a part of the digests with what was read.
    fn compare<R: Read>(&mut self, path: &Path, entry: tar::Entry<R>) -> Result<(), Trouble> {
        let mut text = Vec::new();
        entry.take(LONGEST_PART).read_to_end(&mut text).map_err(|error| Unusable::because(&error))?;
        let Some((name, expected)) = self.sums.take() else {
            return Err(damaged("it has digests of no file"));
        };
        if Path::new(&name) == path && text == expected {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let expected = String::from_utf8_lossy(&expected).into_owned();
        let differs = text.lines().zip(expected.lines()).find(|(one, other)| one != other);
        let which = differs.map_or(name.as_str(), |(_, other)| other.get(66..).unwrap_or(other));
        Err(damaged(format!("the digest of `{which}` is another")))
    }
}

fn number(value: io::Result<u64>) -> Result<u32, Trouble> {
    let value = value.ok().and_then(|value| u32::try_from(value).ok());
    value.ok_or_else(|| damaged("an owner is no number of a user"))
}

fn holes<R: Read>(entry: &mut tar::Entry<R>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        if extension?.key_bytes() == HOLES.as_bytes() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns a path within the volume; no other is taken.
fn within(path: &Path) -> Result<PathBuf, Trouble> {
    let refuse = || damaged(format!("`{}` is not in the volume", path.display()));
    let path = path.strip_prefix(DATA).map_err(|_| refuse())?;
    let normal = path.components().all(|component| matches!(component, Component::Normal(_)));
    if !normal || path.as_os_str().is_empty() { Err(refuse()) } else { Ok(path.to_owned()) }
}
