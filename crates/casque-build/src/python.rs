//! Layers of Python: virtual environments made of pinned distributions, byte-compiled once.

use std::path::{Path, PathBuf};

use casque_debian::installed_packages;
use casque_python::{Arrival, DirectUrl, LocalRequirement, PythonError, Target, Venv};

use crate::builder::Builder;
use crate::error::BuildError;
use crate::ignored::Ignored;
use crate::inputs::Inputs;
use crate::lock::{Environment, Purpose, PythonSet, environments_of, shown};
use crate::manifest::LayerStep;
use crate::source::Sources;
use crate::split::digest_of_file;
use crate::stage::{Recipe, Stage};
use crate::wheels::{Origin, ToBuild};

/// Where Debian has its Python.
pub(crate) const INTERPRETER: &str = "/usr/bin/python3";

/// An environment about to be made.
struct Planned<'a> {
    environment: Environment<'a>,
    coming: Vec<Coming>,
}

/// A distribution on its way into an environment.
struct Coming {
    file: File,
    /// The name and version that it must be of, when they are known.
    pinned: Option<(String, String)>,
    direct_url: Option<DirectUrl>,
}

/// What a distribution is unpacked from.
enum File {
    /// A wheel, and the name that says what it is.
    Wheel(PathBuf, String),
    Sources(ToBuild),
}

