//! Wheels: zip archives whose names and metadata say where each file belongs.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::PythonError;
use crate::metadata::values;
use crate::requirements::normalised;
use crate::tags::WheelName;
use crate::version::same;

/// More than any file of metadata has.
const LARGEST_METADATA: u64 = 16 << 20;

/// An open wheel.
pub(crate) struct Wheel {
    /// The file name, for messages.
    pub(crate) filename: String,
    /// The normalised name of its distribution.
    pub(crate) name: String,
    /// As `METADATA` has it.
    pub(crate) version: String,
    /// `flask-3.1.3.dist-info`.
    pub(crate) information: String,
    /// What `METADATA` says.
    pub(crate) metadata: String,
    archive: ZipArchive<fs::File>,
    /// `flask-3.1.3.data/`.
    data: String,
}

/// Where a file of a wheel belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Among the libraries.
    Library(PathBuf),
    /// In `bin`.
    Script(PathBuf),
    /// In the environment itself.
    Data(PathBuf),
    /// Among the headers.
    Header(PathBuf),
}

/// A file of a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Which one it is in the archive.
    index: usize,
    /// Where it belongs.
    pub(crate) destination: Destination,
    /// Whether it can be run.
    pub(crate) is_executable: bool,
}

impl Wheel {
    /// Opens the wheel of a pin; `path` may have any name.
    pub(crate) fn open_pinned(
        filename: &str,
        name: &str,
        version: &str,
        path: &Path,
    ) -> Result<Self, PythonError> {
        let wheel = Self::read(filename.to_owned(), path)?;
        if wheel.name == name && same(&wheel.version, version) {
            Ok(wheel)
        } else {
            Err(wheel.problem(&format!("is not of `{name}` {version}")))
        }
    }

    /// Opens a wheel that nothing is known of but its file name; `path` may have any name.
    pub(crate) fn open_named(filename: &str, path: &Path) -> Result<Self, PythonError> {
        Self::read(filename.to_owned(), path)
    }

    /// Opens a wheel under its own name.
    pub(crate) fn open(path: &Path) -> Result<Self, PythonError> {
        Self::read(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path)
    }

    fn read(filename: String, path: &Path) -> Result<Self, PythonError> {
        let problem = |text: &str| PythonError::Wheel { wheel: filename.clone(), problem: text.to_owned() };
        let unreadable = |source| PythonError::Zip { wheel: filename.clone(), source };
        let file = fs::File::open(path).map_err(PythonError::Disk)?;
        let mut archive = ZipArchive::new(file).map_err(unreadable)?;
        let Some(said) = WheelName::parse(&filename) else { return Err(problem("has a name no wheel has")) };
        let name = normalised(said.distribution);
        let mut found = BTreeSet::new();
        for entry in archive.file_names() {
            let entry = entry.map_err(unreadable)?;
            let Some((directory, _)) = entry.split_once('/') else { continue };
            if directory.strip_suffix(".dist-info").is_some_and(|stem| stem_is(stem, &name)) {
                found.insert(directory.to_owned());
            }
        }
        let information = found.pop_first().filter(|_| found.is_empty());
        let information =
            information.ok_or_else(|| problem("must have exactly one `.dist-info` directory of its own"))?;
        let format = text(&mut archive, &format!("{information}/WHEEL")).map_err(unreadable)?;
        let format = format.ok_or_else(|| problem("has no `WHEEL` file"))?;
        if !values(&format, "Wheel-Version").first().is_some_and(|version| version.starts_with("1.")) {
            return Err(problem("has a format version other than 1"));
        }
        let metadata = text(&mut archive, &format!("{information}/METADATA")).map_err(unreadable)?;
        let metadata = metadata.ok_or_else(|| problem("has no `METADATA` file"))?;
        let data = format!("{}.data/", information.trim_end_matches(".dist-info"));
        let version = values(&metadata, "Version").first().map(|version| (*version).to_owned());
        let version = version.ok_or_else(|| problem("says no version"))?;
        Ok(Self { filename, name, version, information, metadata, archive, data })
    }

