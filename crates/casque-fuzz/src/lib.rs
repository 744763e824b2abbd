//! Feeds a parser with good input that was changed at random, again and again.
//!
//! A target is a function of bytes that judges them and must not panic. It is as long as a fuzzer guided by coverage wants
//! it; this driver needs nothing but the compiler, so it runs with all other tests. What it does is decided by the seeds and
//! the name alone: a failure comes again.

use std::env::{VarError, var};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Inputs for a target when nobody says how many.
const CASES: usize = 2000;
/// Says how many instead.
const VARIABLE: &str = "CASQUE_FUZZ_CASES";
/// No input grows beyond so many times the longest seed, and this much.
const ROOM: usize = 64;
/// What parsers trip over: ends of ranges of numbers, ends of lines and texts, bytes that are no text.
const ODD: [&[u8]; 14] = [
    b"0",
    b"-1",
    b"18446744073709551616",
    b"4294967295",
    b"\0",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\xff\xfe",
    b"\xc3\xa9",
    b": ",
    b"=",
    b"\"",
    b"../",
];

/// Judges the seeds, and then seeds that were changed. When the target panics the input is printed, and the panic goes on.
pub fn fuzz(name: &str, seeds: &[&[u8]], target: impl Fn(&[u8])) {
    let mut chance = Chance::of(name);
    for seed in seeds {
        judge(name, seed, &target);
    }
    let most = seeds.iter().map(|seed| seed.len()).max().unwrap_or(0) * 2 + ROOM;
    for _ in 0..cases() {
        let mut input = chance.one_of(seeds).to_vec();
        for _ in 0..=chance.below(8) {
            chance.change(&mut input, seeds);
        }
        input.truncate(most);
        judge(name, &input, &target);
    }
}

fn cases() -> usize {
    match var(VARIABLE) {
        Ok(text) => text.parse().expect("the number of cases is a number"),
        Err(VarError::NotPresent) => CASES,
        Err(error) => panic!("{VARIABLE}: {error}"),
    }
}

fn judge(name: &str, input: &[u8], target: &impl Fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        // Where the test's own output goes, which the harness shows of a test that fails.
        let shown = input.escape_ascii();
        resume_unwind(Box::new(format!("{name} panics, {}, at b\"{shown}\"", words(&*panic))));
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// Numbers that look like chance and are always the same (xorshift64*).
struct Chance(u64);

impl Chance {
    fn of(name: &str) -> Self {
        // FNV-1a; any start but zero does.
        let start = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self(start | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Returns a number below `end`, and 0 when that is 0.
    fn below(&mut self, end: usize) -> usize {
        let number = usize::try_from(self.next()).unwrap_or(0);
        number.checked_rem(end).unwrap_or(0)
    }

    fn one_of<'a>(&mut self, all: &[&'a [u8]]) -> &'a [u8] {
        let index = self.below(all.len());
        all.get(index).copied().unwrap_or_default()
    }

    /// Returns the ends of a part, most of the time a short one.
    fn part(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        (start, start + self.below((length - start).min(most) + 1))
    }

    /// Changes an input in one way.
    fn change(&mut self, input: &mut Vec<u8>, seeds: &[&[u8]]) {
        let (start, end) = self.part(input.len());
        match self.below(8) {
            0 => input.truncate(start),
            1 => drop(input.drain(start..end)),
            2 => {
                let copied = input[start..end].to_vec();
                input.splice(end..end, copied);
            }
            3 => {
                let odd = self.one_of(&ODD);
                input.splice(start..end, odd.iter().copied());
            }
            4 => {
                let odd = self.one_of(&ODD);
                input.splice(start..start, odd.iter().copied());
            }
            5 => {
                let other = self.one_of(seeds);
                let (from, to) = self.part(other.len());
                input.splice(start..end, other[from..to].iter().copied());
            }
            6 => {
                let byte = self.next().to_le_bytes()[0];
                input.splice(start..start, [byte]);
            }
            _ => {
                if let Some(byte) = input.get_mut(start) {
                    *byte ^= 1 << (self.next() % 8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_panic_that_takes_two_changes_is_found_and_shows_its_input() {
        let target = |input: &[u8]| assert!(!(input.contains(&b'"') && input.len() < 5), "both");
        let panic = catch_unwind(|| fuzz("a target", &[b"name: value"], target)).unwrap_err();
        let said = words(&*panic);
        assert!(said.starts_with("a target panics, both, at b\""), "{said}");
    }

    #[test]
    fn inputs_differ_and_are_the_same_each_time() {
        let all = || {
            let seen = RefCell::new(Vec::new());
            fuzz("a target", &[b"one", b"another"], |input| seen.borrow_mut().push(input.to_vec()));
            seen.into_inner()
        };
        let inputs = all();
        assert_eq!(inputs, all());
        assert!(inputs.iter().collect::<BTreeSet<_>>().len() > inputs.len() / 2);
        assert_eq!(inputs[0], b"one");
    }

    #[test]
    fn without_a_seed_there_is_input_too() {
        fuzz("nothing", &[], |_| ());
    }
}
