//! Python distributions in the lock: which ones a requirements file comes to, for the Python of the image.

use std::path::{Path, PathBuf};

use casque_debian::Control;
use casque_format::digest::Digest;
use casque_python::{BuildSystem, DEFAULT_INDEX, Locker, PinnedDistribution, Requirements, Target};
use serde::{Deserialize, Serialize};

use super::{Lockfile, Request};
use crate::error::BuildError;
use crate::event::Event;
use crate::inputs::digest_of;
use crate::manifest::{LayerStep, Manifest, Python};

/// Python distributions of one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonSet {
    /// The layer's name.
    pub layer: String,
    /// Which environment, where the layer has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venv: Option<String>,
    /// SHA-256 of the requirements file, or of everything asked for where that is more.
    pub requirements: Digest,
    /// The files, sorted by name.
    #[serde(default, rename = "distribution", skip_serializing_if = "Vec::is_empty")]
    pub distributions: Vec<PinnedDistribution>,
    /// What is built of the project's own files.
    #[serde(default, rename = "project", skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<PinnedProject>,
}

/// A source tree or an archive of sources in the project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedProject {
    /// Where it is; `.` for the project itself.
    pub path: String,
    /// What it is built with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build: Vec<PinnedDistribution>,
}

/// An environment that the manifest asks for.
pub(crate) struct Environment<'a> {
    pub(crate) layer: String,
    pub(crate) python: &'a Python,
    pub(crate) requirements: Requirements,
    /// What of the project has to be built, and how it says so.
    pub(crate) projects: Vec<(PathBuf, BuildSystem)>,
    /// Where the layer has several.
    venv: Option<String>,
    digest: Digest,
}

/// Reads what the manifest asks for in the environments of all layers.
pub(super) fn environments(manifest: &Manifest) -> Result<Vec<Environment<'_>>, BuildError> {
    let each = manifest.content.layer.iter().map(|layer| environments_of(manifest, layer));
    Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Reads what the manifest asks for in the environments of one layer.
pub(crate) fn environments_of<'a>(
    manifest: &'a Manifest,
    layer: &'a LayerStep,
) -> Result<Vec<Environment<'a>>, BuildError> {
    let several = layer.python.len() > 1;
    layer.python.iter().map(|python| Environment::read(manifest, layer, python, several)).collect()
}

impl<'a> Environment<'a> {
    fn read(
        manifest: &'a Manifest,
        layer: &LayerStep,
        python: &'a Python,
        several: bool,
    ) -> Result<Self, BuildError> {
        let directory = &manifest.directory;
        let mut requirements = Requirements::read(directory, Path::new(python.requirements.get_ref()))?;
        for tree in &python.install {
            requirements.add_tree(tree.get_ref(), directory)?;
        }
        let mut projects = Vec::new();
        for local in &requirements.local {
            let full = directory.join(&local.path);
            let shown = shown(&local.path);
            if full.is_dir() {
                projects.push((local.path.clone(), BuildSystem::of_tree(&shown, &full)?));
            } else if full.extension().is_none_or(|extension| extension != "whl") {
                projects.push((local.path.clone(), BuildSystem::of_archive(&shown, &full)?));
            }
        }
        // A file alone is known by its own digest, as it always was.
        let digest = match projects.is_empty() && python.build_requires.is_empty() {
            true => requirements.digest(),
            false => {
                let asked: Vec<_> = projects.iter().map(|(path, system)| (path, &system.requires)).collect();
                digest_of(&(requirements.digest(), asked, &python.build_requires))
            }
        };
        let venv = several.then(|| python.venv.clone());
        let layer = layer.name.get_ref().clone();
        Ok(Self { layer, python, requirements, projects, venv, digest })
    }
}

/// Returns how a path of the project is written.
pub(crate) fn shown(path: &Path) -> String {
    match path.as_os_str().is_empty() {
        true => ".".to_owned(),
        false => path.display().to_string(),
    }
}

impl Request<'_> {
    /// Pins the distributions of every environment; the packages in `lock`, and those `installed` in the base,
    /// say which Python that is.
    pub(super) fn pin_python(
        &self,
        lock: &Lockfile,
        installed: &[Control],
    ) -> Result<Vec<PythonSet>, BuildError> {
        let mut sets = Vec::new();
        for environment in environments(self.manifest)? {
            let layer = environment.layer;
            self.work(&format!("finding the Python distributions of layer {layer}"));
            let target = lock.python_target(installed);
            let target = target.ok_or_else(|| BuildError::NoPython { layer: layer.clone() })?;
            let index = self.python_index.unwrap_or(DEFAULT_INDEX);
            let store = self.cache.store()?;
            let locker = Locker::new(self.network, &store, index, &environment.requirements, target)?;
            let further = &environment.python.build_requires;
            let pinned = locker.pin(&environment.requirements, further)?;
            for text in pinned.warnings {
                self.observer.event(&Event::Warning { text });
            }
            let mut projects = Vec::new();
            for (path, system) in &environment.projects {
                let path = shown(path);
                let build = locker.pin_build(&path, system, further)?;
                projects.push(PinnedProject { path, build });
            }
            sets.push(PythonSet {
                layer,
                venv: environment.venv,
                requirements: environment.digest,
                distributions: pinned.distributions,
                projects,
            });
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

    /// Returns what was locked for an environment.
    pub(crate) fn python_set(&self, environment: &Environment<'_>) -> Option<&PythonSet> {
        self.python.iter().find(|set| {
            (&set.layer, &set.venv, set.requirements)
                == (&environment.layer, &environment.venv, environment.digest)
        })
    }

    /// Returns the distributions of a layer.
    pub(crate) fn distributions(&self, layer: &str) -> impl Iterator<Item = &PinnedDistribution> {
        let layer = layer.to_owned();
        self.python.iter().filter(move |set| set.layer == layer).flat_map(|set| &set.distributions)
    }
}
