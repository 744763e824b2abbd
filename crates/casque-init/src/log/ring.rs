//! The newest lines of one service, for who asks later.

use std::collections::VecDeque;

use memchr::{memchr_iter, memrchr_iter};

/// Lines kept in memory for each label, and their bytes.
pub(super) const KEPT_LINES: usize = 1000;
pub(super) const KEPT_BYTES: usize = 1 << 20;

/// Numbered lines, of which the oldest make room for the newest.
///
/// They are kept as they came, in blocks, and looked at one by one only when somebody asks.
#[derive(Debug, Default)]
pub(super) struct Ring {
    text: Vec<u8>,
    /// Where the oldest kept block begins.
    begin: usize,
    blocks: VecDeque<Block>,
    lines: usize,
}

#[derive(Debug)]
struct Block {
    /// Of its last line.
    number: u64,
    lines: usize,
    bytes: usize,
}

impl Ring {
    /// Adds whole lines; `number` is that of the first. Returns how many they were.
    pub(super) fn push(&mut self, block: &[u8], number: u64) -> u64 {
        let count = memchr_iter(b'\n', block).count();
        // Of a flood only the end is worth the copying.
        let from = match count {
            ..=KEPT_LINES => 0,
            _ => memrchr_iter(b'\n', block).nth(KEPT_LINES).map_or(0, |end| end + 1),
        };
        let lines = count.min(KEPT_LINES);
        let bytes = block.len() - from;
        self.blocks.push_back(Block { number: (number + count as u64).saturating_sub(1), lines, bytes });
        self.text.extend_from_slice(&block[from..]);
        self.lines += lines;
        while let Some(oldest) = self.blocks.front()
            && (self.lines - oldest.lines >= KEPT_LINES || self.text.len() - self.begin > KEPT_BYTES)
        {
            self.lines -= oldest.lines;
            self.begin += oldest.bytes;
            self.blocks.pop_front();
        }
        if self.begin > KEPT_BYTES / 2 {
            self.text.drain(..self.begin);
            self.begin = 0;
        }
        count as u64
    }

    /// Returns the lines, newest first, with their numbers and without their ends.
    pub(super) fn newest(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut end = self.text.len();
        let blocks = self.blocks.iter().rev().map(move |block| {
            let begin = end - block.bytes;
            let text = &self.text[begin..end];
            end = begin;
            (block.number, text)
        });
        let lines = blocks.flat_map(|(number, text)| {
            let lines = text.strip_suffix(b"\n").unwrap_or(text).rsplit(|&byte| byte == b'\n');
            (0..=number).rev().zip(lines)
        });
        lines.map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line))).take(KEPT_LINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ring: &Ring) -> Vec<(u64, String)> {
        let lines = ring.newest().map(|(number, line)| (number, String::from_utf8_lossy(line).into_owned()));
        lines.collect::<Vec<_>>().into_iter().rev().collect()
    }

    #[test]
    fn the_end_is_kept_and_not_the_start() {
        let mut ring = Ring::default();
        assert_eq!(ring.push(b"one\ntwo\r\n", 7), 2);
        assert_eq!(kept(&ring), [(7, "one".to_owned()), (8, "two".to_owned())]);
        let flood: String = (0..KEPT_LINES + 3).map(|number| format!("{number}\n")).collect();
        ring.push(flood.as_bytes(), 9);
        let lines = kept(&ring);
        assert_eq!(lines.len(), KEPT_LINES);
        assert_eq!(lines[0], (12, "3".to_owned()));
        assert_eq!(lines[KEPT_LINES - 1], (9 + KEPT_LINES as u64 + 2, (KEPT_LINES + 2).to_string()));
    }

    #[test]
    fn memory_is_bounded_in_bytes_too() {
        let mut ring = Ring::default();
        let long = [vec![b'x'; 16 * 1024], vec![b'\n']].concat();
        for number in 0..1000 {
            ring.push(&long, number);
        }
        assert_eq!(kept(&ring).len(), KEPT_BYTES / long.len());
        assert!(ring.text.len() <= 2 * KEPT_BYTES);
    }
}
