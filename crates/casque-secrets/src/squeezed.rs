//! A text without its white space.

use std::io::{self, Read};

/// A reader without its white space.
pub(crate) struct Squeezed<R>(pub(crate) R);

impl<R: Read> Read for Squeezed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.0.read(buffer)?;
            let mut kept = 0;
            for index in 0..length {
                if !buffer[index].is_ascii_whitespace() {
                    buffer[kept] = buffer[index];
                    kept += 1;
                }
            }
            // Nothing read is the end, nothing kept is not.
            if kept > 0 || length == 0 {
                return Ok(kept);
            }
        }
    }
}

/// Returns a text without its white space.
pub(crate) fn squeezed(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// Returns where these places in a squeezed text, sorted and apart from each other, are in `text`: from the first byte to the one
/// after the last.
pub(crate) fn unsqueezed(text: &[u8], places: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut kept = text.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()).map(|(at, _)| at);
    let mut next = 0;
    let mut nth = |number: usize| {
        let at = kept.nth(number - next).unwrap_or(text.len());
        next = number + 1;
        at
    };
    let place = |&(begin, end): &(usize, usize)| {
        let first = nth(begin);
        let last = if end - begin > 1 { nth(end - 1) } else { first };
        (first, last + 1)
    };
    places.iter().map(place).collect()
}
