//! The files of this repository, for the tests that read them.

use std::path::{Path, PathBuf};

/// Returns the repository's own directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Returns the text of a file, named as seen from the repository.
pub fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// Returns the names of what is in a directory, sorted.
pub fn entries(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(directory)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Returns every file below a directory, named as seen from the repository and sorted, without what
/// version control keeps for itself and what was built.
pub fn files(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in entries(directory) {
        let path = if directory == "." { name.clone() } else { format!("{directory}/{name}") };
        if !root().join(&path).symlink_metadata().unwrap().is_dir() {
            found.push(path);
        } else if !name.starts_with('.') && !["target", "dist", "__pycache__"].contains(&name.as_str()) {
            found.extend(files(&path));
        }
    }
    found
}

/// Returns the names of the crates.
pub fn crates() -> Vec<String> {
    entries("crates")
}

/// Fails with all that is wrong, one line each.
pub fn assert_none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}
