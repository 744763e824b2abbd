//! Recording: the steps with a network run once when they are locked, and what they download becomes part of the lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use casque_fetch::Network;
use casque_format::digest::Digest;
use casque_replay::{Login, Preset, Tape};
use casque_sandbox::Sandbox;

use crate::builder::{self, Builder, Programs, Reach};
use crate::error::BuildError;
use crate::event::Event;
use crate::lock::{self, Lockfile, StepRecord, Update};
use crate::manifest::{LayerStep, StepNetwork};
use crate::secrets::Secrets;
use crate::shares::Shares;
use crate::step::project_inputs;
use crate::wire::without_credentials;

/// What running steps needs.
pub struct Steps<'a> {
    /// How to run programs.
    pub sandbox: &'a Sandbox,
    /// The programs that go into images and sandboxes.
    pub programs: &'a Programs,
    /// How this place reaches the network.
    pub reach: &'a Reach,
    /// What they may see and nobody else.
    pub secrets: &'a Secrets,
    /// `SOURCE_DATE_EPOCH`; none means the newest date of an archive in the lock.
    pub source_date_epoch: Option<u64>,
}

impl Steps<'_> {
    /// Returns what makes the stages up to the steps of `request`, recording what is in `recording`.
    pub(crate) fn builder<'a>(
        &'a self,
        request: &'a lock::Request<'_>,
        lock: &'a Lockfile,
        work: &'a Path,
        recording: Option<Recording<'a>>,
    ) -> Result<Builder<'a>, BuildError> {
        let (base, carried) = builder::base(request.manifest)?;
        let below = base.as_ref().map_or(0, |base| base.archive.layers().len());
        Ok(Builder {
            manifest: request.manifest,
            base,
            carried,
            lock,
            cache: request.cache,
            sandbox: self.sandbox,
            programs: self.programs,
            reach: self.reach,
            observer: request.observer,
            epoch: self.source_date_epoch.unwrap_or_else(|| lock.newest_release()),
            shim: Digest::of(&fs_err::read(&self.programs.shim).map_err(BuildError::Root)?),
            shares: Shares::new(request.manifest, lock, below)?,
            explains: false,
            work,
            secrets: self.secrets,
            elsewhere: None,
            recording,
        })
    }
}

/// The steps to record, and what was recorded.
pub(crate) struct Recording<'a> {
    network: &'a Network,
    /// By layer: what was recorded of it before.
    wanted: BTreeMap<String, StepRecord>,
    presets: BTreeMap<String, Preset>,
    variables: BTreeMap<String, String>,
    logins: Vec<Login>,
    mirrors: Vec<(String, String)>,
    made: Mutex<Vec<StepRecord>>,
}

impl Recording<'_> {
    /// Returns what was recorded of a step before, when it is to be recorded.
    pub(crate) fn wants(&self, layer: &str) -> Option<&StepRecord> {
        self.wanted.get(layer)
    }

    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    pub(crate) fn tape(&self, builder: &Builder<'_>, before: &StepRecord) -> Result<Tape, BuildError> {
        let store = builder.cache.store()?;
        let tape = Tape::record(store, self.network.clone(), &before.fetches);
        Ok(tape
            .with_presets(self.presets.clone())
            .with_logins(self.logins.clone())
            .with_mirrors(self.mirrors.clone()))
    }

    pub(crate) fn keep(&self, record: StepRecord) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

/// Runs the steps whose downloads `lock` does not have and adds these; tells whether there were any.
pub(crate) fn record(request: &lock::Request<'_>, lock: &mut Lockfile) -> Result<bool, BuildError> {
    let layers = &request.manifest.content.layer;
    let mut wanted = BTreeMap::new();
    let mut last = 0;
    for (index, layer) in layers.iter().enumerate().filter(|(_, layer)| layer.network != StepNetwork::None) {
        let Some(run) = &layer.run else { continue };
        let name = layer.name.get_ref();
        let inputs = project_inputs(&request.manifest.directory, layer, run)?;
        let before = lock.step(name).filter(|before| before.host == (layer.network == StepNetwork::Host));
        if before.is_some_and(|before| before.inputs == inputs || request.update == Update::WhenStale) {
            continue;
        }
        let empty = || StepRecord { layer: name.clone(), ..StepRecord::default() };
        let mut seed = before.cloned().unwrap_or_else(empty);
        (seed.inputs, seed.host) = (inputs, layer.network == StepNetwork::Host);
        wanted.insert(name.clone(), seed);
        last = index;
    }
    let names: Vec<&String> = layers.iter().map(|layer| layer.name.get_ref()).collect();
    let before = lock.steps.len();
    lock.steps.retain(|step| {
        let layer = layers.iter().find(|layer| *layer.name.get_ref() == step.layer);
        layer.is_some_and(|layer| layer.network != StepNetwork::None && layer.run.is_some())
            && !wanted.contains_key(&step.layer)
    });
    if wanted.is_empty() {
        return Ok(lock.steps.len() != before);
    }
    // Nobody knows what a step gets from the host's network, so there is nothing to run it for.
    let (host, wanted): (BTreeMap<_, _>, _) = wanted.into_iter().partition(|(_, seed)| seed.host);
    lock.steps.extend(host.into_values());
    if !wanted.is_empty() {
        let steps = request.steps.as_ref().ok_or(BuildError::NoSteps)?;
        steps.secrets.suffice(&layers[..=last])?;
        lock::fetch(lock, request.network, request.cache, request.mirrors, request.progress)?;
        let made = run_steps(request, steps, lock, wanted, &layers[..=last])?;
        lock.steps.extend(made);
    }
    lock.steps.sort_by_key(|step| names.iter().position(|name| **name == step.layer));
    Ok(true)
}

fn run_steps(
    request: &lock::Request<'_>,
    steps: &Steps<'_>,
    lock: &Lockfile,
    wanted: BTreeMap<String, StepRecord>,
    layers: &[LayerStep],
) -> Result<Vec<StepRecord>, BuildError> {
    for name in wanted.keys() {
        let what = format!("the step of layer {name} runs, so that what it downloads can be locked");
        request.observer.event(&Event::Work { what });
    }
    let (variables, logins) = without_credentials(&steps.reach.python_variables);
    let recording = Recording {
        network: request.network,
        wanted,
        presets: lock.presets(&request.cache.store()?),
        variables,
        logins,
        mirrors: request.mirrors.pairs(),
        made: Mutex::default(),
    };
    let workspace = request.cache.workspace()?;
    let builder = steps.builder(request, lock, workspace.path(), Some(recording))?;
    builder.stages_of(layers)?;
    let recording = builder.recording.expect("it was just put there");
    Ok(recording.made.into_inner().unwrap_or_else(PoisonError::into_inner))
}
