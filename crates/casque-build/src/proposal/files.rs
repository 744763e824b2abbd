//! The files of a project, as far as a proposal looks at them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

/// Directories whose files are not the vendor's own words: version control, what tools fetched or built, tests.
const LEFT_OUT: [&str; 16] = [
    ".git",
    ".hg",
    ".svn",
    ".tox",
    ".venv",
    "__pycache__",
    "bower_components",
    "build",
    "dist",
    "env",
    "node_modules",
    "site-packages",
    "target",
    "test",
    "tests",
    "venv",
];
/// A configuration or a script is smaller.
const LARGEST: u64 = 256 * 1024;
/// Directories above each other.
const DEEPEST: usize = 10;

/// Texts by their path from the project, sorted.
#[derive(Debug, Clone, Default)]
pub(super) struct Files(BTreeMap<String, String>);

impl Files {
    /// Reads every text of the project in `directory`.
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let wanted = |entry: &DirEntry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !(entry.file_type().is_dir() && LEFT_OUT.contains(&&*name))
        };
        let mut files = BTreeMap::new();
        let walk = WalkDir::new(directory).max_depth(DEEPEST).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(wanted) {
            let entry = entry?;
            let small = entry.metadata().is_ok_and(|facts| facts.is_file() && facts.len() <= LARGEST);
            let name = entry.path().strip_prefix(directory).ok().and_then(Path::to_str);
            let (true, Some(name)) = (small, name) else { continue };
            if is_casques(name) {
                continue;
            }
            // What cannot be read as text says nothing here.
            if let Ok(text) = fs_err::read_to_string(entry.path()) {
                files.insert(name.to_owned(), text);
            }
        }
        Ok(Self(files))
    }

    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Returns path and text of every file, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns the files of which the last part of the path is `name`.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter(move |(path, _)| file_name(path) == name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Manifests and locks of this program say nothing about the project.
fn is_casques(path: &str) -> bool {
    let name = file_name(path);
    name.starts_with("casque.") && (name.ends_with(".toml") || name.ends_with(".lock"))
}

/// Returns the last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns everything but the last part; empty for a file of the project's own directory.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Returns a path without the ending of a Jinja template.
pub(super) fn rendered(path: &str) -> &str {
    path.strip_suffix(".j2").or_else(|| path.strip_suffix(".jinja2")).unwrap_or(path)
}
