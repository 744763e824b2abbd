//! The digests of the files, in the form of sha256sum(1), in parts so that no list grows with the volume.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use casque_format::backup::SUMS;
use casque_format::digest::Digest;

/// A part is written when it is so long.
const PART: usize = 1 << 20;

/// The digests since the last part.
#[derive(Debug, Default)]
pub struct Sums {
    text: Vec<u8>,
    parts: u32,
}

impl Sums {
    /// Adds a file.
    pub fn add(&mut self, path: &Path, digest: Digest) {
        let bytes = path.as_os_str().as_bytes();
        let escaped = bytes.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'));
        if escaped {
            self.text.push(b'\\');
        }
        self.text.extend(format!("{digest}  ").bytes());
        for &byte in bytes {
            match byte {
                b'\\' => self.text.extend(b"\\\\"),
                b'\n' => self.text.extend(b"\\n"),
                b'\r' => self.text.extend(b"\\r"),
                byte => self.text.push(byte),
            }
        }
        self.text.push(b'\n');
    }

    /// Says whether a part is due.
    pub fn is_due(&self) -> bool {
        self.text.len() >= PART
    }

    /// Returns the name and the text of the next part; nothing when there is no file in it.
    pub fn take(&mut self) -> Option<(String, Vec<u8>)> {
        if self.text.is_empty() {
            return None;
        }
        self.parts += 1;
        Some((format!("{SUMS}{:04}", self.parts), std::mem::take(&mut self.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_sha256sum_reads_them() {
        let mut sums = Sums::default();
        sums.add(Path::new("data/a b"), Digest::of(b""));
        sums.add(Path::new("data/a\\b\nc"), Digest::of(b""));
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let (name, text) = sums.take().unwrap();
        assert_eq!(name, "SHA256SUMS.0001");
        let expected = format!("{empty}  data/a b\n\\{empty}  data/a\\\\b\\nc\n");
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert!(sums.take().is_none());
    }
}