impl Builder<'_> {
    /// Makes the virtual environments of `layer`.
    pub(crate) fn python_stage(&self, layer: &LayerStep, below: &[Stage]) -> Result<Stage, BuildError> {
        let name = layer.name.get_ref();
        let no_python = || BuildError::NoPython { layer: name.clone() };
        let installed = match &self.base {
            Some(_) => installed_packages(&below[0].trees[0])?,
            None => Vec::new(),
        };
        let target = self.lock.python_target(&installed).ok_or_else(no_python)?;
        let mut planned = Vec::new();
        let mut inputs = self.dated();
        for environment in environments_of(self.manifest, layer)? {
            let set = self.lock.python_set(&environment).expect("the lock was found to fit the manifest");
            let coming;
            (coming, inputs) = self.coming(&environment, set, target, inputs)?;
            planned.push(Planned { environment, coming });
        }
        let builds =
            planned.iter().flat_map(|one| &one.coming).any(|one| matches!(one.file, File::Sources(_)));
        if builds {
            inputs = inputs.with_packages(&self.lock.pins(name, Purpose::Build));
        }
        let count: usize = planned.iter().map(|one| one.coming.len()).sum();
        let places: Vec<&str> = layer.python.iter().map(|python| python.venv.as_str()).collect();
        let recipe = Recipe {
            name: &format!("{name}/python"),
            created_by: format!("casque: {count} Python distributions in {}", places.join(", ")),
            inputs,
            below,
            transient: None,
            parts: self.shares.of(&format!("{name}/python")),
            vendor: false,
        };
        self.stage(&recipe, |root| {
            planned.iter().try_for_each(|one| self.make_environment(layer, one, target, below, root))?;
            Ok(None)
        })
    }

    /// Returns what goes into an environment, and adds it to the inputs.
    fn coming(
        &self,
        environment: &Environment<'_>,
        set: &PythonSet,
        target: Target,
        mut inputs: Inputs,
    ) -> Result<(Vec<Coming>, Inputs), BuildError> {
        let python = environment.python;
        inputs = inputs.with("virtual environment", &python.venv);
        inputs = inputs.with_digest_of("environment", &(python.pip, python.no_deps));
        let store = self.cache.store()?;
        let mut coming = Vec::new();
        for pin in &set.distributions {
            let path = store.path(&pin.sha256);
            let file = match pin.is_source() {
                false => File::Wheel(path, pin.filename.clone()),
                true => File::Sources(ToBuild {
                    subject: format!("{} {}", pin.name, pin.version),
                    origin: Origin::Archive(path, pin.filename.clone(), pin.sha256),
                    build: pin.build.clone(),
                }),
            };
            let direct_url = pin.direct.then(|| DirectUrl::File(pin.url.clone(), pin.sha256));
            let pinned = Some((pin.name.clone(), pin.version.clone()));
            coming.push(Coming { file, pinned, direct_url });
        }
        inputs = inputs.with_distributions(&set.distributions);
        for local in environment.requirements.local_on(target)? {
            let one;
            (one, inputs) = self.local(local, set, target, inputs)?;
            coming.push(one);
        }
        Ok((coming, inputs))
    }

    /// Returns what the project brings itself.
    fn local(
        &self,
        local: &LocalRequirement,
        set: &PythonSet,
        target: Target,
        inputs: Inputs,
    ) -> Result<(Coming, Inputs), BuildError> {
        let path = self.manifest.directory.join(&local.path);
        let name = shown(&local.path);
        let build = || {
            let project = set.projects.iter().find(|project| project.path == name);
            project.map(|project| project.build.clone()).unwrap_or_default()
        };
        let url = format!("file:///{}", local.path.display());
        if path.is_dir() {
            let ignored = Ignored::of_project(&self.manifest.directory).map_err(BuildError::Source)?;
            let sources = Sources::collect(&path, &ignored).map_err(BuildError::Source)?;
            let inputs =
                inputs.with_files(&name, &sources).with_digest_of(&format!("build of `{name}`"), &build());
            let to_build = ToBuild { subject: name.clone(), origin: Origin::Tree(sources), build: build() };
            let file = File::Sources(to_build);
            return Ok((Coming { file, pinned: None, direct_url: Some(DirectUrl::Tree(url)) }, inputs));
        }
        let digest = digest_of_file(&path).map_err(BuildError::Source)?;
        if !local.hashes.is_empty() && !local.hashes.contains(&digest) {
            let found = digest.to_string();
            return Err(PythonError::LocalHash { path: local.path.clone(), found }.into());
        }
        let inputs = inputs.with_digest_of(&format!("file `{name}`"), &(digest, build()));
        let filename = local.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = match filename.ends_with(".whl") {
            true if !target.runs(&filename) => {
                let path = local.path.clone();
                return Err(PythonError::LocalWheel { path, target: target.to_string() }.into());
            }
            true => File::Wheel(path, filename),
            false => {
                let origin = Origin::Archive(path, filename, digest);
                File::Sources(ToBuild { subject: name.clone(), origin, build: build() })
            }
        };
        Ok((Coming { file, pinned: None, direct_url: Some(DirectUrl::File(url, digest)) }, inputs))
    }

    fn make_environment(
        &self,
        layer: &LayerStep,
        planned: &Planned<'_>,
        target: Target,
        below: &[Stage],
        root: &Path,
    ) -> Result<(), BuildError> {
        let python = planned.environment.python;
        let extras = planned.environment.requirements.extras(target)?;
        let mut arrivals = Vec::new();
        for coming in &planned.coming {
            let (path, filename) = match &coming.file {
                File::Wheel(path, filename) => (path.clone(), filename.clone()),
                File::Sources(sources) => self.built(layer, sources, target, below)?,
            };
            let name = coming.pinned.as_ref().map(|(name, _)| name.as_str());
            arrivals.push(Arrival {
                path,
                filename,
                pinned: coming.pinned.clone(),
                extras: name.and_then(|name| extras.get(name).cloned()).unwrap_or_default(),
                direct_url: coming.direct_url.clone(),
            });
        }
        let epoch = i64::try_from(self.epoch).unwrap_or(i64::MAX);
        let venv = Venv { root, path: &python.venv, interpreter: INTERPRETER, target, epoch };
        self.work(format!("unpacking {} Python distributions", arrivals.len()));
        venv.make()?;
        // Scripts that call pip in the environment find it there, as after `python3 -m venv`.
        if python.pip != Some(false) && !venv.seed()? && python.pip == Some(true) {
            return Err(BuildError::NoPip { layer: layer.name.get_ref().clone() });
        }
        venv.install(&arrivals, python.no_deps)?;
        self.compile(layer.name.get_ref(), root, &venv)?;
        Ok(())
    }
}
