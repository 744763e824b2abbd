//! The run plan, checked once; everything behind this file relies on what is checked here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use casque_format::capacity::Capacity;
use casque_format::cron::Schedule;
use casque_format::image::Product;
use casque_format::paths;
use casque_format::run::{
    self, Kind, Logs, Ready, Reload, Restart, RestartPolicy, RunPlan, Service, WhenLost,
};

use crate::ready::Check;
use crate::signal;

mod content;
mod replicas;

/// Where a plan is carried out.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// What replicas share.
    pub(crate) capacity: Capacity,
    /// The rendered files.
    pub(crate) rendered: PathBuf,
}

/// A plan that can be carried out.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// TCP ports to open.
    pub(crate) listen: Vec<u16>,
    /// The product's version, for one-shots that run once for each.
    pub(crate) version: String,
    /// Services, sorted by name.
    pub(crate) services: Vec<Planned>,
    /// Time for the whole ordered stop.
    pub(crate) stop_budget: Duration,
    /// Values to mask.
    pub(crate) mask: Vec<String>,
    /// Beside root and ourselves this user may ask for the status.
    pub(crate) agent_uid: Option<u32>,
    /// What becomes of what services write.
    pub(crate) logs: Logs,
}

/// One service of a [`Plan`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// Its name.
    pub(crate) name: String,
    /// What the plan says.
    pub(crate) spec: Service,
    /// Places of the services it comes after, or requires.
    pub(crate) after: Vec<usize>,
    /// Places of the services that it cannot be without.
    pub(crate) requires: Vec<usize>,
    /// Places of services, and what happens when one is lost.
    pub(crate) when_lost: Vec<(usize, WhenLost)>,
    /// How to tell that it serves.
    pub(crate) check: Option<Check>,
    /// It says itself when it serves.
    pub(crate) notifies: bool,
    /// How to tell that it still serves.
    pub(crate) health: Option<Health>,
    /// When it runs.
    pub(crate) schedule: Option<Schedule>,
    /// The signal that stops it.
    pub(crate) stop_signal: i32,
    /// How it takes over changed files.
    pub(crate) reload: Option<Tell>,
    /// A number for the content of the files that it reads.
    pub(crate) content: u64,
}

/// A checked health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// What is asked.
    pub(crate) check: Check,
    /// The wait between an answer and the next question.
    pub(crate) interval: Duration,
    /// The time for an answer.
    pub(crate) timeout: Duration,
    /// So many failures in a row count as a crash.
    pub(crate) failures: u32,
}

/// How a service is told of changed files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tell {
    /// By this signal.
    Signal(i32),
    /// By this command.
    Exec(Vec<String>),
}

/// Why a plan cannot be carried out.
#[derive(Debug)]
pub(crate) enum PlanError {
    /// The file could not be read.
    Read { path: PathBuf, source: io::Error },
    /// It is not the JSON of a plan.
    Syntax { path: PathBuf, source: serde_json::Error },
    /// Another program's version of the format.
    Version(u32),
    /// A port that cannot be opened, or is there twice.
    Port(u16),
    /// Two services have one name, since one of them has replicas.
    Twice(String),
    /// The services wait for each other.
    Cycle(Vec<String>),
    /// A service asks for something that does not exist.
    Service { name: String, problem: String },
}

