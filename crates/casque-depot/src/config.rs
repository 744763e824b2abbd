//! The configuration: one TOML file, and variables `CASQUE_DEPOT_...` that come before it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::DepotError;

/// What the operator decides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where records and files are.
    #[serde(default = "data")]
    pub data: PathBuf,
    /// Where to listen.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// How customers reach the depot, such as `https://get.vendor.example`; for `install.sh`.
    pub address: Option<String>,
    /// The certificate chain, PEM. Without it the depot speaks plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub tls_key: Option<PathBuf>,
    /// The form of log lines.
    #[serde(default)]
    pub log: Log,
    /// The most bytes of an uploaded file.
    #[serde(default = "largest_file")]
    pub largest_file: u64,
    /// Bytes that uploads leave free.
    #[serde(default = "keep_free")]
    pub keep_free: u64,
    /// Connections at a time.
    #[serde(default = "connections")]
    pub connections: usize,
    /// Seconds in which the head of a request has to be there, on a connection that is kept too.
    #[serde(default = "head_seconds")]
    pub head_seconds: u64,
    /// Seconds without a byte after which a transfer is given up.
    #[serde(default = "idle_seconds")]
    pub idle_seconds: u64,
    /// Seconds that downloads have to finish when the depot stops.
    #[serde(default = "drain_seconds")]
    pub drain_seconds: u64,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub proxies: Vec<IpAddr>,
    /// Addresses that may read `/metrics`, beside this machine's own.
    #[serde(default)]
    pub metrics_from: Vec<IpAddr>,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    /// For people.
    #[default]
    Text,
    /// For programs, one object for each line.
    Json,
}

fn data() -> PathBuf {
    "/var/lib/casque-depot".into()
}

fn listen() -> SocketAddr {
    ([127, 0, 0, 1], 8080).into()
}

fn largest_file() -> u64 {
    100 << 30
}

fn keep_free() -> u64 {
    64 << 20
}

fn connections() -> usize {
    8192
}

fn head_seconds() -> u64 {
    60
}

fn idle_seconds() -> u64 {
    120
}

fn drain_seconds() -> u64 {
    3600
}

impl Config {
    /// Reads a file, if one is named, and what the environment says, which comes first.
    pub fn read(file: Option<&Path>, variables: &BTreeMap<String, String>) -> Result<Self, DepotError> {
        let mut place = String::new();
        let mut text = String::new();
        if let Some(file) = file {
            place = format!(" `{}`", file.display());
            text = fs_err::read_to_string(file).map_err(DepotError::File)?;
        }
        let mut table: toml::Table =
            toml::from_str(&text).map_err(|source| DepotError::Config { place: place.clone(), source })?;
        // The file alone first, so that a mistake in it is shown with its line.
        toml::from_str::<Self>(&text).map_err(|source| DepotError::Config { place, source })?;
        for (name, value) in variables {
            let key = name.to_lowercase().replace('_', "-");
            let parsed = toml::from_str::<toml::Table>(&format!("x = {value}"))
                .ok()
                .and_then(|mut all| all.remove("x"));
            table.insert(key, parsed.unwrap_or_else(|| toml::Value::String(value.clone())));
        }
        let names: Vec<String> = variables.keys().map(|name| format!("`CASQUE_DEPOT_{name}`")).collect();
        let place = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
        table.try_into().map_err(|source| DepotError::Config { place, source })
    }

    /// How long a transfer may stand still.
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("depot.toml");
        std::fs::write(&file, text).unwrap();
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::read(Some(&file), &variables)
            .map_err(|error| error.text("cannot start").replace(file.to_str().unwrap(), "depot.toml"))
    }

    #[test]
    fn the_environment_comes_before_the_file_and_the_file_before_what_is_usual() {
        let config = read(
            "data = '/srv'\nlisten = '[::]:443'\n",
            &[("LISTEN", "0.0.0.0:80"), ("IDLE_SECONDS", "5"), ("PROXIES", "['127.0.0.1']")],
        );
        let config = config.unwrap();
        assert_eq!((config.data, config.listen), ("/srv".into(), "0.0.0.0:80".parse().unwrap()));
        assert_eq!((config.idle_seconds, config.proxies.len(), config.head_seconds), (5, 1, 60));
    }

    #[test]
    fn every_key_is_described_and_no_other() {
        let page = include_str!("../../../docs/depot.md");
        let table = page.split("\n## Configuration\n").nth(1).unwrap().split("\n## ").next().unwrap();
        let keys = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let described: BTreeSet<&str> = keys.flat_map(|(keys, _)| keys.split("`, `")).collect();
        let error = read("zzz = 1", &[]).unwrap_err();
        let (_, known) = error.split_once("expected one of ").unwrap();
        assert_eq!(described, known.split('`').skip(1).step_by(2).collect());
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let error = read("data = '/srv'\nlisten-on = 80\n", &[]).unwrap_err();
        assert!(
            error.starts_with(
                "error: cannot start\n  caused by: cannot accept the configuration `depot.toml`\n"
            ),
            "{error}"
        );
        assert!(error.contains("unknown field `listen-on`") && error.contains("line 2"), "{error}");
        let error = read("", &[("LISTEN", "everywhere")]).unwrap_err();
        assert!(error.contains("cannot accept the configuration of `CASQUE_DEPOT_LISTEN`"), "{error}");
        assert!(error.contains("invalid socket address syntax"), "{error}");
    }
}
