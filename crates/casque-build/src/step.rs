//! A vendor's step: the scripts' own command line, unchanged, in a sandbox with service managers that answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use casque_format::digest::Digest;
use casque_format::shim::Report;
use casque_replay::{Tape, Told};
use casque_sandbox::Bind;

use crate::base_image::package_names;
use crate::builder::Builder;
use crate::error::{BaseError, BuildError};
use crate::event::Event;
use crate::facts;
use crate::ignored::Ignored;
use crate::inputs::{Inputs, digest_of};
use crate::lock::StepRecord;
use crate::manifest::{LayerStep, StepNetwork};
use crate::mount_points::MountPoints;
use crate::packages::Marks;
use crate::record::Recording;
use crate::sandbox::{Access, Confined, Further, MANAGERS};
use crate::secrets::SecretFiles;
use crate::source::{Source, Sources};
use crate::stage::{Recipe, Stage};
use crate::trust::Trust;
use crate::wire::{APT_SETTINGS, Wire, apt_settings};

/// A file or directory that is there for the step only.
struct Mount {
    to: String,
    sources: Sources,
}

/// Returns the digest of a step as far as the project says what it does: another one may download other files.
pub(crate) fn project_inputs(directory: &Path, layer: &LayerStep, run: &str) -> Result<Digest, BuildError> {
    let mounts = mounts(directory, layer)?;
    // Where there are none the digest is what it was before steps had secrets.
    match layer.secrets.is_empty() {
        true => Ok(digest_of(&(run, named(&mounts)))),
        false => Ok(digest_of(&(run, named(&mounts), secrets(layer).collect::<Vec<_>>()))),
    }
}

fn mounts(directory: &Path, layer: &LayerStep) -> Result<Vec<Mount>, BuildError> {
    let ignored = Ignored::of_project(directory).map_err(BuildError::Source)?;
    let mounts = layer.mount.iter().map(|transfer| {
        let from = directory.join(transfer.from.get_ref());
        let sources = Sources::collect(&from, &ignored).map_err(BuildError::Source)?;
        Ok(Mount { to: transfer.to.get_ref().clone(), sources })
    });
    mounts.collect()
}

/// Returns the secrets of a layer's step and where it finds them; their values decide nothing.
fn secrets(layer: &LayerStep) -> impl Iterator<Item = (String, String)> {
    layer.secrets.iter().map(|secret| {
        let variable = secret.variable.iter().map(|variable| format!("${}", variable.get_ref()));
        let places: Vec<String> = secret.place().into_iter().chain(variable).collect();
        (format!("secret `{}`", secret.id()), places.join(", "))
    })
}