#[cfg(test)]
impl Place {
    /// Two processors, a GiB, and no rendered file.
    pub(crate) fn of_a_test() -> Self {
        Self { capacity: Capacity { cpus: 2, memory: 1 << 30 }, rendered: PathBuf::from("/nonexistent") }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => {
                write!(f, "cannot read run plan `{}`: {source}", path.display())
            }
            Self::Syntax { path, source } => {
                write!(f, "cannot understand run plan `{}`: {source}", path.display())
            }
            Self::Version(version) => {
                write!(f, "the run plan has version {version}, this program reads version {}", run::VERSION)
            }
            Self::Port(port) => {
                write!(f, "the run plan cannot open port {port}: it is 0 or there twice")
            }
            Self::Twice(name) => {
                write!(f, "the run plan has two services `{name}`: one is a replica of another")
            }
            Self::Cycle(names) => {
                write!(f, "these services wait for each other: `{}`", names.join("`, `"))
            }
            Self::Service { name, problem } => write!(f, "service `{name}`: {problem}"),
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// Reads and checks the plan in a file.
    pub(crate) fn load(path: &Path, place: &Place) -> Result<Self, PlanError> {
        let text = fs::read(path).map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        let plan = serde_json::from_slice(&text)
            .map_err(|source| PlanError::Syntax { path: path.to_owned(), source })?;
        Self::check(plan, place)
    }

    /// Returns the plan that runs before the real one: the agent resolves the settings and leaves
    /// the real plan behind. It gets the whole environment of the container, and time to fill a
    /// volume.
    pub(crate) fn prepare(environment: BTreeMap<String, String>) -> Result<Self, PlanError> {
        let prepare = Service {
            environment,
            start_timeout_ms: 15 * 60 * 1000,
            restart: Restart { policy: RestartPolicy::Never, ..Restart::default() },
            ..Service::new(Kind::Oneshot, vec![paths::AGENT.to_owned(), "prepare".to_owned()])
        };
        Self::own(BTreeMap::from([("prepare".to_owned(), prepare)]))
    }

    /// Returns a plan without services.
    pub(crate) fn nothing() -> Result<Self, PlanError> {
        Self::own(BTreeMap::new())
    }

    fn own(services: BTreeMap<String, Service>) -> Result<Self, PlanError> {
        let plan = RunPlan {
            version: run::VERSION,
            product: Product {
                name: String::new(),
                version: String::new(),
                command: String::new(),
                counter: None,
            },
            listen: Vec::new(),
            services,
            stop_budget_ms: 5_000,
            mask: Vec::new(),
            agent_uid: 0,
            logs: Logs::default(),
        };
        // It reads no rendered file and has no replicas.
        let place = Place { capacity: Capacity { cpus: 1, memory: 0 }, rendered: PathBuf::new() };
        Ok(Self { agent_uid: None, ..Self::check(plan, &place)? })
    }

    /// Checks a plan.
    pub(crate) fn check(plan: RunPlan, place: &Place) -> Result<Self, PlanError> {
        if plan.version != run::VERSION {
            return Err(PlanError::Version(plan.version));
        }
        let mut ports = BTreeSet::new();
        if let Some(&port) = plan.listen.iter().find(|&&port| port == 0 || !ports.insert(port)) {
            return Err(PlanError::Port(port));
        }
        let services = replicas::expand(plan.services, place.capacity).map_err(PlanError::Twice)?;
        let places: BTreeMap<String, usize> =
            services.keys().cloned().enumerate().map(|(place, name)| (name, place)).collect();
        let services = services
            .into_iter()
            .map(|(name, spec)| {
                let content = content::fingerprint(&spec, &place.rendered);
                planned(&name, spec, &places, content).map_err(|problem| PlanError::Service { name, problem })
            })
            .collect::<Result<Vec<_>, _>>()?;
        refuse_cycle(&services)?;
        Ok(Self {
            listen: plan.listen,
            version: plan.product.version,
            services,
            stop_budget: Duration::from_millis(plan.stop_budget_ms),
            mask: plan.mask,
            agent_uid: Some(plan.agent_uid),
            logs: plan.logs,
        })
    }
}

fn planned(
    name: &str,
    spec: Service,
    places: &BTreeMap<String, usize>,
    content: u64,
) -> Result<Planned, String> {
    if name.is_empty() || name.contains('/') || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("a service's name has at least one letter, no blanks and no `/`".to_owned());
    }
    if spec.command.first().is_none_or(String::is_empty) {
        return Err("its command is empty".to_owned());
    }
    refuse_unusable_text(&spec)?;
    let place = |needed: &String| {
        places
            .get(needed)
            .copied()
            .ok_or_else(|| format!("it needs `{needed}`, which this plan does not define"))
    };
    let requires = spec.requires.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let mut after = Vec::new();
    for needed in spec.after.iter().map(place).chain(requires.iter().copied().map(Ok)) {
        let needed = needed?;
        if !after.contains(&needed) {
            after.push(needed);
        }
    }
    let lost = spec.when_lost.iter();
    let when_lost =
        lost.map(|(needed, policy)| Ok((place(needed)?, *policy))).collect::<Result<Vec<_>, String>>()?;
    let notifies = spec.ready == Some(Ready::Notify);
    let ready = spec.ready.as_ref().filter(|_| !notifies);
    let check = ready.map(Check::parse).transpose()?;
    let health = spec.health.as_ref().map(health).transpose()?;
    let schedule = spec
        .schedule
        .as_ref()
        .map(|text| Schedule::parse(text).map_err(|error| format!("its schedule is `{text}`, and {error}")));
    let schedule = schedule.transpose()?;
    if spec.kind == Kind::Simple && (schedule.is_some() || spec.once.is_some()) {
        return Err("only a one-shot runs once or by a schedule".to_owned());
    }
    if let Some(command) = &spec.post_stop {
        if command.first().is_none_or(String::is_empty) {
            return Err("its post-stop command is empty".to_owned());
        }
        if spec.kind == Kind::Oneshot {
            return Err("a one-shot has no post-stop command: another can come after it".to_owned());
        }
    }
    let number =
        |signal: &String| signal::number(signal).ok_or_else(|| format!("there is no signal `{signal}`"));
    let stop_signal = number(&spec.stop.signal)?;
    let reload = match &spec.reload {
        None => None,
        Some(Reload::Signal(signal)) => Some(Tell::Signal(number(signal)?)),
        Some(Reload::Exec(command)) if command.first().is_none_or(String::is_empty) => {
            return Err("its reload command is empty".to_owned());
        }
        Some(Reload::Exec(command)) => Some(Tell::Exec(command.clone())),
    };
    let name = name.to_owned();
    Ok(Planned {
        name,
        spec,
        after,
        requires,
        when_lost,
        check,
        notifies,
        health,
        schedule,
        stop_signal,
        reload,
        content,
    })
}

