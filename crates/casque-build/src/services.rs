//! Services: what the vendor's scripts installed, joined with what only the manifest can say.

use std::collections::BTreeMap;
use std::path::Path;

use casque_format::image::ImageService;
use casque_format::paths;
use casque_format::run::{Identity, Kind, Ready, Restart, RestartPolicy, Service, Sockets, Stop};
use casque_units::supervisor::{self, SourceFile};
use casque_units::{Translated, systemd};

use crate::error::ServiceError;
use crate::identity::Accounts;
use crate::manifest::{Manifest, ReadyRule, ServiceRule};
use crate::stop;

/// Where systemd finds units, most important first (systemd.unit(5)).
const UNIT_DIRECTORIES: [&str; 4] =
    ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// From spawn to ready when nothing is said, milliseconds.
const START_TIMEOUT_MS: u64 = 60_000;

/// Services of an image and what could not be carried over, one line each.
pub(crate) struct Services {
    pub(crate) services: BTreeMap<String, ImageService>,
    pub(crate) notes: Vec<String>,
}

/// Makes the services of `manifest` from what is in `root`.
pub(crate) fn services(
    manifest: &Manifest,
    root: &Path,
    accounts: &Accounts,
) -> Result<Services, ServiceError> {
    let rules = &manifest.content.service;
    let budget = manifest.content.image.stop_timeout.milliseconds;
    let timeouts = stop::timeouts(rules, budget).expect("the manifest was checked to fit its budget");
    let mut notes = Vec::new();
    let mut services = BTreeMap::new();
    for (name, rule) in rules {
        let mut service = service(name, rule, root, accounts, &mut notes)?;
        service.service.stop.timeout_ms = timeouts[name];
        services.insert(name.clone(), service);
    }
    Ok(Services { services, notes })
}

fn service(
    name: &str,
    rule: &ServiceRule,
    root: &Path,
    accounts: &Accounts,
    notes: &mut Vec<String>,
) -> Result<ImageService, ServiceError> {
    let mut service = match &rule.from {
        Some(from) => translated(name, from.get_ref(), rule.command.is_some(), root, accounts, notes)?,
        None => plain(),
    };
    if let Some(user) = &rule.user {
        service.user = identity(name, user, None, &[], accounts)?;
    }
    if let Some(command) = &rule.command {
        service.command.clone_from(command);
    }
    service.kind = rule.kind.unwrap_or(service.kind);
    service.working_directory = rule.working_directory.clone().or(service.working_directory);
    service.environment.extend(rule.environment.clone());
    service.after = rule.after.iter().map(|needed| needed.get_ref().clone()).collect();
    service.ready = rule.ready.as_ref().and_then(ready).or(service.ready);
    service.restart.policy = match service.kind {
        Kind::Oneshot => RestartPolicy::OnFailure,
        Kind::Simple => rule.restart.unwrap_or(service.restart.policy),
    };
    if let Some(timeout) = rule.start_timeout {
        service.start_timeout_ms = timeout.milliseconds;
    }
    if let Some(signal) = &rule.stop.signal {
        service.stop.signal.clone_from(signal.get_ref());
    }
    service.critical = rule.critical.unwrap_or(true);
    if rule.front.is_some() {
        become_front(&mut service);
    }
    program_exists(name, &service, root)?;
    Ok(ImageService {
        service,
        when: rule.when.as_ref().map(|setting| setting.get_ref().clone()),
        unless: rule.unless.as_ref().map(|setting| setting.get_ref().clone()),
        environment_settings: rule
            .environment_settings
            .iter()
            .map(|(variable, setting)| (variable.clone(), setting.get_ref().clone()))
            .collect(),
    })
}

fn plain() -> Service {
    Service {
        kind: Kind::Simple,
        command: Vec::new(),
        user: None,
        working_directory: None,
        environment: BTreeMap::new(),
        umask: None,
        after: Vec::new(),
        ready: None,
        start_timeout_ms: START_TIMEOUT_MS,
        restart: Restart::default(),
        stop: Stop::default(),
        critical: true,
        sockets: Sockets::None,
        remove: Vec::new(),
        directories: Vec::new(),
    }
}

/// The agent's own service: it answers until the front does, and again when the front does not.
pub(crate) fn agent(identity: Identity) -> ImageService {
    let service = Service {
        command: vec![paths::AGENT.to_owned(), "serve".to_owned()],
        user: Some(identity),
        ready: Some(Ready::Unix(paths::AGENT_SOCKET.to_owned())),
        critical: false,
        sockets: Sockets::Agent,
        remove: vec![paths::AGENT_SOCKET.to_owned()],
        stop: Stop { signal: "TERM".to_owned(), timeout_ms: 500 },
        ..plain()
    };
    ImageService { service, when: None, unless: None, environment_settings: BTreeMap::new() }
}

/// The front inherits the sockets, and is ready when it answers on its own socket: on the shared ones the agent may answer.
fn become_front(service: &mut Service) {
    let directory = Path::new(paths::FRONT_SOCKET).parent().expect("the socket is in a directory");
    service.sockets = Sockets::Nginx;
    service.ready = Some(Ready::Http(format!("unix:{}:/", paths::FRONT_SOCKET)));
    service.remove.push(paths::FRONT_SOCKET.to_owned());
    service.directories.push(directory.display().to_string());
}

