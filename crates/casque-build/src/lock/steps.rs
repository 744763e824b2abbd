//! What steps download, in the lock.

use std::collections::BTreeMap;
use std::path::Path;

use casque_fetch::{Store, Wanted};
use casque_format::digest::Digest;
use casque_replay::{Fetch, Preset};
use serde::{Deserialize, Serialize};

use super::Lockfile;
use crate::error::{BuildError, LockError};
use crate::manifest::{Manifest, StepNetwork};

/// What the step of a layer downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// The layer's name.
    pub layer: String,
    /// It sees the host's network, so nobody knows what it downloads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
    /// Digest of the step and the files it was given when this was recorded.
    pub inputs: Digest,
    /// Variables the step was given that say where things are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Its requests, sorted by address.
    #[serde(default, rename = "fetch", skip_serializing_if = "Vec::is_empty")]
    pub fetches: Vec<Fetch>,
}

impl Default for StepRecord {
    fn default() -> Self {
        let inputs = Digest::from_bytes([0; 32]);
        Self { layer: String::new(), host: false, inputs, variables: BTreeMap::new(), fetches: Vec::new() }
    }
}

impl Lockfile {
    /// Returns what each step with a network downloads, in the order of the layers.
    pub fn steps(&self) -> &[StepRecord] {
        &self.steps
    }

    pub(crate) fn step(&self, layer: &str) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.layer == layer)
    }

    /// Checks that the downloads of every step of `manifest` are here.
    pub(super) fn has_recorded(&self, manifest: &Manifest, path: &Path) -> Result<(), BuildError> {
        for layer in &manifest.content.layer {
            let host = match layer.network {
                StepNetwork::None => continue,
                StepNetwork::Recorded => false,
                StepNetwork::Host => true,
            };
            let name = layer.name.get_ref();
            if layer.run.is_some() && self.step(name).is_none_or(|step| step.host != host) {
                let (path, layer) = (path.to_owned(), name.clone());
                return Err(LockError::NotRecorded { path, layer }.into());
            }
        }
        Ok(())
    }

    /// Returns the files that are decided whichever step asks for them, by address: the packages of the lock, and the
    /// archives' metadata by which they were chosen, as far as `store` has it.
    pub(crate) fn presets(&self, store: &Store) -> BTreeMap<String, Preset> {
        let mut presets = BTreeMap::new();
        for archive in &self.archives {
            let file = store.path(&archive.release).metadata();
            let preset = file.map(|file| Preset { sha256: archive.release, size: file.len() });
            presets.extend(preset.map(|preset| (archive.release_url(), preset)));
        }
        for pin in &self.packages {
            let preset = Preset { sha256: pin.sha256, size: pin.size };
            presets.extend(pin.urls.iter().map(|url| (url.clone(), preset)));
        }
        presets
    }

    /// Returns what steps download and what can be downloaded again, with the addresses to try.
    pub(super) fn step_files(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for step in &self.steps {
            for fetch in step.fetches.iter().filter(|fetch| fetch.is_download()) {
                let Some(digest) = fetch.sha256 else { continue };
                let mut urls = vec![fetch.url.clone()];
                urls.extend(self.snapshot_url(&fetch.url));
                urls.extend(redirected_from(&step.fetches, &fetch.url));
                wanted.push(Wanted {
                    label: format!("{} for the step of layer {}", fetch.url, step.layer),
                    urls,
                    digest,
                    size: Some(fetch.size),
                    moving: is_replaced(&fetch.url),
                });
            }
        }
        wanted
    }

    /// Returns the bodies that are in the lock itself.
    pub(super) fn step_texts(&self) -> impl Iterator<Item = (&Digest, &str)> {
        let fetches = self.steps.iter().flat_map(|step| &step.fetches);
        fetches.filter_map(|fetch| Some((fetch.sha256.as_ref()?, fetch.text.as_deref()?)))
    }

    /// Returns where a file of an archive is kept for good, as the archive's packages say.
    fn snapshot_url(&self, url: &str) -> Option<String> {
        let archive = self.archives.iter().find(|archive| url.starts_with(&format!("{}/", archive.url)))?;
        let path = &url[archive.url.len() + 1..];
        let pins = self.packages.iter().filter(|pin| pin.archive == archive.name);
        pins.filter_map(|pin| pin.urls.get(1)?.strip_suffix(&pin.filename))
            .map(|base| format!("{base}{path}"))
            .next()
    }
}

/// Tells whether an archive replaces the file at this address with each update: its metadata, unless named by hash.
fn is_replaced(url: &str) -> bool {
    url.contains("/dists/") && !url.contains("/by-hash/")
}

