//! What a difference looks like: the usual causes, each as far as two lines tell.

use super::Aspect;
use crate::elsewhere::{Elsewhere, HOST_NAME};

/// A count made of processors is so many times theirs at most, and so many more.
const MOST_EACH: u64 = 64;
const MOST_MORE: u64 = 8;

/// Says what the difference of two lines looks like.
pub(super) fn of_lines(here: &str, elsewhere: &str, machine: &Elsewhere) -> String {
    let (one, other) = (words(here), words(elsewhere));
    let pair = one.iter().zip(&other).find(|(one, other)| one.text != other.text);
    let Some((one, other)) = pair else {
        return "perhaps an order that is not fixed, or what happened in the meantime".to_owned();
    };
    // Of two counts since 1970 the leading digits are the same for days.
    let near = one.text.len() < 10 || one.text.get(..4) == other.text.get(..4);
    if one.is_clock() && other.is_clock() && near {
        return "looks like the time; take it from `SOURCE_DATE_EPOCH`, or leave it out".to_owned();
    }
    if one.text == HOST_NAME && other.text == machine.host_name {
        return "it is the host name of the build's machine, and the same for every customer".to_owned();
    }
    if let (Some(one), Some(other)) = (one.number(), other.number()) {
        if let Some(formula) = of_processors(one, other, machine.processors) {
            return format!("looks like {formula}");
        }
        let half = |one: u64, other: u64| other > 0 && one > 1000 && (one / 2).abs_diff(other) <= one / 1000;
        if half(one, other) {
            return "looks like a share of the machine's memory".to_owned();
        }
    }
    "random, a process number, or an order that is not fixed".to_owned()
}

/// Says what it may mean that a file is there only once.
pub(super) fn of_names(what: &[Aspect]) -> Option<String> {
    let once = what.iter().any(|aspect| matches!(aspect, Aspect::Added | Aspect::Gone));
    once.then(|| "a name may hold a time, a random or a process number".to_owned())
}

/// Finds `each` and `more` so that both numbers are `each` for every processor, and `more`.
fn of_processors(one: u64, other: u64, (here, there): (usize, usize)) -> Option<String> {
    let (here, there) = (here as u64, there as u64);
    if here == there || (one > other) != (here > there) {
        return None;
    }
    let (rise, run) = (one.abs_diff(other), here.abs_diff(there));
    let each = rise / run;
    let more = one.checked_sub(each.checked_mul(here)?)?;
    if rise % run != 0 || !(1..=MOST_EACH).contains(&each) || more > MOST_MORE {
        return None;
    }
    Some(match (each, more) {
        (1, 0) => "the number of processors".to_owned(),
        (1, more) => format!("the number of processors + {more}"),
        (each, 0) => format!("{each} × the number of processors"),
        (each, more) => format!("{each} × the number of processors + {more}"),
    })
}

/// A word of a line, with what is around it.
struct Word<'a> {
    text: &'a str,
    line: &'a str,
    at: usize,
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    for text in line.split(|c: char| !c.is_alphanumeric()) {
        if !text.is_empty() {
            words.push(Word { text, line, at });
        }
        at += text.len() + line[at + text.len()..].chars().next().map_or(0, char::len_utf8);
    }
    words
}

impl Word<'_> {
    fn number(&self) -> Option<u64> {
        self.text.parse().ok()
    }

    /// Tells whether it is a part of `12:34:56`, or seconds or finer units since 1970.
    fn is_clock(&self) -> bool {
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let (before, after) = (&self.line[..self.at], &self.line[self.at + self.text.len()..]);
        let beside = |text: Option<&str>| text.is_some_and(digits);
        let of_a_day = digits(&self.text[..self.text.len().min(2)])
            && (before
                .strip_suffix(':')
                .is_some_and(|before| beside(before.get(before.len().saturating_sub(2)..)))
                || after.strip_prefix(':').is_some_and(|after| beside(after.get(..2))));
        let since_1970 = matches!(self.text.len(), 10 | 13 | 16 | 19) && self.text.starts_with(['1', '2']);
        of_a_day || (since_1970 && self.number().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(here: &str, elsewhere: &str) -> String {
        let machine = Elsewhere { host_name: "elsewhere", processors: (4, 1), files: Vec::new() };
        of_lines(here, elsewhere, &machine)
    }

    #[test]
    fn the_usual_causes_are_recognised() {
        let cases = [
            ("built Fri Nov 27 19:40:01 UTC", "built Fri Nov 27 19:40:03 UTC", "looks like the time"),
            ("at = 1795808401", "at = 1795808403", "looks like the time"),
            ("at=1795808401123;", "at=1795808403456;", "looks like the time"),
            ("2026-11-27T09:59:59Z", "2026-11-27T10:00:01Z", "looks like the time"),
            ("host = build", "host = elsewhere", "it is the host name"),
            ("worker_processes 4;", "worker_processes 1;", "looks like the number of processors"),
            ("-w 9", "-w 3", "looks like 2 × the number of processors + 1"),
            ("cache = 4000000", "cache = 2000100", "looks like a share of the machine's memory"),
            ("id = 30412", "id = 9921", "random, a process number"),
            ("id = 1841923944", "id = 1055826022", "random, a process number"),
            ("id = abc9", "id = abcf", "random, a process number"),
            ("same", "same and more", "perhaps an order"),
            ("é=1795808401", "é=1795808402", "looks like the time"),
        ];
        for (here, elsewhere, begins) in cases {
            let said = said(here, elsewhere);
            assert!(said.starts_with(begins), "{here}, {elsewhere}: {said}");
        }
    }
}