    /// Returns the files to install, sorted by where they are in the wheel. What describes an installation is left out,
    /// since this will be another one.
    pub(crate) fn entries(&mut self) -> Result<Vec<Entry>, PythonError> {
        let mut entries = Vec::new();
        for index in 0..self.archive.len() {
            let (name, mode) = {
                let file = self
                    .archive
                    .by_index_raw(index)
                    .map_err(|source| PythonError::Zip { wheel: self.filename.clone(), source })?;
                if file.is_dir() {
                    continue;
                }
                let name = std::str::from_utf8(file.name_raw()).map(str::to_owned);
                (name, file.unix_mode())
            };
            let name = name.map_err(|_| self.problem("has a file name that is not UTF-8"))?;
            // The kind is in the upper bits, and archives made elsewhere have none.
            if mode.is_some_and(|mode| !matches!(mode & 0o170_000, 0 | 0o100_000)) {
                return Err(self.problem(&format!("has `{name}`, which is not a file")));
            }
            if self.describes_installation(&name) {
                continue;
            }
            let destination = self.destination(&name)?;
            let is_executable = mode.is_some_and(|mode| mode & 0o111 != 0);
            entries.push((name, Entry { index, destination, is_executable }));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(self.problem(&format!("has `{}` twice", pair[0].0)));
        }
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Opens a file to read it.
    pub(crate) fn content(&mut self, entry: &Entry) -> Result<impl Read + '_, PythonError> {
        let wheel = &self.filename;
        self.archive.by_index(entry.index).map_err(|source| PythonError::Zip { wheel: wheel.clone(), source })
    }

    /// Returns what `entry_points.txt` says, which may be nothing.
    pub(crate) fn entry_points(&mut self) -> Result<String, PythonError> {
        let name = format!("{}/entry_points.txt", self.information);
        let found = text(&mut self.archive, &name);
        let found = found.map_err(|source| PythonError::Zip { wheel: self.filename.clone(), source })?;
        Ok(found.unwrap_or_default())
    }

    pub(crate) fn problem(&self, problem: &str) -> PythonError {
        PythonError::Wheel { wheel: self.filename.clone(), problem: problem.to_owned() }
    }

    fn describes_installation(&self, name: &str) -> bool {
        const OURS: [&str; 6] =
            ["RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"];
        let file = name.strip_prefix(&self.information).and_then(|rest| rest.strip_prefix('/'));
        file.is_some_and(|file| OURS.contains(&file))
    }

    fn destination(&self, name: &str) -> Result<Destination, PythonError> {
        let path = |text: &str| {
            let path = PathBuf::from(text);
            let is_plain = path.components().all(|component| matches!(component, Component::Normal(_)));
            if is_plain && !text.is_empty() && !text.contains(['\0', '\\']) && !text.ends_with('/') {
                Ok(path)
            } else {
                Err(self.problem(&format!("has `{}`, which leads elsewhere", name.escape_debug())))
            }
        };
        let Some(rest) = name.strip_prefix(&self.data) else { return Ok(Destination::Library(path(name)?)) };
        match rest.split_once('/') {
            Some(("purelib" | "platlib", rest)) => Ok(Destination::Library(path(rest)?)),
            Some(("scripts", rest)) => Ok(Destination::Script(path(rest)?)),
            Some(("data", rest)) => Ok(Destination::Data(path(rest)?)),
            Some(("headers", rest)) => Ok(Destination::Header(path(rest)?)),
            _ => Err(self.problem(&format!("has `{name}`, for which there is no place"))),
        }
    }
}

/// Tells whether `stem` is `name` and a version.
fn stem_is(stem: &str, name: &str) -> bool {
    stem.rsplit_once('-').is_some_and(|(found, _)| normalised(found) == name)
}

/// Reads a small text file of an archive, if it is there.
fn text(archive: &mut ZipArchive<fs::File>, name: &str) -> Result<Option<String>, ZipError> {
    let file = match archive.by_name(name) {
        Err(ZipError::FileNotFound) => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_METADATA).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == LARGEST_METADATA {
        return Err(ZipError::InvalidArchive(format!("`{name}` is larger than any such file").into()));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
