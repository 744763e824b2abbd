//! One stage of a build: a root filesystem's state on top of others, cached by what it was made from.

use std::path::{Path, PathBuf};
use std::time::Instant;

use casque_format::digest::Digest;
use casque_format::shim::Report;
use casque_image::diff;
use casque_image::layer::{Diff, LayerFile, LayerOptions};
use casque_sandbox::{Overlay, Upper, overlay};
use serde::{Deserialize, Serialize};

use crate::builder::Builder;
use crate::error::BuildError;
use crate::event::Event;
use crate::scrub::scrub;

/// Part of every key: a change in how stages are made must change it.
const GENERATION: u32 = 2;

/// A finished stage.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// Digest of everything it was made from, the stages below included.
    pub(crate) key: Digest,
    /// What it adds, as an overlay's lower directories, top first: its own, and what was there for its step, whose
    /// removal is in its own.
    pub(crate) trees: Vec<PathBuf>,
    pub(crate) record: Record,
}

/// What is known of a finished stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// For the image's history.
    pub(crate) created_by: String,
    /// Digest of its layer; none when it changed nothing or is there for a step only.
    pub(crate) layer: Option<Digest>,
    /// The stage that was there for its step only.
    #[serde(default)]
    pub(crate) beneath: Option<Digest>,
    /// Its files are the vendor's own and may hold marks.
    pub(crate) vendor: bool,
    /// Of a vendor's step: what the service managers saw.
    #[serde(default)]
    pub(crate) report: Option<Report>,
}

/// What a stage is made from.
pub(crate) struct Recipe<'a> {
    pub(crate) name: &'a str,
    pub(crate) created_by: String,
    /// Digest of everything but the stages below.
    pub(crate) inputs: Digest,
    /// The image so far, lowest first.
    pub(crate) below: &'a [Stage],
    /// On top of it for this stage only: its content ships only where the work changed or kept it.
    pub(crate) transient: Option<&'a Stage>,
    /// Makes a layer; a transient stage makes none.
    pub(crate) ships: bool,
    /// Its files are the vendor's own and may hold marks.
    pub(crate) vendor: bool,
}

/// Returns the digest of `inputs` as JSON.
pub(crate) fn digest_of(inputs: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(inputs).expect("inputs are plain data"))
}

impl Recipe<'_> {
    fn key(&self) -> Digest {
        let below = self.below.last().map(|stage| stage.key);
        let transient = self.transient.map(|stage| stage.key);
        digest_of(&(GENERATION, self.name, below, transient, self.inputs, self.ships))
    }
}

impl Builder<'_> {
    /// Takes the stage from the cache, or lets `work` change the root filesystem it is given and keeps the difference.
    pub(crate) fn stage(
        &self,
        recipe: &Recipe<'_>,
        work: impl FnOnce(&Path) -> Result<Option<Report>, BuildError>,
    ) -> Result<Stage, BuildError> {
        let key = recipe.key();
        let name = recipe.name.to_owned();
        if let Some(stage) = self.cache.stage(&key).map_err(BuildError::Cache)? {
            self.observer.event(&Event::Cached { name });
            return Ok(stage);
        }
        self.observer.event(&Event::Layer { name: name.clone() });
        let begun = Instant::now();
        let workspace = self.cache.workspace()?;
        let made = workspace.path().join("made");
        let record = self.make(recipe, workspace.path(), &made, work)?;
        let layer = record.layer.and_then(|digest| self.cache.layers().get(&digest).ok()?);
        let bytes = layer.map_or(0, |layer| layer.size);
        let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
        fs_err::write(made.join("stage.json"), text).map_err(BuildError::Cache)?;
        self.cache.keep(&key, &made).map_err(BuildError::Cache)?;
        let milliseconds = begun.elapsed().as_millis() as u64;
        self.observer.event(&Event::Done { name, bytes, milliseconds });
        let stage = self.cache.stage(&key).map_err(BuildError::Cache)?;
        stage.ok_or_else(|| BuildError::CachePruned { layer: recipe.name.to_owned() })
    }

    fn make(
        &self,
        recipe: &Recipe<'_>,
        workspace: &Path,
        made: &Path,
        work: impl FnOnce(&Path) -> Result<Option<Report>, BuildError>,
    ) -> Result<Record, BuildError> {
        let directory = |name: &str| {
            let path = workspace.join(name);
            fs_err::create_dir(&path).map(|()| path).map_err(BuildError::Cache)
        };
        fs_err::create_dir(made).map_err(BuildError::Cache)?;
        let tree = made.join("tree");
        fs_err::create_dir(&tree).map_err(BuildError::Cache)?;
        let (report, layer) = if recipe.below.is_empty() {
            let report = work(&tree)?;
            scrub(&tree).map_err(BuildError::Root)?;
            (report, Some(self.cache.layers().write_tree(&tree, &self.layer_options())?))
        } else {
            let below = lower(recipe.below.iter());
            let above = lower(recipe.below.iter().chain(recipe.transient));
            let at = directory("root")?;
            let upper = Upper { changes: &tree, work: &directory("overlay")? };
            let root = overlay(Overlay { lower: &above, upper: Some(upper), at: &at })?;
            let report = work(root.path())?;
            scrub(root.path()).map_err(BuildError::Root)?;
            let layer = match recipe.ships {
                true => {
                    let at = directory("before")?;
                    let before = overlay(Overlay { lower: &below, upper: None, at: &at })?;
                    self.difference(recipe, before.path(), root.path(), &tree)?
                }
                false => None,
            };
            root.unmount()?;
            (report, layer)
        };
        Ok(Record {
            name: recipe.name.to_owned(),
            created_by: recipe.created_by.clone(),
            layer: layer.map(|layer| layer.diff_id),
            beneath: recipe.transient.map(|stage| stage.key),
            vendor: recipe.vendor,
            report,
        })
    }

    /// Writes what differs between the two views as a layer.
    fn difference(
        &self,
        recipe: &Recipe<'_>,
        before: &Path,
        after: &Path,
        tree: &Path,
    ) -> Result<Option<LayerFile>, BuildError> {
        let transient = recipe.transient.iter().flat_map(|stage| &stage.trees).map(PathBuf::as_path);
        let written: Vec<&Path> = transient.chain([tree]).collect();
        let candidates = diff::overlay_candidates(before, after, &written).map_err(BuildError::Root)?;
        let diff = Diff { lower: before, upper: after, candidates };
        Ok(self.cache.layers().write_diff(&diff, &self.layer_options())?)
    }

    fn layer_options(&self) -> LayerOptions {
        LayerOptions { epoch: self.epoch, ..LayerOptions::default() }
    }
}

/// Returns the trees of `stages`, given lowest first, as an overlay wants them.
fn lower<'a>(stages: impl DoubleEndedIterator<Item = &'a Stage>) -> Vec<PathBuf> {
    stages.rev().flat_map(|stage| stage.trees.clone()).collect()
}
