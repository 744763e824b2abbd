//! The image as a whole: what its engine is told, and the archive.

use std::collections::BTreeMap;
use std::path::Path;

use casque_fetch::{Network, Progress};
use casque_format::digest::Digest;
use casque_format::paths;
use casque_image::archive::{Image, ImageLayer, write_archive};
use casque_image::config::{ImageConfig, ImageName};
use casque_sandbox::Sandbox;
use serde::Serialize;

use crate::builder::{Builder, Programs, Reach};
use crate::cache::Cache;
use crate::configure::ARCHITECTURE;
use crate::error::BuildError;
use crate::event::Observer;
use crate::lock::{self, Lockfile, Mirrors};
use crate::manifest::Manifest;
use crate::shares::Shares;
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
    /// Where the archive goes.
    pub output: &'a Path,
    /// Say of each layer why it is made again or not.
    pub explain: bool,
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
    /// Length of the archive.
    pub size: u64,
    /// Its layers, lowest first.
    pub layers: Vec<BuiltLayer>,
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
    lock::fetch(request.lock, request.network, request.cache, request.mirrors, request.progress)?;
    let workspace = request.cache.workspace()?;
    let builder = Builder {
        manifest: request.manifest,
        lock: request.lock,
        cache: request.cache,
        sandbox: request.sandbox,
        programs: request.programs,
        reach: request.reach,
        observer: request.observer,
        epoch: request.source_date_epoch.unwrap_or_else(|| request.lock.newest_release()),
        shim: Digest::of(&fs_err::read(&request.programs.shim).map_err(BuildError::Root)?),
        shares: Shares::new(request.manifest, request.lock)?,
        explains: request.explain,
        work: workspace.path(),
        recording: None,
    };
    let stages = builder.stages()?;
    builder.image(&stages, request.output)
}

impl Builder<'_> {
    fn image(&self, stages: &[Stage], output: &Path) -> Result<Built, BuildError> {
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
        let names: Vec<ImageName> = vec![reference.parse()?, format!("{name}:latest").parse()?];
        let written = write_archive(&Image { config: self.config(), layers, names }, output)?;
        Ok(Built { reference, image_id: written.image_id.oci(), size: written.size, layers: built })
    }

    fn config(&self) -> ImageConfig {
        let image = &self.manifest.content.image;
        let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
        ImageConfig {
            architecture: ARCHITECTURE.to_owned(),
            created: self.epoch,
            entrypoint: vec![paths::INIT.to_owned()],
            environment: BTreeMap::from([(
                "PATH".to_owned(),
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            )]),
            ports: image.expose.clone(),
            volumes: vec![paths::DATA.to_owned()],
            labels: BTreeMap::from([label("title", image.name.get_ref()), label("version", &image.version)]),
            stop_signal: Some("SIGTERM".to_owned()),
            ..ImageConfig::default()
        }
    }
}
