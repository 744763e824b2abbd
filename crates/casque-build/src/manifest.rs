//! The manifest, `casque.toml`: read, checked, and turned into values that cannot be wrong.
//!
//! [`raw`] is the file as serde sees it; `check` judges what serde cannot. Behind [`Manifest::read`]
//! nothing is checked again.

mod check;
mod check_service;
mod error;
pub mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use casque_format::settings::{Kind, Setting};

pub use crate::trim::Keep;
pub use error::{ManifestError, Place};
pub use raw::{
    Distribution, Front, HealthRule, HealthcheckRule, LayerStep, PackagePin, PreflightRule, Python,
    ReadyRule, Release, Secret, ServiceRule, StepNetwork,
};

/// A manifest that passed every check that needs no archive and no root filesystem.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file it came from.
    pub path: PathBuf,
    /// The directory that relative paths start from.
    pub directory: PathBuf,
    /// Its content.
    pub content: raw::File,
    /// The keys of `image.verify-key`, each in one line; none without it.
    pub verify_keys: Vec<String>,
    /// The counter of the release that this is built for; the file does not know it.
    pub counter: Option<u64>,
}

impl Manifest {
    /// Reads and checks `path`, a file or a directory with a `casque.toml`.
    ///
    /// # Errors
    /// The first mistake, with its line where it has one.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let path = if path.is_dir() { path.join("casque.toml") } else { path.to_owned() };
        let text = fs_err::read_to_string(&path).map_err(ManifestError::Read)?;
        Self::of_text(&path, &text)
    }

    /// Checks `text` as if it were the file `path`.
    ///
    /// # Errors
    /// The first mistake, with its line where it has one.
    pub fn of_text(path: &Path, text: &str) -> Result<Self, ManifestError> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let content = raw::parse(path, text)?;
        let (verify_keys, counter) = (Vec::new(), None);
        let mut manifest = Self { path: path.to_owned(), directory, content, verify_keys, counter };
        check::check(&manifest, text)?;
        manifest.verify_keys = check::verify_keys(&manifest, text)?;
        Ok(manifest)
    }

    /// Returns every setting of the product, those that every product has included.
    pub fn settings(&self) -> BTreeMap<String, Setting> {
        let mut settings = self.content.settings.clone();
        let of_https = match self.https_port() {
            Some(_) => casque_format::settings::of_https(),
            None => Vec::new(),
        };
        for (name, setting) in casque_format::settings::built_in().into_iter().chain(of_https) {
            settings.entry(name.to_owned()).or_insert(setting);
        }
        for setting in settings.values_mut().filter(|setting| setting.kind == Kind::Password) {
            setting.secret = true;
        }
        settings
    }

    /// Returns which of the exposed ports is for HTTPS.
    pub(crate) fn https_port(&self) -> Option<u16> {
        self.content.service.values().find_map(|rule| rule.front.as_ref()?.https_port)
    }

    /// Builds another version than the file says.
    ///
    /// # Errors
    /// A version that does not fit into a tag.
    pub fn set_version(&mut self, version: &str) -> Result<(), ManifestError> {
        version.clone_into(&mut self.content.image.version);
        check::tag(self, "")
    }

    /// Returns the image to start from: as the manifest has it, and where that is.
    pub(crate) fn base_image(&self) -> Option<(&str, PathBuf)> {
        let from = self.content.base.from.as_ref()?.get_ref();
        let (_, path) = from.split_once(':')?;
        Some((from, self.directory.join(path)))
    }

    /// Returns the layers whose step downloads through the recording proxy.
    pub fn recorded_layers(&self) -> impl Iterator<Item = &LayerStep> {
        let layers = self.content.layer.iter();
        layers.filter(|layer| layer.run.is_some() && layer.network == StepNetwork::Recorded)
    }

    /// Returns the image's name with its tag, such as `vendor/backend:v43.4.4`.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.content.image.name.get_ref(), self.tag())
    }

    /// Returns the image's tag, such as `v43.4.4`.
    pub fn tag(&self) -> String {
        let image = &self.content.image;
        image.tag.replace("{version}", &image.version)
    }
}

#[cfg(test)]
mod tests;
