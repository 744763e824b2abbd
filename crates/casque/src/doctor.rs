//! Whether this host can build: tried as a build does it, and explained.

mod facts;
mod findings;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use casque_format::doctor::{Examination, VERSION, Verdict};
use casque_sandbox::{Helper, Refusal};

use crate::doctor::facts::gather;

/// Examines this host with a process of its own, which may end up in a namespace.
pub(crate) fn examine(program: &Path, cache: &Path) -> Examination {
    let mut trial = Command::new(Helper::this_program().program);
    trial.arg0("casque").arg("--cache").arg(cache).args(["doctor", "--try"]);
    let output = trial.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let result = output.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok());
    explain(program, cache, result)
}

/// Explains what came of trying.
pub(crate) fn explain(program: &Path, cache: &Path, trial: Option<Result<(), Refusal>>) -> Examination {
    let findings = findings::findings(&gather(program, cache, trial));
    let ready = findings.iter().all(|finding| finding.verdict != Verdict::Missing);
    Examination { version: VERSION, ready, findings }
}
