//! Places for mounts of a step that were not there before; they do not ship.

use std::io;
use std::path::{Path, PathBuf};

use crate::unit::in_root;

/// What the sandbox has of its own in place of the root's.
const OWN: [&str; 2] = ["run", "tmp"];

/// The places that were made.
pub(crate) struct MountPoints<'a> {
    /// The root filesystem.
    root: &'a Path,
    /// Where `/run` and `/tmp` of the sandbox are.
    own: &'a Path,
    made: Vec<PathBuf>,
}

impl<'a> MountPoints<'a> {
    pub(crate) fn new(root: &'a Path, own: &'a Path) -> Self {
        Self { root, own, made: Vec::new() }
    }

    /// Makes a directory or a file at `to`, an absolute path inside, where there is none. Links on the way lead where they
    /// lead inside, such as `/var/run`.
    pub(crate) fn make(&mut self, to: &str, directory: bool) -> io::Result<()> {
        let parts: Vec<&str> = to.split('/').filter(|part| !part.is_empty()).collect();
        for end in 1..=parts.len() {
            let path = self.outside(&parts[..end].join("/"))?;
            if path.symlink_metadata().is_ok() {
                continue;
            }
            if directory || end < parts.len() {
                fs_err::create_dir(&path)?;
            } else {
                fs_err::write(&path, "")?;
            }
            self.made.push(path);
        }
        Ok(())
    }

    /// Returns where a path of the sandbox is on this host.
    fn outside(&self, inside: &str) -> io::Result<PathBuf> {
        let circle = || io::Error::other(format!("`/{inside}` leads in a circle"));
        let resolved = in_root(self.root, inside).ok_or_else(circle)?;
        let relative = resolved.strip_prefix(self.root).expect("it was found below the root");
        match OWN.iter().any(|own| relative.starts_with(own)) {
            true => Ok(self.own.join(relative)),
            false => Ok(resolved),
        }
    }

    /// Removes what was made, unless the step put something beside it.
    pub(crate) fn remove(self) -> io::Result<()> {
        for path in self.made.iter().rev() {
            match path.is_dir() {
                true => drop(fs_err::remove_dir(path)),
                false => fs_err::remove_file(path)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_made_inside_and_gone_afterwards_but_for_what_is_in_them() {
        let (root, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |path: &str| root.path().join(path);
        fs_err::create_dir_all(at("root")).unwrap();
        fs_err::create_dir_all(at("run")).unwrap();
        fs_err::create_dir_all(at("var")).unwrap();
        fs_err::create_dir_all(own.path().join("run")).unwrap();
        fs_err::os::unix::fs::symlink("/run", at("var/run")).unwrap();
        let mut points = MountPoints::new(root.path(), own.path());
        points.make("/root/.ssh/id_ed25519", false).unwrap();
        points.make("/root/src", true).unwrap();
        points.make("/var/run/secrets/token", false).unwrap();
        assert!(at("root/.ssh/id_ed25519").is_file() && at("root/src").is_dir());
        assert!(own.path().join("run/secrets/token").is_file());
        assert!(!at("run/secrets").exists() && !Path::new("/run/secrets/token").exists());
        fs_err::write(at("root/.ssh/known_hosts"), "").unwrap();
        points.remove().unwrap();
        assert!(!at("root/.ssh/id_ed25519").exists() && !at("root/src").exists());
        assert!(at("root/.ssh/known_hosts").exists(), "what the step put there stays");
        assert!(!own.path().join("run/secrets").exists());
    }
}
