//! The checks of a service beyond its command: one-shots and their times, health, what follows from others, its surroundings.

use casque_format::cron::Schedule;
use casque_format::preflight::NAMES;
use casque_format::run::Kind;
use toml::Spanned;

use super::ManifestError;
use super::check::{Checker, SIGNALS};
use super::raw::ServiceRule;

impl Checker<'_> {
    /// Checks what only a one-shot can have, and what it cannot.
    pub(super) fn oneshot(&self, name: &str, rule: &ServiceRule) -> Result<(), ManifestError> {
        let key = |key: &str| format!("service.{name}.{key}");
        let table = || self.table(&format!("service.{name}"));
        if let Some(schedule) = &rule.schedule {
            let text = schedule.get_ref();
            if let Err(error) = Schedule::parse(text) {
                let expected = format!("a cron expression such as `0 3 * * *` or `@daily`: {error}");
                return self.value(self.place(schedule), key("schedule"), text, &expected);
            }
            if rule.once.is_some() {
                let expected = "no `schedule` beside `once`";
                return self.value(self.place(schedule), key("schedule"), text, expected);
            }
            if rule.critical == Some(true) {
                let expected = "`false`: a run that fails is reported, and the next comes at its time";
                return self.value(table(), key("critical"), "true", expected);
            }
        }
        let runs_to_its_end = rule.schedule.is_some() || rule.once.is_some();
        if rule.kind == Some(Kind::Simple) && runs_to_its_end {
            let expected = "`oneshot` beside `once` or `schedule`";
            return self.value(table(), key("type"), "simple", expected);
        }
        if rule.kind() == Some(Kind::Oneshot) {
            let given = [
                ("ready", rule.ready.is_some()),
                ("health", rule.health.is_some()),
                ("front", rule.front.is_some()),
                ("reload", rule.reload.is_some()),
                ("post-stop", rule.post_stop.is_some()),
            ];
            if let Some((wrong, _)) = given.into_iter().find(|(_, given)| *given) {
                let expected = "a service that stays: a one-shot is ready when it has ended well";
                return self.value(table(), key(wrong), "given", expected);
            }
        }
        Ok(())
    }

    /// Checks how it is asked whether it serves, and told that it should read its files again.
    pub(super) fn health(&self, name: &str, rule: &ServiceRule) -> Result<(), ManifestError> {
        let table = || self.table(&format!("service.{name}"));
        if let Some(health) = &rule.health {
            let key = |key: &str| format!("service.{name}.health{key}");
            let kinds = health.check().kinds();
            if kinds != 1 {
                let expected = "exactly one of `tcp`, `unix`, `http`, `exec`, `redis`, `mongodb`";
                return self.value(table(), key(""), &format!("{kinds} of them"), expected);
            }
            if health.interval.milliseconds < 1_000 {
                let given = format!("{}ms", health.interval.milliseconds);
                return self.value(table(), key(".interval"), &given, "`1s` or more");
            }
            if health.timeout.milliseconds == 0 {
                return self.value(table(), key(".timeout"), "0ms", "1 ms or more");
            }
            if health.failures == 0 {
                return self.value(table(), key(".failures"), "0", "1 or more");
            }
        }
        if rule.check.as_ref().is_some_and(|command| command.first().is_none_or(String::is_empty)) {
            let expected = "a command, such as `[\"nginx\", \"-t\"]`";
            return self.value(table(), format!("service.{name}.check"), "empty", expected);
        }
        if rule.post_stop.as_ref().is_some_and(|command| command.first().is_none_or(String::is_empty)) {
            let expected = "a command, such as `[\"rm\", \"-f\", \"/run/web/lock\"]`";
            return self.value(table(), format!("service.{name}.post-stop"), "empty", expected);
        }
        let Some(reload) = &rule.reload else {
            return Ok(());
        };
        let kinds = usize::from(reload.signal.is_some()) + usize::from(reload.exec.is_some());
        if kinds != 1 {
            let given = format!("{kinds} of them");
            return self.value(
                table(),
                format!("service.{name}.reload"),
                &given,
                "exactly one of `signal`, `exec`",
            );
        }
        if let Some(signal) =
            reload.signal.as_ref().filter(|signal| !SIGNALS.contains(&signal.get_ref().as_str()))
        {
            let expected = format!("one of {}", SIGNALS.join(", "));
            let key = format!("service.{name}.reload.signal");
            return self.value(self.place(signal), key, signal.get_ref(), &expected);
        }
        Ok(())
    }

    /// Checks what it needs others for.
    pub(super) fn edges(&self, name: &str, rule: &ServiceRule) -> Result<(), ManifestError> {
        let services = &self.manifest.content.service;
        for (key, needed) in needs(rule) {
            if services.get(needed.get_ref()).is_some_and(|needed| needed.schedule.is_some()) {
                let expected = "a service without `schedule`: nobody can wait for the next run of one";
                let key = format!("service.{name}.{key}");
                return self.value(self.place(needed), key, needed.get_ref(), expected);
            }
        }
        for lost in rule.when_lost.keys() {
            if !rule.needs().any(|needed| needed.get_ref() == lost.get_ref()) {
                let expected = "a service that it comes `after` or `requires`";
                let key = format!("service.{name}.when-lost");
                return self.value(self.place(lost), key, lost.get_ref(), expected);
            }
        }
        Ok(())
    }

    /// Checks what the vendor has looked at on a host.
    pub(super) fn preflight(&self) -> Result<(), ManifestError> {
        let services = &self.manifest.content.service;
        for (name, rule) in &self.manifest.content.preflight {
            let table = || self.table(&format!("preflight.{name}"));
            if NAMES.contains(&name.as_str()) || self.manifest.settings().contains_key(name) {
                let expected = "another name: casque looks at something that is called so";
                return self.value(table(), "preflight", name, expected);
            }
            if !services.contains_key(rule.service.get_ref()) {
                let key = format!("preflight.{name}.service");
                let expected = "a service of this manifest";
                return self.value(self.place(&rule.service), key, rule.service.get_ref(), expected);
            }
            if rule.run.first().is_none_or(String::is_empty) {
                let expected = "a command, such as `[\"/opt/backend/bin/licence\"]`";
                return self.value(table(), format!("preflight.{name}.run"), "empty", expected);
            }
        }
        Ok(())
    }

    /// Checks what its process finds.
    pub(super) fn surroundings(&self, name: &str, rule: &ServiceRule) -> Result<(), ManifestError> {
        let key = |key: &str| format!("service.{name}.{key}");
        let in_range = |value: &Option<Spanned<i32>>, word: &str, range: std::ops::RangeInclusive<i32>| {
            let wrong = value.as_ref().filter(|value| !range.contains(value.get_ref()));
            wrong.map_or(Ok(()), |value| {
                let expected = format!("{} to {}", range.start(), range.end());
                self.value(self.place(value), key(word), &value.get_ref().to_string(), &expected)
            })
        };
        in_range(&rule.nice, "nice", -20..=19)?;
        in_range(&rule.oom_score_adjust, "oom-score-adjust", -1000..=1000)?;
        for directory in &rule.directories {
            self.absolute("directories.path", &directory.path)?;
        }
        for file in rule.files.iter().flatten() {
            self.absolute("files", file)?;
        }
        for variable in &rule.inherit {
            let text = variable.get_ref();
            if text.is_empty() || text.contains('=') {
                let place = self.place(variable);
                return self.value(place, key("inherit"), text, "the name of an environment variable");
            }
        }
        let Some(replicas) = &rule.replicas else {
            return Ok(());
        };
        let place = || self.place(replicas);
        let numbers = replicas.get_ref();
        if [numbers.count, numbers.per_cpu, numbers.max].contains(&Some(0)) {
            return self.value(place(), key("replicas"), "0", "1 or more");
        }
        if numbers.count.is_none() && numbers.per_cpu.is_none() && numbers.per_memory.is_none() {
            let expected = "`per-cpu`, `per-memory` or both beside `max`";
            return self.value(place(), key("replicas"), "a table without either", expected);
        }
        if rule.front.is_some() || rule.schedule.is_some() || rule.once.is_some() {
            let expected = "a service that is not the front and has neither `once` nor `schedule`";
            return self.value(place(), key("replicas"), "given", expected);
        }
        let is_replica = |other: &&String| {
            let number = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        match self.manifest.content.service.keys().find(is_replica) {
            Some(other) => {
                let place = self.table(&format!("service.{other}"));
                let expected = format!("another name: the replicas of `{name}` are called so");
                self.value(place, "service", other, &expected)
            }
            None => Ok(()),
        }
    }
}

/// Returns each service that it needs, with the key that says so.
fn needs(rule: &ServiceRule) -> impl Iterator<Item = (&'static str, &Spanned<String>)> {
    let after = rule.after.iter().map(|needed| ("after", needed));
    after.chain(rule.requires.iter().map(|needed| ("requires", needed)))
}
