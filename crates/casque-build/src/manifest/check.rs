//! The checks that serde cannot make: names that must exist, order that must have no circle, time that must fit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use casque_format::settings::environment_name;
use casque_sign::{KeyRing, PublicKey};
use toml::Spanned;

use super::raw::{LayerStep, ServiceRule, nearest};
use super::{Manifest, ManifestError, Place, StepNetwork};
use crate::{about, lock, stop};

pub(super) const SIGNALS: [&str; 6] = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"];

/// Environment names that would take something else from every program in the container.
const RESERVED: [&str; 9] = ["HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "NGINX", "LD_PRELOAD"];

pub(super) struct Checker<'a> {
    pub(super) manifest: &'a Manifest,
    text: &'a str,
}

pub(super) fn check(manifest: &Manifest, text: &str) -> Result<(), ManifestError> {
    let checker = Checker { manifest, text };
    checker.image()?;
    checker.base()?;
    checker.archives()?;
    checker.settings()?;
    for layer in &manifest.content.layer {
        checker.layer(layer)?;
    }
    checker.layer_names()?;
    for (name, service) in &manifest.content.service {
        checker.service(name, service)?;
    }
    checker.front()?;
    checker.cycles()?;
    checker.stop_budget()?;
    checker.logs()?;
    checker.preflight()?;
    checker.data()
}

/// Checks the tag alone, for a version given elsewhere.
pub(super) fn tag(manifest: &Manifest, text: &str) -> Result<(), ManifestError> {
    Checker { manifest, text }.tag()
}

/// Reads the keys that the image verifies its successor with.
pub(super) fn verify_keys(manifest: &Manifest, text: &str) -> Result<Vec<String>, ManifestError> {
    let checker = Checker { manifest, text };
    let Some(path) = &manifest.content.image.verify_key else { return Ok(Vec::new()) };
    checker.exists(path)?;
    let keys =
        fs_err::read_to_string(manifest.directory.join(path.get_ref())).map_err(ManifestError::Read)?;
    match KeyRing::parse(&keys) {
        Ok(ring) => Ok(ring.keys().iter().map(PublicKey::line).collect()),
        Err(error) => {
            let expected = format!("a file of public keys as `casque keygen` writes them; {error}");
            checker.value(checker.place(path), "image.verify-key", path.get_ref(), &expected)
        }
    }
}

