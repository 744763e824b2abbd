//! Which part of a file is asked for: `Range` and `If-Range`, as RFC 9110 has them.

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The whole file: nothing was asked, or nothing that is understood, or several parts at once.
    Whole,
    /// These bytes, which are at least one and all there.
    Bytes {
        /// The first.
        start: u64,
        /// How many.
        length: u64,
    },
    /// Nothing of it is there.
    Unsatisfiable,
}

/// Longest header that is looked at; nobody who wants one part needs more.
const LONGEST: usize = 100;

/// Decides what part of a file of `size` bytes is meant.
///
/// Of several parts none is picked: that is allowed, and a thousand small ones would cost a thousand reads.
pub fn part(range: Option<&str>, if_range: Option<&str>, etag: &str, size: u64) -> Part {
    let Some(range) = range.filter(|range| range.len() <= LONGEST) else { return Part::Whole };
    // A date is no strong validator of a file that a release replaces, so it never fits. Neither does a weak tag.
    if if_range.is_some_and(|tag| tag != etag) {
        return Part::Whole;
    }
    parse(range, size).unwrap_or(Part::Whole)
}

fn parse(range: &str, size: u64) -> Option<Part> {
    let (unit, set) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        // The last so many bytes.
        let length = number(last)?.min(size);
        return Some(bytes(size - length, length));
    }
    let first = number(first)?;
    let end = match last {
        "" => size,
        last => {
            let last = number(last)?;
            if last < first {
                return None;
            }
            last.saturating_add(1).min(size)
        }
    };
    Some(bytes(first, end.saturating_sub(first)))
}

fn bytes(start: u64, length: u64) -> Part {
    if length == 0 { Part::Unsatisfiable } else { Part::Bytes { start, length } }
}

/// Reads digits and nothing else; what is too big for a number is the biggest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAG: &str = "\"tag\"";

    fn of(range: &str) -> Part {
        part(Some(range), None, TAG, 100)
    }

    #[test]
    fn one_range_is_served_as_it_is_asked_for() {
        let bytes = |start, length| Part::Bytes { start, length };
        assert_eq!(
            [of("bytes=0-0"), of("bytes=10-19"), of("Bytes = 90-")],
            [bytes(0, 1), bytes(10, 10), bytes(90, 10)]
        );
        assert_eq!(
            [of("bytes=-5"), of("bytes=-500"), of("bytes=50-500")],
            [bytes(95, 5), bytes(0, 100), bytes(50, 50)]
        );
        assert_eq!(of("bytes=0-99999999999999999999999"), bytes(0, 100));
    }

    #[test]
    fn what_is_not_there_cannot_be_satisfied() {
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(range), Part::Unsatisfiable, "{range}");
        }
        assert_eq!(part(Some("bytes=0-"), None, TAG, 0), Part::Unsatisfiable);
    }

    #[test]
    fn anything_else_gets_the_whole_file() {
        let many = format!("bytes={}", "0-1,".repeat(1000));
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "lines=0-1",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "bytes=a-b",
            &many,
        ] {
            assert_eq!(of(range), Part::Whole, "{range}");
        }
        assert_eq!(part(None, Some(TAG), TAG, 100), Part::Whole);
    }

    #[test]
    fn a_part_of_another_file_is_never_served() {
        let of = |if_range| part(Some("bytes=50-"), Some(if_range), TAG, 100);
        assert_eq!(of(TAG), Part::Bytes { start: 50, length: 50 });
        for other in ["\"other\"", "W/\"tag\"", "tag", "", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(of(other), Part::Whole, "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_is_inside_the_file(range in "(bytes=)?[0-9, -]{0,40}|\\PC{0,60}", size in any::<u64>()) {
            if let Part::Bytes { start, length } = part(Some(&range), None, TAG, size) {
                prop_assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    }
}
