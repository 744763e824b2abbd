//! Services: what the vendor's scripts installed, joined with what only the manifest can say.

use std::collections::BTreeMap;
use std::path::Path;

use casque_format::image::{ImageService, Needs};
use casque_format::paths;
use casque_format::run::{
    Health, Identity, Kind, Ready, Reload, Replicas, Restart, RestartPolicy, RunDirectory, Service, Sockets,
    Stop,
};
use casque_image::resolve::located;
use casque_units::{Note, Startup, Step, Translated, Weight};

use crate::error::ServiceError;
use crate::identity::Accounts;
use crate::manifest::raw::{Bytes, NeedsRule, ReloadRule, ReplicasRule};
use crate::manifest::{Front, Manifest, ReadyRule, ServiceRule};
use crate::stop;
use crate::unit::{self, NotFound};

/// What a command that runs before a service gets to end when the container stops, milliseconds.
const BEFORE_STOP_MS: u64 = 250;

/// Where programs are looked for when a service has no `PATH` of its own.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One run of what has a schedule, when nothing is said, milliseconds.
const RUN_TIMEOUT_MS: u64 = 60 * 60 * 1000;

/// Services of an image and what could not be carried over.
pub(crate) struct Services {
    pub(crate) services: BTreeMap<String, ImageService>,
    /// One line for each service that will behave differently.
    pub(crate) summaries: Vec<String>,
    /// Everything, also what does not matter.
    pub(crate) details: Vec<String>,
}

/// A service on its way from the unit to the plan.
struct Made {
    service: Service,
    /// Commands before each start.
    before: Vec<Step>,
    notes: Vec<Note>,
}

/// Makes the services of `manifest` from what is in `root`, with variables `carried` over from the base.
pub(crate) fn services(
    manifest: &Manifest,
    root: &Path,
    accounts: &Accounts,
    carried: &BTreeMap<String, String>,
) -> Result<Services, ServiceError> {
    let rules = &manifest.content.service;
    let budget = manifest.content.image.stop_timeout.milliseconds;
    let timeouts = stop::timeouts(rules, budget).expect("the manifest was checked to fit its budget");
    let mut all = Services { services: BTreeMap::new(), summaries: Vec::new(), details: Vec::new() };
    for (name, rule) in rules {
        let mut made = service(name, rule, rules, root, accounts)?;
        for (variable, value) in carried {
            made.service.environment.entry(variable.clone()).or_insert_with(|| value.clone());
        }
        program_exists(name, &made.service, &made.service.command, root)?;
        // What a unit says of its end may be for a program that only some hosts have.
        for command in made.service.check.iter().chain(&rule.post_stop) {
            program_exists(name, &made.service, command, root)?;
        }
        let from = rule.from.as_ref().map(|from| from.get_ref().as_str()).unwrap_or_default();
        if let Some(summary) = casque_units::summary(&made.notes) {
            all.summaries.push(format!("service `{name}` from `{from}`: {summary}"));
        }
        all.details.extend(made.notes.iter().map(|note| format!("service `{name}` from `{from}`: {note}")));
        let mut image = ImageService {
            service: made.service,
            when: rule.when.as_ref().map(|setting| setting.get_ref().clone()),
            unless: rule.unless.as_ref().map(|setting| setting.get_ref().clone()),
            inherit: rule.inherit.iter().map(|variable| variable.get_ref().clone()).collect(),
            environment_settings: rule
                .environment_settings
                .iter()
                .map(|(variable, setting)| (variable.clone(), setting.get_ref().clone()))
                .collect(),
            needs: needs(rule),
        };
        image.service.stop.timeout_ms = timeouts[name];
        let looks = manifest.content.preflight.values().filter(|check| check.service.get_ref() == name);
        for check in looks {
            program_exists(name, &image.service, &check.run, root)?;
        }
        for step in made.before {
            let before = before(&image, step);
            let name = free_name(name, rules, &all.services);
            image.service.after = vec![name.clone()];
            all.services.insert(name, before);
        }
        all.services.insert(name.clone(), image);
    }
    Ok(all)
}

