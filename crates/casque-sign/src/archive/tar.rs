//! A tar as casque writes it, read as a stream.
//!
//! Two readers can make two things of an odd tar. So a header is taken only when it is, byte for byte, the one that casque
//! writes for its name, kind, length and time: regular files and directories, owned by root, and nothing else.

use std::io::{self, Read};

use super::ArchiveError;

const BLOCK: usize = 512;
/// The largest length that the field of a header holds; beyond, a pax header has it.
const LARGEST_SIZE: u64 = 0o77_777_777_777;
/// What is read at once.
const BUFFER: usize = 128 << 10;

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A file, whose content has to be read.
    File { name: String, size: u64 },
    /// A directory; its name ends with a slash.
    Directory { name: String },
    /// The end, and nothing behind it.
    End,
}

/// A tar that is read from its beginning to its end.
pub(super) struct Tar<R> {
    reader: R,
    position: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Tar<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, position: 0, buffer: vec![0; BUFFER] }
    }

    /// Goes on to the next member, when the content of the one before was read.
    pub(super) fn next(&mut self) -> Result<Next, ArchiveError> {
        let at = self.position;
        let mut found = match self.block("at a header")? {
            Some(block) => block.to_vec(),
            None if at == 0 => return Err(ArchiveError::Empty),
            None => {
                return Err(ArchiveError::Truncated { after: at, place: "before its end mark".to_owned() });
            }
        };
        if found.iter().all(|byte| *byte == 0) {
            return self.end(at);
        }
        let mut size = None;
        if found[156] == b'x' {
            let pax = self.whole_block("in a pax header")?;
            size = pax_size(&pax);
            found.extend(pax);
            found.extend(self.whole_block("after a pax header")?);
        }
        let damaged = |what| match at {
            0 => ArchiveError::NotTar,
            at => ArchiveError::Damaged { at, what },
        };
        let header = &found[found.len() - BLOCK..];
        let fields = Fields::of(header, size).ok_or_else(|| damaged("this is no header of a tar"))?;
        if fields.written() != found {
            return Err(damaged("this is not the header that casque writes for such a member"));
        }
        Ok(match fields.is_directory {
            true => Next::Directory { name: fields.name },
            false => Next::File { name: fields.name, size: fields.size },
        })
    }

    /// Reads a file of at most `limit` bytes.
    pub(super) fn read(&mut self, name: &str, size: u64, limit: usize) -> Result<Vec<u8>, ArchiveError> {
        if size > limit as u64 {
            return Err(ArchiveError::TooLarge { name: name.to_owned(), size, limit });
        }
        let mut all = Vec::new();
        self.content(name, size, |bytes| all.extend_from_slice(bytes))?;
        Ok(all)
    }

    /// Reads a file of at most `limit` bytes, all of them ASCII.
    pub(super) fn read_text(&mut self, name: &str, size: u64, limit: usize) -> Result<String, ArchiveError> {
        let at = self.position;
        let bytes = self.read(name, size, limit)?;
        let text = String::from_utf8(bytes).ok().filter(|text| text.is_ascii());
        text.ok_or(ArchiveError::Damaged { at, what: "a signature or a key is not text" })
    }

    /// Hands out the content of a file piece by piece, and makes sure that nothing hides behind it.
    pub(super) fn content(
        &mut self,
        name: &str,
        size: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), ArchiveError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.some(&mut buffer[..wanted])?;
            if read == 0 {
                let place = format!("in the middle of `{name}`");
                return Err(ArchiveError::Truncated { after: self.position, place });
            }
            take(&buffer[..read]);
            left -= read as u64;
        }
        let padding = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
        let at = self.position;
        let read = self.fill(&mut buffer[..padding])?;
        if read < padding {
            return Err(ArchiveError::Truncated { after: self.position, place: format!("behind `{name}`") });
        }
        if buffer[..padding].iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Damaged { at, what: "something is between two members" });
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Makes sure that the end mark is whole, and the last thing there is.
    fn end(&mut self, at: u64) -> Result<Next, ArchiveError> {
        let second = self.whole_block("in its end mark")?;
        if second.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Damaged { at, what: "half an end mark is between two members" });
        }
        let at = self.position;
        match self.some(&mut [0])? {
            0 => Ok(Next::End),
            _ => Err(ArchiveError::Trailing { at }),
        }
    }

    fn whole_block(&mut self, place: &str) -> Result<Vec<u8>, ArchiveError> {
        let after = self.position;
        let block = self.block(place)?.map(|block| block.to_vec());
        block.ok_or_else(|| ArchiveError::Truncated { after, place: place.to_owned() })
    }

    /// Reads a block; none where the stream ends before it.
    fn block(&mut self, place: &str) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        let mut block = [0; BLOCK];
        let at = self.position;
        match self.fill(&mut block)? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ if at == 0 => Err(ArchiveError::NotTar),
            _ => Err(ArchiveError::Truncated { after: self.position, place: place.to_owned() }),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.some(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        loop {
            match self.reader.read(buffer) {
                Ok(read) => {
                    self.position += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
    }
}

/// What of a header may differ from member to member.
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    name: String,
    is_directory: bool,
    size: u64,
    mtime: u64,
}

impl Fields {
    fn of(header: &[u8], pax_size: Option<u64>) -> Option<Self> {
        let name = header[..100].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())?;
        let is_directory = match header[156] {
            b'0' => false,
            b'5' => true,
            _ => return None,
        };
        let size = match pax_size {
            Some(size) => size,
            None => octal(&header[124..136])?,
        };
        Some(Self { name, is_directory, size, mtime: octal(&header[136..148])? })
    }

    /// Returns the header, and the pax header before it, that casque writes for such a member.
    fn written(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let large = self.size > LARGEST_SIZE;
        if large {
            let record = pax_record(self.size);
            let stem = &self.name.as_bytes()[..self.name.len().min(80)];
            let name = [b"PaxHeaders/", stem].concat();
            let mut block = [0; BLOCK];
            common(&mut block, &name, 0o644, record.len() as u64, 0, b'x');
            all.extend(seal(block));
            all.extend(record.as_bytes());
            all.resize(2 * BLOCK, 0);
        }
        let (mode, flag) = if self.is_directory { (0o755, b'5') } else { (0o644, b'0') };
        let mut block = [0; BLOCK];
        common(&mut block, self.name.as_bytes(), mode, if large { 0 } else { self.size }, self.mtime, flag);
        put_octal(&mut block[329..337], 0);
        put_octal(&mut block[337..345], 0);
        all.extend(seal(block));
        all
    }
}

