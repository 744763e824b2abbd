//! supervisor's program files.
//!
//! | in the file | becomes |
//! | --- | --- |
//! | `autorestart=false` with `startsecs=0` | a one-shot: the idiom for a task that runs once at start |
//! | `autorestart=true`, `unexpected` (its default), `false` | restart always, on failure, never |
//! | `startretries` | how many failures in a row count as failed |
//! | `stopsignal`, `stopwaitsecs` | the stop signal and its deadline, where given |
//! | `user`, `directory`, `umask`, `environment` | the same |
//! | `numprocs` | that many services |
//! | `stopasgroup` | the stop signal goes to the whole group |
//! | `priority`, log files | nothing: order is `after` in the manifest, logs are captured |
//! | `autostart=false`, `exitcodes` | a note |
//! | `[eventlistener:x]`, `[fcgi-program:x]` | nothing, see [`unsupported`] |

mod expand;
mod ini;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use casque_format::run::{Kind, Restart, RestartPolicy, Service, Stop};

use self::ini::Section;
use crate::words::split_posix;
use crate::{Note, Startup, Translated, UnitError, signal_name};

/// A file and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its absolute path in the root filesystem; `%(here)s` is its directory.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What expressions may refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `%(ENV_X)s`: supervisor's own environment.
    pub environment: BTreeMap<String, String>,
    /// `%(host_node_name)s`; none makes its use an error, since a build host's name must not reach an image.
    pub host_name: Option<String>,
}

/// One process that supervisor would run.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its process name.
    pub name: String,
    /// The `[group:x]` it is in, else its program name.
    pub group: String,
    /// The file it was found in.
    pub file: String,
    /// Whether supervisor starts it by itself.
    pub autostart: bool,
    /// Lower starts earlier.
    pub priority: i64,
    /// Seconds it must stay up to count as started.
    pub start_seconds: u64,
    /// Exit codes that count as expected.
    pub exit_codes: Vec<i32>,
    /// Everything else.
    pub translated: Translated,
}

impl Program {
    /// Returns the name `supervisorctl` shows: `web`, or `group:web` where they differ.
    pub fn display_name(&self) -> String {
        if self.group == self.name { self.name.clone() } else { format!("{}:{}", self.group, self.name) }
    }
}

/// Returns the glob patterns of `[include] files=`, absolute.
pub fn include_patterns(main: &SourceFile) -> Result<Vec<String>, UnitError> {
    let mut patterns = Vec::new();
    for section in ini::parse(main)?.iter().filter(|section| section.name == "include") {
        for pattern in section.get("files").unwrap_or_default().split_whitespace() {
            let pattern = pattern.replace("%(here)s", directory_of(&main.path));
            patterns.push(if pattern.starts_with('/') {
                pattern
            } else {
                format!("{}/{pattern}", directory_of(&main.path))
            });
        }
    }
    Ok(patterns)
}

/// Returns the programs of all `files` together, by priority and then name, as supervisor starts them.
pub fn programs(files: &[SourceFile], surroundings: &Surroundings) -> Result<Vec<Program>, UnitError> {
    let mut sections = Vec::new();
    for file in files {
        sections.extend(ini::parse(file)?);
    }
    let groups = groups(&sections);
    let shared = shared_environment(&sections, surroundings)?;
    let mut seen = BTreeSet::new();
    let mut programs = Vec::new();
    // A section written twice: the later one wins, as in supervisor.
    for section in sections.iter().rev() {
        let Some(name) = section.name.strip_prefix("program:").map(str::trim) else { continue };
        if seen.insert(name) {
            let group = groups.get(name).copied().unwrap_or(name);
            programs.extend(Reader { section, name, group, surroundings, shared: &shared }.programs()?);
        }
    }
    programs.sort_by(|a, b| (a.priority, &a.group, &a.name).cmp(&(b.priority, &b.group, &b.name)));
    Ok(programs)
}

/// Returns the sections that describe processes which only a running supervisor can feed, such as
/// `eventlistener:memmon`, sorted.
pub fn unsupported(files: &[SourceFile]) -> Result<Vec<String>, UnitError> {
    let mut names = BTreeSet::new();
    for file in files {
        let sections = ini::parse(file)?.into_iter().map(|section| section.name);
        names.extend(
            sections.filter(|name| name.starts_with("eventlistener:") || name.starts_with("fcgi-program:")),
        );
    }
    Ok(names.into_iter().collect())
}

/// Returns which group each program is in.
fn groups(sections: &[Section]) -> BTreeMap<&str, &str> {
    let mut groups = BTreeMap::new();
    for section in sections {
        let Some(group) = section.name.strip_prefix("group:").map(str::trim) else { continue };
        for program in section.get("programs").unwrap_or_default().split(',') {
            groups.insert(program.trim(), group);
        }
    }
    groups
}

