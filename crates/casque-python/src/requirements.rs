//! Requirements files as `pip-compile`, `uv` and poetry write them: every line pins one version and its hashes, or names
//! a file of the project.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use casque_format::digest::Digest;
use pep440_rs::Version;

use crate::lines::{FileOption, logical_lines, option};
use crate::specification::{Named, Source, specification};
use crate::version::{same, satisfies_all};
use crate::{Marker, PythonError, RequirementProblem, Target};

/// What the file of an environment comes to, with the files it includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// What is pinned by version and content.
    pub pinned: Vec<Requirement>,
    /// What the project brings itself.
    pub local: Vec<LocalRequirement>,
    /// Where to ask, besides or in place of the usual index.
    pub indexes: Indexes,
    /// What is built whatever wheels there are, and what never is.
    pub formats: Formats,
    /// Every file that was read.
    pub(crate) texts: Vec<String>,
}

/// A distribution pinned by version and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Its normalised name: lower case, `-` for every run of `-`, `_` and `.`.
    pub name: String,
    /// What it is asked for with.
    pub extras: BTreeSet<String>,
    /// Its version.
    pub version: String,
    /// Its file, where that is not from an index.
    pub url: Option<String>,
    /// What its file may be.
    pub hashes: Vec<Digest>,
    /// When it is wanted; none means always.
    pub marker: Option<Marker>,
    /// Where it stands.
    pub place: Place,
}

/// A wheel, an archive of sources or a source tree of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRequirement {
    /// Its normalised name, where the line or the file's name says it.
    pub name: Option<String>,
    /// What it is asked for with.
    pub extras: BTreeSet<String>,
    /// Where it is in the project.
    pub path: PathBuf,
    /// What it may be; none when the file does not say.
    pub hashes: Vec<Digest>,
    /// When it is wanted; none means always.
    pub marker: Option<Marker>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
}

/// Package indexes that a file names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes {
    /// In place of the usual one.
    pub only: Option<String>,
    /// Asked as well.
    pub extra: Vec<String>,
}

/// What kind of file a distribution may come as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats {
    /// Normalised names, or `:all:`, that are built from sources.
    pub no_binary: BTreeSet<String>,
    /// Those that are never built.
    pub only_binary: BTreeSet<String>,
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=={}", self.name, self.version)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` line {}", self.path.display(), self.line)
    }
}

impl Formats {
    /// Tells whether wheels of this distribution may be taken.
    pub(crate) fn takes_wheels(&self, name: &str) -> bool {
        let has = |names: &BTreeSet<String>| names.contains(name);
        // A name says more than `:all:`.
        has(&self.only_binary) || !(has(&self.no_binary) || has_all(&self.no_binary))
    }

    /// Tells whether this distribution may be built.
    pub(crate) fn takes_sources(&self, name: &str) -> bool {
        let has = |names: &BTreeSet<String>| names.contains(name);
        has(&self.no_binary) || !(has(&self.only_binary) || has_all(&self.only_binary))
    }
}

fn has_all(names: &BTreeSet<String>) -> bool {
    names.contains(ALL)
}

const ALL: &str = ":all:";
const NONE: &str = ":none:";

impl Requirements {
    /// Reads the file at `path`, relative to `project`, and what it includes; so are paths in it.
    pub fn read(project: &Path, path: &Path) -> Result<Self, PythonError> {
        let mut reader =
            Reader { project, open: Vec::new(), found: Self::default(), constraints: Vec::new() };
        reader.file(path, false)?;
        reader.constrained()?;
        Ok(reader.found)
    }

    /// Adds a source tree of the project that the manifest itself asks for.
    pub fn add_tree(&mut self, text: &str, project: &Path) -> Result<(), PythonError> {
        let problem = |problem| PythonError::Install { text: text.to_owned(), problem };
        let dotted = if text.starts_with(['.', '/']) { text.to_owned() } else { format!("./{text}") };
        let found = specification(&dotted, project).map_err(problem)?;
        let Source::Project { name, path } = found.source else {
            return Err(problem(RequirementProblem::Place { text: text.to_owned() }));
        };
        let local = LocalRequirement { name, extras: found.extras, path, hashes: Vec::new(), marker: None };
        // `uv export` names the project itself too.
        if !self.local.iter().any(|other| other.path == local.path) {
            self.local.push(local);
        }
        Ok(())
    }

    /// Returns the digest of everything that was read.
    pub fn digest(&self) -> Digest {
        match self.texts.as_slice() {
            [one] => Digest::of(one.as_bytes()),
            several => Digest::of(&serde_json::to_vec(several).expect("texts are plain data")),
        }
    }

    /// Returns what `target` asks each distribution for, by name.
    pub fn extras(&self, target: Target) -> Result<BTreeMap<String, BTreeSet<String>>, PythonError> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for requirement in applicable(&self.pinned, target)?.into_values() {
            all.entry(requirement.name).or_default().extend(requirement.extras);
        }
        Ok(all)
    }

    /// Returns what of the project applies to `target`.
    pub fn local_on(&self, target: Target) -> Result<Vec<&LocalRequirement>, PythonError> {
        let mut applying = Vec::new();
        for local in &self.local {
            let holds = local.marker.as_ref().map_or(Ok(true), |marker| marker.holds(target));
            let requirement = local.path.display().to_string();
            if holds.map_err(|source| PythonError::Marker { requirement, source })? {
                applying.push(local);
            }
        }
        Ok(applying)
    }
}

/// Reads files one inside the other.
struct Reader<'a> {
    project: &'a Path,
    /// Those being read, the outermost first.
    open: Vec<PathBuf>,
    found: Requirements,
    constraints: Vec<Constraint>,
}

