//! Every package that the chosen archives offer.

mod candidate;

use std::collections::HashMap;

use casque_format::digest::Digest;
use thiserror::Error;

use crate::control::{Control, ControlError, ControlFields};
use crate::mention::{Mention, Mentions};
use crate::stanza::stanzas;
use crate::version::Version;

pub use candidate::{PackagePin, Preferences, matches};

/// A package that an archive offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What it says about itself.
    pub control: Control,
    /// Which of the archives, in the order they were given.
    pub archive: usize,
    /// Where it is, relative to the archive's address.
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// An index that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UniverseError {
    /// A stanza does not describe a package.
    #[error(transparent)]
    Control(ControlError),
    /// A package cannot be downloaded safely with what the index says.
    #[error("package `{package}` has no usable field `{field}`")]
    File {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// A line that is neither a field nor goes on with one.
    #[error("the index has the line `{line}` after package `{package}`, which is no field", line = line.escape_debug())]
    Line {
        /// The package, as far as it is known.
        package: String,
        /// The line, or its begin.
        line: String,
    },
}

/// Characters of a line that a message shows.
const LONGEST_SHOWN: usize = 60;

/// Every package that the chosen archives offer, by name and by what it provides.
#[derive(Debug, Clone, Default)]
pub struct Universe {
    architecture: String,
    packages: Vec<Package>,
    by_name: HashMap<String, Vec<usize>>,
    providers: HashMap<String, Vec<Provider>>,
    archive_names: Vec<Vec<String>>,
    mentions: Mentions,
}

#[derive(Debug, Clone)]
struct Provider {
    package: usize,
    version: Option<Version>,
}

impl Universe {
    /// Makes an empty one for an architecture, such as `amd64`.
    pub fn new(architecture: &str) -> Self {
        Self { architecture: architecture.to_owned(), ..Self::default() }
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Returns how many packages there are.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Tells whether there is no package.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Returns every package, in the order of the indexes.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// Says by which names, such as `bookworm` or `stable`, the archive with this number can be asked for.
    pub fn name_archive(&mut self, archive: usize, names: &[&str]) {
        if self.archive_names.len() <= archive {
            self.archive_names.resize(archive + 1, vec![]);
        }
        self.archive_names[archive] = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Returns the names of the archive with this number.
    pub fn archive_names(&self, archive: usize) -> &[String] {
        self.archive_names.get(archive).map_or(&[], Vec::as_slice)
    }

    /// Adds what a `Packages` index of the archive with this number lists.
    pub fn add_index(&mut self, index: impl Into<String>, archive: usize) -> Result<(), UniverseError> {
        let index = index.into();
        for stanza in stanzas(&index) {
            let mut control = ControlFields::default();
            let (mut filename, mut size, mut sha256) = ("", "", "");
            for line in stanza.lines() {
                let (name, value) = line.map_err(|line| UniverseError::Line {
                    package: control.package.to_owned(),
                    line: line.chars().take(LONGEST_SHOWN).collect(),
                })?;
                match name {
                    "Filename" => filename = value,
                    "Size" => size = value,
                    "SHA256" => sha256 = value,
                    _ => {
                        control.take(name, value);
                    }
                }
            }
            let refuse = |field| UniverseError::File { package: control.package.to_owned(), field };
            if filename.is_empty() || filename.split('/').any(|part| part == "..") {
                return Err(refuse("Filename"));
            }
            let size = size.parse().map_err(|_| refuse("Size"))?;
            let sha256 = sha256.parse().map_err(|_| refuse("SHA256"))?;
            let control = control.finish().map_err(UniverseError::Control)?;
            if control.architecture == "all" || control.architecture == self.architecture {
                self.add(Package { control, archive, filename: filename.to_owned(), size, sha256 })?;
            }
        }
        self.mentions.add(index);
        Ok(())
    }

    fn add(&mut self, package: Package) -> Result<(), UniverseError> {
        let index = self.packages.len();
        let provided = package.control.provides(&self.architecture).map_err(UniverseError::Control)?;
        for relation in provided.into_iter().flatten() {
            let version = relation.version.map(|(_, version)| version);
            self.providers.entry(relation.name).or_default().push(Provider { package: index, version });
        }
        // Newest first; of equal versions the archive that was given first.
        let packages = &self.packages;
        let versions = self.by_name.entry(package.control.name.clone()).or_default();
        let place =
            versions.partition_point(|other| packages[*other].control.version >= package.control.version);
        versions.insert(place, index);
        self.packages.push(package);
        Ok(())
    }

    /// Returns the packages of this name, newest first.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = &Package> {
        self.by_name.get(name).into_iter().flatten().map(|index| &self.packages[*index])
    }

    /// Returns the package of this name that would be installed.
    pub fn newest(&self, name: &str) -> Option<&Package> {
        self.versions(name).next()
    }

    /// Returns the packages that provide a name without having it, in every version, with the version they provide.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = (&Package, Option<&Version>)> {
        self.providers.get(name).into_iter().flatten().filter_map(move |provider| {
            let package = &self.packages[provider.package];
            (package.control.name != name).then_some((package, provider.version.as_ref()))
        })
    }