/// Returns the one-shot that runs a command before `image` starts, in the same surroundings.
fn before(image: &ImageService, step: Step) -> ImageService {
    let mut service = image.service.clone();
    service.kind = Kind::Oneshot;
    service.command = step.command;
    if step.ignore_failure {
        let whatever = ["/bin/sh", "-c", "\"$@\" || :", "sh"].map(str::to_owned);
        service.command.splice(..0, whatever);
    }
    if step.privileged {
        service.user = None;
        // They would belong to root.
        service.directories.clear();
    }
    service.ready = None;
    service.health = None;
    service.once = None;
    service.schedule = None;
    service.reload = None;
    service.check = None;
    service.post_stop = None;
    service.replicas = None;
    service.when_lost.clear();
    service.restart = Restart { policy: RestartPolicy::OnFailure, ..Restart::default() };
    service.sockets = Sockets::None;
    service.remove.clear();
    service.stop.timeout_ms = BEFORE_STOP_MS;
    ImageService { service, needs: Needs::default(), ..image.clone() }
}

/// What a host has to have for it.
fn needs(rule: &ServiceRule) -> Needs {
    let bytes = |amount: Option<Bytes>| amount.map(|Bytes(bytes)| bytes);
    let NeedsRule { cpu, memory, disk } = &rule.needs;
    Needs { cpu: cpu.clone(), memory: bytes(*memory), disk: bytes(*disk) }
}

/// Returns a name for what runs before the service `name`.
fn free_name(
    name: &str,
    rules: &BTreeMap<String, ServiceRule>,
    made: &BTreeMap<String, ImageService>,
) -> String {
    let taken = |name: &String| rules.contains_key(name) || made.contains_key(name) || name == "agent";
    let numbered = (2..).map(|number| format!("{name}-before-{number}"));
    std::iter::once(format!("{name}-before"))
        .chain(numbered)
        .find(|name| !taken(name))
        .expect("there are more numbers than services")
}

fn service(
    name: &str,
    rule: &ServiceRule,
    rules: &BTreeMap<String, ServiceRule>,
    root: &Path,
    accounts: &Accounts,
) -> Result<Made, ServiceError> {
    let mut made = match &rule.from {
        Some(from) => translated(name, from.get_ref(), rule, rules, root, accounts)?,
        None => Made { service: plain(), before: Vec::new(), notes: Vec::new() },
    };
    let service = &mut made.service;
    if let Some(user) = &rule.user {
        service.user = identity(name, user, None, &[], accounts)?;
    }
    if let Some(command) = &rule.command {
        service.command.clone_from(command);
    }
    service.kind = rule.kind().unwrap_or(service.kind);
    if let Some(directory) = &rule.working_directory {
        service.working_directory = Some(directory.clone());
    }
    if service.working_directory.as_deref() == Some("~") {
        let home = service.user.as_ref().map_or("/root", |user| user.home.as_str());
        service.working_directory = Some(home.to_owned());
    }
    service.environment.extend(rule.environment.clone());
    surroundings(name, rule, service, accounts)?;
    order(rule, service);
    checks(rule, service);
    // A unit that stays on a host may be a one-shot here.
    service.post_stop = service.post_stop.take().filter(|_| service.kind == Kind::Simple);
    service.restart.policy = match service.kind {
        Kind::Oneshot => RestartPolicy::OnFailure,
        Kind::Simple => rule.restart.unwrap_or(service.restart.policy),
    };
    if rule.schedule.is_some() {
        service.start_timeout_ms = RUN_TIMEOUT_MS;
    }
    if let Some(timeout) = rule.start_timeout {
        service.start_timeout_ms = timeout.milliseconds;
    }
    if rule.post_stop.is_some() {
        service.post_stop.clone_from(&rule.post_stop);
    }
    if let Some(signal) = &rule.stop.signal {
        service.stop.signal.clone_from(signal.get_ref());
    }
    service.critical = rule.critical.unwrap_or(service.schedule.is_none());
    if let Some(front) = &rule.front {
        become_front(service, front);
    }
    Ok(made)
}

/// What its process finds.
fn surroundings(
    name: &str,
    rule: &ServiceRule,
    service: &mut Service,
    accounts: &Accounts,
) -> Result<(), ServiceError> {
    service.umask = rule.umask.map(|mask| mask.0).or(service.umask);
    service.limits.extend(rule.limits.iter().map(|(resource, limit)| (*resource, *limit)));
    service.nice = rule.nice.as_ref().map(|nice| *nice.get_ref()).or(service.nice);
    service.oom_score_adjust =
        rule.oom_score_adjust.as_ref().map(|score| *score.get_ref()).or(service.oom_score_adjust);
    for directory in &rule.directories {
        let owner = match &directory.owner {
            Some(user) => identity(name, user, None, &[], accounts)?
                .map_or(Some((0, 0)), |identity| Some((identity.uid, identity.gid))),
            None => None,
        };
        let path = directory.path.get_ref().clone();
        service.directories.push(RunDirectory { path, mode: directory.mode.0, owner });
    }
    service.replicas = rule.replicas.as_ref().map(|replicas| {
        let ReplicasRule { count, per_cpu, per_memory, max } = replicas.get_ref().clone();
        Replicas { count, per_cpu, per_memory, max }
    });
    Ok(())
}