fn named(mounts: &[Mount]) -> Vec<(&String, &Vec<Source>)> {
    mounts.iter().map(|mount| (&mount.to, &mount.sources.entries)).collect()
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
        let mounts = mounts(&self.manifest.directory, layer)?;
        for mount in &mounts {
            self.judge_marks(&mount.sources)?;
            for text in facts::named(mount.sources.texts()) {
                self.observer.event(&Event::Warning { text });
            }
        }
        let transient = self.with_packages_stage(layer, below)?;
        let locked = self.lock.step(name).filter(|step| !step.host);
        let recipe = Recipe {
            name,
            created_by: run.to_owned(),
            inputs: self.step_inputs(layer, run, &mounts, locked),
            below,
            transient: transient.as_ref(),
            parts: self.shares.of(name),
            vendor: true,
        };
        let own = match (&self.base, &transient) {
            (Some(_), Some(_)) => package_names(&below[0].trees[0])?,
            _ => BTreeSet::new(),
        };
        let purge = transient.is_some().then_some(&own);
        let step = Step { builder: self, layer, run, mounts: &mounts, purge };
        let recorded =
            self.recording.as_ref().and_then(|recording| Some((recording, recording.wants(name)?)));
        match (layer.network, recorded) {
            (StepNetwork::None, _) => self.stage(&recipe, |root| step.made(root, Access::None)),
            (StepNetwork::Host, _) => {
                let text = format!(
                    "the step of layer `{name}` sees this host's network: what it downloads is not locked, and may be another the next time"
                );
                self.observer.event(&Event::Warning { text });
                self.stage(&recipe, |root| step.made(root, Access::Host))
            }
            (StepNetwork::Recorded, Some((recording, before))) => self.stage_known_later(&recipe, |root| {
                let (report, record) = step.recorded(root, recording, before)?;
                let inputs = self.step_inputs(layer, run, &mounts, Some(&record));
                recording.keep(record);
                Ok((report, inputs))
            }),
            (StepNetwork::Recorded, None) => self.stage(&recipe, |root| step.replayed(root, locked)),
        }
    }

    fn step_inputs(
        &self,
        layer: &LayerStep,
        run: &str,
        mounts: &[Mount],
        locked: Option<&StepRecord>,
    ) -> Inputs {
        let mut inputs = self.dated().with("command line", run).with("network", layer.network);
        inputs = inputs.with_digest_of("program `casque-shim`", &self.shim);
        if let Some(locked) = locked {
            inputs = inputs.with_digest_of("downloads", &(&locked.variables, &locked.fetches));
        }
        let inputs = secrets(layer).fold(inputs, |inputs, (name, places)| inputs.with(&name, places));
        mounts.iter().fold(inputs, |inputs, mount| inputs.with_files(&mount.to, &mount.sources))
    }

    /// Removes what `with-packages` brought, except what the step itself asked apt for, with its dependencies:
    /// apt knows, because the former is marked as installed automatically. What of the base's `own` is marked so as well
    /// stays, whether or not something needs it.
    fn purge(&self, name: &str, root: &Path, own: &BTreeSet<String>) -> Result<(), BuildError> {
        let marks = Marks::hide(root, own).map_err(BuildError::Root)?;
        self.autoremove(name, root)?;
        marks.show().map_err(BuildError::Root)
    }

    fn autoremove(&self, name: &str, root: &Path) -> Result<(), BuildError> {
        let confined = Confined::new(self, root, Access::None).map_err(BuildError::Root)?;
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

/// A step about to run.
struct Step<'a> {
    builder: &'a Builder<'a>,
    layer: &'a LayerStep,
    run: &'a str,
    mounts: &'a [Mount],
    /// There is something to remove afterwards that was there for the step only, and nothing of these packages.
    purge: Option<&'a BTreeSet<String>>,
}

