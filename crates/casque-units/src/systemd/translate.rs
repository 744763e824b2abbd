//! From a unit to a service.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use casque_format::run::{Kind, Resource, Restart, RestartPolicy, RunDirectory, Service, Stop};

use super::environment::parse_environment_file;
use super::specifiers::Specifiers;
use super::unit::Unit;
use super::{rest, span, words};
use crate::{Note, Startup, Step, Translated, UnitError, signal_name};

impl Unit {
    /// Returns the service this unit describes. `files` holds the texts of [`Unit::environment_files`]
    /// that exist, by path.
    pub fn translate(&self, files: &BTreeMap<String, String>) -> Result<Translated, UnitError> {
        if !self.keys().any(|(section, _)| section == "Service") {
            return Err(UnitError::NoSection { unit: self.name.clone(), section: "Service" });
        }
        Reader { unit: self, specifiers: Specifiers::of(&self.name) }.translate(files)
    }
}

struct Reader<'a> {
    unit: &'a Unit,
    specifiers: Specifiers<'a>,
}

/// A command line and the characters that stood before it.
struct Line {
    words: Vec<String>,
    ignore_failure: bool,
    privileged: bool,
}

impl Reader<'_> {
    fn translate(&self, files: &BTreeMap<String, String>) -> Result<Translated, UnitError> {
        let mut notes = Vec::new();
        let environment = self.environment(files)?;
        let startup = self.startup()?;
        let mut lines = self.lines("ExecStart", &environment, &mut notes)?;
        let main = lines
            .pop()
            .ok_or_else(|| UnitError::NoCommand { unit: self.unit.name.clone(), key: "ExecStart" })?;
        if main.privileged && self.unit.value("Service", "User").is_some() {
            notes.push(Note::lost("ExecStart=+", "the service runs as its `User=`"));
        }
        let mut start_pre = self.steps("ExecStartPre", &environment, &mut notes)?;
        start_pre.extend(lines.into_iter().map(step));
        let oneshot = matches!(startup, Startup::Oneshot { .. });
        let mut service = Service {
            working_directory: self.working_directory()?,
            umask: self.octal("UMask")?,
            limits: self.limits(&mut notes)?,
            nice: self.whole("Nice", -20..=19)?,
            oom_score_adjust: self.whole("OOMScoreAdjust", -1000..=1000)?,
            start_timeout_ms: if oneshot { 600_000 } else { 90_000 },
            restart: self.restart(&mut notes)?,
            stop: self.stop(&mut notes)?,
            critical: false,
            directories: self.directories()?,
            environment,
            ..Service::new(if oneshot { Kind::Oneshot } else { Kind::Simple }, main.words)
        };
        if let Some(limit) = self.span("TimeoutStartSec")?.or(self.span("TimeoutSec")?) {
            service.start_timeout_ms = limit;
        }
        let reload = self.steps("ExecReload", &service.environment, &mut notes)?;
        let stop_commands = self.steps("ExecStop", &service.environment, &mut notes)?;
        let start_post = self.steps("ExecStartPost", &service.environment, &mut notes)?;
        service.post_stop = self.post_stop(oneshot, &service.environment, &mut notes)?;
        rest::note(self.unit, &mut notes);
        Ok(Translated {
            user: self.text("User")?,
            group: self.text("Group")?,
            supplementary_groups: self.list("SupplementaryGroups")?,
            startup,
            start_pre,
            reload,
            stop_commands,
            start_post,
            needs: self.units(&["Requires", "BindsTo", "Wants"]),
            after: self.units(&["After"]),
            notes,
            service,
        })
    }

    fn value_error(&self, key: &str, value: &str, expected: &'static str) -> UnitError {
        UnitError::Value {
            unit: self.unit.name.clone(),
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, UnitError> {
        self.unit.value("Service", key).map(|value| self.specifiers.expand(key, value)).transpose()
    }

    fn list(&self, key: &str) -> Result<Vec<String>, UnitError> {
        let mut items = Vec::new();
        for value in self.unit.values("Service", key) {
            let expanded = self.specifiers.expand(key, value)?;
            items.extend(expanded.split_whitespace().map(str::to_owned));
        }
        Ok(items)
    }

    fn boolean(&self, key: &str) -> Result<bool, UnitError> {
        match self.unit.value("Service", key) {
            None | Some("no" | "false" | "off" | "0" | "n" | "f") => Ok(false),
            Some("yes" | "true" | "on" | "1" | "y" | "t") => Ok(true),
            Some(other) => Err(self.value_error(key, other, "`yes` or `no`")),
        }
    }

    fn octal(&self, key: &str) -> Result<Option<u32>, UnitError> {
        let Some(text) = self.unit.value("Service", key) else { return Ok(None) };
        u32::from_str_radix(text, 8).map(Some).map_err(|_| self.value_error(key, text, "an octal number"))
    }

    /// Returns milliseconds; none when not given, when infinite, and for 0, which means infinite too.
    fn span(&self, key: &str) -> Result<Option<u64>, UnitError> {
        let Some(text) = self.unit.value("Service", key) else { return Ok(None) };
        let given = span::milliseconds(text)
            .map_err(|()| self.value_error(key, text, "a time span such as `90s`"))?;
        Ok(given.filter(|limit| *limit > 0))
    }

    fn startup(&self) -> Result<Startup, UnitError> {
        let default = if self.unit.value("Service", "BusName").is_some() { "dbus" } else { "simple" };
        match self.unit.value("Service", "Type").unwrap_or(default) {
            "simple" | "exec" | "idle" => Ok(Startup::Simple),
            "oneshot" => Ok(Startup::Oneshot { remains: self.boolean("RemainAfterExit")? }),
            "notify" | "notify-reload" => Ok(Startup::Notify),
            "forking" => Ok(Startup::Forking {
                pid_file: self
                    .text("PIDFile")?
                    .map(|path| if path.starts_with('/') { path } else { format!("/run/{path}") }),
            }),
            // No bus is there, neither in a build nor in an image.
            "dbus" => Ok(Startup::Simple),
            other => Err(UnitError::Type { unit: self.unit.name.clone(), kind: other.to_owned() }),
        }
    }

    fn environment(&self, files: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, UnitError> {
        let mut environment = BTreeMap::new();
        for value in self.unit.values("Service", "Environment") {
            let open =
                || self.value_error("Environment", value, "a list of NAME=value whose quotes are closed");
            for word in words::split(value).ok_or_else(open)? {
                let word = self.specifiers.expand("Environment", &word)?;
                let (name, value) = word.split_once('=').ok_or_else(open)?;
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
        for file in self.unit.environment_files()? {
            match files.get(&file.path) {
                Some(text) => environment.extend(parse_environment_file(text)),
                None if file.optional => {}
                None => return Err(self.value_error("EnvironmentFile", &file.path, "a file that exists")),
            }
        }
        Ok(environment)
    }

    fn lines(
        &self,
        key: &str,
        environment: &BTreeMap<String, String>,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<Line>, UnitError> {
        let mut lines = Vec::new();
        for value in self.unit.values("Service", key) {
            let words = words::split(value)
                .ok_or_else(|| self.value_error(key, value, "a command line whose quotes are closed"))?;
            for words in words.split(|word| word == ";").filter(|words| !words.is_empty()) {
                lines.push(self.line(key, words, environment, notes)?);
            }
        }
        Ok(lines)
    }

    fn line(
        &self,
        key: &str,
        words: &[String],
        environment: &BTreeMap<String, String>,
        notes: &mut Vec<Note>,
    ) -> Result<Line, UnitError> {
        let prefixes = words[0].len() - words[0].trim_start_matches(['-', '@', '+', '!', ':', '|']).len();
        let (prefixes, program) = words[0].split_at(prefixes);
        let mut command = vec![self.specifiers.expand(key, program)?];
        let mut rest = words[1..].iter();
        if prefixes.contains('@') && rest.next().is_some() {
            notes.push(Note::lost(format!("{key}=@"), "the program's own name is its first argument"));
        }
        for word in rest {
            command.push(self.specifiers.expand(key, word)?);
        }
        if !prefixes.contains(':') {
            for name in words::substitute(&mut command, environment, &["MAINPID"]) {
                notes.push(Note::lost(
                    format!("${name}"),
                    &format!("in `{key}`, it has no value and becomes nothing"),
                ));
            }
        }
        Ok(Line {
            words: command,
            ignore_failure: prefixes.contains('-'),
            privileged: prefixes.contains(['+', '!']),
        })
    }

    fn steps(
        &self,
        key: &str,
        environment: &BTreeMap<String, String>,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<Step>, UnitError> {
        let all_privileged = self.boolean("PermissionsStartOnly")?;
        let steps = self.lines(key, environment, notes)?.into_iter().map(step);
        Ok(steps.map(|step| Step { privileged: step.privileged || all_privileged, ..step }).collect())
    }

    /// Returns the command after its end: one that runs as the service's user. Whether it fails does not matter.
    fn post_stop(
        &self,
        oneshot: bool,
        environment: &BTreeMap<String, String>,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Vec<String>>, UnitError> {
        let mut steps = self.steps("ExecStopPost", environment, notes)?;
        if steps.len() == 1 && !steps[0].privileged && !oneshot {
            return Ok(steps.pop().map(|step| step.command));
        }
        notes.extend(steps.iter().map(|step| {
            let subject = format!("ExecStopPost={}", step.command.join(" "));
            Note::lost(subject, "`post-stop` is one command of a service that stays, and runs as its user")
        }));
        Ok(None)
    }

    fn working_directory(&self) -> Result<Option<String>, UnitError> {
        let Some(path) = self.text("WorkingDirectory")? else { return Ok(None) };
        // `~` is the user's home, which is known only where the users are.
        Ok(Some(path.trim_start_matches('-').to_owned()))
    }

    fn restart(&self, notes: &mut Vec<Note>) -> Result<Restart, UnitError> {
        let given = self.unit.value("Service", "Restart");
        let policy = match given {
            None | Some("always" | "on-success") => RestartPolicy::Always,
            Some("no") => RestartPolicy::Never,
            Some("on-failure" | "on-abnormal" | "on-abort" | "on-watchdog") => RestartPolicy::OnFailure,
            Some(other) => return Err(self.value_error("Restart", other, "a restart policy of systemd")),
        };
        match given {
            Some("on-success") => notes.push(Note::lost("Restart=on-success", "it is `always`")),
            Some(rarer @ ("on-abnormal" | "on-abort" | "on-watchdog")) => {
                notes.push(Note::lost(format!("Restart={rarer}"), "it is `on-failure`"));
            }
            _ => {}
        }
        let mut restart = Restart { policy, ..Restart::default() };
        if let Some(delay) = self.span("RestartSec")? {
            restart.delay_ms = delay;
            restart.max_delay_ms = restart.max_delay_ms.max(delay);
        }
        Ok(restart)
    }

    fn stop(&self, notes: &mut Vec<Note>) -> Result<Stop, UnitError> {
        let mut stop = Stop::default();
        if let Some(text) = self.unit.value("Service", "KillSignal") {
            let name = signal_name(text).ok_or_else(|| self.value_error("KillSignal", text, "a signal"))?;
            stop.signal = name.to_owned();
        }
        // With any other mode only the main process gets the signal, and what it leaves is killed.
        stop.group = matches!(self.unit.value("Service", "KillMode"), None | Some("control-group"));
        if let Some(mode @ ("process" | "none")) = self.unit.value("Service", "KillMode") {
            notes.push(Note::lost(format!("KillMode={mode}"), "nothing of a service outlives it"));
        }
        match (
            self.span("TimeoutStopSec")?.or(self.span("TimeoutSec")?),
            self.unit.value("Service", "TimeoutStopSec"),
        ) {
            (Some(limit), _) => stop.timeout_ms = limit,
            (None, Some(text)) => notes.push(Note::moot(
                format!("TimeoutStopSec={text}"),
                "every stop has a deadline, `stop = { timeout = ... }` in the manifest",
            )),
            (None, None) => {}
        }
        Ok(stop)
    }

    fn directories(&self) -> Result<Vec<RunDirectory>, UnitError> {
        let mut directories = Vec::new();
        let places = [
            ("RuntimeDirectory", "/run"),
            ("StateDirectory", "/var/lib"),
            ("CacheDirectory", "/var/cache"),
            ("LogsDirectory", "/var/log"),
        ];
        for (key, parent) in places {
            let mode = self.octal(&format!("{key}Mode"))?.unwrap_or(0o755);
            let directory =
                |name: &String| RunDirectory { mode, ..RunDirectory::new(format!("{parent}/{name}")) };
            directories.extend(self.list(key)?.iter().map(directory));
        }
        Ok(directories)
    }

    /// Returns a whole number in a range, where given.
    fn whole(&self, key: &str, range: RangeInclusive<i32>) -> Result<Option<i32>, UnitError> {
        let Some(text) = self.unit.value("Service", key) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| self.value_error(key, text, "a whole number in its range"))
    }

    /// Returns the hard limits, the second number where there are two.
    fn limits(&self, notes: &mut Vec<Note>) -> Result<BTreeMap<Resource, u64>, UnitError> {
        let mut limits = BTreeMap::new();
        for (key, resource, unit) in LIMITS {
            let Some(text) = self.unit.value("Service", key) else { continue };
            let last = text.rsplit(':').next().unwrap_or(text);
            if last == "infinity" {
                notes.push(Note::moot(format!("{key}={text}"), "the container's limit counts"));
                continue;
            }
            let limit = number(last, unit).ok_or_else(|| self.value_error(key, text, unit.expected()))?;
            limits.insert(resource, limit);
        }
        Ok(limits)
    }

    /// Returns the services and sockets that keys of `[Unit]` name.
    fn units(&self, keys: &[&str]) -> Vec<String> {
        keys.iter()
            .flat_map(|key| self.unit.values("Unit", key))
            .flat_map(str::split_whitespace)
            .filter(|name| name.ends_with(".service") || name.ends_with(".socket"))
            .filter(|name| !name.starts_with("systemd-"))
            .filter_map(|name| self.specifiers.expand("After", name).ok())
            .collect()
    }
}

/// In what a limit is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Things,
    Bytes,
    Seconds,
}

impl Counted {
    fn expected(self) -> &'static str {
        match self {
            Self::Things => "a number",
            Self::Bytes => "a number of bytes, such as `64M`",
            Self::Seconds => "a time span such as `90s`",
        }
    }
}

const LIMITS: [(&str, Resource, Counted); 9] = [
    ("LimitAS", Resource::As, Counted::Bytes),
    ("LimitCORE", Resource::Core, Counted::Bytes),
    ("LimitCPU", Resource::Cpu, Counted::Seconds),
    ("LimitDATA", Resource::Data, Counted::Bytes),
    ("LimitFSIZE", Resource::Fsize, Counted::Bytes),
    ("LimitMEMLOCK", Resource::Memlock, Counted::Bytes),
    ("LimitNOFILE", Resource::Nofile, Counted::Things),
    ("LimitNPROC", Resource::Nproc, Counted::Things),
    ("LimitSTACK", Resource::Stack, Counted::Bytes),
];

fn number(text: &str, counted: Counted) -> Option<u64> {
    match counted {
        Counted::Things => text.parse().ok(),
        Counted::Seconds => span::milliseconds(text).ok()?.map(|milliseconds| milliseconds.div_ceil(1000)),
        Counted::Bytes => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let factor: u64 = match text[digits.len()..].trim_end_matches('B') {
                "" => 1,
                "K" => 1 << 10,
                "M" => 1 << 20,
                "G" => 1 << 30,
                "T" => 1 << 40,
                _ => return None,
            };
            digits.parse::<u64>().ok()?.checked_mul(factor)
        }
    }
}

fn step(line: Line) -> Step {
    Step { command: line.words, ignore_failure: line.ignore_failure, privileged: line.privileged }
}
