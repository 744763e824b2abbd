//! What a binary package says about itself, in an index, in its own control file or in dpkg's status.

use thiserror::Error;

use crate::relation::{Alternatives, NotARelation, parse_relations};
use crate::stanza::Stanza;
use crate::version::Version;

/// A package's description of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The source package, when that has another name; without a version.
    pub source: Option<String>,
    /// The source package's version, when that is another one.
    pub source_version: Option<Version>,
    /// Every system has it.
    pub essential: bool,
    /// Versions for several architectures can be installed side by side (`Multi-Arch: same`).
    pub multi_arch_same: bool,
    /// A package of any architecture may depend on it by `name:any` (`Multi-Arch: allowed`).
    pub multi_arch_allowed: bool,
    /// Such as `required` or `optional`.
    pub priority: String,
    /// Its relations to others, unparsed: of sixty thousand packages only a few hundred are looked at.
    pub relations: Relations,
}

/// Relation fields as they are written; an absent one is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// `Pre-Depends`
    pub pre_depends: String,
    /// `Depends`
    pub depends: String,
    /// `Provides`
    pub provides: String,
    /// `Conflicts`
    pub conflicts: String,
    /// `Breaks`
    pub breaks: String,
    /// `Replaces`
    pub replaces: String,
}

/// A stanza that does not describe a package.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ControlError {
    /// A field is missing.
    #[error("package `{package}` has no field `{field}`")]
    Missing {
        /// The package, as far as it is known.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// A field holds something else than it should.
    #[error("package `{package}` has `{value}` as its `{field}`")]
    Value {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// A relation field was not understood.
    #[error("cannot read the relations of package `{package}`")]
    Relation {
        /// The package.
        package: String,
        /// What was not understood.
        source: NotARelation,
    },
}

impl Control {
    /// Reads a stanza of a control file or of dpkg's status.
    pub fn parse(stanza: &Stanza<'_>) -> Result<Self, ControlError> {
        let mut fields = ControlFields::default();
        for (name, value) in stanza.fields() {
            fields.take(name, value);
        }
        fields.finish()
    }

    /// Returns the name dpkg's own files use: with the architecture where several can be installed.
    pub fn database_name(&self) -> String {
        if self.multi_arch_same { format!("{}:{}", self.name, self.architecture) } else { self.name.clone() }
    }

    /// Returns the source package and its version.
    pub fn built_from(&self) -> (&str, &Version) {
        let source = self.source.as_ref().unwrap_or(&self.name);
        (source, self.source_version.as_ref().unwrap_or(&self.version))
    }

    /// Returns what must be configured before this one is, `Pre-Depends` first.
    pub fn dependencies(&self, architecture: &str) -> Result<Vec<Alternatives>, ControlError> {
        let mut groups = self.parsed(&self.relations.pre_depends, architecture)?;
        groups.extend(self.parsed(&self.relations.depends, architecture)?);
        Ok(groups)
    }

    /// Returns what must be configured before this one is unpacked.
    pub fn pre_dependencies(&self, architecture: &str) -> Result<Vec<Alternatives>, ControlError> {
        self.parsed(&self.relations.pre_depends, architecture)
    }

    /// Returns what cannot be installed together with this one.
    pub fn conflicts(&self, architecture: &str) -> Result<Vec<Alternatives>, ControlError> {
        let mut groups = self.parsed(&self.relations.conflicts, architecture)?;
        groups.extend(self.parsed(&self.relations.breaks, architecture)?);
        Ok(groups)
    }

    /// Returns the names this one provides.
    pub fn provides(&self, architecture: &str) -> Result<Vec<Alternatives>, ControlError> {
        self.parsed(&self.relations.provides, architecture)
    }

    /// Returns the packages whose files this one may take over.
    pub fn replaces(&self, architecture: &str) -> Result<Vec<Alternatives>, ControlError> {
        self.parsed(&self.relations.replaces, architecture)
    }

    fn parsed(&self, field: &str, architecture: &str) -> Result<Vec<Alternatives>, ControlError> {
        parse_relations(field, architecture)
            .map_err(|source| ControlError::Relation { package: self.name.clone(), source })
    }
}

/// The fields of a [`Control`] while a stanza is read.
#[derive(Default)]
pub(crate) struct ControlFields<'a> {
    pub(crate) package: &'a str,
    version: &'a str,
    architecture: &'a str,
    source: &'a str,
    essential: &'a str,
    multi_arch: &'a str,
    priority: &'a str,
    relations: [&'a str; 6],
}

impl<'a> ControlFields<'a> {
    /// Keeps a field that counts and tells whether it did.
    pub(crate) fn take(&mut self, name: &str, value: &'a str) -> bool {
        let [pre_depends, depends, provides, conflicts, breaks, replaces] = &mut self.relations;
        let place = match name {
            "Package" => &mut self.package,
            "Version" => &mut self.version,
            "Architecture" => &mut self.architecture,
            "Source" => &mut self.source,
            "Essential" => &mut self.essential,
            "Multi-Arch" => &mut self.multi_arch,
            "Priority" => &mut self.priority,
            "Pre-Depends" => pre_depends,
            "Depends" => depends,
            "Provides" => provides,
            "Conflicts" => conflicts,
            "Breaks" => breaks,
            "Replaces" => replaces,
            _ => return false,
        };
        *place = value;
        true
    }

    pub(crate) fn finish(self) -> Result<Control, ControlError> {
        let package = self.package.to_owned();
        for (field, value) in
            [("Package", self.package), ("Version", self.version), ("Architecture", self.architecture)]
        {
            if value.is_empty() {
                return Err(ControlError::Missing { package, field });
            }
            // These become parts of file names.
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.~:_".contains(&byte);
            if !value.bytes().all(allowed) || value.starts_with('.') {
                return Err(ControlError::Value { package, field, value: value.to_owned() });
            }
        }
        let [pre_depends, depends, provides, conflicts, breaks, replaces] = self.relations.map(str::to_owned);
        Ok(Control {
            name: package,
            version: self.version.into(),
            architecture: self.architecture.to_owned(),
            source: self.source.split_whitespace().next().map(str::to_owned),
            source_version: self
                .source
                .split_once('(')
                .map(|(_, version)| version.trim_end_matches(')').trim().into()),
            essential: self.essential == "yes",
            multi_arch_same: self.multi_arch == "same",
            multi_arch_allowed: self.multi_arch == "allowed",
            priority: self.priority.to_owned(),
            relations: Relations { pre_depends, depends, provides, conflicts, breaks, replaces },
        })
    }
}
