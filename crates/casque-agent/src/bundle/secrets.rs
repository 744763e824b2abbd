//! What may not be in a bundle: every secret that is known here, and the names that stand for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use casque_format::bundle;
use casque_format::forms::{lines, trimmed};
use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::run::RunPlan;
use casque_secrets::{Replacer, Search, Secret};
use fs_err as fs;
use serde_json::Value;

use super::looks::{Look, Looks, keys};
use super::pseudonyms::Pseudonyms;
use crate::backup::PASSPHRASE;
use crate::env::Environment;
use crate::root::Root;
use crate::settings::hidden::{Hidden, Unknown, decoded};
use crate::settings::{Problem, Sources};

/// Shorter values are everywhere by chance.
const SHORTEST: usize = 4;
/// Where private keys are.
const KEYS: [&str; 4] = [paths::TLS_KEY, paths::TLS_KEPT, paths::TLS_OWN, paths::TLS_SERVED];
/// What only keys have in them, to be looked for at the end.
const KEY: &str = "PRIVATE KEY-----";

/// Why no bundle can be made.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A place of settings cannot be read.
    #[error("{0}")]
    Setting(Problem),
    /// Another user's file.
    #[error("{0}")]
    Other(io::Error),
    /// It cannot be looked for.
    #[error(
        "setting `{setting}`: its secret has {length} bytes, and {SHORTEST} are the least that can be looked for"
    )]
    Short {
        /// Which.
        setting: String,
        /// How many.
        length: usize,
    },
}

/// The secrets of this instance.
pub struct Secrets {
    /// Sorted by value, so that the same has one name.
    all: Vec<Secret>,
    /// What stands in the place of each.
    names: Vec<String>,
    replacer: Replacer,
    looks: Looks,
    pseudonyms: Pseudonyms,
    /// Settings that may have a secret.
    settings: BTreeSet<String>,
}

impl Secrets {
    /// Reads all of them.
    ///
    /// # Errors
    /// A place that cannot be read: what it has cannot be kept out.
    pub fn read(
        root: &Root,
        plan: &ImagePlan,
        environment: &Environment,
        pseudonyms: Pseudonyms,
    ) -> Result<Self, SecretsError> {
        let hidden = Sources::of(plan, environment, root).hidden().map_err(|unknown| match unknown {
            Unknown::Setting(problem) => SecretsError::Setting(problem),
            Unknown::Other(error) => SecretsError::Other(error),
        })?;
        let mut values: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        for Hidden { setting, value, may_be_short } in hidden {
            let value = trimmed(&value);
            match value.len() {
                SHORTEST.. => drop(values.entry(value.to_vec()).or_insert(setting)),
                length @ 1.. if !may_be_short => return Err(SecretsError::Short { setting, length }),
                _ => {}
            }
        }
        if let Some(passphrase) = environment.get(PASSPHRASE) {
            values.entry(passphrase.as_encoded_bytes().to_vec()).or_insert("backup-passphrase".to_owned());
        }
        for path in KEYS {
            let found = keys(&optional(root, path)?.unwrap_or_default());
            values.extend(found.into_iter().map(|key| (key, "private-key".to_owned())));
        }
        let of_lines: Vec<_> = values
            .iter()
            .flat_map(|(value, name)| lines(value).map(move |line| (line.to_vec(), name.clone())))
            .collect();
        for (line, name) in of_lines {
            values.entry(line).or_insert(name);
        }
        // What PID 1 masks now, though the settings may be others meanwhile.
        for value in mask(root)? {
            let value = trimmed(&value);
            let is_known =
                values.keys().any(|known| known.split(|byte| *byte == b'\n').any(|line| line == value));
            if value.len() >= SHORTEST && !is_known && !value.starts_with(b"-----") {
                values.insert(value.to_vec(), "masked".to_owned());
            }
        }
        let all: Vec<Secret> = values.into_iter().map(|(value, name)| Secret { name, value }).collect();
        // A name that has another secret in it would give that away.
        let search = Search::new(&all);
        let name = |secret: &Secret| {
            // What a URL has is the same secret as what it means.
            let meant = decoded(&secret.value);
            let is_meant = |other: &&Secret| other.value == meant;
            let Secret { name, value } = all.iter().find(is_meant).unwrap_or(secret);
            let full = pseudonyms.of(Some(name), value);
            match search.in_bytes(full.as_bytes()) {
                None => full,
                Some(_) => pseudonyms.of(None, value),
            }
        };
        Ok(Self {
            names: all.iter().map(name).collect(),
            replacer: Replacer::new(&all),
            looks: Looks::new(),
            settings: plan
                .settings
                .iter()
                .filter(|(_, one)| one.is_secret())
                .map(|(name, _)| name.clone())
                .collect(),
            all,
            pseudonyms,
        })
    }

    /// Returns a text with a pseudonym in the place of each secret, and how many there were.
    pub fn replace(&self, text: &[u8]) -> (Vec<u8>, u64) {
        let mut count = 0;
        let known = self.replacer.replace(text, |secret| {
            count += 1;
            &self.names[secret]
        });
        let replaced = self.looks.replace(&known, |look: Look, value| {
            count += 1;
            self.pseudonyms.of(Some(look.name()), value)
        });
        (replaced, count)
    }

    /// Does the same with text.
    pub fn replace_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.replace(text.as_bytes()).0).into_owned()
    }

    /// Does the same with every text in a document, but for its keys.
    pub fn replace_in(&self, document: &mut Value) {
        match document {
            Value::String(text) => *text = self.replace_text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.replace_in(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.replace_in(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Returns everything that may not be there in the end.
    pub fn forbidden(&self) -> Vec<Secret> {
        let key = Secret { name: "private-key".to_owned(), value: KEY.into() };
        self.all.iter().cloned().chain([key]).collect()
    }

    /// Returns what the manifest says of them.
    pub fn told(&self) -> Vec<bundle::Secret> {
        let mut told: BTreeMap<&str, BTreeSet<&str>> =
            self.settings.iter().map(|name| (name.as_str(), BTreeSet::new())).collect();
        for (secret, name) in self.all.iter().zip(&self.names) {
            told.entry(&secret.name).or_default().insert(name);
        }
        let one = |(name, pseudonyms): (&str, BTreeSet<&str>)| bundle::Secret {
            name: name.to_owned(),
            known: !pseudonyms.is_empty(),
            pseudonyms: pseudonyms.into_iter().map(str::to_owned).collect(),
        };
        told.into_iter().map(one).collect()
    }

    /// Says whether the names are those of other bundles.
    pub fn scope(&self) -> bundle::Scope {
        self.pseudonyms.scope
    }
}

/// Returns what PID 1 masks; nothing while it has no plan.
fn mask(root: &Root) -> Result<Vec<Vec<u8>>, SecretsError> {
    let Some(content) = optional(root, paths::RUN_PLAN)? else { return Ok(Vec::new()) };
    let plan: RunPlan = serde_json::from_slice(&content)
        .map_err(|error| SecretsError::Other(io::Error::other(format!("`{}`: {error}", paths::RUN_PLAN))))?;
    Ok(plan.mask.into_iter().map(String::into_bytes).collect())
}

fn optional(root: &Root, path: &str) -> Result<Option<Vec<u8>>, SecretsError> {
    match fs::read(root.join(path)) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SecretsError::Other(error)),
    }
}
