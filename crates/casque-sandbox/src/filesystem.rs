//! What the mount table says of a directory, to explain why something does not work there.

use std::path::Path;

use rustix::fs::statvfs;

use crate::error::{Doing, Error};

/// The file system that a directory is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Such as `ext4`.
    pub kind: String,
    /// Options of the mount, such as `noexec`.
    pub options: Vec<String>,
    /// Bytes that this user may still write.
    pub free: u64,
}

impl FileSystem {
    /// Looks up what `directory`, which exists, is on.
    pub fn of(directory: &Path) -> Result<Self, Error> {
        let facts = statvfs(directory).doing_to("examine", directory)?;
        let whole = directory.canonicalize().doing_to("find", directory)?;
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (kind, options) = mount_of(&table, &whole);
        Ok(Self { kind, options, free: facts.f_bavail.saturating_mul(facts.f_frsize) })
    }
}

/// Returns kind and options of the mount that holds `path`, from the text of proc(5) `mountinfo`.
fn mount_of(table: &str, path: &Path) -> (String, Vec<String>) {
    let mut found = (0, String::new(), Vec::new());
    for line in table.lines() {
        let Some((mount, system)) = line.split_once(" - ") else { continue };
        let fields: Vec<&str> = mount.split(' ').collect();
        let (Some(at), Some(options)) = (fields.get(4), fields.get(5)) else { continue };
        let at = at.replace("\\040", " ");
        // Of two mounts at one place the later is on top.
        if path.starts_with(&at) && at.len() >= found.0 {
            let kind = system.split(' ').next().unwrap_or_default();
            found = (at.len(), kind.to_owned(), options.split(',').map(str::to_owned).collect());
        }
    }
    (found.1, found.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_innermost_and_latest_mount() {
        let table = "22 27 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                     23 22 0:22 / /home rw,nosuid - nfs4 host:/x rw\n\
                     24 22 0:23 / /home/my\\040files rw,noexec - vfat /dev/sdb rw\n\
                     25 22 0:24 / /home/my\\040files rw,nodev - tmpfs tmpfs rw\n";
        let kind = |path: &str| mount_of(table, Path::new(path)).0;
        assert_eq!(kind("/homes"), "ext4");
        assert_eq!(kind("/home/ann/.cache"), "nfs4");
        assert_eq!(kind("/home/my files/cache"), "tmpfs");
        assert_eq!(mount_of(table, Path::new("/home/my files")).1, ["rw", "nodev"]);
    }
}
