//! The three frames of a backup: what is read or written passes a digest.

use std::io::{self, BufRead, Read, Write};

use casque_format::backup::{HEADER_MAGIC, Header, TRAILER_MAGIC, Trailer};
use casque_format::digest::Hasher;

use super::Unusable;

/// No header is longer: a name for each setting is the most of it.
const LONGEST: u32 = 1 << 20;

/// Counts and digests what passes.
pub struct Digested<T> {
    inner: T,
    hasher: Hasher,
    bytes: u64,
}

impl<T> Digested<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, hasher: Hasher::default(), bytes: 0 }
    }

    /// Returns what would prove everything so far, and what it passed through.
    pub fn trailer(self) -> (Trailer, T) {
        (Trailer { sha256: self.hasher.finish().to_string(), bytes: self.bytes }, self.inner)
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.note(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: BufRead> BufRead for Digested<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        // What is consumed is in the buffer: this reads nothing.
        if let Ok(buffer) = self.inner.fill_buf() {
            self.hasher.update(&buffer[..count]);
            self.bytes += count as u64;
        }
        self.inner.consume(count);
    }
}

impl<R: BufRead> Read for Digested<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

/// Returns a document as a skippable frame.
fn frame(magic: [u8; 4], document: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(document)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    Ok([&magic[..], &length.to_le_bytes(), &text].concat())
}

/// Writes the first frame.
pub fn write_header(header: &Header, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&frame(HEADER_MAGIC, header)?)
}

/// Writes the last frame.
pub fn write_trailer(trailer: &Trailer, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&frame(TRAILER_MAGIC, trailer)?)
}

/// Reads the first frame.
pub fn read_header(from: &mut impl Read) -> Result<Header, Unusable> {
    let mut begin = [0; 8];
    from.read_exact(&mut begin).map_err(|error| Unusable::because(&error))?;
    let [magic @ .., a, b, c, d] = begin;
    let length = u32::from_le_bytes([a, b, c, d]);
    if magic != HEADER_MAGIC || length > LONGEST {
        return Err(Unusable::Foreign("it does not begin as one"));
    }
    let mut text = Vec::new();
    from.take(length.into()).read_to_end(&mut text).map_err(|error| Unusable::because(&error))?;
    if text.len() as u64 != u64::from(length) {
        return Err(Unusable::Truncated);
    }
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let damaged = |error: serde_json::Error| Unusable::Damaged(format!("its header: {error}"));
    let Version { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version > casque_format::backup::VERSION {
        return Err(Unusable::NewerFormat(version));
    }
    serde_json::from_slice(&text).map_err(damaged)
}

/// Reads the last frame, which must be `expected` to the byte and the last thing there is.
pub fn read_trailer(expected: &Trailer, from: &mut impl Read) -> Result<(), Unusable> {
    let broken = |error: io::Error| Unusable::because(&error);
    let expected = frame(TRAILER_MAGIC, expected).map_err(broken)?;
    let mut found = Vec::new();
    from.take(expected.len() as u64 + 1).read_to_end(&mut found).map_err(broken)?;
    if found.len() < expected.len() && expected.starts_with(&found) {
        return Err(Unusable::Truncated);
    }
    if found != expected {
        return Err(Unusable::Damaged("its bytes are not those that were written".to_owned()));
    }
    Ok(())
}