impl Checker<'_> {
    pub(super) fn place<T>(&self, value: &Spanned<T>) -> Place {
        Place::of(&self.manifest.path, self.text, value.span().start)
    }

    /// Returns the place of a table's header, or of the file's first line.
    pub(super) fn table(&self, name: &str) -> Place {
        let offset = self.text.find(&format!("[{name}]")).or_else(|| self.text.find(&format!("[{name}.")));
        Place::of(&self.manifest.path, self.text, offset.unwrap_or(0))
    }

    /// Returns the place of a key of a table, or of its header, and its whole name.
    fn key(&self, table: &str, key: &str) -> (Place, String) {
        let header = format!("[{table}]");
        let begin = self.text.find(&header).unwrap_or(0);
        let body = &self.text[begin..];
        let end = body[1..].find("\n[").map_or(body.len(), |end| end + 1);
        let line = body[..end].match_indices('\n').map(|(offset, _)| offset + 1);
        let line = line.into_iter().find(|offset| {
            let rest = body[*offset..end].trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        let offset = begin + line.unwrap_or(0);
        (Place::of(&self.manifest.path, self.text, offset), format!("{table}.{key}"))
    }

    pub(super) fn value<T>(
        &self,
        place: Place,
        key: impl Into<String>,
        value: &str,
        expected: &str,
    ) -> Result<T, ManifestError> {
        Err(ManifestError::Value {
            place,
            key: key.into(),
            value: value.to_owned(),
            expected: expected.to_owned(),
        })
    }

    fn image(&self) -> Result<(), ManifestError> {
        let image = &self.manifest.content.image;
        let component = |part: &str| {
            !part.is_empty()
                && part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        };
        if !image.name.get_ref().split('/').all(component) {
            let expected = "a repository name in lower case such as `vendor/backend`";
            return self.value(self.place(&image.name), "image.name", image.name.get_ref(), expected);
        }
        self.tag()?;
        let command = image.command.get_ref();
        if !component(command) {
            return self.value(
                self.place(&image.command),
                "image.command",
                command,
                "one word in lower case",
            );
        }
        self.facts("image.labels", &image.labels)?;
        self.facts("image.annotations", &image.annotations)?;
        self.healthcheck()
    }

    /// Checks labels or annotations: their names, and that they are not what casque itself says.
    fn facts(&self, table: &str, facts: &BTreeMap<String, Spanned<String>>) -> Result<(), ManifestError> {
        let mistake = |name: &str| match about::full_name(name) {
            None => Some(format!("a name with a dot in it, or one of {}", about::WORDS.join(", "))),
            Some(full) if about::is_own(&full) => Some("nothing: casque says this itself".to_owned()),
            Some(_) => None,
        };
        let wrong = facts.iter().find_map(|(name, value)| Some((name, value, mistake(name)?)));
        let Some((name, value, expected)) = wrong else { return Ok(()) };
        self.value(self.place(value), format!("{table}.{name}"), value.get_ref(), &expected)
    }

    fn healthcheck(&self) -> Result<(), ManifestError> {
        let rule = &self.manifest.content.image.healthcheck;
        let table = || self.table("image");
        // Docker takes a zero for its own default and refuses what is shorter than a millisecond.
        let times = [("interval", rule.interval), ("timeout", rule.timeout)];
        if let Some((key, _)) = times.into_iter().find(|(_, time)| time.milliseconds == 0) {
            return self.value(table(), format!("image.healthcheck.{key}"), "0ms", "1 ms or more");
        }
        if rule.retries == 0 {
            return self.value(table(), "image.healthcheck.retries", "0", "1 or more");
        }
        Ok(())
    }

    fn tag(&self) -> Result<(), ManifestError> {
        let tag = self.manifest.tag();
        let fits = tag.len() <= 128
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if fits {
            return Ok(());
        }
        self.value(self.table("image"), "image.tag", &tag, "letters, digits, `.`, `_` and `-`")
    }

    /// Checks what the image stands on: archives, or another image, which says itself what it is.
    fn base(&self) -> Result<(), ManifestError> {
        let base = &self.manifest.content.base;
        let Some(from) = &base.from else {
            let lacks = match (base.distribution, &base.suite) {
                (Some(_), Some(_)) => return Ok(()),
                (Some(_), None) => "a table without `suite`",
                (None, Some(_)) => "a table without `distribution`",
                (None, None) => "a table without either",
            };
            let expected = "`distribution` and `suite`, or `from` for an image to start from";
            let place = self.table("base");
            return Err(ManifestError::Lacking { place, key: "base".to_owned(), lacks, expected });
        };
        let known = ["oci:", "docker-archive:"].iter().find_map(|kind| from.get_ref().strip_prefix(kind));
        match known {
            None | Some("") => {
                let expected = "`oci:DIR` or `docker-archive:FILE`";
                self.value(self.place(from), "base.from", from.get_ref(), expected)
            }
            Some(path) => {
                let full = self.manifest.directory.join(path);
                if full.exists() {
                    return Ok(());
                }
                Err(ManifestError::Missing { place: self.place(from), path: full })
            }
        }
    }

    fn archives(&self) -> Result<(), ManifestError> {
        let base = &self.manifest.content.base;
        let further = base.archive.iter().map(|archive| &archive.signed_by);
        base.signed_by.iter().chain(further).try_for_each(|path| self.exists(path))?;
        base.preseed.iter().try_for_each(|path| self.preseed(path))?;
        self.addresses()
    }

    /// Checks that debconf would understand the answers, which is known before anything is built.
    fn preseed(&self, path: &Spanned<String>) -> Result<(), ManifestError> {
        self.exists(path)?;
        let full = self.manifest.directory.join(path.get_ref());
        let text = fs_err::read_to_string(&full).map_err(ManifestError::Read)?;
        match crate::preseed::mistake(&text) {
            None => Ok(()),
            Some((number, line)) => {
                let place = Place { path: full, line: number };
                let expected =
                    "a line `PACKAGE QUESTION TYPE ANSWER`, TYPE being one of debconf's and not `password`";
                self.value(place, "base.preseed", line, expected)
            }
        }
    }

    /// Checks the addresses of further archives, and pins.
    fn addresses(&self) -> Result<(), ManifestError> {
        let base = &self.manifest.content.base;
        for archive in &base.archive {
            let url = archive.url.get_ref();
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let host = host.map(|rest| rest.split('/').next().unwrap_or_default());
            let place = || self.place(&archive.url);
            if host.is_some_and(|host| host.contains('@')) {
                // Its value is not shown: half of it is a password.
                let expected = "an address without user name and password: they go into `CASQUE_AUTH`";
                return self.value(place(), "base.archive.url", "USER:PASSWORD@", expected);
            }
            if host.is_none_or(str::is_empty) {
                let expected = "an address such as `https://repo.example.com/apt/debian`";
                return self.value(place(), "base.archive.url", url, expected);
            }
        }
        // Of an image to start from, locking knows the names of the distribution's archives.
        let release = base.release();
        let names: Vec<String> = lock::archive_names(base, release.as_ref());
        let is_known = |archive: &String| release.is_none() || names.contains(archive);
        for pin in &base.pin {
            if let Some(archive) = pin.archive.as_ref().filter(|archive| !is_known(archive)) {
                let expected = format!("one of `{}`", names.join("`, `"));
                return self.value(self.table("[base.pin]"), "base.pin.archive", archive, &expected);
            }
            if pin.archive.is_none() && pin.version.is_none() {
                let expected = "`archive`, `version` or both beside `packages`";
                return self.value(self.table("[base.pin]"), "base.pin", &pin.packages.join(", "), expected);
            }
        }
        Ok(())
    }

    fn exists(&self, path: &Spanned<String>) -> Result<(), ManifestError> {
        let full = self.manifest.directory.join(path.get_ref());
        if full.exists() {
            return Ok(());
        }
        Err(ManifestError::Missing { place: self.place(path), path: full })
    }

    fn settings(&self) -> Result<(), ManifestError> {
        for (name, setting) in &self.manifest.content.settings {
            let place = || self.table(&format!("settings.{name}"));
            if !is_setting_name(name) {
                let expected = "lower case letters, digits and `-`, a letter first";
                return self.value(place(), format!("settings.{name}"), name, expected);
            }
            let prefix = &self.manifest.content.image.env_prefix;
            let reserved =
                |variable: &str| RESERVED.contains(&variable) || variable.ends_with("_SERVICE_HOST");
            let variable = environment_name(prefix, name);
            if reserved(&variable) {
                let expected = "a name that hides nothing: set `[image] env-prefix`";
                return self.value(place(), format!("settings.{name}"), &variable, expected);
            }
            let old = setting.renamed_from.iter().map(|old| environment_name(prefix, old));
            if let Some(variable) = old.chain(setting.variables.clone()).find(|name| reserved(name)) {
                let expected = "a name that hides nothing";
                return self.value(place(), format!("settings.{name}"), &variable, expected);
            }
        }
        casque_settings::judge(&self.manifest.settings()).or_else(|found| {
            let (place, key) = self.key(&format!("settings.{}", found.setting), found.key);
            self.value(place, key, &found.value, &found.expected)
        })
    }

    fn layer(&self, layer: &LayerStep) -> Result<(), ManifestError> {
        let name = layer.name.get_ref();
        for transfer in layer.copy.iter().chain(&layer.mount) {
            self.exists(&transfer.from)?;
            self.absolute("to", &transfer.to)?;
        }
        let mut places = BTreeSet::new();
        for python in &layer.python {
            self.exists(&python.requirements)?;
            python.install.iter().try_for_each(|tree| self.exists(tree))?;
            let place = self.place(&python.requirements);
            if !Path::new(&python.venv).is_absolute() {
                return self.value(place, "layer.python.venv", &python.venv, "an absolute path");
            }
            if !places.insert(&python.venv) {
                let expected = "a path that no other environment of the layer has";
                return self.value(place, "layer.python.venv", &python.venv, expected);
            }
        }
        let for_the_step = layer.network != StepNetwork::None
            || !layer.mount.is_empty()
            || !layer.with_packages.is_empty()
            || !layer.secrets.is_empty();
        if layer.run.is_none() && for_the_step {
            let expected =
                "`run` beside `mount`, `with-packages`, `network` and `secrets`, which are for the step";
            return self.value(self.place(&layer.name), "layer.name", name, expected);
        }
        self.secrets(layer)
    }

    fn secrets(&self, layer: &LayerStep) -> Result<(), ManifestError> {
        let is_name = |text: &str| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !text.starts_with('.')
        };
        let is_variable = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let mut places = BTreeSet::new();
        for secret in &layer.secrets {
            let place = self.place(&secret.id);
            if !is_name(secret.id()) {
                let expected = "a name of letters, digits, `-`, `_` and `.`";
                return self.value(place, "layer.secrets.id", secret.id(), expected);
            }
            if let Some(to) = &secret.to {
                self.absolute("layer.secrets.to", to)?;
            }
            if let Some(variable) =
                secret.variable.as_ref().filter(|variable| !is_variable(variable.get_ref()))
            {
                let expected = "a variable's name such as `VAULT_PASSWORD`";
                let place = self.place(variable);
                return self.value(place, "layer.secrets.variable", variable.get_ref(), expected);
            }
            if let Some(twice) = secret.place().filter(|to| !places.insert(to.clone())) {
                return self.value(place, "layer.secrets.to", &twice, "a place that no other secret has");
            }
        }
        Ok(())
    }

    pub(super) fn absolute(&self, key: &str, path: &Spanned<String>) -> Result<(), ManifestError> {
        let text = path.get_ref();
        let clean = text.starts_with('/') && !text.split('/').any(|part| part == "..");
        if clean {
            return Ok(());
        }
        self.value(self.place(path), key, text, "an absolute path without `..`")
    }

    fn layer_names(&self) -> Result<(), ManifestError> {
        let mut seen = BTreeSet::from(["base", "casque", "plan"]);
        for layer in &self.manifest.content.layer {
            if !seen.insert(layer.name.get_ref()) {
                let expected = "a name no other layer has";
                return self.value(self.place(&layer.name), "layer.name", layer.name.get_ref(), expected);
            }
        }
        Ok(())
    }

    /// The log files of a service that is not there would never be written.
    fn logs(&self) -> Result<(), ManifestError> {
        let content = &self.manifest.content;
        match content.logs.keys().find(|name| !content.service.contains_key(name.as_str())) {
            Some(name) => {
                let expected = "the name of a service that this manifest defines";
                self.value(self.table(&format!("logs.{name}")), "logs", name, expected)
            }
            None => Ok(()),
        }
    }

    fn service(&self, name: &str, rule: &ServiceRule) -> Result<(), ManifestError> {
        let table = || self.table(&format!("service.{name}"));
        let services = &self.manifest.content.service;
        if name == "agent" {
            return self.value(table(), "service", name, "another name: `agent` is casque's own service");
        }
        for needed in rule.needs() {
            if !services.contains_key(needed.get_ref()) {
                let names = services.keys().map(String::as_str).filter(|other| *other != name);
                return Err(ManifestError::UnknownService {
                    place: self.place(needed),
                    service: name.to_owned(),
                    needed: needed.get_ref().clone(),
                    closest: nearest(needed.get_ref(), names).map(str::to_owned),
                });
            }
        }
        let switches = [("when", &rule.when), ("unless", &rule.unless)];
        for (key, setting) in
            switches.iter().filter_map(|(key, value)| value.as_ref().map(|value| (key, value)))
        {
            self.known_setting(&format!("service.{name}.{key}"), setting)?;
        }
        for (variable, setting) in &rule.environment_settings {
            self.known_setting(&format!("service.{name}.environment-settings.{variable}"), setting)?;
        }
        match &rule.from {
            Some(from)
                if !from.get_ref().starts_with("supervisor:") && !from.get_ref().starts_with("systemd:") =>
            {
                let expected = "`supervisor:FILE`, `supervisor:FILE#PROGRAM` or `systemd:UNIT`";
                return self.value(
                    self.place(from),
                    format!("service.{name}.from"),
                    from.get_ref(),
                    expected,
                );
            }
            None if rule.command.as_ref().is_none_or(Vec::is_empty) => {
                let expected = "`from` or `command = [...]`";
                return self.value(table(), format!("service.{name}"), "a service without either", expected);
            }
            _ => {}
        }
        if let Some(ready) = &rule.ready
            && ready.kinds() != 1
        {
            let expected = "exactly one of `tcp`, `unix`, `http`, `exec`, `redis`, `mongodb`, `notify`";
            return self.value(
                table(),
                format!("service.{name}.ready"),
                &format!("{} of them", ready.kinds()),
                expected,
            );
        }
        if let Some(signal) = &rule.stop.signal
            && !SIGNALS.contains(&signal.get_ref().as_str())
        {
            let expected = format!("one of {}", SIGNALS.join(", "));
            return self.value(
                self.place(signal),
                format!("service.{name}.stop.signal"),
                signal.get_ref(),
                &expected,
            );
        }
        self.oneshot(name, rule)?;
        self.health(name, rule)?;
        self.edges(name, rule)?;
        self.surroundings(name, rule)
    }

    fn known_setting(&self, key: &str, setting: &Spanned<String>) -> Result<(), ManifestError> {
        let known = self.manifest.settings();
        if known.contains_key(setting.get_ref()) {
            return Ok(());
        }
        Err(ManifestError::UnknownSetting {
            place: self.place(setting),
            key: key.to_owned(),
            setting: setting.get_ref().clone(),
            closest: nearest(setting.get_ref(), known.keys().map(String::as_str)).map(str::to_owned),
        })
    }

    fn front(&self) -> Result<(), ManifestError> {
        let fronts: Vec<&String> = self
            .manifest
            .content
            .service
            .iter()
            .filter(|(_, rule)| rule.front.is_some())
            .map(|(name, _)| name)
            .collect();
        if let [first, second, ..] = fronts[..] {
            let place = self.table(&format!("service.{second}"));
            return self.value(
                place,
                format!("service.{second}.front"),
                second,
                &format!("one front, and `{first}` is it"),
            );
        }
        if let [name] = fronts[..] {
            self.front_paths(name)?;
            self.https_port(name)?;
        }
        if let [front] = fronts[..]
            && self.manifest.content.image.expose.is_empty()
        {
            let place = self.table(&format!("service.{front}"));
            return self.value(
                place,
                format!("service.{front}.front"),
                front,
                "`[image] expose` to name its ports",
            );
        }
        Ok(())
    }

    /// Checks that the port for HTTPS is one that PID 1 opens.
    fn https_port(&self, name: &str) -> Result<(), ManifestError> {
        let Some(port) = self.manifest.https_port() else { return Ok(()) };
        if self.manifest.content.image.expose.contains(&port) {
            return Ok(());
        }
        let place = self.table(&format!("service.{name}"));
        let key = format!("service.{name}.front.https-port");
        self.value(place, key, &port.to_string(), "one of the ports of `[image] expose`")
    }

    /// Checks that the agent's paths are plain ones, each of them another: they go into nginx's configuration.
    fn front_paths(&self, name: &str) -> Result<(), ManifestError> {
        let Some(front) = &self.manifest.content.service[name].front else { return Ok(()) };
        let paths = [
            ("status-path", &front.status_path),
            ("live-path", &front.live_path),
            ("ready-path", &front.ready_path),
            ("metrics-path", &front.metrics_path),
        ];
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        for (index, (key, path)) in paths.iter().enumerate() {
            // All but the status can be switched off.
            if index > 0 && path.is_empty() {
                continue;
            }
            let expected = match path.strip_prefix('/') {
                Some(rest) if !rest.is_empty() && rest.bytes().all(plain) => {
                    match paths[..index].iter().find(|(_, other)| other == path) {
                        None => continue,
                        Some((other, _)) => format!("another path than that of `{other}`"),
                    }
                }
                _ => "a path such as `/status`".to_owned(),
            };
            let place = self.table(&format!("service.{name}"));
            return self.value(place, format!("service.{name}.front.{key}"), path, &expected);
        }
        Ok(())
    }

    fn cycles(&self) -> Result<(), ManifestError> {
        let services = &self.manifest.content.service;
        let after: BTreeMap<&str, Vec<&str>> = services
            .iter()
            .map(|(name, rule)| {
                (name.as_str(), rule.needs().map(|needed| needed.get_ref().as_str()).collect())
            })
            .collect();
        let Some(cycle) = stop::find_cycle(&after) else { return Ok(()) };
        let mut waits = services[cycle[0].as_str()].needs();
        let place = waits.find(|needed| needed.get_ref() == &cycle[1]).map(|needed| self.place(needed));
        Err(ManifestError::Cycle { place: place.expect("the circle follows `after`"), cycle })
    }

    fn stop_budget(&self) -> Result<(), ManifestError> {
        let image = &self.manifest.content.image;
        let budget = image.stop_timeout.milliseconds;
        stop::timeouts(&self.manifest.content.service, budget).map(drop).map_err(|over| {
            ManifestError::StopBudget {
                place: self.table(&format!("service.{}", over.services[0])),
                services: over.services,
                needed: over.needed_ms,
                budget,
            }
        })
    }

    fn data(&self) -> Result<(), ManifestError> {
        for directory in &self.manifest.content.data.directories {
            self.absolute("data.directories.path", &directory.path)?;
            if !directory.path.get_ref().starts_with("/data/") {
                let place = self.place(&directory.path);
                return self.value(
                    place,
                    "data.directories.path",
                    directory.path.get_ref(),
                    "a path under `/data/`",
                );
            }
        }
        self.persist()
    }

    /// What lives in the volume must be able to: a directory of its own, and nothing that others mount.
    fn persist(&self) -> Result<(), ManifestError> {
        let key = "data.persist";
        let mut seen: Vec<&str> = Vec::new();
        for path in &self.manifest.content.data.persist {
            self.absolute(key, path)?;
            let text = path.get_ref().as_str();
            let refuse = |expected: &str| self.value(self.place(path), key, text, expected);
            let is_plain = text.split('/').skip(1).all(|part| !part.is_empty() && part != ".");
            if !is_plain || text.matches('/').count() < 2 {
                return refuse("a directory below another, such as `/var/lib/postgresql`");
            }
            let within = |outer: &str| Path::new(text).starts_with(outer);
            if ["/data", "/dev", "/proc", "/run", "/sys", "/tmp", "/usr/lib/casque"].into_iter().any(within) {
                return refuse(
                    "a directory of the software, outside of `/data` and what is made at each start",
                );
            }
            if seen.iter().any(|one| within(one) || Path::new(one).starts_with(text)) {
                return refuse("a directory that no other entry holds");
            }
            seen.push(text);
        }
        Ok(())
    }
}

fn is_setting_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
