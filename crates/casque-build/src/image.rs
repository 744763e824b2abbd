//! The image as a whole: what its engine is told, and the archive.

use casque_fetch::{Network, Progress};
use casque_format::digest::Digest;
use casque_format::paths;
use casque_image::archive::{Image, ImageLayer, Older};
use casque_image::config::ImageName;
use casque_sandbox::Sandbox;
use serde::Serialize;
use time::OffsetDateTime;

use crate::about;
use crate::builder::{self, Builder, Programs, Reach};
use crate::cache::Cache;
use crate::error::BuildError;
use crate::event::{Event, Observer};
use crate::lock::{self, Lockfile, Mirrors};
use crate::manifest::Manifest;
use crate::output::{BuiltOutput, Output};
use crate::repeat::repeat;
use crate::secrets::Secrets;
use crate::shares::{self, Shares};
use crate::stage::Stage;

/// What a build needs.
pub struct BuildRequest<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Its lock.
    pub lock: &'a Lockfile,
    /// The cache.
    pub cache: &'a Cache,
    /// How to download.
    pub network: &'a Network,
    /// What stands in for well-known addresses.
    pub mirrors: &'a Mirrors,
    /// How to run programs.
    pub sandbox: &'a Sandbox,
    /// The programs that go into images and sandboxes.
    pub programs: &'a Programs,
    /// How a step reaches the network.
    pub reach: &'a Reach,
    /// `SOURCE_DATE_EPOCH`; none means the newest date of an archive in the lock.
    pub source_date_epoch: Option<u64>,
    /// Where the image goes.
    pub output: Output<'a>,
    /// Say of each layer why it is made again or not.
    pub explain: bool,
    /// Make what programs made a second time, as on another machine, and compare; the time is this one.
    pub repeat: Option<OffsetDateTime>,
    /// What steps may see and nobody else.
    pub secrets: &'a Secrets,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Who watches downloads.
    pub progress: &'a dyn Progress,
}

/// What was built.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// Its name and tag.
    pub reference: String,
    /// What engines call the image's id.
    pub image_id: String,
    /// Length of the first output.
    pub size: u64,
    /// What was written.
    pub outputs: Vec<BuiltOutput>,
    /// Its layers, lowest first.
    pub layers: Vec<BuiltLayer>,
    /// Its bill of materials, as it is in the image.
    #[serde(skip)]
    pub bill: Vec<u8>,
}

/// One layer of what was built.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltLayer {
    /// Its name.
    pub name: String,
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
    /// Length of that tar.
    pub size: u64,
}

/// Builds the image of a manifest.
///
/// # Errors
/// Whatever can go wrong; the output is then as it was before.
pub fn build(request: &BuildRequest<'_>) -> Result<Built, BuildError> {
    request.secrets.suffice(&request.manifest.content.layer)?;
    let older = request.output.older()?;
    lock::fetch(request.lock, request.network, request.cache, request.mirrors, request.progress)?;
    let workspace = request.cache.workspace()?;
    let (base, carried) = builder::base(request.manifest)?;
    let below = base.as_ref().map_or(0, |base| base.archive.layers().len());
    if let Some(text) = base.as_ref().and_then(|base| carried.said(&base.from)) {
        request.observer.event(&Event::Warning { text });
    }
    let builder = Builder {
        manifest: request.manifest,
        base,
        carried,
        lock: request.lock,
        cache: request.cache,
        sandbox: request.sandbox,
        programs: request.programs,
        reach: request.reach,
        observer: request.observer,
        epoch: request.source_date_epoch.unwrap_or_else(|| request.lock.newest_release()),
        shim: Digest::of(&fs_err::read(&request.programs.shim).map_err(BuildError::Root)?),
        shares: Shares::new(request.manifest, request.lock, below)?,
        explains: request.explain,
        work: workspace.path(),
        secrets: request.secrets,
        elsewhere: None,
        recording: None,
    };
    let stages = builder.stages()?;
    let built = builder.image(&stages, &request.output, older.as_ref())?;
    if let Some(now) = request.repeat {
        repeat(&builder, &stages, now)?;
    }
    Ok(built)
}

impl Builder<'_> {
    fn image(
        &self,
        stages: &[Stage],
        output: &Output<'_>,
        older: Option<&Older>,
    ) -> Result<Built, BuildError> {
        let manifest = self.manifest;
        let name = manifest.content.image.name.get_ref();
        let reference = manifest.reference();
        let mut layers = Vec::new();
        let mut built = Vec::new();
        for layer in stages.iter().flat_map(|stage| &stage.record.layers) {
            let file = self.cache.layers().get(&layer.diff_id)?;
            let file = file.ok_or_else(|| BuildError::CachePruned { layer: layer.name.clone() })?;
            built.push(BuiltLayer { name: layer.name.clone(), diff_id: file.diff_id, size: file.size });
            layers.push(ImageLayer { file, created_by: layer.created_by.clone() });
        }
        let most = shares::most(self.base_layers());
        if layers.len() > most {
            return Err(BuildError::TooManyLayers { layers: layers.len(), most });
        }
        let names: Vec<ImageName> = vec![reference.parse()?, format!("{name}:latest").parse()?];
        let (config, annotations) =
            (about::config(manifest, self.epoch, &self.carried), about::annotations(manifest, self.epoch));
        let image = Image { config, layers, names, annotations };
        let plan = stages.last().expect("an image has stages");
        let bill = plan.trees[0].join(paths::BILL.trim_start_matches('/'));
        let bill = fs_err::read(bill).map_err(BuildError::Cache)?;
        let (image_id, outputs) = self.write_image(&image, output, older)?;
        let size = outputs.first().map_or(0, |output| output.size);
        Ok(Built { reference, image_id, size, outputs, layers: built, bill })
    }
}