fn ready(rule: &ReadyRule) -> Option<Ready> {
    let text = |kind: fn(String) -> Ready, value: &Option<String>| value.clone().map(kind);
    text(Ready::Tcp, &rule.tcp)
        .or_else(|| text(Ready::Unix, &rule.unix))
        .or_else(|| text(Ready::Http, &rule.http))
        .or_else(|| text(Ready::Redis, &rule.redis))
        .or_else(|| text(Ready::Mongodb, &rule.mongodb))
        .or_else(|| rule.exec.clone().map(Ready::Exec))
}

fn translated(
    name: &str,
    from: &str,
    has_command: bool,
    root: &Path,
    accounts: &Accounts,
    notes: &mut Vec<String>,
) -> Result<Service, ServiceError> {
    let translated = match from.split_once(':') {
        Some(("supervisor", rest)) => supervisor_program(name, rest, root)?,
        Some(("systemd", unit)) => systemd_unit(name, unit, root)?,
        _ => unreachable!("the manifest was checked to name a supervisor file or a systemd unit"),
    };
    // A command in the manifest is there because the unit's own does not stay in the foreground.
    let translated = match has_command {
        true => translated,
        false => translated
            .in_foreground(from)
            .map_err(|source| ServiceError::Unit { service: name.to_owned(), source })?,
    };
    for step in &translated.start_pre {
        let words = step.command.join(" ");
        notes.push(format!("service `{name}`: `{from}` runs `{words}` before each start, which is left out"));
    }
    notes.extend(translated.notes.iter().map(|note| format!("service `{name}`: {note}")));
    let mut service = translated.service;
    if let Some(user) = &translated.user {
        service.user =
            identity(name, user, translated.group.as_deref(), &translated.supplementary_groups, accounts)?;
    }
    Ok(service)
}

fn identity(
    service: &str,
    user: &str,
    group: Option<&str>,
    further: &[String],
    accounts: &Accounts,
) -> Result<Option<Identity>, ServiceError> {
    if user == "root" && group.is_none() && further.is_empty() {
        return Ok(None);
    }
    let unknown = || ServiceError::UnknownUser {
        service: service.to_owned(),
        user: group.map_or_else(|| user.to_owned(), |group| format!("{user}:{group}")),
        closest: crate::manifest::raw::nearest(user, accounts.names()).map(str::to_owned),
    };
    let mut identity = accounts.identity(user, group).ok_or_else(unknown)?;
    for group in further {
        identity.groups.push(accounts.identity(user, Some(group)).ok_or_else(unknown)?.gid);
    }
    identity.groups.sort_unstable();
    identity.groups.dedup();
    Ok(Some(identity))
}

fn supervisor_program(name: &str, rest: &str, root: &Path) -> Result<Translated, ServiceError> {
    let (file, program) = rest.split_once('#').unwrap_or((rest, name));
    let path = root.join(file.trim_start_matches('/'));
    let missing = || ServiceError::NoUnit { service: name.to_owned(), from: format!("supervisor:{rest}") };
    let text = fs_err::read_to_string(path).map_err(|_| missing())?;
    let source = SourceFile { path: file.to_owned(), text };
    let mut programs = supervisor::programs(&[source], &supervisor::Surroundings::default())
        .map_err(|source| ServiceError::Unit { service: name.to_owned(), source })?;
    // A file with one program needs no further name.
    let index = match programs.iter().position(|found| found.name == program) {
        Some(index) => index,
        None if programs.len() == 1 && !rest.contains('#') => 0,
        None => return Err(missing()),
    };
    Ok(programs.swap_remove(index).translated)
}

fn systemd_unit(name: &str, unit: &str, root: &Path) -> Result<Translated, ServiceError> {
    let failed = |source| ServiceError::Unit { service: name.to_owned(), source };
    let read = |path: &str| fs_err::read_to_string(root.join(path.trim_start_matches('/'))).ok();
    let mut candidates = UNIT_DIRECTORIES.iter().map(|directory| format!("/{directory}/{unit}"));
    let found = candidates.find_map(|path| Some(SourceFile { text: read(&path)?, path }));
    let Some(file) = found else {
        return Err(ServiceError::NoUnit { service: name.to_owned(), from: format!("systemd:{unit}") });
    };
    let parsed = systemd::Unit::parse(unit, &[file]).map_err(failed)?;
    let mut environment = BTreeMap::new();
    for file in parsed.environment_files().map_err(failed)? {
        if let Some(text) = read(&file.path) {
            environment.insert(file.path, text);
        }
    }
    parsed.translate(&environment).map_err(failed)
}

/// Checks that the program a service runs is in the image.
fn program_exists(name: &str, service: &Service, root: &Path) -> Result<(), ServiceError> {
    let program = service.command.first().map(String::as_str).unwrap_or_default();
    let in_root = |path: &str| root.join(path.trim_start_matches('/')).symlink_metadata().is_ok();
    let found = match program.starts_with('/') {
        true => in_root(program),
        false => ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"]
            .iter()
            .any(|directory| in_root(&format!("{directory}/{program}"))),
    };
    if found {
        return Ok(());
    }
    Err(ServiceError::NoProgram { service: name.to_owned(), program: program.to_owned() })
}
