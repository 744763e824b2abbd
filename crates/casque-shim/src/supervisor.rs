//! supervisor's part of the manager: which programs it has and what is asked of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use casque_units::supervisor::Program;

use crate::machine::Event;
use crate::manager::{End, Manager, Wanted};
use crate::programs;
use crate::protocol::{Outcome, ProgramInfo, ProgramResult, ProgramVerb, Reply, Request, Selection, State};
use crate::root::Root;
use crate::service::Service;
use crate::sys;

/// What supervisor knows.
///
/// On a host it runs from the moment its package is installed, with the programs that were configured
/// then. So it counts as started with those the first time it is asked anything, unless it was stopped.
#[derive(Debug)]
pub(crate) struct Supervisor {
    status: Status,
    /// Programs it has, by priority and name.
    programs: Vec<Program>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    NotAsked,
    Up,
    Down,
}

impl Supervisor {
    /// Returns the supervisor as it is before the step.
    pub(crate) fn new(root: &Root) -> Self {
        // A configuration that cannot be read is reported when somebody asks for it.
        let programs = programs::configured(root).ok().flatten().unwrap_or_default();
        Self { status: Status::NotAsked, programs }
    }

    /// Says whether it counts as running.
    pub(crate) fn is_up(&self) -> bool {
        self.status == Status::Up
    }

    fn selected(&self, which: &Selection) -> Vec<Program> {
        let matches = |program: &&Program| match which {
            Selection::All => true,
            Selection::Group(group) => program.group == *group,
            Selection::One { group, name } => program.group == *group && program.name == *name,
        };
        self.programs.iter().filter(matches).cloned().collect()
    }
}

impl Manager {
    /// Carries out a request to supervisor.
    pub(crate) fn supervisor_request(
        &mut self,
        now: Duration,
        client: usize,
        request: Request,
    ) -> Option<Reply> {
        match request {
            Request::StartSupervisor => return self.start_supervisor(client),
            Request::StopSupervisor => {
                let stages = self.stop_stages();
                self.supervisor.status = Status::Down;
                self.begin(Some(client), stages, End::Done);
                return None;
            }
            _ => {}
        }
        if self.supervisor.status == Status::Down {
            return Some(failed("unix:///var/run/supervisor.sock no such file"));
        }
        if self.supervisor.status == Status::NotAsked {
            self.supervisor.status = Status::Up;
            let all = self.supervisor.programs.clone();
            self.add(now, &all);
        }
        match request {
            Request::Changes => Some(self.changes().unwrap_or_else(|reply| reply)),
            Request::Available => Some(self.available(now).unwrap_or_else(|reply| reply)),
            Request::AddGroup(group) => Some(self.add_group(now, &group).unwrap_or_else(|reply| reply)),
            Request::RemoveGroup(group) => Some(self.remove_group(&group)),
            Request::Programs { verb, which } => self.programs_request(client, &verb, &which),
            _ => Some(failed("not a request to supervisor")),
        }
    }

    fn configured(&self) -> Result<Vec<Program>, Reply> {
        match programs::configured(&self.root) {
            Ok(Some(programs)) => Ok(programs),
            Ok(None) => Err(failed(
                "supervisor has no configuration: `/etc/supervisor/supervisord.conf` does not exist",
            )),
            Err(error) => Err(failed(&error.line())),
        }
    }

    fn start_supervisor(&mut self, client: usize) -> Option<Reply> {
        let programs = match self.configured() {
            Ok(programs) => programs,
            Err(reply) => return Some(reply),
        };
        let mut stages = self.stop_stages();
        let fresh: BTreeSet<String> = programs.iter().map(Program::display_name).collect();
        let known: Vec<String> = self.supervisor.programs.iter().map(Program::display_name).collect();
        for key in known {
            let idle = self.service(&key).is_none_or(|service| service.machine.main().is_none());
            if !fresh.contains(&key) && idle {
                self.forget(&key);
            }
        }
        for program in &programs {
            self.replace(program);
        }
        stages.push(autostarted(&programs));
        self.supervisor.programs = programs;
        self.supervisor.status = Status::Up;
        // As on a host, the answer does not wait for the programs.
        self.begin(None, stages, End::Done);
        self.begin(Some(client), Vec::new(), End::Done);
        None
    }

    fn stop_stages(&self) -> Vec<Vec<(String, Wanted)>> {
        let stops =
            self.supervisor.programs.iter().rev().map(|program| (program.display_name(), Wanted::Stop));
        vec![stops.collect()]
    }

    fn replace(&mut self, program: &Program) {
        let service = Service::of_program(program, &self.state);
        self.put(service);
    }

    /// Makes programs part of the supervisor and starts those that start by themselves.
    fn add(&mut self, now: Duration, programs: &[Program]) {
        for program in programs {
            self.replace(program);
        }
        for (key, _) in autostarted(programs) {
            self.event(now, &key, Event::Start);
        }
    }

    fn changes(&self) -> Result<Reply, Reply> {
        let configured = self.configured()?;
        let (new, old) = (by_group(&configured), by_group(&self.supervisor.programs));
        let names = |groups: &BTreeMap<&str, Vec<&Program>>, keep: &dyn Fn(&str) -> bool| {
            groups.keys().filter(|name| keep(name)).map(|name| (*name).to_owned()).collect()
        };
        Ok(Reply::Changes {
            added: names(&new, &|name| !old.contains_key(name)),
            changed: names(&new, &|name| old.get(name).is_some_and(|group| group != &new[name])),
            removed: names(&old, &|name| !new.contains_key(name)),
        })
    }

