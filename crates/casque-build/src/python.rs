//! Layers of Python: a virtual environment made of pinned distributions, byte-compiled once.

use std::path::PathBuf;

use casque_debian::installed_packages;
use casque_python::{PinnedDistribution, Venv};

use crate::builder::Builder;
use crate::error::BuildError;
use crate::manifest::{LayerStep, Python};
use crate::stage::{Recipe, Stage};

/// Where Debian has its Python.
const INTERPRETER: &str = "/usr/bin/python3";

impl Builder<'_> {
    /// Makes the virtual environment of `layer`.
    pub(crate) fn python_stage(
        &self,
        layer: &LayerStep,
        python: &Python,
        below: &[Stage],
    ) -> Result<Stage, BuildError> {
        let name = layer.name.get_ref();
        let distributions = self.lock.distributions(name);
        let no_python = || BuildError::NoPython { layer: name.clone() };
        let installed = match &self.base {
            Some(_) => installed_packages(&below[0].trees[0])?,
            None => Vec::new(),
        };
        let target = self.lock.python_target(&installed).ok_or_else(no_python)?;
        let recipe = Recipe {
            name: &format!("{name}/python"),
            created_by: format!("casque: {} Python distributions in {}", distributions.len(), python.venv),
            inputs: self.dated().with_distributions(distributions).with("virtual environment", &python.venv),
            below,
            transient: None,
            parts: self.shares.of(&format!("{name}/python")),
            vendor: false,
        };
        self.stage(&recipe, |root| {
            let store = self.cache.store()?;
            let file = |pinned: &PinnedDistribution| (pinned.clone(), store.path(&pinned.sha256));
            let wheels: Vec<(PinnedDistribution, PathBuf)> = distributions.iter().map(file).collect();
            let epoch = i64::try_from(self.epoch).unwrap_or(i64::MAX);
            let venv = Venv { root, path: &python.venv, interpreter: INTERPRETER, target, epoch };
            self.work(format!("unpacking {} Python distributions", wheels.len()));
            venv.make()?;
            // Scripts that call pip in the environment find it there, as after `python3 -m venv`.
            venv.seed()?;
            venv.install(&wheels)?;
            self.compile(name, root, &venv)?;
            Ok(None)
        })
    }
}
