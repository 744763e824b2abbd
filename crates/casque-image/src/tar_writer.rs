//! Tar archives whose bytes depend on nothing but what is put in.
//!
//! The format is POSIX ustar with a pax header where a value does not fit. It is written here because
//! an archive's bytes are what its digest is made of: no library update may change them.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::node::{Kind, Node};

const BLOCK: usize = 512;
/// The largest numbers that fit in octal fields of eight and twelve bytes.
const LARGEST_ID: u64 = 0o7_777_777;
const LARGEST_SIZE: u64 = 0o77_777_777_777;

/// Writes a tar archive as a stream.
pub struct TarWriter<W: Write> {
    out: W,
}

impl<W: Write> TarWriter<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Adds an entry. `content` is read for a regular file only, and must have exactly its size.
    pub fn append(&mut self, path: &Path, node: &Node, content: &mut dyn Read) -> io::Result<()> {
        let (type_flag, link, size, device) = match &node.kind {
            Kind::File { size } => (b'0', None, *size, (0, 0)),
            Kind::Directory => (b'5', None, 0, (0, 0)),
            Kind::Symlink { target } => (b'2', Some(target.as_path()), 0, (0, 0)),
            Kind::CharacterDevice { major, minor } => (b'3', None, 0, (*major, *minor)),
            Kind::BlockDevice { major, minor } => (b'4', None, 0, (*major, *minor)),
            Kind::Fifo => (b'6', None, 0, (0, 0)),
        };
        self.header(&Header { path, node, type_flag, link, size, device })?;
        if size > 0 {
            self.content(content, size)?;
        }
        Ok(())
    }

    /// Begins a regular file and returns where its content goes, after which [`TarWriter::pad`] ends it.
    pub(crate) fn begin(&mut self, path: &Path, node: &Node) -> io::Result<&mut W> {
        let Kind::File { size } = node.kind else { return Err(io::ErrorKind::InvalidInput.into()) };
        self.header(&Header { path, node, type_flag: b'0', link: None, size, device: (0, 0) })?;
        Ok(&mut self.out)
    }

    /// Adds another name for the file that was added as `target`.
    pub fn append_hard_link(&mut self, path: &Path, node: &Node, target: &Path) -> io::Result<()> {
        let (type_flag, link) = (b'1', Some(target));
        self.header(&Header { path, node, type_flag, link, size: 0, device: (0, 0) })
    }

    /// Writes the end mark and returns what the archive was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, header: &Header<'_>) -> io::Result<()> {
        let name = header.name();
        let pax = header.pax_records(&name);
        if !pax.is_empty() {
            let mut block = [0; BLOCK];
            let stem = &name[..name.len().min(80)];
            put(&mut block[..100], &[b"PaxHeaders/", stem].concat());
            octal(&mut block[100..108], 0o644);
            octal(&mut block[108..116], 0);
            octal(&mut block[116..124], 0);
            octal(&mut block[124..136], pax.len() as u64);
            octal(&mut block[136..148], 0);
            block[156] = b'x';
            self.out.write_all(&seal(block))?;
            self.out.write_all(&pax)?;
            self.pad(pax.len() as u64)?;
        }
        self.out.write_all(&seal(header.block(&name)))
    }

    fn content(&mut self, content: &mut dyn Read, size: u64) -> io::Result<()> {
        let copied = io::copy(&mut content.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(size)
    }

    /// Fills the last block of a file of this size.
    pub(crate) fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = (size % BLOCK as u64) as usize;
        if rest > 0 {
            self.out.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }
}

struct Header<'a> {
    path: &'a Path,
    node: &'a Node,
    type_flag: u8,
    link: Option<&'a Path>,
    size: u64,
    device: (u32, u32),
}

impl Header<'_> {
    fn name(&self) -> Vec<u8> {
        let mut name = self.path.as_os_str().as_bytes().to_vec();
        if self.type_flag == b'5' {
            name.push(b'/');
        }
        name
    }

    /// Returns what the fixed fields cannot hold, sorted by keyword.
    fn pax_records(&self, name: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        // A hard link takes its attributes from the file it names.
        if self.type_flag != b'1' {
            for (attribute, value) in &self.node.xattrs {
                let keyword = [b"SCHILY.xattr.".as_slice(), attribute.as_bytes()].concat();
                pax_record(&mut records, &keyword, value);
            }
        }
        let number = |value: u64| value.to_string().into_bytes();
        if u64::from(self.node.gid) > LARGEST_ID {
            pax_record(&mut records, b"gid", &number(self.node.gid.into()));
        }
        if let Some(link) = self.link.map(Path::as_os_str).filter(|link| link.len() > 100) {
            pax_record(&mut records, b"linkpath", link.as_bytes());
        }
        if self.node.mtime > LARGEST_SIZE {
            pax_record(&mut records, b"mtime", &number(self.node.mtime));
        }
        if name.len() > 100 {
            pax_record(&mut records, b"path", name);
        }
        if self.size > LARGEST_SIZE {
            pax_record(&mut records, b"size", &number(self.size));
        }
        if u64::from(self.node.uid) > LARGEST_ID {
            pax_record(&mut records, b"uid", &number(self.node.uid.into()));
        }
        records
    }

    fn block(&self, name: &[u8]) -> [u8; BLOCK] {
        let fitting = |value: u64, largest| if value > largest { 0 } else { value };
        let mut block = [0; BLOCK];
        put(&mut block[..100], name);
        octal(&mut block[100..108], self.node.mode.into());
        octal(&mut block[108..116], fitting(self.node.uid.into(), LARGEST_ID));
        octal(&mut block[116..124], fitting(self.node.gid.into(), LARGEST_ID));
        octal(&mut block[124..136], fitting(self.size, LARGEST_SIZE));
        octal(&mut block[136..148], fitting(self.node.mtime, LARGEST_SIZE));
        block[156] = self.type_flag;
        put(&mut block[157..257], self.link.map_or(b"", |link| OsStr::as_bytes(link.as_os_str())));
        octal(&mut block[329..337], self.device.0.into());
        octal(&mut block[337..345], self.device.1.into());
        block
    }
}

/// Appends `LENGTH KEYWORD=VALUE\n`, where the length counts its own digits.
fn pax_record(records: &mut Vec<u8>, keyword: &[u8], value: &[u8]) {
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend(format!("{length} ").into_bytes());
    records.extend(keyword);
    records.push(b'=');
    records.extend(value);
    records.push(b'\n');
}

/// Copies as much of `bytes` as fits; what does not is in a pax record.
fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    put(field, format!("{value:0digits$o}").as_bytes());
}

/// Fills in what every header has: the magic and the checksum.
fn seal(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests;
