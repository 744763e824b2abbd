//! What can be wrong with a unit or a program file.

use thiserror::Error;

/// A unit or program that cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// A line that the tool itself would refuse.
    #[error("`{file}` line {line}: {problem}")]
    Syntax {
        /// The file, as the caller named it.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file has no section that describes a service.
    #[error("`{unit}` has no `{section}` section")]
    NoSection {
        /// The unit or file.
        unit: String,
        /// The section that is missing.
        section: &'static str,
    },
    /// The service does not say what to run.
    #[error("`{unit}` does not say what to run: it has no `{key}`")]
    NoCommand {
        /// The unit or program.
        unit: String,
        /// The key that is missing.
        key: &'static str,
    },
    /// A value that the tool itself would refuse.
    #[error("`{unit}`: `{key}={value}` is not {expected}")]
    Value {
        /// The unit or program.
        unit: String,
        /// Its key.
        key: String,
        /// What was given.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// A `%` expression that has no value here.
    #[error("`{unit}`: `{key}` uses `{expression}`, which has no value during the build")]
    Expression {
        /// The unit or program.
        unit: String,
        /// Its key.
        key: String,
        /// The expression as written.
        expression: String,
    },
    /// A `Type=` that is not known.
    #[error("`{unit}` has `Type={kind}`, which is not known here")]
    Type {
        /// The unit.
        unit: String,
        /// Its type.
        kind: String,
    },
    /// A timer that is no schedule.
    #[error("`{unit}`: {problem}")]
    Timer {
        /// The unit.
        unit: String,
        /// What of it a schedule cannot say.
        problem: String,
    },
    /// A service that puts itself into the background in a way that is not known to be reversible.
    #[error(
        "`{unit}` puts itself into the background (`Type=forking`), and how to keep `{program}` in the foreground is not known"
    )]
    Forking {
        /// The unit.
        unit: String,
        /// The program it runs.
        program: String,
    },
}

impl UnitError {
    /// Says what the vendor can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Forking { .. } => Some(
                "say how to run it in the foreground with `command = [...]` in the service's table of the manifest, in place of `from`"
                    .to_owned(),
            ),
            Self::Timer { .. } => Some(
                "take the service itself over, `from = \"systemd:NAME.service\"`, and give it a `schedule`".to_owned(),
            ),
            Self::Type { .. } | Self::Expression { .. } => Some(
                "describe the service with `command = [...]` in the manifest, in place of `from`".to_owned(),
            ),
            _ => None,
        }
    }
}
