//! Why there is no set of packages.

use std::fmt;

use thiserror::Error;

use crate::control::ControlError;

/// Why there is no set of packages.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// No archive has the package.
    #[error("no archive has a package `{name}`")]
    UnknownPackage {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        similar: Vec<String>,
    },
    /// Archives have the package, in other versions.
    #[error("no archive has `{name}` in version `{wanted}`, only {}", list(available, ", "))]
    UnknownVersion {
        /// What was asked for.
        name: String,
        /// The version that was asked for.
        wanted: String,
        /// The versions there are.
        available: Vec<String>,
    },
    /// Archives have the package, and not in this suite.
    #[error("no suite `{suite}` has `{name}`, there is only {}", list(available, ", "))]
    UnknownSuite {
        /// What was asked for.
        name: String,
        /// The suite that was asked for.
        suite: String,
        /// The versions there are, with their suites.
        available: Vec<String>,
    },
    /// Images are made for one architecture.
    #[error("`{name}` is wanted for `{wanted}`, and the image is for `{own}`")]
    Architecture {
        /// The package.
        name: String,
        /// The architecture asked for.
        wanted: String,
        /// The image's.
        own: String,
    },
    /// A list of packages to install says to remove one.
    #[error("`{name}-` would remove `{name}`, and a layer can only add packages")]
    Removal {
        /// The package.
        name: String,
    },
    /// Several packages provide the name and none has it.
    #[error("`{name}` is not a package, but provided by {}", list(providers, ", "))]
    Virtual {
        /// What was asked for.
        name: String,
        /// Who provides it.
        providers: Vec<String>,
    },
    /// A dependency cannot be met.
    #[error("{} -> `{wanted}` is not available{}", path(chain), also(available))]
    Unsatisfiable {
        /// The packages that lead to it, what was asked for first.
        chain: Vec<Step>,
        /// What the last of them needs.
        wanted: String,
        /// The versions there are of it.
        available: Vec<String>,
        /// A request for a version that would do.
        would_do: Option<String>,
    },
    /// Two packages cannot be installed together.
    #[error(
        "{} conflicts with {}: {}, and {} {because}",
        path(left),
        path(right),
        says(left, relation),
        last(right)
    )]
    Conflict {
        /// How the one that says so was reached.
        left: Vec<Step>,
        /// How the other one was reached.
        right: Vec<Step>,
        /// What the first says, such as `Breaks: x (<< 2)`.
        relation: String,
        /// Why that is about the other.
        because: String,
    },
    /// What a lower layer has would have to change.
    #[error("{}", changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Changes {
        /// What would change, by name.
        changes: Vec<Change>,
    },
    /// A package's relations cannot be read.
    #[error(transparent)]
    Control(ControlError),
}

/// A package on the way from what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// A lower layer has it.
    pub installed: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.installed { " (installed)" } else { "" };
        write!(formatter, "`{}{below}`", self.name)
    }
}

/// A package of a lower layer that would be replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The version that a lower layer has.
    pub installed: String,
    /// The version that would take its place; none when it would go.
    pub wanted: Option<String>,
    /// Who needs that.
    pub because: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, installed, wanted, because } = self;
        write!(formatter, "a lower layer has `{name}` `{installed}`, which would have to ")?;
        match wanted {
            Some(version) => write!(formatter, "become `{version}`")?,
            None => formatter.write_str("go")?,
        }
        because.as_ref().map_or(Ok(()), |because| write!(formatter, " for {because}"))
    }
}

fn list(names: &[String], between: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
}

fn path(steps: &[Step]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ")
}

fn says(steps: &[Step], relation: &str) -> String {
    format!("{} has `{relation}`", last(steps))
}

fn last(steps: &[Step]) -> String {
    steps.last().map(|step| format!("`{}` `{}`", step.name, step.version)).unwrap_or_default()
}

fn also(available: &[String]) -> String {
    if available.is_empty() { String::new() } else { format!(", there is {}", list(available, ", ")) }
}