/// Which services it needs, and when it runs.
fn order(rule: &ServiceRule, service: &mut Service) {
    let names = |list: &[toml::Spanned<String>]| list.iter().map(|name| name.get_ref().clone()).collect();
    service.after = names(&rule.after);
    service.requires = names(&rule.requires);
    service.when_lost =
        rule.when_lost.iter().map(|(name, policy)| (name.get_ref().clone(), *policy)).collect();
    service.once = rule.once;
    let schedule = rule.schedule.as_ref().map(|schedule| schedule.get_ref().clone());
    service.schedule = schedule.or(service.schedule.take()).filter(|_| service.kind == Kind::Oneshot);
}

/// How to tell that it serves, and how it learns of changes.
fn checks(rule: &ServiceRule, service: &mut Service) {
    if let Some(ready) = rule.ready.as_ref().and_then(ready) {
        service.ready = Some(ready);
    }
    service.health = rule.health.as_ref().and_then(|health| {
        Some(Health {
            check: ready(&health.check())?,
            interval_ms: health.interval.milliseconds,
            timeout_ms: health.timeout.milliseconds,
            failures: health.failures,
        })
    });
    let signal =
        |rule: &ReloadRule| rule.signal.as_ref().map(|signal| Reload::Signal(signal.get_ref().clone()));
    let command = |rule: &ReloadRule| rule.exec.clone().map(Reload::Exec);
    service.reload = rule.reload.as_ref().and_then(|rule| signal(rule).or_else(|| command(rule)));
    service.check.clone_from(&rule.check);
    service.files =
        rule.files.as_ref().map(|files| files.iter().map(|file| file.get_ref().clone()).collect());
}

fn plain() -> Service {
    Service::new(Kind::Simple, Vec::new())
}

/// The agent's own service: it answers until the front does, and again when the front does not.
pub(crate) fn agent(identity: Identity) -> ImageService {
    let service = Service {
        command: vec![paths::AGENT.to_owned(), "serve".to_owned()],
        user: Some(identity),
        ready: Some(Ready::Unix(paths::AGENT_SOCKET.to_owned())),
        critical: false,
        sockets: Sockets::Agent,
        reload: Some(Reload::Signal("HUP".to_owned())),
        files: Some(vec![paths::AGENT_CONFIG.to_owned()]),
        remove: vec![paths::AGENT_SOCKET.to_owned()],
        stop: Stop { timeout_ms: 500, ..Stop::default() },
        ..plain()
    };
    ImageService {
        service,
        when: None,
        unless: None,
        inherit: Vec::new(),
        environment_settings: BTreeMap::new(),
        needs: Needs::default(),
    }
}

/// The front inherits the sockets, and is ready when it answers on its own socket: on the shared ones the agent may answer.
fn become_front(service: &mut Service, front: &Front) {
    let directory = Path::new(paths::FRONT_SOCKET).parent().expect("the socket is in a directory");
    service.sockets = Sockets::Nginx;
    service.ready = Some(Ready::Http(format!("unix:{}:/", paths::FRONT_SOCKET)));
    service.remove.push(paths::FRONT_SOCKET.to_owned());
    service.directories.push(RunDirectory::new(directory.display().to_string()));
    if front.https_port.is_some() {
        let files = service.files.get_or_insert_with(|| vec![paths::RENDERED.to_owned()]);
        files.extend([paths::TLS_SERVED, paths::FRONT_HTTP, paths::FRONT_SERVER].map(str::to_owned));
    }
}

fn ready(rule: &ReadyRule) -> Option<Ready> {
    let text = |kind: fn(String) -> Ready, value: &Option<String>| value.clone().map(kind);
    text(Ready::Tcp, &rule.tcp)
        .or_else(|| text(Ready::Unix, &rule.unix))
        .or_else(|| text(Ready::Http, &rule.http))
        .or_else(|| text(Ready::Redis, &rule.redis))
        .or_else(|| text(Ready::Mongodb, &rule.mongodb))
        .or_else(|| rule.exec.clone().map(Ready::Exec))
        .or_else(|| rule.notify.filter(|notify| *notify).map(|_| Ready::Notify))
}

