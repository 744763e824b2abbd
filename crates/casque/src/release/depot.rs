//! The depot, as builds see it.

use std::path::Path;

use casque_fetch::{FetchError, Network, Progress, Store, Upload, Wanted, fetch_all};
use casque_format::digest::Digest;
use casque_format::release::{Artefact, Listing, Product, Signed};
use serde::de::DeserializeOwned;

use super::error::ReleaseError;

/// The depot's side of one product.
pub(crate) struct DepotClient<'a> {
    pub(crate) network: &'a Network,
    /// Its address.
    pub(crate) address: &'a str,
    pub(crate) product: &'a Product,
}

impl DepotClient<'_> {
    fn url(&self, rest: &str) -> String {
        format!("{}/api/v1/{}/{rest}", self.address.trim_end_matches('/'), self.product)
    }

    fn look_up<T: DeserializeOwned>(&self, rest: &str) -> Result<Option<T>, ReleaseError> {
        let bytes = self.network.look_up(&self.url(rest)).map_err(ReleaseError::Depot)?;
        bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(ReleaseError::Answer)
    }

    /// Returns which releases there are.
    pub(crate) fn listing(&self) -> Result<Listing, ReleaseError> {
        let url = self.url("releases");
        self.look_up("releases")?.ok_or(ReleaseError::Depot(FetchError::NotFound { url }))
    }

    /// Returns the record of a release.
    pub(crate) fn record(&self, release: &str) -> Result<Option<Signed>, ReleaseError> {
        self.look_up(&format!("releases/{release}"))
    }

    /// Brings a file there, and returns how many bytes that took.
    pub(crate) fn upload(
        &self,
        digest: Digest,
        size: u64,
        file: &Path,
        progress: &dyn Progress,
    ) -> Result<u64, ReleaseError> {
        let url = self.url(&format!("blobs/{digest}"));
        self.network.upload(&Upload { url: &url, file, size }, progress).map_err(ReleaseError::Depot)
    }

    /// Makes a release visible.
    pub(crate) fn publish(&self, signed: &Signed) -> Result<(), ReleaseError> {
        let body = serde_json::to_vec(signed).expect("a record is plain data");
        let posted = self.network.post(&self.url("releases"), "application/json", &body);
        posted.map(drop).map_err(ReleaseError::Depot)
    }

    /// Brings a file of an older release here.
    pub(crate) fn fetch(
        &self,
        artefact: &Artefact,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<(), ReleaseError> {
        let wanted = Wanted {
            label: artefact.name.to_string(),
            urls: vec![self.url(&format!("blobs/{}", artefact.sha256))],
            digest: artefact.sha256,
            size: Some(artefact.size),
            moving: false,
        };
        fetch_all(self.network, store, &[wanted], 1, progress).map(drop).map_err(ReleaseError::Depot)
    }
}
