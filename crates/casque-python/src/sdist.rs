//! Archives of sources and source trees: what says how they are built (PEP 517, PEP 518).

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use fs_err as fs;
use serde::Deserialize;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::PythonError;

/// More than any project file has.
const LARGEST_PROJECT_FILE: u64 = 4 << 20;
const PROJECT_FILE: &str = "pyproject.toml";
/// What projects from before `pyproject.toml` are built with.
const LEGACY: &str = "setuptools.build_meta:__legacy__";

/// How a project is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSystem {
    /// What must be there, as requirements.
    pub requires: Vec<String>,
    /// The object that builds, `module:object`.
    pub backend: String,
    /// Directories of the project in which that module is.
    pub backend_path: Vec<String>,
}

#[derive(Default, Deserialize)]
struct ProjectFile {
    #[serde(rename = "build-system")]
    build_system: Option<Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    #[serde(default)]
    requires: Vec<String>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

/// Returns the file name of an archive of sources without its ending.
pub(crate) fn stem_of_sdist(filename: &str) -> Option<&str> {
    [".tar.gz", ".tgz", ".zip"].iter().find_map(|ending| filename.strip_suffix(ending))
}

impl BuildSystem {
    /// Reads the project file of an archive; `filename` is its name, `path` may have any.
    pub fn of_archive(filename: &str, path: &Path) -> Result<Self, PythonError> {
        let damaged = |source| PythonError::Sources { archive: filename.to_owned(), source };
        let text = match filename.ends_with(".zip") {
            true => from_zip(path).map_err(|error| damaged(error.into())),
            false => from_tar(path).map_err(damaged),
        };
        Self::parse(filename, text?.as_deref())
    }

    /// Reads the project file of the source tree at `path`; `name` is for messages.
    pub fn of_tree(name: &str, path: &Path) -> Result<Self, PythonError> {
        let file = path.join(PROJECT_FILE);
        if file.is_file() {
            return Self::parse(name, Some(&fs::read_to_string(file).map_err(PythonError::Read)?));
        }
        if path.join("setup.py").is_file() {
            return Self::parse(name, None);
        }
        Err(PythonError::NoProjectFile { path: path.to_owned() })
    }

    fn parse(name: &str, text: Option<&str>) -> Result<Self, PythonError> {
        let file: ProjectFile = match text {
            Some(text) => toml::from_str(text).map_err(|source| PythonError::ProjectFile {
                archive: name.to_owned(),
                source: Box::new(source),
            })?,
            None => ProjectFile::default(),
        };
        let mut system = match file.build_system {
            Some(table) => Self {
                requires: table.requires,
                backend: table.build_backend.unwrap_or_else(|| LEGACY.to_owned()),
                backend_path: table.backend_path,
            },
            None => Self {
                requires: vec!["setuptools>=40.8.0".to_owned()],
                backend: LEGACY.to_owned(),
                backend_path: Vec::new(),
            },
        };
        // Older versions of it ask for this when they are asked, which is too late for a lock.
        if system.backend.starts_with("setuptools.") {
            system.requires.push("wheel".to_owned());
        }
        Ok(system)
    }
}

/// Tells whether `path` is the project file at the top of an archive.
fn is_project_file(path: &Path) -> bool {
    path.components().count() == 2 && path.file_name().is_some_and(|name| name == PROJECT_FILE)
}

fn from_tar(path: &Path) -> std::io::Result<Option<String>> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(path)?));
    for entry in archive.entries()? {
        let entry = entry?;
        if is_project_file(&entry.path()?) {
            return text(entry).map(Some);
        }
    }
    Ok(None)
}

fn from_zip(path: &Path) -> Result<Option<String>, ZipError> {
    let mut archive = ZipArchive::new(fs::File::open(path)?)?;
    for index in 0..archive.len() {
        let file = archive.by_index(index)?;
        if is_project_file(Path::new(&*String::from_utf8_lossy(file.name_raw()))) {
            return Ok(Some(text(file)?));
        }
    }
    Ok(None)
}

fn text(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(LARGEST_PROJECT_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_says_how_it_is_built_or_it_is_built_as_ever() {
        let text = "[project]\nname = \"a\"\n[build-system]\nrequires = [\"flit_core>=3\"]\n\
            build-backend = \"backend\"\nbackend-path = [\"_build\"]\n";
        assert_eq!(
            BuildSystem::parse("a", Some(text)).unwrap(),
            BuildSystem {
                requires: vec!["flit_core>=3".to_owned()],
                backend: "backend".to_owned(),
                backend_path: vec!["_build".to_owned()],
            }
        );
        let legacy = BuildSystem {
            requires: vec!["setuptools>=40.8.0".to_owned(), "wheel".to_owned()],
            backend: LEGACY.to_owned(),
            backend_path: vec![],
        };
        assert_eq!(BuildSystem::parse("a", None).unwrap(), legacy);
        assert_eq!(BuildSystem::parse("a", Some("[tool.x]\n")).unwrap(), legacy);
    }

    #[test]
    fn only_the_project_file_at_the_top_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            fs::File::create(&path).unwrap(),
            flate2::Compression::fast(),
        ));
        for (name, text) in
            [("a-1/tests/pyproject.toml", "wrong"), ("a-1/pyproject.toml", "[build-system]\n")]
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        let system = BuildSystem::of_archive("a-1.tar.gz", &path).unwrap();
        assert_eq!(system.requires, ["wheel"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = BuildSystem::of_tree("lib", directory.path()).unwrap_err();
        let expected =
            format!("`{}` has neither `pyproject.toml` nor `setup.py`", directory.path().display());
        assert_eq!(error.to_string(), expected);
        let error = BuildSystem::parse("lib", Some("[build-system")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read `pyproject.toml` of `lib`");
        fs::write(directory.path().join("a"), "no archive").unwrap();
        let error = BuildSystem::of_archive("a-1.tar.gz", &directory.path().join("a")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the sources `a-1.tar.gz`");
    }
}
