//! Values that a step needs and that nobody else may see.
//!
//! A step has them in files in memory, or in variables of its own command. They decide nothing that is kept: no key of the
//! cache and no lock is made from a value. What a step leaves and what it asked for is searched for them before anything of
//! it is kept, and whoever prints masks them.

use std::collections::BTreeMap;
use std::fmt;

use casque_format::forms;
use casque_secrets::{Replacer, Secret as Named};
use thiserror::Error;

use crate::manifest::{LayerStep, Secret};

mod given;
mod search;

pub(crate) use given::SecretFiles;

/// What stands in place of a secret.
const MASK: &str = "***";
/// Shorter values are in too many files by chance, and too quickly guessed.
const SHORTEST: usize = 8;

/// The secrets that were given, by name.
#[derive(Clone)]
pub struct Secrets {
    values: BTreeMap<String, Vec<u8>>,
    /// The same, to be searched for.
    named: Vec<Named>,
    /// Masks them.
    replacer: Replacer,
}

/// What can be wrong with secrets.
#[derive(Debug, Error)]
pub enum SecretError {
    /// A layer needs one that was not given.
    #[error("layer `{layer}` needs the secret `{id}`, which was not given")]
    Missing {
        /// The layer.
        layer: String,
        /// The secret.
        id: String,
    },
    /// Too short to be searched for.
    #[error("the secret `{id}` has {length} bytes, and {SHORTEST} are the least that can be searched for")]
    Short {
        /// The secret.
        id: String,
        /// Without the line break at its end.
        length: usize,
    },
    /// It cannot be the value of a variable.
    #[error("the secret `{id}` cannot be the variable `{variable}` of layer `{layer}`, for it is not text")]
    NotText {
        /// The layer.
        layer: String,
        /// The secret.
        id: String,
        /// The variable.
        variable: String,
    },
    /// A step left one where it would ship, or a copy has it.
    #[error("layer `{layer}` leaves a secret in the image:{}", crate::error::list(found))]
    Left {
        /// The layer.
        layer: String,
        /// Which secret is where, and in which form.
        found: Vec<String>,
    },
    /// A step asked for something in a way that would put one into the lock or the cache.
    #[error("layer `{layer}`: what its step downloads holds a secret:{}", crate::error::list(found))]
    Recorded {
        /// The layer.
        layer: String,
        /// Which secret is where, and in which form.
        found: Vec<String>,
    },
}

impl SecretError {
    /// Says what the vendor can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Missing { id, .. } => {
                format!("give it with `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`")
            }
            Self::Short { .. } => "use a longer one; what is shorter is no secret".to_owned(),
            Self::NotText { .. } => "give it as a file, with `to`".to_owned(),
            Self::Left { .. } => {
                "have the step remove it before it ends; nothing of this layer was kept".to_owned()
            }
            Self::Recorded { .. } => {
                "send it in a header such as `Authorization`, which nobody records; nothing was locked"
                    .to_owned()
            }
        }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new(BTreeMap::new()).expect("no secret is too short")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// Takes secrets by name.
    ///
    /// # Errors
    /// One that is too short.
    pub fn new(values: BTreeMap<String, Vec<u8>>) -> Result<Self, SecretError> {
        for (id, value) in &values {
            let length = forms::trimmed(value).len();
            if length < SHORTEST {
                return Err(SecretError::Short { id: id.clone(), length });
            }
        }
        let named = |(name, value): (&String, &[u8])| Named { name: name.clone(), value: value.to_vec() };
        let whole: Vec<Named> = values.iter().map(|(id, value)| named((id, value))).collect();
        let lines = values.iter().flat_map(|(id, value)| forms::lines(value).map(move |line| (id, line)));
        let masked: Vec<Named> = lines.map(named).chain(whole.iter().cloned()).collect();
        Ok(Self { replacer: Replacer::new(&masked), named: whole, values })
    }

    /// Tells whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns `text` with every secret in it masked, in whatever form.
    pub fn mask(&self, text: &str) -> String {
        if self.values.is_empty() {
            return text.to_owned();
        }
        String::from_utf8_lossy(&self.replacer.replace(text.as_bytes(), |_| MASK)).into_owned()
    }

    /// Returns the names of those that no layer asks for.
    pub fn unused<'a>(&'a self, layers: &'a [LayerStep]) -> impl Iterator<Item = &'a str> {
        let asked =
            move |id: &str| layers.iter().flat_map(|layer| &layer.secrets).any(|secret| secret.id() == id);
        self.values.keys().map(String::as_str).filter(move |id| !asked(id))
    }

    /// Checks that everything these layers need was given.
    ///
    /// # Errors
    /// A secret that was not, or one that cannot be a variable.
    pub fn suffice(&self, layers: &[LayerStep]) -> Result<(), SecretError> {
        layers.iter().try_for_each(|layer| self.variables(layer).map(drop))
    }

    /// Returns the variables of a layer's step.
    pub(crate) fn variables(&self, layer: &LayerStep) -> Result<Vec<(String, String)>, SecretError> {
        let mut variables = Vec::new();
        for secret in &layer.secrets {
            let value = self.value(layer, secret)?;
            let Some(variable) = &secret.variable else { continue };
            // As a shell takes it from a file.
            let text = std::str::from_utf8(forms::trimmed(value)).ok().filter(|text| !text.contains('\0'));
            let text = text.ok_or_else(|| SecretError::NotText {
                layer: layer.name.get_ref().clone(),
                id: secret.id().to_owned(),
                variable: variable.get_ref().clone(),
            })?;
            variables.push((variable.get_ref().clone(), text.to_owned()));
        }
        Ok(variables)
    }

    fn value(&self, layer: &LayerStep, secret: &Secret) -> Result<&[u8], SecretError> {
        let missing =
            || SecretError::Missing { layer: layer.name.get_ref().clone(), id: secret.id().to_owned() };
        self.values.get(secret.id()).map(Vec::as_slice).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests;
