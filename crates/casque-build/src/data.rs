//! `/data` of the image, over which the volume is mounted.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use casque_format::image::DataDirectory;
use casque_format::paths;
use casque_image::resolve::located;

/// Where programs leave what is gone after a restart.
const RUN: &str = "/run";

/// Lets whoever the container runs as make what is below `/data` and `/run`, and takes away the directories that every
/// start makes. Returns what else the image has in `/data`.
///
/// Group 0 is what an arbitrary user of an engine has. An empty named volume takes over mode and content of the image's
/// directory, a mounted directory does not, so a start would find there what it had not made itself.
pub(crate) fn prepare(root: &Path, directories: &[DataDirectory]) -> io::Result<Vec<String>> {
    for path in [paths::DATA, RUN] {
        let directory = located(root, Path::new(path))?;
        fs_err::create_dir_all(&directory)?;
        fs_err::set_permissions(directory, Permissions::from_mode(0o775))?;
    }
    let mut declared: Vec<&str> = directories.iter().map(|one| one.path.as_str()).collect();
    // What is below another goes first.
    declared.sort_unstable_by(|a, b| b.cmp(a));
    for path in declared {
        match fs_err::remove_dir(root.join(path.trim_start_matches('/'))) {
            Err(error) if !is_left_alone(&error) => return Err(error),
            _ => {}
        }
    }
    let data = located(root, Path::new(paths::DATA))?;
    let mut left = Vec::new();
    for entry in fs_err::read_dir(data)? {
        left.push(format!("{}/{}", paths::DATA, entry?.file_name().display()));
    }
    left.sort();
    Ok(left)
}

/// What is missing, not empty, or a link is nobody's mistake here.
fn is_left_alone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_finds_data_empty_whatever_the_steps_have_made_there() {
        let root = tempfile::tempdir().unwrap();
        for path in ["data/db/base", "data/web", "data/kept", "run"] {
            fs_err::create_dir_all(root.path().join(path)).unwrap();
        }
        fs_err::write(root.path().join("data/kept/file"), "").unwrap();
        let declared = ["/data/db", "/data/db/base", "/data/web", "/data/kept", "/data/none"];
        let declared =
            declared.map(|path| DataDirectory { path: path.to_owned(), uid: 1, gid: 1, mode: 0o700 });
        assert_eq!(prepare(root.path(), &declared).unwrap(), ["/data/kept"]);
        for path in ["data", "run"] {
            let mode = fs_err::metadata(root.path().join(path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o775, "{path}");
        }
    }
}
