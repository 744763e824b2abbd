//! `.casqueignore`: files of the project that are in no step and no image, written as in gitignore(5).

use std::io;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The file's name, beside the manifest.
const NAME: &str = ".casqueignore";

/// What a project leaves out.
#[derive(Debug, Clone)]
pub(crate) struct Ignored(Gitignore);

impl Ignored {
    /// Reads what the project in `directory` leaves out; nothing when it has no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or a pattern that is none, with its line.
    pub(crate) fn of_project(directory: &Path) -> io::Result<Self> {
        // Without `.` in it, for paths are compared by their beginning.
        let mut builder = GitignoreBuilder::new(plain(directory));
        let path = directory.join(NAME);
        if path.symlink_metadata().is_ok()
            && let Some(error) = builder.add(path)
        {
            return Err(io::Error::other(error));
        }
        builder.build().map(Self).map_err(io::Error::other)
    }

    /// Tells whether the file or directory at `path` is left out; a directory is with all that is in it.
    pub(crate) fn has(&self, path: &Path, is_directory: bool) -> bool {
        path.file_name().is_some_and(|name| name == NAME)
            || self.0.matched(plain(path), is_directory).is_ignore()
    }
}

fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str) -> io::Result<(tempfile::TempDir, Ignored)> {
        let project = tempfile::tempdir().unwrap();
        fs_err::write(project.path().join(NAME), text).unwrap();
        let ignored = Ignored::of_project(&project.path().join("."))?;
        Ok((project, ignored))
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        let (project, ignored) =
            ignored("# secrets\n*.env\n!example.env\n/build/\ndocs/**/*.pdf\nlog\n").unwrap();
        let has =
            |path: &str, is_directory| ignored.has(&project.path().join("./.").join(path), is_directory);
        assert!(has("deep/production.env", false) && !has("deep/example.env", false));
        assert!(has("build", true) && !has("build", false) && !has("deep/build", true));
        assert!(has("docs/a/b/manual.pdf", false) && !has("manual.pdf", false));
        assert!(has("log", false) && has("deep/log", true) && !has("logs", true));
        assert!(has(NAME, false));
    }

    #[test]
    fn a_project_without_the_file_leaves_out_nothing_and_what_lies_elsewhere_is_not_its_business() {
        let project = tempfile::tempdir().unwrap();
        let none = Ignored::of_project(project.path()).unwrap();
        assert!(!none.has(&project.path().join("a.env"), false));
        let (_project, own) = ignored("/a.env\n").unwrap();
        assert!(!own.has(Path::new("/elsewhere/a.env"), false));
    }

    #[test]
    fn a_pattern_that_is_none_is_shown_with_its_line() {
        let error = ignored("*.env\n[z-a]\n").unwrap_err().to_string();
        assert!(
            error.ends_with(".casqueignore: line 2: error parsing glob '[z-a]': invalid range; 'z' > 'a'"),
            "{error}"
        );
    }
}
