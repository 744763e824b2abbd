//! Looking for secrets in what a step leaves and in what it downloads.

use std::io::{self, Read};
use std::path::Path;

use aho_corasick::AhoCorasick;
use casque_fetch::Store;
use casque_image::diff::Change;
use casque_image::node::{Kind, Node};
use casque_replay::Fetch;

use super::forms::{self, Form};
use super::{SecretError, Secrets};
use crate::error::BuildError;

/// So many places are named.
const MOST_NAMED: usize = 20;

/// Finds secrets.
pub(super) struct Search<'a> {
    plain: Finder<'a>,
    base64: Finder<'a>,
}

struct Finder<'a> {
    automaton: AhoCorasick,
    /// By the number of the pattern.
    found: Vec<(&'a str, Form)>,
}

impl<'a> Finder<'a> {
    fn new(patterns: Vec<(&'a str, (Form, Vec<u8>))>) -> Self {
        let automaton = AhoCorasick::new(patterns.iter().map(|(_, (_, bytes))| bytes));
        Self {
            automaton: automaton.expect("secrets are far shorter than what an automaton takes"),
            found: patterns.into_iter().map(|(id, (form, _))| (id, form)).collect(),
        }
    }

    fn first(&self, content: impl Read) -> io::Result<Option<(&'a str, Form)>> {
        let first = self.automaton.stream_find_iter(content).next().transpose()?;
        Ok(first.map(|found| self.found[found.pattern().as_usize()]))
    }
}

/// Writes a value in the forms in which it may be found.
type Forms = fn(&[u8]) -> Vec<(Form, Vec<u8>)>;

impl Secrets {
    pub(super) fn search(&self) -> Search<'_> {
        let all = |forms: Forms| {
            let each = self.values.iter().map(|(id, value)| (id.as_str(), forms(value)));
            each.flat_map(|(id, forms)| forms.into_iter().map(move |form| (id, form))).collect()
        };
        Search { plain: Finder::new(all(forms::plain)), base64: Finder::new(all(forms::base64)) }
    }

    /// Checks that the step of `layer` leaves none of them: in contents, names, targets of links and attributes of what
    /// changed below `root`, nor in `record`, which the cache would keep.
    pub(crate) fn are_not_left(
        &self,
        layer: &str,
        root: &Path,
        changes: &[Change],
        record: &str,
    ) -> Result<(), BuildError> {
        let search = self.search();
        let mut found = Vec::new();
        for change in changes {
            let (Change::Present(path) | Change::Removed(path)) = change;
            let hit = match change {
                Change::Present(_) => search.in_entry(root, path).map_err(BuildError::Root)?,
                Change::Removed(_) => None,
            };
            if let Some((id, form)) = hit {
                let place = self.mask(&path.display().to_string());
                found.push(format!("`{id}` in `/{place}`{}", form.note()));
            }
        }
        if let Some((id, form)) = search.in_bytes(record.as_bytes()) {
            found.push(format!("`{id}` in what it told the service managers{}", form.note()));
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(SecretError::Left { layer: layer.to_owned(), found: short(found) }.into())
    }

    /// Checks that what a step downloaded, and by which addresses, holds none of them; what does is not kept.
    pub(crate) fn are_not_recorded(
        &self,
        layer: &str,
        fetches: &[Fetch],
        store: &Store,
    ) -> Result<(), BuildError> {
        let search = self.search();
        let mut found = Vec::new();
        for fetch in fetches {
            let record = serde_json::to_vec(fetch).expect("a record is plain data");
            let mut hit = search.in_bytes(&record);
            if let (None, Some(digest)) = (hit, &fetch.sha256) {
                hit = search.in_file(&store.path(digest)).map_err(BuildError::Cache)?;
            }
            let Some((id, form)) = hit else { continue };
            if let Some(digest) = fetch.sha256.filter(|digest| store.contains(digest)) {
                fs_err::remove_file(store.path(&digest)).map_err(BuildError::Cache)?;
            }
            found.push(format!("`{id}` in {} {}{}", fetch.method, self.mask(&fetch.url), form.note()));
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(SecretError::Recorded { layer: layer.to_owned(), found: short(found) }.into())
    }
}

impl<'a> Search<'a> {
    /// Looks at one entry of a tree.
    fn in_entry(&self, root: &Path, path: &Path) -> io::Result<Option<(&'a str, Form)>> {
        if let Some(found) = self.in_bytes(path.as_os_str().as_encoded_bytes()) {
            return Ok(Some(found));
        }
        let full = root.join(path);
        let Some(node) = Node::read(&full)? else { return Ok(None) };
        if let Some(found) = node.xattrs.values().find_map(|value| self.in_bytes(value)) {
            return Ok(Some(found));
        }
        match node.kind {
            Kind::File { .. } => self.in_file(&full),
            Kind::Symlink { target } => Ok(self.in_bytes(target.as_os_str().as_encoded_bytes())),
            _ => Ok(None),
        }
    }

    pub(super) fn in_file(&self, path: &Path) -> io::Result<Option<(&'a str, Form)>> {
        match self.plain.first(fs_err::File::open(path)?)? {
            Some(found) => Ok(Some(found)),
            None => self.base64.first(Squeezed(fs_err::File::open(path)?)),
        }
    }

    pub(super) fn in_bytes(&self, bytes: &[u8]) -> Option<(&'a str, Form)> {
        let found =
            self.plain.first(bytes).transpose().or_else(|| self.base64.first(Squeezed(bytes)).transpose());
        found.transpose().expect("memory can be read")
    }
}

/// A text without its white space.
struct Squeezed<R>(R);

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

fn short(mut found: Vec<String>) -> Vec<String> {
    let more = found.len().saturating_sub(MOST_NAMED);
    found.truncate(MOST_NAMED);
    if more > 0 {
        found.push(format!("and in {more} more"));
    }
    found
}