/// A version that must fit if the distribution is wanted at all.
struct Constraint {
    name: String,
    wanted: String,
    place: Place,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, constrains: bool) -> Result<(), PythonError> {
        let full = self.project.join(path);
        let text = fs_err::read_to_string(&full).map_err(PythonError::Read)?;
        self.open.push(path.to_owned());
        self.found.texts.push(text.clone());
        for (line, content) in logical_lines(&text) {
            let place = Place { path: full.clone(), line };
            let refuse = |problem| PythonError::Requirement { path: full.clone(), line, problem };
            if content.starts_with('-') {
                self.option(option(&content).map_err(refuse)?, path, &place, constrains)?;
            } else if constrains {
                let constraint = Named::parse(&content).ok_or_else(|| {
                    refuse(RequirementProblem::Syntax { text: crate::specification::shortened(&content) })
                })?;
                let wanted = constraint.rest.split(';').next().unwrap_or_default();
                let wanted = wanted.split(" --").next().unwrap_or_default().trim().to_owned();
                self.constraints.push(Constraint { name: constraint.name, wanted, place });
            } else {
                self.requirement(&content, place).map_err(refuse)?;
            }
        }
        self.open.pop();
        Ok(())
    }

    fn option(
        &mut self,
        option: FileOption,
        path: &Path,
        place: &Place,
        constrains: bool,
    ) -> Result<(), PythonError> {
        match option {
            FileOption::Include(other) => self.include(path, &other, place, constrains),
            FileOption::Constraint(other) => self.include(path, &other, place, true),
            FileOption::Index(url) => {
                self.found.indexes.only = Some(url);
                Ok(())
            }
            FileOption::ExtraIndex(url) => {
                if !self.found.indexes.extra.contains(&url) {
                    self.found.indexes.extra.push(url);
                }
                Ok(())
            }
            FileOption::NoBinary(names) => {
                collect(&mut self.found.formats.no_binary, names);
                Ok(())
            }
            FileOption::OnlyBinary(names) => {
                collect(&mut self.found.formats.only_binary, names);
                Ok(())
            }
            FileOption::Idle => Ok(()),
        }
    }

    fn include(
        &mut self,
        path: &Path,
        other: &str,
        place: &Place,
        constrains: bool,
    ) -> Result<(), PythonError> {
        let refuse =
            |problem| PythonError::Requirement { path: place.path.clone(), line: place.line, problem };
        if other.contains("://") {
            return Err(refuse(RequirementProblem::Option { option: other.to_owned() }));
        }
        let next = path.parent().unwrap_or(Path::new("")).join(other);
        if self.open.contains(&next) {
            return Err(refuse(RequirementProblem::Circle { file: other.to_owned() }));
        }
        if !self.project.join(&next).is_file() {
            return Err(refuse(RequirementProblem::NoFile { file: other.to_owned() }));
        }
        self.file(&next, constrains)
    }

    fn requirement(&mut self, content: &str, place: Place) -> Result<(), RequirementProblem> {
        let found = specification(content, self.project)?;
        match found.source {
            Source::Version { name, version, url } => self.found.pinned.push(Requirement {
                name,
                extras: found.extras,
                version,
                url,
                hashes: found.hashes,
                marker: found.marker,
                place,
            }),
            Source::Project { name, path } => {
                if !self.project.join(&path).exists() {
                    return Err(RequirementProblem::NoFile { file: path.display().to_string() });
                }
                self.found.local.push(LocalRequirement {
                    name,
                    extras: found.extras,
                    path,
                    hashes: found.hashes,
                    marker: found.marker,
                });
            }
        }
        Ok(())
    }

    /// Checks the pins against the constraints.
    fn constrained(&self) -> Result<(), PythonError> {
        for constraint in &self.constraints {
            let pins = self.found.pinned.iter().filter(|pin| pin.name == constraint.name);
            for pin in pins {
                let fits = Version::from_str(&pin.version)
                    .map_or(true, |version| satisfies_all(&version, &constraint.wanted));
                if !fits {
                    return Err(PythonError::Constraint {
                        requirement: pin.to_string(),
                        place: pin.place.to_string(),
                        constraint: format!("{}{}", constraint.name, constraint.wanted),
                        constrained: constraint.place.to_string(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn collect(into: &mut BTreeSet<String>, names: Vec<String>) {
    for name in names {
        if name == NONE {
            into.clear();
        } else {
            into.insert(name);
        }
    }
}

/// Returns the requirements that apply, by name. One that stands there twice may be what both say.
pub(crate) fn applicable(
    requirements: &[Requirement],
    target: Target,
) -> Result<BTreeMap<String, Requirement>, PythonError> {
    let mut by_name: BTreeMap<String, Requirement> = BTreeMap::new();
    for requirement in requirements {
        let holds = requirement.marker.as_ref().map_or(Ok(true), |marker| marker.holds(target));
        let holds =
            holds.map_err(|source| PythonError::Marker { requirement: requirement.to_string(), source })?;
        if !holds {
            continue;
        }
        let Some(first) = by_name.get_mut(&requirement.name) else {
            by_name.insert(requirement.name.clone(), requirement.clone());
            continue;
        };
        if !same(&first.version, &requirement.version) || first.url != requirement.url {
            return Err(PythonError::Twice {
                name: requirement.name.clone(),
                first: format!("{} in {}", first.version, first.place),
                second: format!("{} in {}", requirement.version, requirement.place),
            });
        }
        first.hashes.retain(|hash| requirement.hashes.contains(hash));
        first.extras.extend(requirement.extras.iter().cloned());
    }
    Ok(by_name)
}

/// Returns the normalised form of a distribution's name.
pub(crate) fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for symbol in name.chars() {
        match symbol {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.push(other.to_ascii_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests;