    /// Tells whether nothing newer than `package` has its name.
    pub fn is_newest(&self, package: &Package) -> bool {
        self.newest(&package.control.name).is_some_and(|newest| std::ptr::eq(newest, package))
    }

    /// Returns where the indexes mention the package of this name first.
    pub fn mention(&self, name: &str) -> Option<Mention> {
        self.mentions.first(name)
    }

    /// Returns the packages that every system has, by name.
    pub fn essential(&self) -> Vec<&Package> {
        let mut names: Vec<_> = self
            .by_name
            .keys()
            .filter_map(|name| self.newest(name))
            .filter(|p| p.control.essential)
            .collect();
        names.sort_by(|left, right| left.control.name.cmp(&right.control.name));
        names
    }

    /// Returns names that look like `name`, best first.
    pub fn similar(&self, name: &str) -> Vec<String> {
        let mut scored: Vec<_> = self
            .by_name
            .keys()
            .map(|known| (strsim::jaro_winkler(known, name), known))
            .filter(|(score, _)| *score > 0.88)
            .collect();
        scored.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(right.1)));
        scored.into_iter().take(3).map(|(_, known)| known.clone()).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes a universe of stanzas, the fields of a download being supplied.
    pub(crate) fn universe(stanzas: &[&str]) -> Universe {
        let mut universe = Universe::new("amd64");
        for stanza in stanzas {
            let name = stanza.lines().next().unwrap().trim_start_matches("Package: ");
            let architecture = if stanza.contains("\nArchitecture:") { "" } else { "Architecture: amd64\n" };
            let version = if stanza.contains("\nVersion:") { "" } else { "Version: 1\n" };
            let digest = Digest::of(stanza.as_bytes());
            let text = format!(
                "{stanza}\n{version}{architecture}Filename: pool/{name}.deb\nSize: 1\nSHA256: {digest}\n"
            );
            universe.add_index(&text, 0).unwrap();
        }
        universe
    }

    #[test]
    fn the_newest_version_comes_first_and_of_equal_ones_the_first_archive() {
        let mut all =
            universe(&["Package: a\nVersion: 1", "Package: a\nVersion: 3", "Package: a\nVersion: 2"]);
        let digest = Digest::of(b"");
        let again = format!(
            "Package: a\nVersion: 3\nArchitecture: amd64\nFilename: pool/other.deb\nSize: 1\nSHA256: {digest}\n"
        );
        all.add_index(&again, 1).unwrap();
        let versions: Vec<_> = all.versions("a").map(|p| (p.control.version.as_str(), p.archive)).collect();
        assert_eq!(versions, [("3", 0), ("3", 1), ("2", 0), ("1", 0)]);
    }

    #[test]
    fn an_index_that_could_escape_the_archive_is_refused() {
        let digest = Digest::of(b"");
        let index = format!(
            "Package: a\nVersion: 1\nArchitecture: all\nFilename: ../../x\nSize: 1\nSHA256: {digest}\n"
        );
        let refused = Universe::new("amd64").add_index(&index, 0);
        assert_eq!(
            refused.map_err(|error| error.to_string()),
            Err("package `a` has no usable field `Filename`".to_owned())
        );
    }

    #[test]
    fn an_index_with_a_line_that_is_no_field_is_refused() {
        let digest = Digest::of(b"");
        let index = |line: &str| {
            format!(
                "Package: a\n{line}\nVersion: 1\nArchitecture: all\nFilename: x\nSize: 1\nSHA256: {digest}\n"
            )
        };
        let refused = |line: &str| Universe::new("amd64").add_index(index(line), 0).unwrap_err().to_string();
        assert_eq!(
            refused("Depends b"),
            "the index has the line `Depends b` after package `a`, which is no field"
        );
        assert_eq!(
            refused(&format!("{}\u{1b}\n x: y", "z".repeat(59))),
            format!(
                "the index has the line `{}\\u{{1b}}` after package `a`, which is no field",
                "z".repeat(59)
            )
        );
        assert!(Universe::new("amd64").add_index(index("Depends: b"), 0).is_ok());
    }

    #[test]
    fn near_names_are_offered() {
        let all = universe(&["Package: nginx-light", "Package: postgresql", "Package: redis-server"]);
        assert_eq!(all.similar("nginx-ligth"), ["nginx-light"]);
    }
}
