//! The keys of a layer.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

/// `[[layer]]`: packages, then Python, then copies, then the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LayerStep {
    /// For messages and the image's history.
    pub name: Spanned<String>,
    /// Debian packages, `name` or `name=version`.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Virtual environments: a table, or a list of them.
    #[serde(default, deserialize_with = "one_or_several")]
    pub python: Vec<Python>,
    /// Files that ship.
    #[serde(default)]
    pub copy: Vec<Transfer>,
    /// Files that are there for the step only.
    #[serde(default)]
    pub mount: Vec<Transfer>,
    /// A shell command line.
    pub run: Option<String>,
    /// Debian packages that are there for the step only.
    #[serde(default)]
    pub with_packages: Vec<String>,
    /// How the step reaches the network.
    #[serde(default)]
    pub network: StepNetwork,
    /// Values that only the step sees.
    #[serde(default)]
    pub secrets: Vec<Secret>,
}

/// One entry of `secrets`: where the step finds a value that is given to a build.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// What `--secret` calls it.
    pub id: Spanned<String>,
    /// Absolute path of a file.
    pub to: Option<Spanned<String>>,
    /// A variable of the step's command.
    pub variable: Option<Spanned<String>>,
}

impl Secret {
    /// Returns what `--secret` calls it.
    pub fn id(&self) -> &str {
        self.id.get_ref()
    }

    /// Returns the path of its file, if it has one.
    pub fn place(&self) -> Option<String> {
        match (&self.to, &self.variable) {
            (Some(to), _) => Some(to.get_ref().clone()),
            (None, Some(_)) => None,
            (None, None) => Some(format!("/run/secrets/{}", self.id())),
        }
    }
}

/// `network = ...` of a layer: `true`, `false` or `"host"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepNetwork {
    /// Not at all.
    #[default]
    None,
    /// Through a proxy that records downloads when locking and replays them when building.
    Recorded,
    /// As this host does; nobody knows what it gets there.
    Host,
}

impl fmt::Display for StepNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Recorded => "recorded",
            Self::Host => "this host's",
        })
    }
}

impl<'de> Deserialize<'de> for StepNetwork {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = StepNetwork;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, `false` or `\"host\"`")
            }

            fn visit_bool<E>(self, recorded: bool) -> Result<StepNetwork, E> {
                Ok(if recorded { StepNetwork::Recorded } else { StepNetwork::None })
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<StepNetwork, E> {
                match word {
                    "host" => Ok(StepNetwork::Host),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl LayerStep {
    /// Returns the Debian packages that are there for building Python distributions only.
    pub(crate) fn build_packages(&self) -> Vec<String> {
        let mut packages: Vec<String> = Vec::new();
        for package in self.python.iter().flat_map(|python| &python.build_packages) {
            if !packages.contains(package) {
                packages.push(package.clone());
            }
        }
        packages
    }
}

/// `python = {...}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Python {
    /// Absolute path of the virtual environment in the image.
    pub venv: String,
    /// Hash-pinned requirements, relative to the manifest.
    pub requirements: Spanned<String>,
    /// Source trees of the project.
    #[serde(default)]
    pub install: Vec<Spanned<String>>,
    /// Debian packages that are there while distributions are built.
    #[serde(default)]
    pub build_packages: Vec<String>,
    /// What distributions are built with besides what they say themselves.
    #[serde(default)]
    pub build_requires: Vec<String>,
    /// Whether pip is in the environment; left out, where `python3-venv` is in the image.
    pub pip: Option<bool>,
    /// What distributions need of each other is the vendor's business.
    #[serde(default)]
    pub no_deps: bool,
}

/// Reads a table, or a list of tables.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Python>, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Vec<Python>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a table with `venv` and `requirements`, or a list of such tables")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Python::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(Either)
}

/// One entry of `copy` or `mount`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Source, relative to the manifest.
    pub from: Spanned<String>,
    /// Absolute path in the image.
    pub to: Spanned<String>,
}
