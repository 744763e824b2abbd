//! The trees of two images compared path by path.

use std::collections::BTreeSet;
use std::path::Path;

use casque_format::difference::{Aspect, File, FileState, How};
use casque_image::node::Kind;
use casque_image::read::ReadError;
use casque_image::tree::{Tree, TreeEntry};

use super::facts::Owners;

/// Compares two trees. Only files of the same length in different places are read.
pub(super) fn compare(
    (old, old_owners): (&Tree<'_>, &Owners),
    (new, new_owners): (&Tree<'_>, &Owners),
) -> Result<Vec<File>, ReadError> {
    let unread: Vec<&Path> = new
        .entries()
        .iter()
        .filter(|(path, after)| {
            old.entries().get(*path).is_some_and(|before| {
                is_file(after) && before.node.kind == after.node.kind && !old.is_shared(before, new, after)
            })
        })
        .map(|(path, _)| path.as_path())
        .collect();
    let before = old.digests(unread.iter().copied())?;
    let after = new.digests(unread)?;

    let paths: BTreeSet<&Path> =
        old.entries().keys().chain(new.entries().keys()).map(std::path::PathBuf::as_path).collect();
    let mut files = Vec::new();
    for path in paths.into_iter().filter(|path| *path != Path::new("")) {
        let (own, others) = (old.entries().get(path), new.entries().get(path));
        let same = before.get(path) == after.get(path);
        let (how, what) = match (own, others) {
            (Some(own), Some(others)) if old.is_shared(own, new, others) => continue,
            (Some(own), Some(others)) => (How::Changed, aspects(own, others, same)),
            (None, _) => (How::Added, Vec::new()),
            (_, None) => (How::Removed, Vec::new()),
        };
        if how == How::Changed && what.is_empty() {
            continue;
        }
        let owners = if how == How::Removed { old_owners } else { new_owners };
        files.push(File {
            path: format!("/{}", path.display()),
            how,
            what,
            owner: owners.of(path),
            old: own.map(state),
            new: others.map(state),
        });
    }
    Ok(files)
}

fn aspects(old: &TreeEntry, new: &TreeEntry, same_bytes: bool) -> Vec<Aspect> {
    let (old, new) = (&old.node, &new.node);
    let same_kind = std::mem::discriminant(&old.kind) == std::mem::discriminant(&new.kind);
    let is_link = matches!(new.kind, Kind::Symlink { .. });
    let differs = [
        (Aspect::Kind, !same_kind),
        (Aspect::Content, same_kind && (old.kind != new.kind || !same_bytes)),
        // A link's own mode means nothing.
        (Aspect::Mode, old.mode != new.mode && !is_link),
        (Aspect::Owner, (old.uid, old.gid) != (new.uid, new.gid)),
        (Aspect::Attributes, old.xattrs != new.xattrs),
        (Aspect::Time, old.mtime != new.mtime),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
}

fn is_file(entry: &TreeEntry) -> bool {
    matches!(entry.node.kind, Kind::File { .. })
}

fn state(entry: &TreeEntry) -> FileState {
    let node = &entry.node;
    let (kind, size, target) = match &node.kind {
        Kind::File { size } => ("file", Some(*size), None),
        Kind::Directory => ("directory", None, None),
        Kind::Symlink { target } => ("link", None, Some(target.display().to_string())),
        Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => ("device", None, None),
        Kind::Fifo => ("pipe", None, None),
    };
    FileState {
        kind: kind.to_owned(),
        size,
        target,
        mode: format!("{:04o}", node.mode),
        uid: node.uid,
        gid: node.gid,
        time: node.mtime,
        layer: entry.layer,
    }
}