fn health(spec: &run::Health) -> Result<Health, String> {
    if spec.check == Ready::Notify {
        return Err("a health check asks, it cannot wait to be told".to_owned());
    }
    Ok(Health {
        check: Check::parse(&spec.check)?,
        // A plan that wants no pause must not keep PID 1 busy.
        interval: Duration::from_millis(spec.interval_ms.max(100)),
        timeout: Duration::from_millis(spec.timeout_ms.max(1)),
        failures: spec.failures.max(1),
    })
}

/// Refuses what `execve` could not be given.
fn refuse_unusable_text(spec: &Service) -> Result<(), String> {
    if let Some(name) = spec.environment.keys().find(|name| name.is_empty() || name.contains('=')) {
        return Err(format!("`{name}` is not the name of an environment variable"));
    }
    let checks = spec.ready.iter().chain(spec.health.as_ref().map(|health| &health.check));
    let probe = checks.flat_map(|check| match check {
        Ready::Exec(command) => command.as_slice(),
        _ => &[],
    });
    let reload = match &spec.reload {
        Some(Reload::Exec(command)) => command.as_slice(),
        _ => &[],
    };
    let texts = spec
        .command
        .iter()
        .chain(probe)
        .chain(reload)
        .chain(spec.post_stop.iter().flatten())
        .chain(spec.environment.keys())
        .chain(spec.environment.values())
        .chain(&spec.working_directory)
        .chain(&spec.remove)
        .chain(spec.directories.iter().map(|directory| &directory.path))
        .chain(spec.user.iter().flat_map(|user| [&user.name, &user.home]));
    for text in texts {
        if text.contains('\0') {
            return Err("a NUL byte is in its command, environment or paths".to_owned());
        }
    }
    let made = spec.directories.iter().map(|directory| &directory.path);
    if let Some(path) = spec.remove.iter().chain(made).find(|path| !path.starts_with('/')) {
        return Err(format!("`{path}` is not an absolute path"));
    }
    Ok(())
}

/// Takes away services whose needs are met until none is left; what stays is on or behind a cycle.
fn refuse_cycle(services: &[Planned]) -> Result<(), PlanError> {
    let mut started = vec![false; services.len()];
    loop {
        let next = (0..services.len())
            .find(|&place| !started[place] && services[place].after.iter().all(|&needed| started[needed]));
        match next {
            Some(place) => started[place] = true,
            None if started.iter().all(|&started| started) => return Ok(()),
            None => {
                let names = services.iter().zip(&started).filter(|(_, started)| !**started);
                return Err(PlanError::Cycle(names.map(|(s, _)| s.name.clone()).collect()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
