//! Tar archives, read as a stream or by jumping from header to header.
//!
//! Read here and not by a library, because a capability's bytes may hold a line end, and the usual
//! one takes pax records for lines. Understood: ustar, pax, and GNU's long names and large numbers.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;

const BLOCK: u64 = 512;
/// No list of pax records, and no long name, is larger.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// A reader that can leave bytes out.
pub(crate) trait Skip: Read {
    /// Moves `count` bytes ahead; the end must not come before.
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

/// A stream, whose bytes are left out by reading them.
pub(crate) struct Stream<R>(pub(crate) R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Skip for Stream<R> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.0.by_ref().take(count), &mut io::sink())?;
        if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Reads a tar archive entry by entry.
pub(crate) struct TarReader<R: Skip> {
    reader: R,
    position: u64,
    /// Where the current entry's content ends, without and with its padding.
    content_end: u64,
    next_header: u64,
}

/// A header with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TarEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) type_flag: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where its content begins in the archive.
    pub(crate) offset: u64,
}

/// What extension headers say about the entry that follows.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<R: Skip> TarReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, position: 0, content_end: 0, next_header: 0 }
    }

    /// Goes on to the next entry; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<TarEntry>> {
        let mut extensions = Extensions::default();
        while let Some(block) = self.header()? {
            let size = number(&block, 124..136)?;
            match block[156] {
                b'x' => extensions.pax = pax_records(&self.extension(size)?)?,
                b'L' => extensions.path = Some(until_nul(&self.extension(size)?).to_vec()),
                b'K' => extensions.link = Some(until_nul(&self.extension(size)?).to_vec()),
                b'g' => drop(self.extension(size)?),
                _ => return self.entry(&block, extensions).map(Some),
            }
        }
        Ok(None)
    }

    /// Reads from the current entry's content.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    fn header(&mut self) -> io::Result<Option<[u8; BLOCK as usize]>> {
        self.reader.skip(self.next_header - self.position)?;
        self.position = self.next_header;
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += BLOCK;
        self.next_header = self.position;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        check_sum(&block)?;
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSION_LIMIT {
            return Err(damaged("an extension header is larger than a mebibyte"));
        }
        self.expect_content(size)?;
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn entry(&mut self, block: &[u8; 512], extensions: Extensions) -> io::Result<TarEntry> {
        let Extensions { path, link, mut pax } = extensions;
        let decimal = |keyword: &[u8], field| match pax.get(keyword) {
            Some(value) => pax_number(value),
            None => number(block, field),
        };
        let id = |value: u64| u32::try_from(value).map_err(|_| damaged("an owner beyond 32 bits"));
        let uid = id(decimal(b"uid", 108..116)?)?;
        let gid = id(decimal(b"gid", 116..124)?)?;
        let size = decimal(b"size", 124..136)?;
        let mtime = decimal(b"mtime", 136..148)?;
        let path = pax.remove(b"path".as_slice()).or(path).unwrap_or_else(|| name(block));
        let link = pax.remove(b"linkpath".as_slice()).or(link);
        let link = link.unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
        let type_flag = match block[156] {
            // Before ustar, a slash at the end was what made a directory.
            0 | b'7' if path.ends_with(b"/") => b'5',
            0 | b'7' => b'0',
            flag => flag,
        };
        let offset = self.position;
        self.expect_content(if type_flag == b'0' { size } else { 0 })?;
        let small = |field| u32::try_from(number(block, field)?).map_err(|_| damaged("a large number"));
        Ok(TarEntry {
            path,
            type_flag,
            link,
            size,
            mode: small(100..108)?,
            uid,
            gid,
            mtime,
            device: match type_flag {
                b'3' | b'4' => (small(329..337)?, small(337..345)?),
                _ => (0, 0),
            },
            xattrs: pax
                .into_iter()
                .filter_map(|(keyword, value)| {
                    Some((keyword.strip_prefix(b"SCHILY.xattr.")?.to_vec(), value))
                })
                .collect(),
            offset,
        })
    }

    fn expect_content(&mut self, size: u64) -> io::Result<()> {
        let end = self.position.checked_add(size);
        let end = end.filter(|end| *end < u64::MAX - BLOCK);
        self.content_end = end.ok_or_else(|| damaged("an entry is larger than any file"))?;
        self.next_header = self.content_end.next_multiple_of(BLOCK);
        Ok(())
    }
}

/// The content of an entry. An archive that ends inside it is an error, not a shorter content.
pub(crate) struct Content<'a, R: Skip> {
    reader: &'a mut TarReader<R>,
}

impl<R: Skip> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.reader.content_end - self.reader.position;
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.reader.reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.position += read as u64;
        Ok(read)
    }
}

fn check_sum(block: &[u8; 512]) -> io::Result<()> {
    let stated = number(block, 148..156)?;
    let blanked = |(place, byte): (usize, &u8)| match place {
        148..156 => b' ',
        _ => *byte,
    };
    let sum: u64 = block.iter().enumerate().map(blanked).map(u64::from).sum();
    if sum == stated { Ok(()) } else { Err(damaged("a header's checksum does not match")) }
}

/// Reads an octal field, or GNU's binary one, whose first bit is set.
fn number(block: &[u8; 512], field: Range<usize>) -> io::Result<u64> {
    let bytes = &block[field];
    if bytes[0] & 0x80 != 0 {
        return bytes[1..].iter().try_fold(u64::from(bytes[0] & 0x7f), |number, byte| {
            let shifted = number.checked_mul(256);
            let shifted = shifted.ok_or_else(|| damaged("a number is negative or beyond 64 bits"))?;
            Ok(shifted | u64::from(*byte))
        });
    }
    let text = until_nul(bytes).trim_ascii();
    text.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => Ok(number * 8 + u64::from(digit - b'0')),
        _ => Err(damaged("a number is not octal")),
    })
}

/// Returns the whole part of a decimal number; a time may carry a fraction, or lie before 1970.
fn pax_number(value: &[u8]) -> io::Result<u64> {
    let text = str::from_utf8(value).map_err(|_| damaged("a pax number is not decimal"))?;
    if text.starts_with('-') {
        return Ok(0);
    }
    let whole = text.split('.').next().unwrap_or(text);
    whole.parse().map_err(|_| damaged("a pax number is not decimal"))
}

/// Splits `LENGTH KEYWORD=VALUE\n` records, where only the length says where a value ends.
fn pax_records(mut bytes: &[u8]) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let (record, rest) = pax_record(bytes).ok_or_else(|| damaged("a pax record is malformed"))?;
        let split = record.iter().position(|byte| *byte == b'=');
        let split = split.ok_or_else(|| damaged("a pax record has no `=`"))?;
        records.insert(record[..split].to_vec(), record[split + 1..].to_vec());
        bytes = rest;
    }
    Ok(records)
}

fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    Some((record, &bytes[length..]))
}

/// Returns the name in the fixed fields; only POSIX ustar continues it in the prefix.
fn name(block: &[u8; 512]) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    let prefix = until_nul(&block[345..500]);
    if &block[257..263] != b"ustar\0" || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

pub(crate) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests;
