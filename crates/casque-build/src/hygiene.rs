//! What a step leaves that no customer should get, and that only its vendor can judge.

use std::path::Path;

use casque_image::diff::Change;

/// Where version control keeps its history.
const VERSION_CONTROL: [&str; 4] = [".bzr", ".git", ".hg", ".svn"];
/// So many are named.
const MOST_NAMED: usize = 5;

/// Returns a sentence about directories of version control among what changed below `root`.
pub(crate) fn version_control(root: &Path, changes: &[Change]) -> Option<String> {
    let mut found: Vec<String> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Present(path) => Some(path),
            Change::Removed(_) => None,
        })
        .filter(|path| {
            path.file_name().is_some_and(|name| VERSION_CONTROL.iter().any(|known| name == *known))
        })
        .filter(|path| root.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_dir()))
        .map(|path| format!("`/{}`", path.display()))
        .collect();
    if found.is_empty() {
        return None;
    }
    let more = found.len().saturating_sub(MOST_NAMED);
    found.truncate(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "it leaves {}{more}, the history of the sources, which every customer would get; have it removed at the end, \
         or take the files by `copy`, `git archive` or a tarball",
        found.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(paths: &[&str]) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            fs_err::create_dir_all(root.path().join(path)).unwrap();
        }
        fs_err::write(root.path().join(".svn"), "a file").unwrap();
        let changes: Vec<Change> =
            paths.iter().chain(&[".svn"]).map(|path| Change::Present(path.into())).collect();
        version_control(root.path(), &changes)
    }

    #[test]
    fn directories_of_version_control_are_named_with_the_remedy() {
        assert_eq!(said(&["opt/app", "opt/app/git", "opt/.github"]), None);
        insta::assert_snapshot!(said(&["opt/app", "opt/app/.git", "opt/app/.git/objects"]).unwrap(), @"it leaves `/opt/app/.git`, the history of the sources, which every customer would get; have it removed at the end, or take the files by `copy`, `git archive` or a tarball");
        let many = said(&["a/.git", "b/.git", "c/.git", "d/.hg", "e/.bzr", "f/.git", "g/.git"]).unwrap();
        assert!(
            many.starts_with("it leaves `/a/.git`, `/b/.git`, `/c/.git`, `/d/.hg`, `/e/.bzr` and 2 more, ")
        );
    }
}
