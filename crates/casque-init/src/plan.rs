//! The run plan, checked once; everything behind this file relies on what is checked here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use casque_format::image::Product;
use casque_format::paths;
use casque_format::run::{self, Kind, Logs, Restart, RestartPolicy, RunPlan, Service, Sockets, Stop};

use crate::ready::Check;
use crate::signal;

/// A plan that can be carried out.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// TCP ports to open.
    pub(crate) listen: Vec<u16>,
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
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Its name.
    pub(crate) name: String,
    /// What the plan says.
    pub(crate) spec: Service,
    /// Places of the services it comes after.
    pub(crate) after: Vec<usize>,
    /// How to tell that it serves.
    pub(crate) check: Option<Check>,
    /// The signal that stops it.
    pub(crate) stop_signal: i32,
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
    /// The services wait for each other.
    Cycle(Vec<String>),
    /// A service asks for something that does not exist.
    Service { name: String, problem: String },
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
    pub(crate) fn load(path: &Path) -> Result<Self, PlanError> {
        let text = fs::read(path).map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        let plan = serde_json::from_slice(&text)
            .map_err(|source| PlanError::Syntax { path: path.to_owned(), source })?;
        Self::check(plan)
    }

    /// Returns the plan that runs before the real one: the agent resolves the settings and leaves
    /// the real plan behind. It gets the whole environment of the container, and time to fill a
    /// volume.
    pub(crate) fn prepare(environment: BTreeMap<String, String>) -> Result<Self, PlanError> {
        let prepare = Service {
            kind: Kind::Oneshot,
            command: vec![paths::AGENT.to_owned(), "prepare".to_owned()],
            user: None,
            working_directory: None,
            environment,
            umask: None,
            limits: BTreeMap::new(),
            after: Vec::new(),
            ready: None,
            start_timeout_ms: 15 * 60 * 1000,
            restart: Restart { policy: RestartPolicy::Never, ..Restart::default() },
            stop: Stop::default(),
            critical: true,
            sockets: Sockets::None,
            remove: Vec::new(),
            directories: Vec::new(),
        };
        Self::own(BTreeMap::from([("prepare".to_owned(), prepare)]))
    }

    /// Returns a plan without services.
    pub(crate) fn nothing() -> Result<Self, PlanError> {
        Self::own(BTreeMap::new())
    }

    fn own(services: BTreeMap<String, Service>) -> Result<Self, PlanError> {
        let plan = Self::check(RunPlan {
            version: run::VERSION,
            product: Product { name: String::new(), version: String::new(), command: String::new() },
            listen: Vec::new(),
            services,
            stop_budget_ms: 5_000,
            mask: Vec::new(),
            agent_uid: 0,
            logs: Logs::default(),
        })?;
        Ok(Self { agent_uid: None, ..plan })
    }

    /// Checks a plan.
    pub(crate) fn check(plan: RunPlan) -> Result<Self, PlanError> {
        if plan.version != run::VERSION {
            return Err(PlanError::Version(plan.version));
        }
        let mut ports = BTreeSet::new();
        if let Some(&port) = plan.listen.iter().find(|&&port| port == 0 || !ports.insert(port)) {
            return Err(PlanError::Port(port));
        }
        let places: BTreeMap<String, usize> =
            plan.services.keys().cloned().enumerate().map(|(place, name)| (name, place)).collect();
        let services = plan
            .services
            .into_iter()
            .map(|(name, spec)| {
                planned(&name, spec, &places).map_err(|problem| PlanError::Service { name, problem })
            })
            .collect::<Result<Vec<_>, _>>()?;
        refuse_cycle(&services)?;
        Ok(Self {
            listen: plan.listen,
            services,
            stop_budget: Duration::from_millis(plan.stop_budget_ms),
            mask: plan.mask,
            agent_uid: Some(plan.agent_uid),
            logs: plan.logs,
        })
    }
}

fn planned(name: &str, spec: Service, places: &BTreeMap<String, usize>) -> Result<Planned, String> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("a service's name has at least one letter and no blanks".to_owned());
    }
    if spec.command.first().is_none_or(String::is_empty) {
        return Err("its command is empty".to_owned());
    }
    refuse_unusable_text(&spec)?;
    let mut after = Vec::new();
    for needed in &spec.after {
        let place = places
            .get(needed)
            .ok_or_else(|| format!("it needs `{needed}`, which this plan does not define"))?;
        if !after.contains(place) {
            after.push(*place);
        }
    }
    let check = spec.ready.as_ref().map(Check::parse).transpose()?;
    let stop_signal = signal::number(&spec.stop.signal)
        .ok_or_else(|| format!("there is no signal `{}`", spec.stop.signal))?;
    Ok(Planned { name: name.to_owned(), spec, after, check, stop_signal })
}

/// Refuses what `execve` could not be given.
fn refuse_unusable_text(spec: &Service) -> Result<(), String> {
    if let Some(name) = spec.environment.keys().find(|name| name.is_empty() || name.contains('=')) {
        return Err(format!("`{name}` is not the name of an environment variable"));
    }
    let probe = match &spec.ready {
        Some(run::Ready::Exec(command)) => command.as_slice(),
        _ => &[],
    };
    let texts = spec
        .command
        .iter()
        .chain(probe)
        .chain(spec.environment.keys())
        .chain(spec.environment.values())
        .chain(&spec.working_directory)
        .chain(&spec.remove)
        .chain(&spec.directories)
        .chain(spec.user.iter().flat_map(|user| [&user.name, &user.home]));
    for text in texts {
        if text.contains('\0') {
            return Err("a NUL byte is in its command, environment or paths".to_owned());
        }
    }
    if let Some(path) = spec.remove.iter().chain(&spec.directories).find(|path| !path.starts_with('/')) {
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