fn common(block: &mut [u8; BLOCK], name: &[u8], mode: u64, size: u64, mtime: u64, flag: u8) {
    let name = &name[..name.len().min(100)];
    block[..name.len()].copy_from_slice(name);
    put_octal(&mut block[100..108], mode);
    put_octal(&mut block[108..116], 0);
    put_octal(&mut block[116..124], 0);
    put_octal(&mut block[124..136], size);
    put_octal(&mut block[136..148], mtime);
    block[156] = flag;
}

/// Reads what `pax_record` writes; of anything else it makes a length that has another header.
fn pax_size(block: &[u8]) -> Option<u64> {
    let text = block.split(|byte| *byte == b'\n').next()?;
    let (_, size) = str::from_utf8(text).ok()?.split_once("size=")?;
    size.parse().ok()
}

/// Returns `LENGTH size=SIZE\n`, where the length counts its own two digits.
fn pax_record(size: u64) -> String {
    let record = format!(" size={size}\n");
    format!("{}{record}", record.len() + 2)
}

fn octal(field: &[u8]) -> Option<u64> {
    let (digits, end) = field.split_at(field.len() - 1);
    let plain = end == [0] && digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
    plain.then(|| digits.iter().fold(0, |number, digit| number << 3 | u64::from(digit - b'0')))
}

fn put_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
}

fn seal(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_field_is_in_a_pax_header_of_its_own() {
        let fields = |size| Fields { name: "blobs/a".to_owned(), is_directory: false, size, mtime: 5 };
        assert_eq!(fields(LARGEST_SIZE).written().len(), BLOCK);
        let large = fields(LARGEST_SIZE + 1);
        let written = large.written();
        assert_eq!(written[BLOCK..].iter().take(20).copied().collect::<Vec<_>>(), b"19 size=8589934592\n\0");
        assert_eq!(Fields::of(&written[2 * BLOCK..], pax_size(&written[BLOCK..])), Some(large));
        // The whole header comes back as it was, and then the content is missing.
        let mut tar = Tar::new(written.as_slice());
        assert!(matches!(tar.next(), Ok(Next::File { size: 8_589_934_592, .. })));
    }

    #[test]
    fn a_header_is_the_one_that_casque_writes_or_none() {
        let written = Fields { name: "a".to_owned(), is_directory: false, size: 0, mtime: 5 }.written();
        for bit in 0..BLOCK * 8 {
            let mut block = [0; 2 * BLOCK];
            block[..BLOCK].copy_from_slice(&written);
            block[bit / 8] ^= 1 << (bit % 8);
            let outcome = Tar::new(block.as_slice()).next();
            // A changed name, length or time has another sum.
            assert!(matches!(outcome, Err(ArchiveError::NotTar)), "bit {bit}: {outcome:?}");
        }
    }
}
