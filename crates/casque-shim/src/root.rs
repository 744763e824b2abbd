//! Where the root filesystem is: `/` in a sandbox, another directory in tests.

use std::path::PathBuf;

/// A root filesystem.
#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// Returns the root at `directory`.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Returns where an absolute path of the root filesystem is.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.0.join(absolute.trim_start_matches('/'))
    }

    /// Returns the root at an absolute path inside this one.
    pub(crate) fn below(&self, absolute: &str) -> Self {
        Self(self.path(absolute))
    }

    /// Returns the absolute path inside the root of a path that [`Root::path`] made.
    pub(crate) fn inside(&self, path: &std::path::Path) -> String {
        let relative = path.strip_prefix(&self.0).unwrap_or(path);
        format!("/{}", relative.display())
    }
}
