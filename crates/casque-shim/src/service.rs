//! One service of the step: what it is, its state, its log and its notify socket.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::shim::{Manager, StartedService};
use casque_units::supervisor::Program;
use casque_units::{Startup, Step, Translated};
use fs_err as fs;

use crate::error::ShimError;
use crate::machine::{Beside, Habits, Machine, Rules, number_of};
use crate::protocol::{ProgramInfo, ServiceInfo, State};
use crate::unit_files::Loaded;

/// Stop deadlines of the tools themselves; in a build nobody waits for a short one, and a database that
/// is killed leaves a recovery to every customer.
const LEAST_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How many lines of its log are shown when it cannot be started.
const LOG_LINES: usize = 15;

/// A service that was started or could be.
#[derive(Debug)]
pub(crate) struct Service {
    /// Its state.
    pub(crate) machine: Machine,
    /// What it runs.
    pub(crate) translated: Translated,
    /// What the report says of it.
    pub(crate) about: StartedService,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// The socket on which it says that it is ready, and its path; a new one for each start.
    pub(crate) notify: Option<(UnixDatagram, PathBuf)>,
    /// What a later reading of its files found while it ran; counts from its next start.
    newer: Option<(Translated, Rules)>,
}

impl Service {
    /// Returns the service of a unit.
    pub(crate) fn of_unit(loaded: Loaded, state: &Path) -> Self {
        let translated = loaded.translated;
        let rules = rules(&translated, Habits::Systemd, Duration::from_millis(100));
        Self {
            machine: Machine::new(rules),
            translated,
            log: log_path(state, &loaded.name),
            about: StartedService { name: loaded.name, manager: loaded.manager, file: loaded.file },
            notify: None,
            newer: None,
        }
    }

    /// Returns the service of a supervisor program.
    pub(crate) fn of_program(program: &Program, state: &Path) -> Self {
        let habits = Habits::Supervisor {
            start: Duration::from_secs(program.start_seconds),
            expected: program.exit_codes.clone(),
        };
        let translated = program.translated.clone();
        let name = program.display_name();
        Self {
            machine: Machine::new(rules(&translated, habits, Duration::ZERO)),
            translated,
            log: log_path(state, &name),
            about: StartedService { name, manager: Manager::Supervisor, file: program.file.clone() },
            notify: None,
            newer: None,
        }
    }

    /// Notes what another reading of its files found; counts from its next start.
    pub(crate) fn reload(&mut self, fresh: Self) {
        self.newer = Some((fresh.translated, fresh.machine.into_rules()));
        self.about = fresh.about;
    }

    /// Takes over what [`Service::reload`] noted, before a start.
    pub(crate) fn renew(&mut self) {
        if !matches!(self.machine.state(), State::Inactive | State::Failed | State::Exited) {
            return;
        }
        if let Some((translated, rules)) = self.newer.take() {
            self.translated = translated;
            self.machine = Machine::new(rules);
        }
    }

    /// Opens the socket on which it says that it is ready, if it says so at all.
    pub(crate) fn open_notify(&mut self) -> Result<(), ShimError> {
        self.notify = match self.translated.startup {
            Startup::Notify => Some(notify_socket(&self.log.with_extension("notify"))?),
            _ => None,
        };
        Ok(())
    }

    /// Returns the command at `index` of one of the lists beside the main command.
    pub(crate) fn step_command(&self, which: Beside, index: usize) -> Option<&Step> {
        let steps = match which {
            Beside::Before => &self.translated.start_pre,
            Beside::Reload => &self.translated.reload,
            Beside::Stop => &self.translated.stop_commands,
        };
        steps.get(index)
    }

    /// Returns what a client is told about a unit.
    pub(crate) fn info(&self) -> ServiceInfo {
        ServiceInfo {
            unit: self.about.name.clone(),
            state: self.machine.state(),
            pid: self.machine.main(),
            message: self.machine.message().map(str::to_owned),
            log: self.last_lines(),
        }
    }

    /// Returns what a client is told about a program.
    pub(crate) fn program_info(&self, program: &Program, now: Duration) -> ProgramInfo {
        ProgramInfo {
            group: program.group.clone(),
            name: program.name.clone(),
            in_use: true,
            autostart: program.autostart,
            priority: program.priority,
            state: self.machine.state(),
            pid: self.machine.main(),
            uptime: now.saturating_sub(self.machine.since()).as_secs(),
            message: self.machine.message().map(str::to_owned),
            log: self.log.display().to_string(),
        }
    }

    /// Returns the last lines it wrote.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| (*line).to_owned()).collect()
    }

    /// Returns what it said on its socket since the last time.
    pub(crate) fn notifications(&self) -> Vec<Notification> {
        let Some((socket, _)) = &self.notify else { return Vec::new() };
        let mut buffer = [0; 4096];
        let mut said = Vec::new();
        while let Ok(length) = socket.recv(&mut buffer) {
            for line in String::from_utf8_lossy(&buffer[..length]).lines() {
                if line == "READY=1" {
                    said.push(Notification::Ready);
                } else if let Some(Ok(pid)) = line.strip_prefix("MAINPID=").map(str::parse) {
                    said.push(Notification::Main(pid));
                }
            }
        }
        // A main process is named before readiness is told, whatever the order of the lines.
        said.sort();
        said
    }
}

/// What a service can say on its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Notification {
    /// This is its main process.
    Main(i32),
    /// It is ready.
    Ready,
}

fn rules(translated: &Translated, habits: Habits, delay: Duration) -> Rules {
    let ignored = |steps: &[Step]| steps.iter().map(|step| step.ignore_failure).collect();
    let service = &translated.service;
    Rules {
        startup: translated.startup.clone(),
        before: ignored(&translated.start_pre),
        reload: ignored(&translated.reload),
        stop: ignored(&translated.stop_commands),
        policy: service.restart.policy,
        limit: service.restart.limit,
        delay,
        start_timeout: Duration::from_millis(service.start_timeout_ms),
        stop_timeout: Duration::from_millis(service.stop.timeout_ms).max(LEAST_STOP_TIMEOUT),
        signal: number_of(&service.stop.signal),
        signal_group: service.stop.group,
        habits,
    }
}

fn log_path(state: &Path, name: &str) -> PathBuf {
    state.join(format!("{}.log", name.replace('/', "-")))
}

fn notify_socket(path: &Path) -> Result<(UnixDatagram, PathBuf), ShimError> {
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path).map_err(ShimError::File)?;
    }
    let cannot = |source| ShimError::System { action: "open a notify socket", source };
    let socket = UnixDatagram::bind(path).map_err(cannot)?;
    socket.set_nonblocking(true).map_err(cannot)?;
    // The service may run as any user.
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(ShimError::File)?;
    Ok((socket, path.to_owned()))
}
