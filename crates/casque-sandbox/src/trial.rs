//! Trying, in small, everything a build asks of the kernel.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::mounts::{Overlay, Upper, overlay, private_mounts};
use crate::running::Sandbox;
use crate::spec::{FirstProcess, Spec};

/// Where a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// At a user namespace.
    Namespace,
    /// At the numbers of other users.
    Numbers,
    /// At making files of other users in the directory.
    Directory,
    /// At an overlay over it.
    Overlay,
    /// At mounting what a program expects, `/proc` for example.
    Sandbox,
    /// At executing a program from there.
    Execute,
}

/// A trial that ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Where.
    pub place: Place,
    /// What happened, in words.
    pub text: String,
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let place = match error {
            Error::NoUserNamespace { .. } => Place::Namespace,
            Error::NoSubordinateIds { .. } | Error::NumbersRefused { .. } => Place::Numbers,
            Error::Step { failure, .. } if failure.action.contains("overlay") => Place::Overlay,
            Error::Command { .. } => Place::Execute,
            _ => Place::Sandbox,
        };
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self { place, text: format!("{error}{cause}") }
    }
}

impl Sandbox {
    /// Tries in `directory` what a build does there; `program` is one that ends by itself.
    ///
    /// The calling process gets mounts of its own, as with [`private_mounts`].
    pub fn try_in(&self, directory: &Path, program: &Path) -> Result<(), Refusal> {
        private_mounts().map_err(|error| Refusal::from(&error))?;
        let refuse = |error: io::Error| Refusal {
            place: Place::Directory,
            text: format!("cannot make files of other users in `{}`: {error}", directory.display()),
        };
        for name in ["below", "changes", "work", "at"] {
            std::fs::create_dir(directory.join(name)).map_err(refuse)?;
        }
        let tool = directory.join("below/tool");
        std::fs::copy(program, &tool).map_err(refuse)?;
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).map_err(refuse)?;
        let other = directory.join("below/other");
        std::fs::create_dir(&other).map_err(refuse)?;
        std::os::unix::fs::chown(&other, Some(1), Some(1)).map_err(refuse)?;

        let path = |name: &str| directory.join(name);
        let upper = Upper { changes: &path("changes"), work: &path("work") };
        let at = path("at");
        let mounted = overlay(Overlay { lower: &[path("below")], upper: Some(upper), at: &at })
            .map_err(|error| Refusal::from(&error))?;
        let hide = || {
            // The one leaves a whiteout, the other an opaque directory, which is an extended attribute.
            std::fs::remove_dir(at.join("other"))?;
            std::fs::create_dir(at.join("other"))?;
            std::fs::remove_dir(at.join("other"))
        };
        hide().map_err(|error| Refusal {
            place: Place::Overlay,
            text: format!("cannot hide a file in an overlay at `{}`: {error}", directory.display()),
        })?;
        self.try_execute(mounted.path())?;
        drop(mounted);
        // What is mounted `noexec` does not hinder an overlay, but the lowest stage has nothing to lie over.
        self.try_execute(&path("below"))
    }

    fn try_execute(&self, root: &Path) -> Result<(), Refusal> {
        let mut spec = Spec::new(root, vec!["/tool".to_owned()]);
        spec.first_process = FirstProcess::Command;
        let mut running = match self.spawn(&spec, Stdio::null(), Stdio::null()) {
            // Executed, and then it lacked what a dynamic program is loaded by.
            Err(Error::Command { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| Refusal::from(&error))?,
        };
        // How it ends is its own matter: that it was executed is the answer.
        running.wait().map(drop).map_err(|error| Refusal::from(&error))
    }
}
