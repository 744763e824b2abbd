//! The vendor's own files: collected once, so that what is hashed is what a step sees and an image ships.

use std::fs::Permissions;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use casque_format::digest::Digest;
use serde::Serialize;
use walkdir::WalkDir;

use crate::ignored::Ignored;

/// Never part of a build's input: version control and caches of interpreters.
const LEFT_OUT: [&str; 4] = [".git", ".hg", ".svn", "__pycache__"];

/// One file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Source {
    /// Relative to what was collected; empty for that itself.
    relative: PathBuf,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
enum Content {
    Directory,
    File { digest: Digest, executable: bool },
    Link { target: PathBuf },
}

/// A file or a directory of the vendor's, with its content's digests.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    from: PathBuf,
    /// Sorted by path; the key of a layer is made from it.
    pub(crate) entries: Vec<Source>,
}

impl Sources {
    /// Collects `from`, a file or a directory, and of what is in it everything but what is `ignored`.
    ///
    /// # Errors
    /// A file that cannot be read, or one that is no file, link or directory.
    pub(crate) fn collect(from: &Path, ignored: &Ignored) -> io::Result<Self> {
        let mut entries = Vec::new();
        let walk = WalkDir::new(from).sort_by_file_name().into_iter();
        let wanted = |entry: &walkdir::DirEntry| {
            entry.depth() == 0
                || !(is_left_out(&entry.file_name().to_string_lossy())
                    || ignored.has(entry.path(), entry.file_type().is_dir()))
        };
        for entry in walk.filter_entry(wanted) {
            let entry = entry?;
            let relative = entry.path().strip_prefix(from).expect("walked from there").to_owned();
            entries.push(Source { relative, content: Content::read(entry.path())? });
        }
        Ok(Self { from: from.to_owned(), entries })
    }

    /// Copies what was collected to `to`, owned by root, with the modes version control keeps and the time `epoch`
    /// left to the layer writer.
    ///
    /// # Errors
    /// A file that cannot be read or written, or that changed since it was collected.
    pub(crate) fn copy_to(&self, to: &Path) -> io::Result<()> {
        for Source { relative, content } in &self.entries {
            let (from, to) = match relative.as_os_str().is_empty() {
                true => (self.from.clone(), to.to_owned()),
                false => (self.from.join(relative), to.join(relative)),
            };
            match content {
                Content::Directory => {
                    fs_err::create_dir_all(&to)?;
                    fs_err::set_permissions(&to, Permissions::from_mode(0o755))?;
                }
                Content::Link { target } => fs_err::os::unix::fs::symlink(target, &to)?,
                Content::File { digest, executable } => {
                    if let Some(parent) = to.parent() {
                        fs_err::create_dir_all(parent)?;
                    }
                    let bytes = fs_err::read(&from)?;
                    if Digest::of(&bytes) != *digest {
                        return Err(io::Error::other(format!(
                            "`{}` changed during the build",
                            from.display()
                        )));
                    }
                    fs_err::write(&to, bytes)?;
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs_err::set_permissions(&to, Permissions::from_mode(mode))?;
                }
            }
        }
        Ok(())
    }

    /// Returns the text files of at most 1 MiB, for looking into them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (PathBuf, String)> + '_ {
        self.entries.iter().filter(|source| matches!(source.content, Content::File { .. })).filter_map(
            |source| {
                let path = self.from.join(&source.relative);
                let mut text = String::new();
                let file = fs_err::File::open(&path).ok()?;
                (file.metadata().ok()?.len() <= 1 << 20).then_some(())?;
                file.take(1 << 20).read_to_string(&mut text).ok()?;
                Some((path, text))
            },
        )
    }
}

/// Manifests and locks are for casque alone; a step that ran again whenever a setting changes its description would
/// be a nuisance.
fn is_left_out(name: &str) -> bool {
    let own = name.starts_with("casque") && (name.ends_with(".toml") || name.ends_with(".lock"));
    own || LEFT_OUT.contains(&name)
}

impl Source {
    pub(crate) fn relative(&self) -> &Path {
        &self.relative
    }
}

impl Content {
    fn read(path: &Path) -> io::Result<Self> {
        let metadata = fs_err::symlink_metadata(path)?;
        if metadata.is_dir() {
            return Ok(Self::Directory);
        }
        if metadata.is_symlink() {
            return Ok(Self::Link { target: fs_err::read_link(path)? });
        }
        if !metadata.is_file() {
            let message = format!("`{}` is neither file, link nor directory", path.display());
            return Err(io::Error::other(message));
        }
        let executable = metadata.permissions().mode() & 0o111 != 0;
        Ok(Self::File { digest: Digest::of(&fs_err::read(path)?), executable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(directory: &Path) -> Sources {
        Sources::collect(directory, &Ignored::of_project(directory).unwrap()).unwrap()
    }

    #[test]
    fn version_control_and_our_own_files_are_left_out_and_modes_are_the_two_that_version_control_keeps() {
        let from = tempfile::tempdir().unwrap();
        let at = |name: &str| from.path().join(name);
        fs_err::create_dir_all(at(".git")).unwrap();
        fs_err::create_dir_all(at("bin")).unwrap();
        fs_err::write(at(".git/config"), "secret").unwrap();
        fs_err::write(at("casque.layered.lock"), "").unwrap();
        fs_err::write(at(".casqueignore"), "*.env\n").unwrap();
        fs_err::write(at("bin/production.env"), "secret").unwrap();
        fs_err::write(at("bin/tool"), "#!/bin/sh\n").unwrap();
        fs_err::set_permissions(at("bin/tool"), Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("bin/tool", at("link")).unwrap();

        let sources = collect(from.path());
        let to = tempfile::tempdir().unwrap();
        sources.copy_to(to.path()).unwrap();

        assert!(!to.path().join(".git").exists());
        assert!(!to.path().join("casque.layered.lock").exists());
        assert!(!to.path().join("bin/production.env").exists() && !to.path().join(".casqueignore").exists());
        assert_eq!(to.path().join("bin/tool").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs_err::read_link(to.path().join("link")).unwrap(), Path::new("bin/tool"));
        assert_eq!(collect(to.path()).entries, sources.entries);
    }

    #[test]
    fn a_file_that_changed_after_it_was_hashed_stops_the_copy() {
        let from = tempfile::tempdir().unwrap();
        fs_err::write(from.path().join("a"), "one").unwrap();
        let sources = collect(from.path());
        fs_err::write(from.path().join("a"), "two").unwrap();
        let to = tempfile::tempdir().unwrap();
        assert!(sources.copy_to(to.path()).unwrap_err().to_string().ends_with("changed during the build"));
    }
}
