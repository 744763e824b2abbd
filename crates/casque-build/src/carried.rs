//! What the configuration of a base image means for the product: its variables and labels carry over, and the rest says how
//! one program is run, which the manifest says of several.

use std::collections::{BTreeMap, BTreeSet};

use casque_image::config::ImageConfig;

use crate::about;

/// Variables that say who runs a program, which is each service's own.
const OF_THE_USER: [&str; 5] = ["HOME", "USER", "LOGNAME", "SHELL", "HOSTNAME"];
/// Where programs are, in whatever order the base has these.
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Commands that are there for whoever says none.
const SHELLS: [&str; 6] = ["sh", "/bin/sh", "bash", "/bin/bash", "ash", "/bin/ash"];

/// What carries over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// For services, steps and the container; `PATH` has all usual directories.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// What does not, in words.
    pub(crate) left: Vec<String>,
}

/// Decides what of `config` carries over; `settings` are the variables that customers set.
pub(crate) fn carried(config: &ImageConfig, settings: &BTreeSet<String>) -> Carried {
    let mut carried = Carried::default();
    let mut left = Vec::new();
    let mut leave = |name: &str, what: &[String]| {
        if !what.is_empty() {
            left.push(format!("{name} `{}`", what.join(" ")));
        }
    };
    leave("Entrypoint", &config.entrypoint);
    let is_shell = matches!(&config.command[..], [only] if SHELLS.contains(&only.as_str()));
    leave("Cmd", if is_shell { &[] } else { &config.command });
    leave("User", config.user.as_slice());
    leave("WorkingDir", config.working_directory.as_slice());
    leave("Volumes", &config.volumes);
    leave("ExposedPorts", &config.ports.iter().map(ToString::to_string).collect::<Vec<_>>());
    leave("StopSignal", config.stop_signal.as_slice());
    leave("Healthcheck", config.healthcheck.as_ref().map_or(&[][..], |check| &check.command));
    let is_setting = |name: &str| {
        settings.contains(name) || name.strip_suffix("_FILE").is_some_and(|name| settings.contains(name))
    };
    for (name, value) in &config.environment {
        if is_setting(name) {
            leave("Env", std::slice::from_ref(name));
        } else if name == "PATH" {
            carried.environment.insert(name.clone(), with_usual(value));
        } else if !OF_THE_USER.contains(&name.as_str()) {
            carried.environment.insert(name.clone(), value.clone());
        }
    }
    // They say what the base is, and the image is something else.
    let own = config.labels.iter().filter(|(name, _)| !about::is_of_oci(name));
    carried.labels = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    carried.left = left;
    carried
}

/// Adds the usual directories that a search path lacks.
fn with_usual(path: &str) -> String {
    let mut directories: Vec<&str> = path.split(':').filter(|part| !part.is_empty()).collect();
    for usual in DIRECTORIES {
        if !directories.contains(&usual) {
            directories.push(usual);
        }
    }
    directories.join(":")
}

impl Carried {
    /// Says in one line what of the base `from` does not carry over.
    pub(crate) fn said(&self, from: &str) -> Option<String> {
        (!self.left.is_empty()).then(|| {
            format!(
                "of the configuration of the base `{from}`, {} does not carry over: services and settings of the \
                 manifest say it",
                self.left.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_and_labels_carry_over_and_what_runs_one_program_is_named() {
        let config = ImageConfig {
            entrypoint: vec!["/init".to_owned(), "--now".to_owned()],
            command: vec!["bash".to_owned()],
            environment: map(&[
                ("PATH", "/opt/java/bin:/usr/bin"),
                ("JAVA_HOME", "/opt/java"),
                ("HOME", "/srv"),
                ("PORT", "80"),
                ("PORT_FILE", "/x"),
            ]),
            ports: vec![80, 443],
            volumes: vec!["/var/lib/x".to_owned()],
            user: Some("app".to_owned()),
            labels: map(&[("org.opencontainers.image.title", "Base"), ("com.vendor.team", "x")]),
            ..ImageConfig::default()
        };
        let carried = carried(&config, &BTreeSet::from(["PORT".to_owned()]));
        let path = "/opt/java/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin";
        assert_eq!(carried.environment, map(&[("JAVA_HOME", "/opt/java"), ("PATH", path)]));
        assert_eq!(carried.labels, map(&[("com.vendor.team", "x")]));
        insta::assert_snapshot!(carried.said("oci:base").unwrap(), @"of the configuration of the base `oci:base`, Entrypoint `/init --now`, User `app`, Volumes `/var/lib/x`, ExposedPorts `80 443`, Env `PORT`, Env `PORT_FILE` does not carry over: services and settings of the manifest say it");
    }

    #[test]
    fn a_base_that_says_nothing_says_nothing() {
        assert_eq!(carried(&ImageConfig::default(), &BTreeSet::new()).said("oci:base"), None);
    }
}