fn translated(
    name: &str,
    from: &str,
    rule: &ServiceRule,
    rules: &BTreeMap<String, ServiceRule>,
    root: &Path,
    accounts: &Accounts,
) -> Result<Made, ServiceError> {
    let failed = |source| ServiceError::Unit { service: name.to_owned(), source };
    let mut translated = unit::translated(name, from, root).map_err(|error| match error {
        NotFound::Missing => ServiceError::NoUnit { service: name.to_owned(), from: from.to_owned() },
        NotFound::Unit(source) => failed(source),
    })?;
    // A command in the manifest is there because the unit's own does not stay in the foreground.
    if rule.command.is_none() {
        translated = translated.in_foreground(from).map_err(failed)?;
    }
    if translated.service.schedule.is_some() {
        // However it would have stayed on a host, each run has its end.
        (translated.service.kind, translated.service.ready) = (Kind::Oneshot, None);
        if let Some(command) = translated.service.post_stop.take() {
            let subject = format!("ExecStopPost={}", command.join(" "));
            translated.notes.push(Note { weight: Weight::Lost, subject, instead: None });
        }
    }
    if rule.ready.is_some() {
        translated.notes.retain(|note| note.subject != "Type=notify" && note.subject != "Type=dbus");
    }
    let notes = order_notes(&translated, rule, rules);
    translated.notes.extend(notes);
    let mut service = translated.service;
    if let Some(user) = &translated.user {
        service.user =
            identity(name, user, translated.group.as_deref(), &translated.supplementary_groups, accounts)?;
    }
    // A program that only tests its own configuration says the same when it starts.
    let mut before = translated.start_pre;
    before.retain(|step| !step.command.iter().any(|word| word == "-t"));
    if let Some(last) = before.last()
        && !matches!(translated.startup, Startup::Oneshot { .. })
    {
        let subject = format!("ExecStartPre={}", last.command.join(" "));
        let instead = "it runs before the first start only".to_owned();
        translated.notes.push(Note { weight: Weight::Lost, subject, instead: Some(instead) });
    }
    Ok(Made { service, before, notes: translated.notes })
}

/// Notes the units that this one needs or follows and the manifest does not put before it.
fn order_notes(
    translated: &Translated,
    rule: &ServiceRule,
    rules: &BTreeMap<String, ServiceRule>,
) -> Vec<Note> {
    let declared = |unit: &str| {
        let from = format!("systemd:{unit}");
        rules.iter().find(|(_, rule)| rule.from.as_ref().is_some_and(|known| *known.get_ref() == from))
    };
    let mut units: Vec<&String> = translated.needs.iter().chain(&translated.after).collect();
    units.sort();
    units.dedup();
    let note = |unit: &String| {
        let needed = translated.needs.contains(unit);
        let key = if needed { "Requires" } else { "After" };
        let subject = format!("{key}={unit}");
        match declared(unit) {
            Some((name, _)) if rule.needs().any(|after| after.get_ref() == name) => None,
            Some((name, _)) => Some(Note {
                weight: Weight::Lost,
                subject,
                instead: Some(format!("say `after = [\"{name}\"]` in the manifest")),
            }),
            None => Some(Note {
                weight: if needed { Weight::Lost } else { Weight::Moot },
                subject,
                instead: Some("no service of the manifest is that unit".to_owned()),
            }),
        }
    };
    units.into_iter().filter_map(note).collect()
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

/// Checks that the program of a command that a service runs is in the image.
fn program_exists(
    name: &str,
    service: &Service,
    command: &[String],
    root: &Path,
) -> Result<(), ServiceError> {
    let program = command.first().map(String::as_str).unwrap_or_default();
    let in_root = |path: &str| {
        let place = located(root, Path::new(path));
        place.is_ok_and(|place| place.symlink_metadata().is_ok())
    };
    let path = service.environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let found = match program.starts_with('/') {
        true => in_root(program),
        false => path.split(':').any(|directory| in_root(&format!("{directory}/{program}"))),
    };
    if found {
        return Ok(());
    }
    Err(ServiceError::NoProgram { service: name.to_owned(), program: program.to_owned() })
}

#[cfg(test)]
mod tests;
