//! Where the absolute paths of `casque_format::paths` begin: `/`, or a directory in tests.

use std::path::{Path, PathBuf};

/// The directory that stands for `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// Takes `directory` for `/`.
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Returns where the absolute `path` is.
    pub fn join(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Returns the directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }
}
