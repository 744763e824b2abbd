//! What a stage is made from, each part under a name: their digest decides whether it is made anew, and the names say
//! why.

use std::collections::BTreeMap;

use casque_debian::Pin;
use casque_format::digest::Digest;
use casque_python::PinnedDistribution;
use serde::{Deserialize, Serialize};

use crate::source::Sources;

/// Everything a stage is made from but the stages below.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Inputs(BTreeMap<String, Input>);

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Input {
    /// For people: a version, a command line; empty when its digest is all there is to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) shown: String,
    /// Of what is too long to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
}

/// Returns the digest of `value` as JSON.
pub(crate) fn digest_of(value: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(value).expect("inputs are plain data"))
}

impl Inputs {
    /// Adds a part that can be shown.
    pub(crate) fn with(self, name: &str, value: impl ToString) -> Self {
        self.put(name, Input { shown: value.to_string(), digest: None })
    }

    /// Adds a part that is known by its digest.
    pub(crate) fn with_digest_of(self, name: &str, value: &impl Serialize) -> Self {
        self.put(name, Input { shown: String::new(), digest: Some(digest_of(value)) })
    }

    /// Adds Debian packages, each by its name.
    pub(crate) fn with_packages(self, packages: &[Pin]) -> Self {
        packages.iter().fold(self, |inputs, pin| {
            let input = Input { shown: pin.version.to_string(), digest: Some(pin.sha256) };
            inputs.put(&format!("package `{}`", pin.name), input)
        })
    }

    /// Adds Python distributions, each by its name.
    pub(crate) fn with_distributions(self, distributions: &[PinnedDistribution]) -> Self {
        // Two environments may have two versions of one: see [`Inputs::put`].
        distributions.iter().fold(self, |inputs, pin| {
            let input = Input { shown: pin.version.clone(), digest: Some(digest_of(pin)) };
            inputs.put(&format!("distribution `{}`", pin.name), input)
        })
    }

    /// Adds the vendor's files that go to `to`, each by its path there.
    pub(crate) fn with_files(self, to: &str, sources: &Sources) -> Self {
        sources.entries.iter().fold(self, |inputs, entry| {
            let path = match entry.relative().as_os_str().is_empty() {
                true => to.to_owned(),
                false => format!("{}/{}", to.trim_end_matches('/'), entry.relative().display()),
            };
            let input = Input { shown: String::new(), digest: Some(digest_of(entry)) };
            inputs.put(&format!("file `{path}`"), input)
        })
    }

    /// Adds a part. A second one of the same name counts as well: of two copies to one place the order matters.
    fn put(mut self, name: &str, input: Input) -> Self {
        let input = match self.0.remove(name) {
            Some(first) => Input { digest: Some(digest_of(&(first, &input))), ..input },
            None => input,
        };
        self.0.insert(name.to_owned(), input);
        self
    }

    pub(crate) fn parts(&self) -> &BTreeMap<String, Input> {
        &self.0
    }
}