/// Returns the addresses whose answers led to `url`: that one may be good for a while only.
fn redirected_from<'a>(fetches: &'a [Fetch], url: &'a str) -> Vec<String> {
    let mut from = Vec::new();
    let mut next = vec![url];
    while let Some(url) = next.pop() {
        let leading = fetches.iter().filter(|fetch| {
            fetch.method == "GET" && fetch.headers.get("location").is_some_and(|location| location == url)
        });
        for fetch in leading {
            if !from.contains(&fetch.url) {
                from.push(fetch.url.clone());
                next.push(&fetch.url);
            }
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"version = 1

[[archive]]
name = "bookworm"
url = "http://deb.debian.org/debian"
suite = "bookworm"
components = ["main"]
date = 0
release = "1111111111111111111111111111111111111111111111111111111111111111"
key = ""

[[package]]
name = "hello"
version = "2"
architecture = "amd64"
archive = "bookworm"
filename = "pool/h/hello_2.deb"
urls = ["http://deb.debian.org/debian/pool/h/hello_2.deb", "https://snapshot.debian.org/archive/debian/20260711T221637Z/pool/h/hello_2.deb"]
size = 7
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"

[[step]]
layer = "deploy"
inputs = "3333333333333333333333333333333333333333333333333333333333333333"

[[step.fetch]]
url = "http://deb.debian.org/debian/pool/a/a_1.deb"
size = 1
sha256 = "4444444444444444444444444444444444444444444444444444444444444444"

[[step.fetch]]
url = "https://example.org/releases/latest"
status = 302
headers = { location = "https://storage.example.org/file?signature=short-lived" }

[[step.fetch]]
url = "https://pypi.org/simple/demo/"
text = "page"
size = 4
sha256 = "5555555555555555555555555555555555555555555555555555555555555555"

[[step.fetch]]
url = "https://storage.example.org/file?signature=short-lived"
size = 2
sha256 = "6666666666666666666666666666666666666666666666666666666666666666"
"#;

    fn manifest(network: &str) -> (tempfile::TempDir, Manifest) {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "[image]\nname = \"a/b\"\nversion = \"1\"\ncommand = \"b\"\n[base]\ndistribution = \"debian\"\n\
             suite = \"bookworm\"\n[[layer]]\nname = \"deploy\"\nrun = \"true\"\nnetwork = {network}\n"
        );
        fs_err::write(directory.path().join("casque.toml"), text).unwrap();
        let manifest = Manifest::read(directory.path()).unwrap();
        (directory, manifest)
    }

    #[test]
    fn what_a_step_downloads_has_every_address_it_may_be_at_and_what_has_none_is_in_the_lock() {
        let lock: Lockfile = toml::from_str(LOCK).unwrap();
        let addresses: Vec<Vec<String>> = lock.step_files().into_iter().map(|file| file.urls).collect();
        assert_eq!(
            addresses,
            [
                vec![
                    "http://deb.debian.org/debian/pool/a/a_1.deb",
                    "https://snapshot.debian.org/archive/debian/20260711T221637Z/pool/a/a_1.deb",
                ],
                vec![
                    "https://storage.example.org/file?signature=short-lived",
                    "https://example.org/releases/latest",
                ],
            ]
        );
        assert!(is_replaced("http://mirror.example.org/debian/dists/bookworm/InRelease"));
        assert!(!is_replaced(
            "http://mirror.example.org/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/1"
        ));
        assert!(!is_replaced("http://mirror.example.org/debian/pool/a/a_1.deb"));
        assert_eq!(lock.step_texts().map(|(_, text)| text).collect::<Vec<_>>(), ["page"]);
    }

    #[test]
    fn a_lock_with_steps_is_read_as_it_was_written() {
        let lock: Lockfile = toml::from_str(LOCK).unwrap();
        assert_eq!(toml::from_str::<Lockfile>(&toml::to_string(&lock).unwrap()).unwrap(), lock);
    }

    #[test]
    fn a_lock_without_the_downloads_of_a_step_says_so() {
        let lock: Lockfile = toml::from_str(LOCK).unwrap();
        let path = Path::new("casque.lock");
        let (_directory, recorded) = manifest("true");
        lock.has_recorded(&recorded, path).unwrap();
        let (_directory, host) = manifest("\"host\"");
        let error = lock.has_recorded(&host, path).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lock `casque.lock` does not have what the step of layer `deploy` downloads"
        );
        assert_eq!(error.hint().unwrap(), "run `casque lock`");
    }

    #[test]
    fn what_was_not_there_when_a_step_was_locked_is_named() {
        let asked = ["GET https://example.org/a", "POST https://example.org/b"].map(str::to_owned).to_vec();
        let error = BuildError::NotLocked { layer: "deploy".to_owned(), asked, last: Vec::new() };
        assert_eq!(
            error.to_string(),
            "layer `deploy`: its step asked for what was not there when it was locked:\n\
             GET https://example.org/a\nPOST https://example.org/b"
        );
        assert_eq!(error.class(), crate::ErrorClass::Step);
        assert_eq!(error.hint().unwrap(), "run `casque lock`: it runs the step again and adds what is new");
    }
}
