//! Looking for secrets in what a step leaves and in what it downloads.

use std::io;
use std::path::Path;

use casque_fetch::Store;
use casque_format::forms::Form;
use casque_image::diff::Change;
use casque_image::node::{Kind, Node};
use casque_replay::Fetch;
use casque_secrets::Search;

use super::{SecretError, Secrets};
use crate::error::BuildError;

/// So many places are named.
const MOST_NAMED: usize = 20;

impl Secrets {
    /// Checks that the step of `layer` leaves none of them: in contents, names, targets of links and attributes of what
    /// changed below `root`, nor in `record`, which the cache would keep.
    pub(crate) fn are_not_left(
        &self,
        layer: &str,
        root: &Path,
        changes: &[Change],
        record: &str,
    ) -> Result<(), BuildError> {
        let search = Search::new(&self.named);
        let mut found = Vec::new();
        for change in changes {
            let (Change::Present(path) | Change::Removed(path)) = change;
            let hit = match change {
                Change::Present(_) => in_entry(&search, root, path).map_err(BuildError::Root)?,
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
        let search = Search::new(&self.named);
        let mut found = Vec::new();
        for fetch in fetches {
            let record = serde_json::to_vec(fetch).expect("a record is plain data");
            let mut hit = search.in_bytes(&record);
            if let (None, Some(digest)) = (hit, &fetch.sha256) {
                hit = in_file(&search, &store.path(digest)).map_err(BuildError::Cache)?;
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

/// Looks at one entry of a tree.
fn in_entry<'a>(search: &Search<'a>, root: &Path, path: &Path) -> io::Result<Option<(&'a str, Form)>> {
    if let Some(found) = search.in_bytes(path.as_os_str().as_encoded_bytes()) {
        return Ok(Some(found));
    }
    let full = root.join(path);
    let Some(node) = Node::read(&full)? else { return Ok(None) };
    if let Some(found) = node.xattrs.values().find_map(|value| search.in_bytes(value)) {
        return Ok(Some(found));
    }
    match node.kind {
        Kind::File { .. } => in_file(search, &full),
        Kind::Symlink { target } => Ok(search.in_bytes(target.as_os_str().as_encoded_bytes())),
        _ => Ok(None),
    }
}

fn in_file<'a>(search: &Search<'a>, path: &Path) -> io::Result<Option<(&'a str, Form)>> {
    search.in_stream(|| fs_err::File::open(path))
}

fn short(mut found: Vec<String>) -> Vec<String> {
    let more = found.len().saturating_sub(MOST_NAMED);
    found.truncate(MOST_NAMED);
    if more > 0 {
        found.push(format!("and in {more} more"));
    }
    found
}
