//! Secrets in log lines.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use casque_format::forms::{base64, plain};

/// What stands where a secret stood.
const MASKED: &[u8] = b"***";
/// Shorter values would mask half of every line.
const SHORTEST: usize = 4;
/// A single line of a longer secret, such as a key in PEM form.
const SHORTEST_LINE: usize = 8;

/// The values that must not be seen.
///
/// The search (Wu and Manber's) looks at two bytes and skips as many as no value can begin in; of text without secrets
/// it sees only a part.
#[derive(Debug, Default)]
pub(crate) struct Mask {
    /// Longest first, so that a secret inside another does not leave half of it.
    forms: Vec<Vec<u8>>,
    /// As many bytes of each form as all of them have.
    common: usize,
    /// How far two bytes are from the end of the common part of any form, at least.
    skip: Vec<u8>,
    /// The forms whose common part ends with these two bytes.
    ending: BTreeMap<usize, Vec<usize>>,
    longest: usize,
}

impl Mask {
    /// Returns a mask for these values and the ways programs quote them.
    pub(crate) fn new(values: &[String]) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            // A secret of several lines never meets a single line as a whole.
            let lines = value.lines().filter(|_| value.contains('\n'));
            let lines = lines.map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            for text in [value.as_str()].into_iter().chain(lines) {
                if text.len() >= SHORTEST {
                    let all = plain(text.as_bytes()).into_iter().chain(base64(text.as_bytes()));
                    forms.extend(all.map(|(_, form)| form));
                }
            }
        }
        let mut forms: Vec<Vec<u8>> = forms.into_iter().filter(|form| !form.contains(&b'\n')).collect();
        if forms.is_empty() {
            return Self::default();
        }
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let common = forms.iter().map(Vec::len).min().unwrap_or(SHORTEST).min(usize::from(u8::MAX));
        let far = u8::try_from(common - 1).unwrap_or(u8::MAX);
        let mut skip = vec![far; 1 << 16];
        let mut ending: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, form) in forms.iter().enumerate() {
            for (distance, at) in (0_u8..).zip((0..=common - 2).rev()) {
                let skip = &mut skip[pair(form, at)];
                *skip = (*skip).min(distance);
            }
            ending.entry(pair(form, common - 2)).or_default().push(index);
        }
        Self { longest: forms[0].len(), forms, common, skip, ending }
    }

    /// Returns the length of the longest form.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Returns the text without secrets.
    pub(crate) fn apply<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut masked = Vec::new();
        let mut done = 0;
        while let Some((begin, end)) = self.find(text, done) {
            masked.extend_from_slice(&text[done..begin]);
            masked.extend_from_slice(MASKED);
            done = end;
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        masked.extend_from_slice(&text[done..]);
        Cow::Owned(masked)
    }

    /// Returns up to `limit` bytes of a line without secrets. One that begins before the limit must be there as a
    /// whole.
    pub(crate) fn apply_up_to(&self, line: &[u8], limit: usize) -> Vec<u8> {
        let mut end = line.len().min(limit);
        let mut done = 0;
        while let Some((begin, after)) = self.find(line, done)
            && begin < limit
        {
            end = end.max(after);
            done = after;
        }
        self.apply(&line[..end]).into_owned()
    }

    /// Returns the first place of a secret at or behind `from`; the longest, if several begin there.
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        if self.forms.is_empty() {
            return None;
        }
        let lead = self.common - 2;
        let mut at = from + lead;
        while at + 1 < text.len() {
            let two = pair(text, at);
            let skip = self.skip[two];
            if skip > 0 {
                at += usize::from(skip);
                continue;
            }
            let begin = at - lead;
            let ending = self.ending.get(&two).map_or(&[][..], Vec::as_slice);
            let found = ending.iter().map(|&index| &self.forms[index]);
            if let Some(form) = found.into_iter().find(|form| text[begin..].starts_with(form)) {
                return Some((begin, begin + form.len()));
            }
            at += 1;
        }
        None
    }
}

fn pair(text: &[u8], at: usize) -> usize {
    usize::from(text[at]) << 8 | usize::from(text[at + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], line: &str) -> String {
        let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
        String::from_utf8(Mask::new(&secrets).apply(line.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        assert_eq!(
            masked(&["geheim"], "geheim agent monitor geheim, geheimgeheim"),
            "*** agent monitor ***, ******"
        );
        assert_eq!(masked(&[], "nothing to hide"), "nothing to hide");
    }

    #[test]
    fn a_secret_is_masked_in_every_way_it_is_quoted() {
        let secret = "p\"a/s s€+";
        for form in [
            "p\"a/s s€+",
            r#"p\"a/s s€+"#,
            r#"p\"a\/s s€+"#,
            r#"p\"a/s s\u20ac+"#,
            "p%22a%2Fs%20s%E2%82%AC%2B",
            "p%22a%2fs%20s%e2%82%ac%2b",
            "p%22a/s%20s%E2%82%AC%2B",
            "p%22a%2Fs+s%E2%82%AC%2B",
            "p%22a%2Fs%20s%E2%82%AC+",
            r#"p\\\"a/s s€+"#,
            // Without its last digit, part of which is of what follows.
            "cCJhL3Mgc-KCrC",
        ] {
            assert_eq!(masked(&[secret], &format!("<{form}>")), "<***>", "{form}");
        }
    }

    #[test]
    fn of_two_secrets_the_longer_one_wins() {
        assert_eq!(masked(&["abcd", "abcdefgh"], "abcdefgh abcdefg"), "*** ***efg");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(masked(&["yes", ""], "yes or no"), "yes or no");
    }

    #[test]
    fn each_line_of_a_long_secret_is_masked() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADAN\nabc\n-----END KEY-----\n";
        assert_eq!(masked(&[key], "MIIEvQIBADAN abc"), "*** abc");
    }

    proptest::proptest! {
        #[test]
        fn the_search_finds_what_a_plain_one_finds(
            secrets in proptest::collection::vec("[ab]{4,7}", 0..4), text in "[abc]{0,60}",
        ) {
            let mut expected = String::new();
            let mut rest = text.as_str();
            while let Some(first) = rest.chars().next() {
                let found = secrets.iter().filter(|secret| rest.starts_with(secret.as_str()));
                if let Some(longest) = found.map(String::len).max() {
                    expected.push_str("***");
                    rest = &rest[longest..];
                } else {
                    expected.push(first);
                    rest = &rest[1..];
                }
            }
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            proptest::prop_assert_eq!(masked(&secrets, &text), expected);
        }
    }
}
