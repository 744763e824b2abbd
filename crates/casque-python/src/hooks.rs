//! Building sources into a wheel (PEP 517): what to run in a sandbox, and what comes back.
//!
//! The backend runs in an environment of its own that has what the lock pins for it. It is asked twice: what it needs
//! beyond that, and for the wheel. Two processes, since a backend may change what it imported.

use std::collections::BTreeSet;
use std::str::FromStr;

use pep440_rs::Version;

use crate::metadata::Need;
use crate::version::satisfies_all;
use crate::{BuildSystem, PinnedDistribution, Target};

/// The program for Python; see [`arguments`] and [`unpack_arguments`].
pub const PROGRAM: &str = r#"import importlib
import json
import os
import shutil
import sys


def unpack(archive, tree):
    """Unpacks an archive, which has one directory at its top, as `tree`."""
    whole = tree + ".unpacked"
    os.mkdir(whole)
    shutil.unpack_archive(archive, whole)
    entries = os.listdir(whole)
    if len(entries) != 1:
        sys.exit("an archive of sources has one directory at its top, this one has " + ", ".join(sorted(entries)))
    os.rename(os.path.join(whole, entries[0]), tree)


def ask(hook, backend, tree, to, *backend_path):
    """Calls a hook of the backend and leaves its answer as JSON."""
    os.chdir(tree)
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    sys.path[:0] = [os.path.join(tree, path) for path in backend_path]
    module, _, path = backend.partition(":")
    found = importlib.import_module(module)
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    if hook == "get_requires_for_build_wheel":
        answer = getattr(found, hook, lambda settings: [])({})
    else:
        answer = getattr(found, hook)(to, {})
    with open(os.path.join(to, "answer"), "w", encoding="utf-8") as file:
        json.dump(answer, file)


os.umask(0o022)
# The directory of this file is no place for modules.
del sys.path[0]
if sys.argv[1] == "unpack":
    unpack(*sys.argv[2:])
else:
    ask(*sys.argv[1:])
"#;

/// Returns the arguments that unpack the archive at `archive` into the new directory `tree`.
pub fn unpack_arguments(archive: &str, tree: &str) -> Vec<String> {
    ["unpack", archive, tree].map(str::to_owned).to_vec()
}

/// Returns the arguments that ask the backend in `tree`; what `build_wheel` makes goes to the directory `to`, and what
/// it answers to the file `answer` in there.
pub fn arguments(hook: &str, system: &BuildSystem, tree: &str, to: &str) -> Vec<String> {
    let mut arguments = vec![hook.to_owned(), system.backend.clone(), tree.to_owned(), to.to_owned()];
    arguments.extend(system.backend_path.iter().cloned());
    arguments
}

/// Returns what of `asked`, a list in JSON that a backend answered with, the pins do not have.
pub fn missing(asked: &str, pins: &[PinnedDistribution], target: Target) -> Vec<String> {
    let asked: Vec<String> = serde_json::from_str(asked).unwrap_or_default();
    let is_missing = |text: &String| {
        let Some(need) = Need::parse(text, target, &BTreeSet::new()) else { return false };
        let pin = pins.iter().find(|pin| pin.name == need.name);
        let version = pin.and_then(|pin| Version::from_str(&pin.version).ok());
        !version.is_some_and(|version| satisfies_all(&version, &need.versions))
    };
    asked.into_iter().filter(is_missing).collect()
}
