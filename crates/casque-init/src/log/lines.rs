//! Bytes from a service's pipe become lines of bounded length.

/// The longest line that is kept; Docker splits there too.
pub(crate) const LONGEST: usize = 16 * 1024;

/// Collects one stream's bytes until a line is complete.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    part: Vec<u8>,
    /// The rest of a line whose beginning was long enough is thrown away.
    skipping: bool,
}

/// A line, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Without its end. May be longer than [`LONGEST`], by the margin.
    pub(crate) bytes: Vec<u8>,
    /// There was more of it.
    pub(crate) cut: bool,
}

impl Lines {
    /// Takes bytes and gives each line that they complete.
    ///
    /// `margin` bytes beyond the limit are kept, so that a secret across the limit is seen whole.
    pub(crate) fn take(&mut self, mut bytes: &[u8], margin: usize, mut give: impl FnMut(Line)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (piece, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => (bytes, &[][..]),
            };
            bytes = rest;
            if !self.skipping {
                let room = (LONGEST + margin).saturating_sub(self.part.len());
                self.part.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    give(Line { bytes: std::mem::take(&mut self.part), cut: true });
                    self.skipping = true;
                }
            }
            if end.is_some() && !std::mem::take(&mut self.skipping) {
                let mut bytes = std::mem::take(&mut self.part);
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
                give(Line { bytes, cut: false });
            }
        }
    }

    /// Gives what has no end, when the stream is over.
    pub(crate) fn finish(&mut self, give: impl FnOnce(Line)) {
        if !self.part.is_empty() {
            give(Line { bytes: std::mem::take(&mut self.part), cut: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        let mut give = |line: Line| all.push((String::from_utf8(line.bytes).unwrap(), line.cut));
        for piece in pieces {
            lines.take(piece, 0, &mut give);
        }
        lines.finish(&mut give);
        all
    }

    #[test]
    fn lines_come_whole_however_they_were_read() {
        let whole = [("one".to_owned(), false), (String::new(), false), ("two".to_owned(), false)];
        assert_eq!(lines(&[b"one\n\ntwo"]), whole);
        assert_eq!(lines(&[b"o", b"ne\r\n", b"\nt", b"wo\n"]), whole);
    }

    #[test]
    fn a_line_that_never_ends_is_given_once_and_then_skipped() {
        let long = "x".repeat(LONGEST);
        assert_eq!(
            lines(&[long.as_bytes(), b"yy", b"zz", b"\nnext\n"]),
            [(long.clone(), true), ("next".to_owned(), false)]
        );
        assert_eq!(lines(&[long.as_bytes(), b"\n"]), [(long, false)]);
    }

    proptest! {
        #[test]
        fn where_reads_end_does_not_matter(text in "[ab\n]{0,60}", cuts in proptest::collection::vec(any::<u8>(), 0..6)) {
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(usize::from(cut) % (rest.len() + 1));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            proptest::prop_assert_eq!(lines(&pieces), lines(&[text.as_bytes()]));
        }
    }
}
