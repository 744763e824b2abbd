//! A vendor's step: the scripts' own command line, unchanged, in a sandbox with service managers that answer.

use std::io;
use std::path::{Path, PathBuf};

use casque_format::shim::Report;
use casque_sandbox::Bind;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::event::Event;
use crate::facts;
use crate::inputs::Inputs;
use crate::manifest::LayerStep;
use crate::sandbox::{Confined, MANAGERS};
use crate::shares::Kind;
use crate::source::Sources;
use crate::stage::{Recipe, Stage};

/// A file or directory that is there for the step only.
struct Mount {
    to: String,
    sources: Sources,
}

impl Builder<'_> {
    /// Runs the step of `layer`, whose command line is `run`.
    pub(crate) fn step_stage(
        &self,
        layer: &LayerStep,
        run: &str,
        below: &[Stage],
    ) -> Result<Stage, BuildError> {
        let name = layer.name.get_ref();
        let mut mounts = Vec::new();
        for transfer in &layer.mount {
            let from = self.manifest.directory.join(transfer.from.get_ref());
            let sources = Sources::collect(&from).map_err(BuildError::Source)?;
            self.judge_marks(&sources)?;
            for text in facts::named(sources.texts()) {
                self.observer.event(&Event::Warning { text });
            }
            mounts.push(Mount { to: transfer.to.get_ref().clone(), sources });
        }
        let transient = self.with_packages_stage(layer, below)?;
        let recipe = Recipe {
            name,
            created_by: run.to_owned(),
            inputs: self.step_inputs(layer, run, &mounts),
            below,
            transient: transient.as_ref(),
            parts: self.parts(Kind::Step),
            vendor: true,
        };
        self.stage(&recipe, |root| {
            let report = self.run_step(layer, run, &mounts, root)?;
            if transient.is_some() {
                self.observer
                    .event(&Event::Work { what: "removing what was there for the step only".to_owned() });
                self.purge(name, root)?;
            }
            self.audit(name, root)?;
            Ok(report)
        })
    }

    fn step_inputs(&self, layer: &LayerStep, run: &str, mounts: &[Mount]) -> Inputs {
        let inputs = self.dated().with("command line", run).with("network", layer.network);
        let inputs = inputs.with_digest_of("program `casque-shim`", &self.shim);
        mounts.iter().fold(inputs, |inputs, mount| inputs.with_files(&mount.to, &mount.sources))
    }

    fn run_step(
        &self,
        layer: &LayerStep,
        run: &str,
        mounts: &[Mount],
        root: &Path,
    ) -> Result<Option<Report>, BuildError> {
        let name = layer.name.get_ref();
        let confined = Confined::new(self, root, layer.network).map_err(BuildError::Root)?;
        let mut binds = Vec::new();
        let mut points = MountPoints { root, made: Vec::new() };
        for (index, mount) in mounts.iter().enumerate() {
            let copy = confined.directory().join(format!("mount-{index}"));
            mount.sources.copy_to(&copy).map_err(BuildError::Source)?;
            points.make(&mount.to, copy.is_dir()).map_err(BuildError::Root)?;
            binds.push(Bind { from: copy, to: PathBuf::from(&mount.to), read_only: false });
        }
        let shim: &str = &format!("{MANAGERS}/casque-shim");
        let state = format!("{MANAGERS}/state");
        let command = [shim, "step", "--state", &state, "--take-over", "--", "sh", "-e", "-c", run];
        confined.run_step(name, &command, binds)?;
        points.remove().map_err(BuildError::Root)?;
        confined.report().map(Some).map_err(BuildError::Root)
    }

    /// Removes what `with-packages` brought, except what the step itself asked apt for, with its dependencies:
    /// apt knows, because the former is marked as installed automatically.
    fn purge(&self, name: &str, root: &Path) -> Result<(), BuildError> {
        let confined = Confined::new(self, root, false).map_err(BuildError::Root)?;
        let command = [
            "apt-get",
            "--yes",
            "--quiet",
            "--option=APT::AutoRemove::RecommendsImportant=false",
            "--option=APT::AutoRemove::SuggestsImportant=false",
            "--option=Dpkg::Use-Pty=0",
            "autoremove",
            "--purge",
        ];
        confined.run(name, &command)
    }
}

/// Places for mounts that were not there before; they do not ship.
struct MountPoints<'a> {
    root: &'a Path,
    made: Vec<PathBuf>,
}

impl MountPoints<'_> {
    fn make(&mut self, to: &str, directory: bool) -> io::Result<()> {
        let mut path = self.root.to_owned();
        let parts: Vec<&str> = to.split('/').filter(|part| !part.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            path.push(part);
            if path.symlink_metadata().is_ok() {
                continue;
            }
            if directory || index + 1 < parts.len() {
                fs_err::create_dir(&path)?;
            } else {
                fs_err::write(&path, "")?;
            }
            self.made.push(path.clone());
        }
        Ok(())
    }

    fn remove(self) -> io::Result<()> {
        for path in self.made.iter().rev() {
            // The step may have put something beside the mount.
            match path.is_dir() {
                true => drop(fs_err::remove_dir(path)),
                false => fs_err::remove_file(path)?,
            }
        }
        Ok(())
    }
}
