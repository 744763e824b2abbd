//! `release.toml`: which projects there are, what builds them, and where the results go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::release::{ArtefactName, Channel, Kind, Product, ReleaseName};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::error::ReleaseError;
use crate::commands::cache::duration;

/// The whole file, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Where releases go.
    pub(crate) depot: Depot,
    /// Who signs them.
    pub(crate) sign: Sign,
    /// How repositories are watched.
    #[serde(default)]
    pub(crate) watch: Watch,
    /// What is released.
    pub(crate) project: Vec<Project>,
    /// The file that this was read from.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

/// `[depot]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Depot {
    /// Its address, such as `https://download.example.com`.
    pub(crate) address: String,
    /// A file whose first line is the token; `CASQUE_RELEASE_TOKEN` comes before it.
    #[serde(default)]
    pub(crate) token_file: Option<PathBuf>,
}

/// `[sign]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sign {
    /// The secret key.
    pub(crate) key: PathBuf,
    /// A file whose first line opens it; `CASQUE_PASSPHRASE` comes before it.
    #[serde(default)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// After a rotation: public keys from the one after the customers' to that of `key`, each with its `.minisig`.
    #[serde(default)]
    pub(crate) follow: Vec<PathBuf>,
}

/// `[watch]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Watch {
    /// How long to wait before the next look.
    #[serde(deserialize_with = "span")]
    pub(crate) every: Duration,
    /// How often a release that failed is tried again.
    pub(crate) retries: u32,
    /// How long to wait before the first of these; it doubles.
    #[serde(deserialize_with = "span")]
    pub(crate) retry_after: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), retries: 3, retry_after: Duration::from_secs(300) }
    }
}

/// `[[project]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Project {
    /// The depot's name of the product.
    pub(crate) name: Spanned<Product>,
    /// Where the repository is: a path, or an address that git knows.
    pub(crate) git: String,
    /// The directory in the repository that commands run in and paths start from.
    #[serde(default)]
    pub(crate) directory: PathBuf,
    /// The project's own commands, for `sh`.
    pub(crate) commands: Vec<String>,
    /// How long each may take.
    #[serde(default = "two_hours", deserialize_with = "span")]
    pub(crate) timeout: Duration,
    /// How long after its release nobody should install it anew.
    #[serde(default, deserialize_with = "optional_span")]
    pub(crate) expires_after: Option<Duration>,
    /// The notes say what differs from the release before.
    #[serde(default = "yes")]
    pub(crate) compare: bool,
    /// Which tags go where; the first that fits.
    #[serde(default = "stable")]
    pub(crate) channel: Vec<ChannelRule>,
    /// What comes out.
    pub(crate) file: Vec<FileRule>,
}

/// `[[project.channel]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ChannelRule {
    /// The channel.
    pub(crate) name: Channel,
    /// A pattern of git, such as `v*`.
    pub(crate) tags: String,
}

/// `[[project.file]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FileRule {
    /// Where the commands leave it.
    pub(crate) path: String,
    /// What it is called in the release.
    pub(crate) name: Spanned<String>,
    /// What it is for.
    pub(crate) kind: Kind,
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn optional_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    span(deserializer).map(Some)
}

fn two_hours() -> Duration {
    Duration::from_secs(7200)
}

fn yes() -> bool {
    true
}

fn stable() -> Vec<ChannelRule> {
    vec![ChannelRule { name: "stable".parse().expect("it is a name"), tags: "v*".to_owned() }]
}

/// Puts a release in the place of `{tag}`, and of `{version}` without the `v` of a tag.
pub(crate) fn filled(text: &str, release: &ReleaseName) -> String {
    let tag = release.as_str();
    text.replace("{tag}", tag).replace("{version}", tag.strip_prefix('v').unwrap_or(tag))
}

impl Config {
    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ReleaseError> {
        let text = fs_err::read_to_string(path).map_err(ReleaseError::Config)?;
        Self::of_text(path, &text)
    }

    fn of_text(path: &Path, text: &str) -> Result<Self, ReleaseError> {
        let mut config: Self = toml::from_str(text)
            .map_err(|source| ReleaseError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        config.path = path.to_owned();
        config.check(text)?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let paths = [
            Some(&mut config.sign.key),
            config.sign.passphrase_file.as_mut(),
            config.depot.token_file.as_mut(),
        ];
        let paths = paths.into_iter().flatten().chain(&mut config.sign.follow);
        paths.for_each(|path| *path = directory.join(&path));
        for project in &mut config.project {
            // What is no directory here is an address.
            let local = directory.join(&project.git);
            if local.is_dir() {
                project.git = std::path::absolute(&local).unwrap_or(local).display().to_string();
            }
        }
        Ok(config)
    }

    fn check(&self, text: &str) -> Result<(), ReleaseError> {
        let wrong = |offset: usize, problem: String| {
            let line = 1 + text[..offset].matches('\n').count();
            Err(ReleaseError::Wrong { path: self.path.clone(), line, problem })
        };
        let mut names = BTreeSet::new();
        for project in &self.project {
            let begin = project.name.span().start;
            let name = project.name.get_ref();
            if !names.insert(name) {
                return wrong(begin, format!("project `{name}` is there twice"));
            }
            for (list, what) in [
                (project.commands.len(), "command"),
                (project.file.len(), "file"),
                (project.channel.len(), "channel"),
            ] {
                if list == 0 {
                    return wrong(begin, format!("project `{name}` has no {what}"));
                }
            }
            let outside = project
                .directory
                .components()
                .any(|part| !matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
            if outside {
                let directory = project.directory.display();
                return wrong(
                    begin,
                    format!(
                        "project `{name}` has the directory `{directory}`, which is not in its repository"
                    ),
                );
            }
            let mut files = BTreeSet::new();
            for file in &project.file {
                let (begin, pattern) = (file.name.span().start, file.name.get_ref());
                let example = filled(pattern, &"v1".parse().expect("it is a name"));
                if let Err(error) = example.parse::<ArtefactName>() {
                    return wrong(begin, error.to_string());
                }
                if file.kind == Kind::Signature || example.ends_with(".minisig") {
                    return wrong(
                        begin,
                        format!("`{pattern}` would be a signature, and casque makes these itself"),
                    );
                }
                if !pattern.contains("{tag}") && !pattern.contains("{version}") {
                    return wrong(
                        begin,
                        format!(
                            "`{pattern}` has neither `{{tag}}` nor `{{version}}`, so each release would have a file of that name"
                        ),
                    );
                }
                if !files.insert(pattern) {
                    return wrong(begin, format!("project `{name}` has two files `{pattern}`"));
                }
            }
        }
        match self.project.is_empty() {
            true => wrong(0, "there is no `[[project]]`".to_owned()),
            false => Ok(()),
        }
    }

    /// Returns the project of this name, or the only one.
    pub(crate) fn project(&self, name: Option<&str>) -> Result<&Project, ReleaseError> {
        let names = || self.project.iter().map(|project| project.name.get_ref().to_string()).collect();
        match (name, self.project.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(ReleaseError::WhichProject { names: names() }),
            (Some(name), all) => all
                .iter()
                .find(|project| project.name.get_ref().as_str() == name)
                .ok_or_else(|| ReleaseError::NoProject { name: name.to_owned(), names: names() }),
        }
    }
}

#[cfg(test)]
mod tests;
