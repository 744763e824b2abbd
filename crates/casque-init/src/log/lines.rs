//! Bytes from a service's pipe become whole lines of bounded length.

use memchr::{memchr, memrchr};

/// The longest line that is kept; Docker splits there too.
pub(crate) const LONGEST: usize = 16 * 1024;

/// What one stream has left over between reads.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    part: Vec<u8>,
    /// The rest of a line whose beginning was long enough is thrown away.
    skipping: bool,
}

/// Some of a stream, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Whole lines, each with its end, none longer than [`LONGEST`].
    Lines(&'a [u8]),
    /// The beginning of a single line that is longer, without its end.
    Long(&'a [u8]),
}

impl Lines {
    /// Puts what was left over at the start of `buffer`, to be followed by what is read; returns its length.
    pub(crate) fn lead(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.part.len()].copy_from_slice(&self.part);
        self.part.len()
    }

    /// Takes `bytes`, which begin with what [`Self::lead`] gave, and gives the lines in them.
    ///
    /// `margin` bytes beyond the limit are kept, so that a secret across the limit is seen whole.
    pub(crate) fn take(&mut self, mut bytes: &[u8], margin: usize, mut give: impl FnMut(Piece<'_>)) {
        self.part.clear();
        if self.skipping {
            let Some(end) = memchr(b'\n', bytes) else {
                return;
            };
            self.skipping = false;
            bytes = &bytes[end + 1..];
        }
        let (whole, part) = bytes.split_at(memrchr(b'\n', bytes).map_or(0, |end| end + 1));
        split(whole, &mut give);
        if part.len() > LONGEST + margin {
            give(Piece::Long(&part[..LONGEST + margin]));
            self.skipping = true;
        } else {
            self.part.extend_from_slice(part);
        }
    }

    /// Gives what has no end, when the stream is over.
    pub(crate) fn finish(&mut self, give: impl FnOnce(Piece<'_>)) {
        let mut part = std::mem::take(&mut self.part);
        if part.len() > LONGEST {
            give(Piece::Long(&part));
        } else if !part.is_empty() {
            part.push(b'\n');
            give(Piece::Lines(&part));
        }
    }
}

/// Separates lines that are too long from the others, looking at few of the bytes.
fn split(whole: &[u8], give: &mut impl FnMut(Piece<'_>)) {
    let (mut begin, mut at) = (0, 0);
    while whole.len() - at > LONGEST + 1 {
        if let Some(end) = memrchr(b'\n', &whole[at..=at + LONGEST]) {
            at += end + 1;
            continue;
        }
        if at > begin {
            give(Piece::Lines(&whole[begin..at]));
        }
        let end = memchr(b'\n', &whole[at..]).map_or(whole.len() - 1, |end| at + end);
        give(Piece::Long(&whole[at..end]));
        at = end + 1;
        begin = at;
    }
    if begin < whole.len() {
        give(Piece::Lines(&whole[begin..]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        let mut give = |piece: Piece<'_>| match piece {
            Piece::Long(line) => all.push((String::from_utf8(line[..LONGEST].to_vec()).unwrap(), true)),
            Piece::Lines(block) => {
                let block = std::str::from_utf8(block).unwrap().strip_suffix('\n').unwrap();
                all.extend(block.split('\n').map(|line| (line.to_owned(), false)));
            }
        };
        for piece in pieces {
            let mut buffer = vec![0; 2 * LONGEST + piece.len()];
            let lead = lines.lead(&mut buffer);
            buffer[lead..lead + piece.len()].copy_from_slice(piece);
            lines.take(&buffer[..lead + piece.len()], 0, &mut give);
        }
        lines.finish(&mut give);
        all
    }

    #[test]
    fn lines_come_whole_however_they_were_read() {
        let whole = [("one".to_owned(), false), (String::new(), false), ("two".to_owned(), false)];
        assert_eq!(lines(&[b"one\n\ntwo"]), whole);
        assert_eq!(lines(&[b"o", b"ne\n", b"\nt", b"wo\n"]), whole);
    }

    #[test]
    fn a_line_that_never_ends_is_given_once_and_then_skipped() {
        let long = "x".repeat(LONGEST);
        assert_eq!(
            lines(&[long.as_bytes(), b"yy", b"zz", b"\nnext\n"]),
            [(long.clone(), true), ("next".to_owned(), false)]
        );
        assert_eq!(lines(&[long.as_bytes(), b"\n"]), [(long.clone(), false)]);
        let among = format!("a\n{long}y\nb\n{long}\nc\n");
        assert_eq!(
            lines(&[among.as_bytes()]),
            [("a", false), (&long, true), ("b", false), (&long, false), ("c", false)]
                .map(|(line, cut)| (line.to_owned(), cut))
        );
    }

    proptest! {
        #[test]
        fn where_reads_end_does_not_matter(
            text in proptest::collection::vec(proptest::prelude::prop_oneof!["[ab\n]{0,20}", "a{16380,16390}"], 0..6),
            cuts in proptest::collection::vec(any::<u16>(), 0..6),
        ) {
            let text = text.concat();
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(usize::from(cut) % (rest.len() + 1));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            proptest::prop_assert_eq!(lines(&pieces), lines(&[text.as_bytes()]));
            let expected: Vec<(String, bool)> = text
                .strip_suffix('\n').unwrap_or(&text).split('\n')
                .map(|line| (line[..line.len().min(LONGEST)].to_owned(), line.len() > LONGEST))
                .collect();
            if !text.is_empty() {
                proptest::prop_assert_eq!(lines(&pieces), expected);
            }
        }
    }
}