/// Returns the `environment=` of `[supervisord]`, which every program inherits.
fn shared_environment(
    sections: &[Section],
    surroundings: &Surroundings,
) -> Result<BTreeMap<String, String>, UnitError> {
    let Some(section) = sections.iter().rev().find(|section| section.name == "supervisord") else {
        return Ok(BTreeMap::new());
    };
    let reader =
        Reader { section, name: "supervisord", group: "supervisord", surroundings, shared: &BTreeMap::new() };
    reader.environment(&reader.values())
}

struct Reader<'a> {
    section: &'a Section,
    name: &'a str,
    group: &'a str,
    surroundings: &'a Surroundings,
    shared: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn programs(&self) -> Result<Vec<Program>, UnitError> {
        let count = self.number("numprocs")?.unwrap_or(1);
        let first = self.number("numprocs_start")?.unwrap_or(0);
        (first..first.saturating_add(count)).map(|number| self.program(number, count)).collect()
    }

    fn program(&self, number: u64, count: u64) -> Result<Program, UnitError> {
        let mut values = self.values();
        values.insert("process_num".to_owned(), number.to_string());
        values.insert("numprocs".to_owned(), count.to_string());
        let own = self.environment(&values)?;
        for (key, value) in &own {
            values.insert(format!("ENV_{key}"), value.clone());
        }
        let mut environment = self.shared.clone();
        environment.extend(own);

        let name = self.expanded("process_name", &values)?.unwrap_or_else(|| self.name.to_owned());
        if count > 1 && !self.section.get("process_name").unwrap_or_default().contains("%(process_num)") {
            let value = self.section.get("process_name").unwrap_or(self.name);
            return Err(self.value_error(
                "process_name",
                value,
                "a name with `%(process_num)`, which `numprocs` asks for",
            ));
        }
        let no_command = || UnitError::NoCommand { unit: self.unit(), key: "command" };
        let line = self.expanded("command", &values)?.ok_or_else(no_command)?;
        let command =
            split_posix(&line).map_err(|expected| self.value_error("command", &line, quote(expected)))?;
        if command.is_empty() {
            return Err(no_command());
        }

        let start_seconds = self.number("startsecs")?.unwrap_or(1);
        let autostart = self.boolean("autostart")?.unwrap_or(true);
        let policy = self.restart_policy()?;
        let oneshot = policy == RestartPolicy::Never && start_seconds == 0;
        Ok(Program {
            name,
            group: self.group.to_owned(),
            file: self.section.file.clone(),
            autostart,
            priority: self.priority()?,
            start_seconds,
            exit_codes: self.exit_codes()?,
            translated: Translated {
                service: Service {
                    working_directory: self.expanded("directory", &values)?,
                    environment,
                    umask: self.umask()?,
                    start_timeout_ms: if oneshot { 600_000 } else { 60_000 },
                    restart: Restart { policy, limit: self.restart_limit()?, ..Restart::default() },
                    stop: self.stop()?,
                    critical: false,
                    ..Service::new(if oneshot { Kind::Oneshot } else { Kind::Simple }, command)
                },
                user: self.expanded("user", &values)?,
                group: None,
                supplementary_groups: Vec::new(),
                startup: if oneshot { Startup::Oneshot { remains: false } } else { Startup::Simple },
                start_pre: Vec::new(),
                reload: Vec::new(),
                stop_commands: Vec::new(),
                start_post: Vec::new(),
                needs: Vec::new(),
                after: Vec::new(),
                notes: self.notes(autostart, &values)?,
            },
        })
    }

    /// Returns what expressions may use, whatever the process.
    fn values(&self) -> BTreeMap<String, String> {
        let mut values: BTreeMap<String, String> = self
            .surroundings
            .environment
            .iter()
            .map(|(key, value)| (format!("ENV_{key}"), value.clone()))
            .collect();
        if let Some(host_name) = &self.surroundings.host_name {
            values.insert("host_node_name".to_owned(), host_name.clone());
        }
        for (key, value) in [
            ("program_name", self.name),
            ("group_name", self.group),
            ("here", directory_of(&self.section.file)),
        ] {
            values.insert(key.to_owned(), value.to_owned());
        }
        values
    }

    fn unit(&self) -> String {
        format!("{}#{}", self.section.file, self.name)
    }

    fn value_error(&self, key: &str, value: &str, expected: &'static str) -> UnitError {
        UnitError::Value { unit: self.unit(), key: key.to_owned(), value: value.to_owned(), expected }
    }

    fn expanded(&self, key: &str, values: &BTreeMap<String, String>) -> Result<Option<String>, UnitError> {
        let Some(text) = self.section.get(key) else { return Ok(None) };
        let expanded = expand::expand(text, values).map_err(|expression| UnitError::Expression {
            unit: self.unit(),
            key: key.to_owned(),
            expression,
        })?;
        Ok(Some(expanded))
    }

    fn environment(&self, values: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, UnitError> {
        let text = self.expanded("environment", values)?.unwrap_or_default();
        expand::environment(&text).map_err(|expected| self.value_error("environment", &text, expected))
    }

    fn number(&self, key: &str) -> Result<Option<u64>, UnitError> {
        let Some(text) = self.section.get(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.value_error(key, text, "a whole number"))
    }

    fn priority(&self) -> Result<i64, UnitError> {
        let Some(text) = self.section.get("priority") else { return Ok(999) };
        text.parse().map_err(|_| self.value_error("priority", text, "a whole number"))
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, UnitError> {
        let Some(text) = self.section.get(key) else { return Ok(None) };
        boolean(text).map(Some).ok_or_else(|| self.value_error(key, text, "`true` or `false`"))
    }

    fn restart_policy(&self) -> Result<RestartPolicy, UnitError> {
        let text = self.section.get("autorestart").unwrap_or("unexpected");
        match (text.to_lowercase().as_str(), boolean(text)) {
            ("unexpected", _) => Ok(RestartPolicy::OnFailure),
            (_, Some(true)) => Ok(RestartPolicy::Always),
            (_, Some(false)) => Ok(RestartPolicy::Never),
            _ => Err(self.value_error("autorestart", text, "`true`, `false` or `unexpected`")),
        }
    }

    fn restart_limit(&self) -> Result<u32, UnitError> {
        let Some(retries) = self.number("startretries")? else { return Ok(Restart::default().limit) };
        Ok(u32::try_from(retries).unwrap_or(u32::MAX).max(1))
    }

    fn exit_codes(&self) -> Result<Vec<i32>, UnitError> {
        let text = self.section.get("exitcodes").unwrap_or("0");
        text.split(',')
            .map(|code| code.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| self.value_error("exitcodes", text, "a list of exit codes with commas between"))
    }

    fn umask(&self) -> Result<Option<u32>, UnitError> {
        let Some(text) = self.section.get("umask") else { return Ok(None) };
        u32::from_str_radix(text, 8).map(Some).map_err(|_| self.value_error("umask", text, "an octal number"))
    }

    fn stop(&self) -> Result<Stop, UnitError> {
        let mut stop = Stop::default();
        if let Some(text) = self.section.get("stopsignal") {
            let name = signal_name(text).ok_or_else(|| self.value_error("stopsignal", text, "a signal"))?;
            stop.signal = name.to_owned();
        }
        stop.group = self.boolean("stopasgroup")?.unwrap_or(false);
        if let Some(seconds) = self.number("stopwaitsecs")? {
            stop.timeout_ms = seconds.saturating_mul(1000);
        }
        Ok(stop)
    }

    fn notes(&self, autostart: bool, values: &BTreeMap<String, String>) -> Result<Vec<Note>, UnitError> {
        let mut notes = Vec::new();
        for key in self.section.keys() {
            let value = self.section.get(key).unwrap_or_default();
            let subject = format!("{key}={value}");
            match key {
                "priority" => notes.push(Note::moot(subject, "order is `after` in the manifest")),
                "autostart" if !autostart => {
                    notes.push(Note::lost(subject, "a declared service is started"));
                }
                "exitcodes" if self.exit_codes()? != [0] => {
                    notes.push(Note::lost(subject, "only exit code 0 is expected"));
                }
                "stdout_logfile" | "stderr_logfile" => {
                    let path = self.expanded(key, values)?.unwrap_or_default();
                    let subject = format!("{key}={path}");
                    notes.push(Note::moot(subject, "the output goes to the container's log"));
                }
                "stdout_syslog" | "stderr_syslog" | "serverurl" => {
                    notes.push(Note::moot(subject, "there is no such daemon in a container"));
                }
                known if KNOWN.contains(&known) => {}
                _ => notes.push(Note::lost(subject, "not an option supervisor knows")),
            }
        }
        Ok(notes)
    }
}

/// Options that are carried over, or mean nothing where logs are captured by PID 1.
const KNOWN: &[&str] = &[
    "autorestart",
    "autostart",
    "command",
    "directory",
    "environment",
    "exitcodes",
    "killasgroup",
    "numprocs",
    "numprocs_start",
    "process_name",
    "redirect_stderr",
    "startretries",
    "startsecs",
    "stderr_capture_maxbytes",
    "stderr_events_enabled",
    "stderr_logfile_backups",
    "stderr_logfile_maxbytes",
    "stdout_capture_maxbytes",
    "stdout_events_enabled",
    "stdout_logfile_backups",
    "stdout_logfile_maxbytes",
    "stopasgroup",
    "stopsignal",
    "stopwaitsecs",
    "umask",
    "user",
];

fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn quote(problem: &str) -> &'static str {
    match problem {
        "a quote is not closed" => "a command line whose quotes are closed",
        _ => "a command line: its last backslash escapes nothing",
    }
}

fn directory_of(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}
