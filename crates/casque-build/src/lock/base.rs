//! The image that a product starts from, in the lock.

use std::path::Path;

use casque_format::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{Lockfile, Request};
use crate::base_image::{BaseFacts, BaseImage, System};
use crate::error::{BuildError, LockError};
use crate::manifest::{Manifest, Release};

/// The image that a product starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// As the manifest has it.
    pub from: String,
    /// The digest of its configuration, which has those of its layers.
    pub image: Digest,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// Whose archives packages come from; none when it is neither Debian nor Ubuntu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

impl Request<'_> {
    /// Reads the image that the manifest starts from, and checks that the rest of the manifest fits it.
    pub(super) fn base(&self) -> Result<Option<(LockedBase, BaseFacts)>, BuildError> {
        let Some(image) = BaseImage::open(self.manifest)? else { return Ok(None) };
        self.work(&format!("reading the base {}", image.from));
        let facts = image.facts(self.manifest)?;
        image.judge(self.manifest, &facts)?;
        let release = match &facts.system {
            System::Debian(release) => Some(release.clone()),
            System::Other { .. } => None,
        };
        let created = image.archive.config().created;
        let locked = LockedBase { image: image.image(), from: image.from, created, release };
        Ok(Some((locked, facts)))
    }
}

impl Lockfile {
    /// Returns whose archives packages come from.
    pub(crate) fn release(&self, manifest: &Manifest) -> Option<Release> {
        match &self.base {
            Some(base) => base.release.clone(),
            None => manifest.content.base.release(),
        }
    }

    /// Tells whether the image has dpkg: it is made of packages, or starts from an image that is.
    pub(crate) fn has_dpkg(&self) -> bool {
        self.base.as_ref().is_none_or(|base| base.release.is_some())
    }

    /// Checks that the base is the one that was locked.
    pub(super) fn fits_base(&self, manifest: &Manifest, path: &Path) -> Result<(), BuildError> {
        let stale = || {
            let what = "what the image stands on".to_owned();
            Err(LockError::Stale { path: path.to_owned(), what }.into())
        };
        let (locked, from) = match (&self.base, manifest.base_image()) {
            (None, None) => return Ok(()),
            (Some(locked), Some((from, _))) => (locked, from),
            _ => return stale(),
        };
        let base = &manifest.content.base;
        let differs = |release: &Release| {
            base.suite.as_ref().is_some_and(|suite| *suite != release.suite)
                || base.distribution.is_some_and(|distribution| distribution != release.distribution)
        };
        let says_more = base.suite.is_some() || base.distribution.is_some();
        if locked.from != from || locked.release.as_ref().map_or(says_more, differs) {
            return stale();
        }
        let found = BaseImage::open(manifest)?.map(|image| image.image());
        match found {
            Some(found) if found != locked.image => {
                let (path, from, locked) = (path.to_owned(), from.to_owned(), locked.image);
                Err(LockError::BaseChanged { path, from, locked, found }.into())
            }
            _ => Ok(()),
        }
    }
}
