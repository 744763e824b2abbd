//! `exec-as`: a command as a service runs it: its user, environment, directory and limits, on the caller's terminal.
//!
//! The facts are those of the plan that PID 1 carries out. Only its owner can read that file, and only root becomes
//! somebody else by it, so nobody gains a right here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::Command;

use casque_format::paths;
use casque_format::run::{Resource, RunPlan, Service};
use fs_err as fs;
use rustix::fs::Mode;
use rustix::process::{Gid, Resource as Kind, Rlimit, Uid, geteuid, getrlimit, setrlimit, umask};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::error::Error;
use crate::root::Root;
use crate::settings::closest;

/// What a service has whose plan says nothing of it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the command; returns only with an error.
pub fn run(
    plan: Result<RunPlan, Error>,
    name: &str,
    command: &[OsString],
    terminal: Option<&OsStr>,
) -> Error {
    match plan.and_then(|plan| service(plan, name)) {
        Ok(service) => execute(&service, name, command, terminal),
        Err(error) => error,
    }
}

/// Reads the plan that PID 1 carries out.
pub fn running(root: &Root) -> Result<RunPlan, Error> {
    let path = root.join(paths::RUN_PLAN);
    let content = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Error::ForbiddenPlan,
        _ => Error::Unreachable(error),
    })?;
    serde_json::from_slice(&content).map_err(|source| Error::PlanSyntax { path, source })
}

/// Reads a plan that somebody hands over.
pub fn read(from: impl Read) -> Result<RunPlan, Error> {
    let path = "/dev/stdin".into();
    serde_json::from_reader(from).map_err(|source| Error::PlanSyntax { path, source })
}

fn service(mut plan: RunPlan, name: &str) -> Result<Service, Error> {
    plan.services.remove(name).ok_or_else(|| {
        let closest = closest(name, plan.services.keys().map(String::as_str)).map(str::to_owned);
        Error::UnknownService { name: name.to_owned(), closest }
    })
}

fn execute(service: &Service, name: &str, command: &[OsString], terminal: Option<&OsStr>) -> Error {
    let Some((program, arguments)) = command.split_first() else {
        return Error::Protocol;
    };
    if let Err((what, source)) = become_like(service) {
        return Error::Become { service: name.to_owned(), what, source };
    }
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment(service));
    if let Some(terminal) = terminal {
        command.env("TERM", terminal);
    }
    Error::Exec { program: program.to_string_lossy().into_owned(), source: command.exec() }
}

/// The order is that of PID 1: what needs a right comes before the right is given away.
fn become_like(service: &Service) -> Result<(), (&'static str, io::Error)> {
    for (resource, wanted) in &service.limits {
        limit(*resource, *wanted).map_err(|error| ("set its limits", error))?;
    }
    umask(Mode::from_raw_mode(service.umask.unwrap_or(0o022)));
    if let Some(user) = service.user.as_ref().filter(|_| geteuid().is_root()) {
        let groups: Vec<Gid> = user.groups.iter().map(|&group| Gid::from_raw(group)).collect();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        set_thread_groups(&groups)
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            .map_err(|error| ("become its user", error.into()))?;
    }
    set_no_new_privs(true).map_err(|error| ("give up new rights", error.into()))?;
    let directory = service.working_directory.as_deref().unwrap_or("/");
    std::env::set_current_dir(directory).map_err(|error| ("enter its directory", error))
}

/// Sets both limits, at most to what the container allows.
fn limit(resource: Resource, wanted: u64) -> io::Result<()> {
    let kind = match resource {
        Resource::As => Kind::As,
        Resource::Core => Kind::Core,
        Resource::Cpu => Kind::Cpu,
        Resource::Data => Kind::Data,
        Resource::Fsize => Kind::Fsize,
        Resource::Memlock => Kind::Memlock,
        Resource::Nofile => Kind::Nofile,
        Resource::Nproc => Kind::Nproc,
        Resource::Stack => Kind::Stack,
    };
    let most = getrlimit(kind).maximum;
    let wanted = Some(most.map_or(wanted, |most| wanted.min(most)));
    Ok(setrlimit(kind, Rlimit { current: wanted, maximum: wanted })?)
}

fn environment(service: &Service) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    let (name, home) = match &service.user {
        Some(user) => (user.name.as_str(), user.home.as_str()),
        None if geteuid().is_root() => ("root", "/root"),
        None => ("casque", "/"),
    };
    for (variable, value) in [("HOME", home), ("LOGNAME", name), ("USER", name)] {
        environment.insert(variable.to_owned(), value.to_owned());
    }
    environment.extend(service.environment.clone());
    environment
}
