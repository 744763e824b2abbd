//! Errors as words, a hint and an exit code.

use std::error::Error;
use std::fmt;
use std::io;

use casque_build::BuildError;
use casque_format::doctor::{Examination, Verdict};

use crate::run::error::RunError;

/// How the program ends; listed in `docs/cli.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Something nobody thought of.
    Unexpected = 1,
    /// The manifest or the arguments are wrong.
    Manifest = 2,
    /// A signature, a hash or an expiry date is wrong.
    Trust = 3,
    /// The network, or who answers there.
    Network = 4,
    /// Packages that do not go together or do not exist.
    Resolve = 5,
    /// A program in the sandbox failed.
    Step = 6,
    /// The disk is full.
    Disk = 7,
    /// Two images differ, and `--exit-code` asked; or a layer that was made twice does.
    Differs = 8,
}

/// An error as its user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    /// The chain of causes, nearest first, each in one or more lines.
    causes: Vec<String>,
    /// The end of a failed program's output.
    output: Vec<String>,
    hint: Option<String>,
    pub(crate) code: ExitCode,
}

impl Failure {
    /// Describes that `what` could not be done because of `error`.
    pub(crate) fn new(what: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut disk_full = false;
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // A transparent error repeats its source.
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            disk_full |= is_disk_full(cause);
            next = cause.source();
        }
        let build = error.downcast_ref::<BuildError>();
        let output = build.map(BuildError::output).unwrap_or_default().to_vec();
        let (code, hint) = match build {
            _ if disk_full => {
                (ExitCode::Disk, Some("free some space there, or have it written elsewhere: see `--cache`, `--output` and `--lockfile`".to_owned()))
            }
            Some(error) => (code_of(error), error.hint()),
            None => (ExitCode::Unexpected, None),
        };
        Self { what: what.into(), causes, output, hint, code }
    }

    /// Describes a mistake in the arguments.
    pub(crate) fn usage(what: impl Into<String>, cause: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            what: what.into(),
            causes: vec![cause.into()],
            output: Vec::new(),
            hint,
            code: ExitCode::Manifest,
        }
    }

    /// Describes that this host gives an ordinary user no root's rights, and what is missing for that.
    pub(crate) fn unready(error: &casque_sandbox::Error, examination: &Examination) -> Self {
        let mut failure = Self::new("cannot have root's rights as an ordinary user", error);
        let missing: Vec<_> =
            examination.findings.iter().filter(|finding| finding.verdict == Verdict::Missing).collect();
        for finding in &missing {
            if !failure.causes.contains(&finding.fact) {
                failure.causes.push(finding.fact.clone());
            }
        }
        let remedies: Vec<&str> = missing.iter().filter_map(|finding| finding.remedy.as_deref()).collect();
        failure.hint = Some(match remedies.is_empty() {
            true => "see `casque doctor`, or run this command with sudo".to_owned(),
            false => format!("run these, or this command with sudo\n{}", remedies.join("\n")),
        });
        failure
    }

    /// Shows the end of what a program printed.
    pub(crate) fn show(&mut self, output: Vec<String>) {
        self.output = output;
    }

    /// Replaces the hint and the code, for errors that only their command can judge.
    pub(crate) fn judged(mut self, code: ExitCode, hint: Option<String>) -> Self {
        if self.code == ExitCode::Unexpected {
            self.code = code;
        }
        self.hint = self.hint.or(hint);
        self
    }
}

fn is_disk_full(cause: &(dyn Error + 'static)) -> bool {
    // What a transparent variant holds is no link of the chain of its own.
    let error = match cause.downcast_ref() {
        Some(RunError::File(error)) => Some(error),
        _ => cause.downcast_ref::<io::Error>(),
    };
    error.is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    })
}

fn code_of(error: &BuildError) -> ExitCode {
    use casque_build::ErrorClass;
    match error.class() {
        ErrorClass::Manifest => ExitCode::Manifest,
        ErrorClass::Trust => ExitCode::Trust,
        ErrorClass::Network => ExitCode::Network,
        ErrorClass::Resolve => ExitCode::Resolve,
        ErrorClass::Step => ExitCode::Step,
        ErrorClass::Differs => ExitCode::Differs,
        ErrorClass::Unexpected => ExitCode::Unexpected,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in &self.causes {
            let cause = cause.trim_end().replace('\n', "\n    ");
            write!(f, "\n  caused by: {cause}")?;
        }
        for line in &self.output {
            write!(f, "\n  | {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", hint.replace('\n', "\n  "))?;
        }
        Ok(())
    }
}
