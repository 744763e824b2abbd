//! Lets group 0 read what services alone may read: an engine's arbitrary user has that group, runs all services, and owns
//! nothing of the image.
//!
//! Only where nobody loses by it: the file is a service's user's, who stays its owner, and its group is that user's alone.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use fs_err::os::unix::fs::lchown;
use walkdir::WalkDir;

/// What group 0 is.
const GROUP: u32 = 0;

/// A user of a service and the group that has no other member.
pub(crate) type Owner = (u32, u32);

/// Gives the files of `owners` that not everybody may read to group 0, with their modes. Returns the paths of those that only
/// the group of a service opens: their owner is somebody else, so the service would lose what group 0 gets.
pub(crate) fn give(root: &Path, owners: &[Owner]) -> io::Result<Vec<String>> {
    let mut closed = Vec::new();
    // What is mounted there, or made at each start, has owners of its own.
    let is_image = |entry: &walkdir::DirEntry| {
        entry.depth() != 1
            || !["data", "dev", "proc", "run", "sys", "tmp"].iter().any(|name| entry.file_name() == *name)
    };
    for entry in WalkDir::new(root).into_iter().filter_entry(is_image) {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_symlink() || is_open(&metadata) {
            continue;
        }
        if !owners.contains(&(metadata.uid(), metadata.gid())) {
            if owners.iter().any(|(_, gid)| *gid == metadata.gid()) {
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                closed.push(format!("/{}", path.display()));
            }
            continue;
        }
        lchown(entry.path(), None, Some(GROUP))?;
        // The kernel takes set-id bits away with it.
        fs_err::set_permissions(entry.path(), metadata.permissions())?;
    }
    closed.sort();
    Ok(closed)
}

/// Returns what to tell the vendor of files that stay closed; nothing when there are none.
pub(crate) fn warning(closed: &[String]) -> Option<String> {
    let (first, others) = closed.split_first()?;
    let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    Some(format!(
        "`{first}`{others} can be read by the group of a service and not by group 0, so not where the container runs with `--user`; \
         make the service's user its owner"
    ))
}

/// Says whether everybody may do with it what its group may.
fn is_open(metadata: &std::fs::Metadata) -> bool {
    let mode = metadata.permissions().mode();
    let (group, others) = (mode >> 3 & 0o5, mode & 0o5);
    group & !others == 0
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn files_of_a_service_that_others_may_not_read_are_given_to_group_0_with_their_modes() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, owner: (u32, u32), mode| {
            let path = root.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, "").unwrap();
            lchown(&path, Some(owner.0), Some(owner.1)).unwrap();
            fs_err::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        };
        let owner = (900, 901);
        file("etc/closed", owner, 0o640);
        file("etc/open", owner, 0o644);
        file("etc/nobodys", owner, 0o600);
        file("etc/shared", (900, 4), 0o640);
        file("etc/others", (0, 901), 0o640);
        file("etc/set-id", owner, 0o4750);
        file("data/closed", owner, 0o640);
        assert_eq!(give(root.path(), &[owner]).unwrap(), ["/etc/others"]);
        let found = |path: &str| {
            let metadata = fs_err::metadata(root.path().join(path)).unwrap();
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
        };
        assert_eq!(found("etc/closed"), (900, 0, 0o640));
        assert_eq!(found("etc/open"), (900, 901, 0o644));
        assert_eq!(found("etc/nobodys"), (900, 901, 0o600));
        assert_eq!(found("etc/shared"), (900, 4, 0o640));
        assert_eq!(found("etc/others"), (0, 901, 0o640));
        assert_eq!(found("etc/set-id"), (900, 0, 0o4750));
        assert_eq!(found("data/closed"), (900, 901, 0o640));
    }

    #[test]
    fn what_stays_closed_is_one_warning() {
        assert_eq!(warning(&[]), None);
        let begins = |closed: &[&str], text: &str| {
            let closed: Vec<String> = closed.iter().map(|&path| path.to_owned()).collect();
            assert!(warning(&closed).unwrap().starts_with(text), "{closed:?}");
        };
        begins(&["/etc/a"], "`/etc/a` can be read");
        begins(&["/etc/a", "/etc/b", "/etc/c"], "`/etc/a` and 2 more can be read");
    }
}