    fn available(&self, now: Duration) -> Result<Reply, Reply> {
        let mut known: Vec<ProgramInfo> = Vec::new();
        for program in &self.supervisor.programs {
            if let Some(service) = self.service(&program.display_name()) {
                known.push(service.program_info(program, now));
            }
        }
        for program in self.configured()? {
            if !known.iter().any(|info| info.group == program.group && info.name == program.name) {
                let fresh = Service::of_program(&program, &self.state);
                known.push(ProgramInfo { in_use: false, ..fresh.program_info(&program, now) });
            }
        }
        known.sort_by(|a, b| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
        Ok(Reply::Programs(known))
    }

    fn add_group(&mut self, now: Duration, group: &str) -> Result<Reply, Reply> {
        if self.supervisor.programs.iter().any(|program| program.group == group) {
            return Ok(group_result(group, Outcome::AlreadyStarted));
        }
        let programs: Vec<Program> =
            self.configured()?.into_iter().filter(|program| program.group == group).collect();
        if programs.is_empty() {
            return Ok(group_result(group, Outcome::NoSuchProcess));
        }
        self.add(now, &programs);
        self.supervisor.programs.extend(programs);
        self.supervisor
            .programs
            .sort_by(|a, b| (a.priority, &a.group, &a.name).cmp(&(b.priority, &b.group, &b.name)));
        Ok(group_result(group, Outcome::Done))
    }

    fn remove_group(&mut self, group: &str) -> Reply {
        let programs = self.supervisor.selected(&Selection::Group(group.to_owned()));
        if programs.is_empty() {
            return group_result(group, Outcome::NoSuchProcess);
        }
        let runs = |program: &Program| {
            let state = self.service(&program.display_name()).map(|service| service.machine.state());
            !matches!(state, None | Some(State::Inactive | State::Exited | State::Failed))
        };
        if programs.iter().any(runs) {
            return group_result(group, Outcome::AlreadyStarted);
        }
        for program in &programs {
            self.forget(&program.display_name());
        }
        self.supervisor.programs.retain(|program| program.group != group);
        group_result(group, Outcome::Done)
    }

    fn programs_request(&mut self, client: usize, verb: &ProgramVerb, which: &Selection) -> Option<Reply> {
        let mut decided = Vec::new();
        let mut pending = Vec::new();
        let mut stage = Vec::new();
        for program in self.supervisor.selected(which) {
            let key = program.display_name();
            let Some(service) = self.service(&key) else { continue };
            let state = service.machine.state();
            let runs = matches!(state, State::Running | State::Starting | State::Backoff);
            let mut decide = |outcome| {
                decided.push(ProgramResult {
                    group: program.group.clone(),
                    name: program.name.clone(),
                    outcome,
                });
            };
            match verb {
                ProgramVerb::Start if matches!(state, State::Running | State::Starting) => {
                    // `start all` is silent about what runs already, as the real tool is.
                    if *which != Selection::All {
                        decide(Outcome::AlreadyStarted);
                    }
                }
                ProgramVerb::Start => {
                    pending.push((key.clone(), program.group.clone(), program.name.clone()));
                    stage.push((key, Wanted::Start));
                }
                ProgramVerb::Stop if runs => {
                    pending.push((key.clone(), program.group.clone(), program.name.clone()));
                    stage.push((key, Wanted::Stop));
                }
                ProgramVerb::Signal(signal) if runs => {
                    match (sys::signal_number(signal), service.machine.main()) {
                        (Some(number), Some(pid)) => {
                            sys::kill(pid, number);
                            decide(Outcome::Done);
                        }
                        (None, _) => decide(Outcome::BadSignal),
                        (_, None) => decide(Outcome::NotRunning),
                    }
                }
                ProgramVerb::Stop | ProgramVerb::Signal(_) => {
                    if *which != Selection::All {
                        decide(Outcome::NotRunning);
                    }
                }
            }
        }
        self.begin(Some(client), vec![stage], End::Programs { decided, pending });
        None
    }

    /// Returns what became of programs, now that nothing about them changes any more.
    pub(crate) fn program_results(
        &self,
        mut results: Vec<ProgramResult>,
        pending: Vec<(String, String, String)>,
    ) -> Vec<ProgramResult> {
        for (key, group, name) in pending {
            let machine = self.service(&key).map(|service| &service.machine);
            let failed =
                machine.is_some_and(|machine| matches!(machine.state(), State::Backoff | State::Failed));
            let message = machine.and_then(|machine| machine.message()).unwrap_or_default();
            let outcome = match failed {
                true if message.contains("No such file") => Outcome::NoSuchFile,
                true => Outcome::SpawnError,
                false => Outcome::Done,
            };
            results.push(ProgramResult { group, name, outcome });
        }
        results
    }
}

fn autostarted(programs: &[Program]) -> Vec<(String, Wanted)> {
    let automatic = programs.iter().filter(|program| program.autostart);
    automatic.map(|program| (program.display_name(), Wanted::Start)).collect()
}

fn by_group(programs: &[Program]) -> BTreeMap<&str, Vec<&Program>> {
    let mut groups: BTreeMap<&str, Vec<&Program>> = BTreeMap::new();
    for program in programs {
        groups.entry(&program.group).or_default().push(program);
    }
    groups
}

fn group_result(group: &str, outcome: Outcome) -> Reply {
    Reply::Results(vec![ProgramResult { group: group.to_owned(), name: String::new(), outcome }])
}

fn failed(message: &str) -> Reply {
    Reply::Failed { message: message.to_owned(), log: Vec::new() }
}
