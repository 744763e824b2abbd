//! Python distributions in the lock: which ones a requirements file comes to, for the Python of the image.

use casque_debian::Control;
use casque_format::digest::Digest;
use casque_python::{DEFAULT_INDEX, PinnedDistribution, Target};
use serde::{Deserialize, Serialize};

use super::{Lockfile, Request};
use crate::error::{BuildError, LockError};
use crate::manifest::Manifest;

/// Python distributions of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonSet {
    /// The layer's name.
    pub layer: String,
    /// SHA-256 of the requirements file.
    pub requirements: Digest,
    /// The files, sorted by name.
    #[serde(default, rename = "distribution")]
    pub distributions: Vec<PinnedDistribution>,
}

/// The requirements file of a layer.
pub(super) struct Requirements {
    pub(super) layer: String,
    pub(super) digest: Digest,
    parsed: Vec<casque_python::Requirement>,
}

/// Reads the requirements of every layer that has Python.
pub(super) fn requirements(manifest: &Manifest) -> Result<Vec<Requirements>, BuildError> {
    let mut all = Vec::new();
    for layer in &manifest.content.layer {
        let Some(python) = &layer.python else { continue };
        let path = manifest.directory.join(python.requirements.get_ref());
        let text = fs_err::read_to_string(&path).map_err(LockError::File)?;
        let parsed = casque_python::requirements(&path, &text)?;
        all.push(Requirements {
            layer: layer.name.get_ref().clone(),
            digest: Digest::of(text.as_bytes()),
            parsed,
        });
    }
    Ok(all)
}

impl Request<'_> {
    /// Pins the distributions of every layer that has Python; the packages in `lock`, and those `installed` in the base,
    /// say which Python that is.
    pub(super) fn pin_python(
        &self,
        lock: &Lockfile,
        installed: &[Control],
    ) -> Result<Vec<PythonSet>, BuildError> {
        let mut sets = Vec::new();
        for requirements in requirements(self.manifest)? {
            let layer = requirements.layer;
            self.work(&format!("finding the Python distributions of layer {layer}"));
            let target = lock.python_target(installed);
            let target = target.ok_or_else(|| BuildError::NoPython { layer: layer.clone() })?;
            let index = self.python_index.unwrap_or(DEFAULT_INDEX);
            let distributions = casque_python::lock(self.network, index, &requirements.parsed, target)?;
            sets.push(PythonSet { layer, requirements: requirements.digest, distributions });
        }
        Ok(sets)
    }
}

impl Lockfile {
    /// Returns which Python the image has, when it has one: of the lock, or `installed` in the base.
    pub(crate) fn python_target(&self, installed: &[Control]) -> Option<Target> {
        let version = |name: &str| {
            let pinned = self.packages.iter().find(|pin| pin.name == name).map(|pin| &pin.version);
            let there = installed.iter().find(|control| control.name == name).map(|there| &there.version);
            there.or(pinned).map(ToString::to_string)
        };
        Target::from_packages(&version("python3")?, &version("libc6")?)
    }

    /// Returns the distributions of a layer.
    pub(crate) fn distributions(&self, layer: &str) -> &[PinnedDistribution] {
        let set = self.python.iter().find(|set| set.layer == layer);
        set.map_or(&[], |set| &set.distributions)
    }
}
