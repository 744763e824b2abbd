//! Finds secrets in whatever form, in streams and in memory, and replaces them.
//!
//! Base64 is looked for in the text without its white space, for it is often broken into lines; everything else in the text as it is.

mod replace;
mod squeezed;

use std::io::{self, Read};

use aho_corasick::AhoCorasick;
use casque_format::forms::{self, Form};

pub use replace::Replacer;
use squeezed::Squeezed;

/// A value that nobody else may see.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// What it is called where it is found.
    pub name: String,
    /// What it is. A line break at its end is not part of it.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Secret({})", self.name)
    }
}

/// Writes a value in the forms in which it may be found.
type Forms = fn(&[u8]) -> Vec<(Form, Vec<u8>)>;

/// Finds the first secret in something.
pub struct Search<'a> {
    plain: Finder<'a>,
    base64: Finder<'a>,
}

struct Finder<'a> {
    automaton: AhoCorasick,
    /// By the number of the pattern.
    found: Vec<(&'a str, Form)>,
}

impl<'a> Finder<'a> {
    fn new(secrets: &'a [Secret], forms: Forms) -> Self {
        let patterns: Vec<(&str, (Form, Vec<u8>))> =
            each(secrets, forms).map(|(index, form)| (secrets[index].name.as_str(), form)).collect();
        let automaton = AhoCorasick::new(patterns.iter().map(|(_, (_, bytes))| bytes));
        Self {
            automaton: automaton.expect("secrets are far shorter than what an automaton takes"),
            found: patterns.into_iter().map(|(name, (form, _))| (name, form)).collect(),
        }
    }

    fn first(&self, content: impl Read) -> io::Result<Option<(&'a str, Form)>> {
        let first = self.automaton.stream_find_iter(content).next().transpose()?;
        Ok(first.map(|found| self.found[found.pattern().as_usize()]))
    }
}

/// Returns the forms of each secret with its number; an empty one would be everywhere.
fn each(secrets: &[Secret], forms: Forms) -> impl Iterator<Item = (usize, (Form, Vec<u8>))> {
    let all = secrets.iter().enumerate().filter(|(_, secret)| !forms::trimmed(&secret.value).is_empty());
    all.flat_map(move |(index, secret)| forms(&secret.value).into_iter().map(move |form| (index, form)))
        .filter(|(_, (_, bytes))| !bytes.is_empty())
}

impl<'a> Search<'a> {
    /// Returns a search for all of these.
    pub fn new(secrets: &'a [Secret]) -> Self {
        Self { plain: Finder::new(secrets, forms::plain), base64: Finder::new(secrets, forms::base64) }
    }

    /// Reads to the first of them, and says which it is and in which form; `open` begins anew each time.
    ///
    /// # Errors
    /// Those of reading.
    pub fn in_stream<R: Read>(
        &self,
        mut open: impl FnMut() -> io::Result<R>,
    ) -> io::Result<Option<(&'a str, Form)>> {
        match self.plain.first(open()?)? {
            Some(found) => Ok(Some(found)),
            None => self.base64.first(Squeezed(open()?)),
        }
    }

    /// Does the same with bytes in memory.
    pub fn in_bytes(&self, bytes: &[u8]) -> Option<(&'a str, Form)> {
        self.in_stream(|| Ok(bytes)).expect("memory can be read")
    }
}

#[cfg(test)]
mod tests;
