//! Which layers would make the next build faster: what steps installed, looked at in the stages that they left.
//!
//! Packages and libraries in layers of their own are made from the lock alone, beside each other, and stay in the cache
//! when a script changes. It only proposes: the vendor's manifest is his own.

mod found;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::BuildError;
use crate::lock::{Lockfile, Request, StepRecord};
use crate::manifest::{Manifest, StepNetwork};
use crate::proposal::pinned_requirements;

/// The version of [`Suggestions`] as JSON.
const VERSION: u32 = 1;

/// What is suggested for a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestions {
    version: u32,
    /// For each step, in the order of the layers.
    pub steps: Vec<Suggestion>,
}

/// What one step installs that a layer before it could hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The layer of the step; the suggested ones come before it.
    pub layer: String,
    /// What the step asked apt for.
    pub packages: Vec<String>,
    /// So many packages that comes to.
    pub package_count: usize,
    /// Bytes of their files, as far as the lock says.
    pub package_bytes: u64,
    /// Packages from archives that the manifest does not name.
    pub foreign: Vec<String>,
    /// Virtual environments.
    pub python: Vec<Environment>,
}

/// A virtual environment that a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Where it is in the image.
    pub venv: String,
    /// A file of the project that says the same, with hashes.
    pub requirements: Option<String>,
    /// Otherwise the lines of such a file, when all that is installed came as a wheel.
    pub lines: Vec<String>,
    /// Distributions that did not come as a wheel, so that a layer cannot hold them.
    pub built: Vec<String>,
    /// So many distributions.
    pub count: usize,
    /// Bytes of the wheels, as far as the lock says.
    pub bytes: u64,
}

impl Suggestions {
    fn new(steps: Vec<Suggestion>) -> Self {
        Self { version: VERSION, steps }
    }

    /// Returns them as TOML to paste, with the reason of each as a comment.
    pub fn as_text(&self, manifest: &Manifest) -> String {
        match self.steps.iter().all(Suggestion::is_empty) {
            true => "# No step installs what a layer before it could hold.\n".to_owned(),
            false => text::of(&self.steps, manifest),
        }
    }
}

impl Suggestion {
    /// Whether there is nothing to gain.
    fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.foreign.is_empty() && self.python.is_empty()
    }
}

/// Returns what is suggested for each recorded step of the manifest; a stage that the cache lacks is made.
///
/// # Errors
/// Those of a build.
pub fn suggest(request: &Request<'_>, lock: &Lockfile) -> Result<Suggestions, BuildError> {
    let layers = &request.manifest.content.layer;
    let Some(last) = layers.iter().rposition(|layer| is_recorded(layer.run.as_ref(), layer.network)) else {
        return Ok(Suggestions::new(Vec::new()));
    };
    let steps = request.steps.as_ref().ok_or(BuildError::NoSteps)?;
    crate::lock::fetch(lock, request.network, request.cache, request.mirrors, request.progress)?;
    let workspace = request.cache.workspace()?;
    let builder = steps.builder(request, lock, workspace.path(), None)?;
    let stages = builder.stages_of(&layers[..=last])?;
    let mut suggestions = Vec::new();
    for record in lock.steps().iter().filter(|record| !record.host) {
        let Some(at) = stages.iter().position(|stage| stage.record.name == record.layer) else { continue };
        // What was there for the step only is none of the image's.
        let tree = |stage: &crate::stage::Stage| stage.trees.first().cloned();
        let below: Vec<PathBuf> = stages[..at].iter().rev().filter_map(tree).collect();
        let Some(own) = tree(&stages[at]) else { continue };
        suggestions.push(of_step(request.manifest, lock, record, &own, &below)?);
    }
    Ok(Suggestions::new(suggestions))
}

fn is_recorded(run: Option<&String>, network: StepNetwork) -> bool {
    run.is_some() && network == StepNetwork::Recorded
}

/// Judges what a step left in `own`, over what was `below`, the nearest first.
fn of_step(
    manifest: &Manifest,
    lock: &Lockfile,
    record: &StepRecord,
    own: &Path,
    below: &[PathBuf],
) -> Result<Suggestion, BuildError> {
    let packages = found::packages(own, below, lock, record)?;
    let project = pinned_requirements(&manifest.directory).map_err(BuildError::Source)?;
    let python = found::environments(own, &manifest.directory, &project, record)?;
    Ok(Suggestion { layer: record.layer.clone(), python, ..packages })
}
