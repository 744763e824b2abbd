//! Puts something else in the place of each secret.

use aho_corasick::{AhoCorasick, MatchKind};
use casque_format::forms;

use crate::squeezed::{squeezed, unsqueezed};
use crate::{Forms, Secret, each};

/// Replaces secrets, of several that begin at one place the longest.
#[derive(Clone)]
pub struct Replacer {
    plain: Finder,
    base64: Finder,
}

#[derive(Clone)]
struct Finder {
    automaton: AhoCorasick,
    /// The number of the secret, by the number of the pattern.
    secrets: Vec<usize>,
}

impl Finder {
    fn new(secrets: &[Secret], forms: Forms) -> Self {
        let (secrets, patterns): (Vec<usize>, Vec<Vec<u8>>) =
            each(secrets, forms).map(|(index, (_, bytes))| (index, bytes)).unzip();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns);
        Self { automaton: automaton.expect("secrets are far shorter than what an automaton takes"), secrets }
    }

    /// Returns every place in order, and which secret it is.
    fn all(&self, text: &[u8]) -> Vec<((usize, usize), usize)> {
        let found = self.automaton.find_iter(text);
        found.map(|one| ((one.start(), one.end()), self.secrets[one.pattern().as_usize()])).collect()
    }
}

impl Replacer {
    /// Returns one for all of these.
    pub fn new(secrets: &[Secret]) -> Self {
        Self { plain: Finder::new(secrets, forms::plain), base64: Finder::new(secrets, forms::base64) }
    }

    /// Returns the text with what `instead` gives for the number of a secret in the place of each.
    pub fn replace<T: AsRef<[u8]>>(&self, text: &[u8], mut instead: impl FnMut(usize) -> T) -> Vec<u8> {
        let mut places = self.plain.all(text);
        let without_spaces = squeezed(text);
        let (inside, secrets): (Vec<_>, Vec<_>) = self.base64.all(&without_spaces).into_iter().unzip();
        places.extend(unsqueezed(text, &inside).into_iter().zip(secrets));
        places.sort_unstable();
        let mut replaced = Vec::with_capacity(text.len());
        let mut done = 0;
        for ((begin, end), secret) in places {
            // One inside of another, or half of it, is gone with that.
            if begin >= done {
                replaced.extend_from_slice(&text[done..begin]);
                replaced.extend_from_slice(instead(secret).as_ref());
            }
            done = done.max(end);
        }
        replaced.extend_from_slice(&text[done..]);
        replaced
    }
}