impl Step<'_> {
    /// Runs the step, and leaves what ships.
    fn made(&self, root: &Path, access: Access<'_>) -> Result<Option<Report>, BuildError> {
        let report = self.ran(root, access)?;
        self.cleaned(root)?;
        Ok(Some(report))
    }

    /// Runs the step with what `locked` says it downloads.
    fn replayed(&self, root: &Path, locked: Option<&StepRecord>) -> Result<Option<Report>, BuildError> {
        let nothing = StepRecord::default();
        let locked = locked.unwrap_or(&nothing);
        let tape = Tape::replay(self.builder.cache.store()?, &locked.fetches);
        let (ran, told) = self.ran_on(root, tape, &locked.variables)?;
        if !told.missing.is_empty() {
            let last = match ran {
                Err(BuildError::Step { last, .. }) => last,
                _ => Vec::new(),
            };
            let layer = self.layer.name.get_ref().clone();
            return Err(BuildError::NotLocked { layer, asked: told.missing, last });
        }
        // When it was recorded, what it could not have was told then.
        if ran.is_err() {
            self.tell(&told);
        }
        let report = ran?;
        self.cleaned(root)?;
        Ok(Some(report))
    }

    /// Runs the step and returns what it downloads.
    fn recorded(
        &self,
        root: &Path,
        recording: &Recording<'_>,
        before: &StepRecord,
    ) -> Result<(Option<Report>, StepRecord), BuildError> {
        let tape = recording.tape(self.builder, before)?;
        let (ran, told) = self.ran_on(root, tape, recording.variables())?;
        self.tell(&told);
        let report = ran?;
        if !self.layer.secrets.is_empty() {
            let store = self.builder.cache.store()?;
            self.builder.secrets.are_not_recorded(&before.layer, &told.fetches, &store)?;
        }
        self.cleaned(root)?;
        let record = StepRecord {
            layer: before.layer.clone(),
            host: false,
            inputs: before.inputs,
            variables: recording.variables().clone(),
            fetches: told.fetches,
        };
        Ok((Some(report), record))
    }

    /// Runs the step with a proxy that answers from `tape`, and returns what both say.
    fn ran_on(
        &self,
        root: &Path,
        tape: Tape,
        variables: &BTreeMap<String, String>,
    ) -> Result<(Result<Report, BuildError>, Told), BuildError> {
        let wire = Wire::open(tape, variables)?;
        let trust = Trust::put(root, wire.certificate()).map_err(BuildError::Root)?;
        let ran = self.ran(root, Access::Wire(&wire));
        trust.remove().map_err(BuildError::Root)?;
        let told = wire.close()?;
        Ok((ran, told))
    }

    /// Tells what the step wanted of the network and did not get.
    fn tell(&self, told: &Told) {
        let name = self.layer.name.get_ref();
        let warn = |text: String| self.builder.observer.event(&Event::Warning { text });
        for host in &told.names {
            warn(format!(
                "the step of layer `{name}` looked for `{host}` itself; only what asks the proxy (`http_proxy`, `https_proxy`) gets there"
            ));
        }
        for what in &told.refused {
            warn(format!("the step of layer `{name}` asked for {what}: that cannot be recorded"));
        }
        for what in &told.unreachable {
            warn(format!("the step of layer `{name}` did not reach {what}"));
        }
    }

    /// Removes what was there for the step only.
    fn cleaned(&self, root: &Path) -> Result<(), BuildError> {
        let name = self.layer.name.get_ref();
        if let Some(own) = self.purge {
            self.builder.work("removing what was there for the step only".to_owned());
            self.builder.purge(name, root, own)?;
        }
        self.builder.audit(name, root)
    }

    fn ran(&self, root: &Path, access: Access<'_>) -> Result<Report, BuildError> {
        let name = self.layer.name.get_ref();
        let confined = Confined::new(self.builder, root, access).map_err(BuildError::Root)?;
        if let (Some(base), false) = (&self.builder.base, confined.has("sh").map_err(BuildError::Root)?) {
            return Err(BaseError::NoShell { from: base.from.clone(), layer: name.clone() }.into());
        }
        let mut binds = Vec::new();
        let mut points = MountPoints::new(root, confined.directory());
        for (index, mount) in self.mounts.iter().enumerate() {
            let copy = confined.directory().join(format!("mount-{index}"));
            mount.sources.copy_to(&copy).map_err(BuildError::Source)?;
            points.make(&mount.to, copy.is_dir()).map_err(BuildError::Root)?;
            binds.push(Bind { from: copy, to: PathBuf::from(&mount.to), read_only: false });
        }
        let secrets = SecretFiles::write(self.builder.secrets, self.layer, confined.directory())?;
        for (from, to) in &secrets.files {
            points.make(to, false).map_err(BuildError::Root)?;
            binds.push(Bind { from: from.clone(), to: PathBuf::from(to), read_only: true });
        }
        if let (Access::Wire(_), true) = (access, root.join("etc/apt/apt.conf.d").is_dir()) {
            let from = confined.directory().join("apt.conf");
            fs_err::write(&from, apt_settings()).map_err(BuildError::Root)?;
            points.make(APT_SETTINGS, false).map_err(BuildError::Root)?;
            binds.push(Bind { from, to: PathBuf::from(APT_SETTINGS), read_only: true });
        }
        let shim: &str = &format!("{MANAGERS}/casque-shim");
        let state = format!("{MANAGERS}/state");
        let command = [shim, "step", "--state", &state, "--take-over", "--", "sh", "-e", "-c", self.run];
        let variables = self.builder.secrets.variables(self.layer)?;
        confined.run_step(name, &command, Further { binds, variables })?;
        points.remove().map_err(BuildError::Root)?;
        confined.report().map_err(BuildError::Root)
    }
}
