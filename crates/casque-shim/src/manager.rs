//! The services of a step and the jobs that clients wait for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use casque_format::shim::{self, StartedService};
use fs_err as fs;

use crate::error::ShimError;
use crate::generators;
use crate::machine::{Action, Event};
use crate::procfs;
use crate::protocol::{ProgramResult, Reply, Request, State, UnitVerb};
use crate::root::Root;
use crate::service::{Notification, Service};
use crate::spawn::{self, Surroundings};
use crate::supervisor::Supervisor;
use crate::sys::{self, Exit};
use crate::unit_files;

/// Everything that runs beside the step's own command.
#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) root: Root,
    pub(crate) state: PathBuf,
    pub(crate) supervisor: Supervisor,
    services: BTreeMap<String, Service>,
    jobs: Vec<Job>,
    started: Vec<StartedService>,
    /// Active services in the order they were started.
    order: Vec<String>,
    failures: Vec<String>,
    notes: Vec<String>,
    /// Timers, sockets and the like that were started.
    marked: BTreeSet<String>,
}

/// What is wanted of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Start,
    Stop,
    Reload,
}

/// Several stages, each begun when nothing of the one before changes any more.
#[derive(Debug)]
struct Job {
    client: Option<usize>,
    stages: VecDeque<Vec<(String, Wanted)>>,
    current: Vec<String>,
    end: End,
}

/// How the reply is made when a job has ended.
#[derive(Debug)]
pub(crate) enum End {
    /// With nothing to say.
    Done,
    /// About a unit.
    Unit(String, Wanted),
    /// About programs: those decided already, and those whose state decides.
    Programs { decided: Vec<ProgramResult>, pending: Vec<(String, String, String)> },
}

impl Manager {
    /// Returns a manager without services.
    pub(crate) fn new(root: Root, state: PathBuf) -> Self {
        let supervisor = Supervisor::new(&root);
        Self {
            root,
            state,
            supervisor,
            services: BTreeMap::new(),
            jobs: Vec::new(),
            started: Vec::new(),
            order: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            marked: BTreeSet::new(),
        }
    }

    /// Carries out a request, or begins a job that answers it later.
    pub(crate) fn request(&mut self, now: Duration, client: usize, request: Request) -> Option<Reply> {
        match request {
            Request::Services => Some(Reply::Services {
                services: self.services.values().map(Service::info).collect(),
                supervisor: self.supervisor.is_up(),
                marked: self.marked.iter().cloned().collect(),
            }),
            Request::Note(note) => {
                self.note(note);
                Some(Reply::Done)
            }
            Request::Mark { unit, active: true } => {
                self.note(format!("`{unit}` was started and does nothing: only services run in an image"));
                self.marked.insert(unit);
                Some(Reply::Done)
            }
            Request::Mark { unit, active: false } => {
                self.marked.remove(&unit);
                Some(Reply::Done)
            }
            Request::Unit { verb, unit } => self.unit(now, client, verb, &unit).unwrap_or_else(|error| {
                let message = error.line();
                self.failures.push(format!("`{unit}`: {message}"));
                Some(Reply::Failed { message, log: Vec::new() })
            }),
            Request::Kill { unit, signal } => Some(self.kill(&unit, &signal)),
            other => self.supervisor_request(now, client, other),
        }
    }

    fn unit(
        &mut self,
        now: Duration,
        client: usize,
        verb: UnitVerb,
        unit: &str,
    ) -> Result<Option<Reply>, ShimError> {
        generators::run(&self.root);
        let loaded = match unit_files::load(&self.root, unit) {
            Ok(loaded) => loaded,
            // A unit whose file is gone or masked can still be stopped.
            Err(_) if verb == UnitVerb::Stop && self.services.contains_key(unit) => {
                self.begin(
                    Some(client),
                    vec![vec![(unit.to_owned(), Wanted::Stop)]],
                    End::Unit(unit.to_owned(), Wanted::Stop),
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if unit_files::is_supervisor(&loaded) {
            let request = match verb {
                UnitVerb::Start if self.supervisor.is_up() => return Ok(Some(Reply::Done)),
                UnitVerb::Start | UnitVerb::Restart | UnitVerb::Reload => Request::StartSupervisor,
                UnitVerb::Stop => Request::StopSupervisor,
            };
            self.remember_started(StartedService {
                name: loaded.name,
                manager: loaded.manager,
                file: loaded.file,
            });
            return Ok(self.supervisor_request(now, client, request));
        }
        for step in &loaded.translated.start_post {
            let command = step.command.join(" ");
            self.note(format!("`{unit}`: `ExecStartPost={command}` did not run"));
        }
        let name = loaded.name.clone();
        let needed = self.load_needed(&loaded.needs, &name);
        self.put(Service::of_unit(loaded, &self.state));
        let parts = self.parts_of(&name);
        let starts: Vec<_> = needed.into_iter().map(|need| (need, Wanted::Start)).collect();
        let (stages, wanted) = match verb {
            UnitVerb::Start => (vec![starts, vec![(name.clone(), Wanted::Start)]], Wanted::Start),
            UnitVerb::Stop => (vec![parts, vec![(name.clone(), Wanted::Stop)]], Wanted::Stop),
            UnitVerb::Restart => {
                let stop = vec![(name.clone(), Wanted::Stop)];
                (vec![parts, stop, starts, vec![(name.clone(), Wanted::Start)]], Wanted::Start)
            }
            UnitVerb::Reload => (vec![vec![(name.clone(), Wanted::Reload)]], Wanted::Reload),
        };
        self.begin(Some(client), stages, End::Unit(name, wanted));
        Ok(None)
    }

    /// Returns the running services that stop before `unit` does.
    fn parts_of(&self, unit: &str) -> Vec<(String, Wanted)> {
        let is_part = |key: &&String| {
            unit_files::load(&self.root, key).is_ok_and(|loaded| loaded.part_of.iter().any(|of| of == unit))
        };
        self.order.iter().rev().filter(is_part).map(|key| (key.clone(), Wanted::Stop)).collect()
    }

    /// Loads what starts with a unit, as far as it can be loaded, what that needs too.
    fn load_needed(&mut self, needs: &[String], unit: &str) -> Vec<String> {
        let mut seen = BTreeSet::from([unit.to_owned()]);
        let mut pending: Vec<String> = needs.to_vec();
        let mut names = Vec::new();
        while let Some(need) = pending.pop() {
            if !seen.insert(need.clone()) {
                continue;
            }
            let Ok(loaded) = unit_files::load(&self.root, &need) else { continue };
            if unit_files::is_supervisor(&loaded) {
                continue;
            }
            pending.extend(loaded.needs.clone());
            let name = loaded.name.clone();
            self.put(Service::of_unit(loaded, &self.state));
            names.insert(0, name);
        }
        names
    }

    fn kill(&self, unit: &str, signal: &str) -> Reply {
        match (self.services.get(unit).and_then(|service| service.machine.main()), sys::signal_number(signal))
        {
            (Some(pid), Some(number)) => {
                sys::kill(pid, number);
                Reply::Done
            }
            (None, _) => Reply::Failed { message: format!("unit `{unit}` does not run"), log: Vec::new() },
            (_, None) => Reply::Failed { message: format!("`{signal}` is not a signal"), log: Vec::new() },
        }
    }

    /// Adds a service, or lets one that does not run take over what the new one says.
    pub(crate) fn put(&mut self, service: Service) {
        let key = service.about.name.clone();
        match self.services.get_mut(&key) {
            Some(known) => known.reload(service),
            None => drop(self.services.insert(key, service)),
        }
    }

    /// Returns a service.
    pub(crate) fn service(&self, key: &str) -> Option<&Service> {
        self.services.get(key)
    }

    /// Forgets a service that does not run.
    pub(crate) fn forget(&mut self, key: &str) {
        self.services.remove(key);
    }

    /// Begins a job.
    pub(crate) fn begin(&mut self, client: Option<usize>, stages: Vec<Vec<(String, Wanted)>>, end: End) {
        self.jobs.push(Job { client, stages: stages.into(), current: Vec::new(), end });
    }

    /// Goes on with every job; returns the replies that are due.
    pub(crate) fn advance(&mut self, now: Duration) -> Vec<(usize, Reply)> {
        let mut replies = Vec::new();
        let mut index = 0;
        while index < self.jobs.len() {
            if self.is_busy(&self.jobs[index].current) {
                index += 1;
                continue;
            }
            let next = self.jobs[index].stages.front();
            let keys: Vec<String> = next.into_iter().flatten().map(|(key, _)| key.clone()).collect();
            if self.is_busy(&keys) {
                index += 1;
                continue;
            }
            if let Some(stage) = self.jobs[index].stages.pop_front() {
                self.jobs[index].current = keys;
                for (key, wanted) in stage {
                    let event = match wanted {
                        Wanted::Start => Event::Start,
                        Wanted::Stop => Event::Stop,
                        Wanted::Reload => Event::Reload,
                    };
                    self.event(now, &key, event);
                }
                continue;
            }
            let job = self.jobs.remove(index);
            let reply = self.reply(job.end);
            replies.extend(job.client.map(|client| (client, reply)));
        }
        replies
    }

    fn is_busy(&self, keys: &[String]) -> bool {
        keys.iter().filter_map(|key| self.services.get(key)).any(|service| service.machine.is_changing())
    }

    /// Says whether no job is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    fn reply(&mut self, end: End) -> Reply {
        match end {
            End::Done => Reply::Done,
            End::Programs { decided, pending } => Reply::Results(self.program_results(decided, pending)),
            End::Unit(key, wanted) => {
                let Some(service) = self.services.get(&key) else { return Reply::Done };
                let failed = match wanted {
                    Wanted::Start => service.machine.state() == State::Failed,
                    Wanted::Reload => service.machine.message().is_some(),
                    Wanted::Stop => false,
                };
                if !failed {
                    return Reply::Done;
                }
                let reason = service.machine.message().unwrap_or("it did not start");
                let message = format!("`{key}`: {reason}");
                let log = service.last_lines();
                self.failures.push(message.clone());
                Reply::Failed { message, log }
            }
        }
    }

    /// Stops everything in reverse order of start.
    pub(crate) fn begin_stop(&mut self) {
        self.jobs.clear();
        let order: Vec<String> = self.order.iter().rev().cloned().collect();
        let stages = order.into_iter().map(|key| vec![(key, Wanted::Stop)]).collect();
        self.begin(None, stages, End::Done);
    }

    /// Takes note of the end of a process.
    pub(crate) fn exited(&mut self, now: Duration, pid: i32, exit: Exit) {
        let owner =
            self.services.iter().find(|(_, service)| service.machine.owns(pid)).map(|(key, _)| key.clone());
        if let Some(key) = owner {
            self.event(now, &key, Event::Exited(pid, exit));
        }
    }

    /// Gives every service the events of its clock, its socket and its processes.
    pub(crate) fn tick(&mut self, now: Duration) {
        let keys: Vec<String> = self.services.keys().cloned().collect();
        for key in keys {
            let Some(service) = self.services.get(&key) else { continue };
            let said = service.notifications();
            let due = service.machine.due().is_some_and(|due| due <= now);
            let gone = service.machine.waits_for_all() && procfs::members(&key, None).is_empty();
            for notification in said {
                let event = match notification {
                    Notification::Main(pid) => Event::Main(pid),
                    Notification::Ready => Event::Ready,
                };
                self.event(now, &key, event);
            }
            if gone {
                self.event(now, &key, Event::Gone);
            }
            if due {
                self.event(now, &key, Event::Due);
            }
        }
    }

    /// Returns the earliest time at which [`Manager::tick`] has something to do.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.services.values().filter_map(|service| service.machine.due()).min()
    }

    /// Returns the sockets that services may write to.
    pub(crate) fn notify_fds(&self) -> impl Iterator<Item = RawFd> {
        self.services
            .values()
            .filter_map(|service| service.notify.as_ref().map(|(socket, _)| socket.as_raw_fd()))
    }

    /// Gives a service an event and carries out what it decides, and what follows from that.
    pub(crate) fn event(&mut self, now: Duration, key: &str, event: Event) {
        if let (Event::Start, Some(service)) = (&event, self.services.get_mut(key)) {
            service.renew();
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let Some(service) = self.services.get_mut(key) else { return };
            for action in service.machine.step(now, &event) {
                events.extend(self.carry_out(key, action));
            }
        }
        let Some(service) = self.services.get(key) else { return };
        let active = !matches!(service.machine.state(), State::Inactive | State::Failed);
        match self.order.iter().position(|known| known == key) {
            None if active => self.order.push(key.to_owned()),
            Some(at) if !active => drop(self.order.remove(at)),
            _ => {}
        }
    }

    fn carry_out(&mut self, key: &str, action: Action) -> Option<Event> {
        if action == Action::RunMain
            && let Err(error) = self.services.get_mut(key)?.open_notify()
        {
            return Some(Event::NotSpawned(error.line()));
        }
        let service = self.services.get(key)?;
        let with = Surroundings {
            service: key,
            translated: &service.translated,
            log: &service.log,
            notify: service.notify.as_ref().map(|(_, path)| path.as_path()),
            main: service.machine.main(),
        };
        match action {
            Action::RunMain => match spawn::main(&self.root, &with) {
                Ok(pid) => {
                    let about = service.about.clone();
                    self.remember_started(about);
                    Some(Event::Spawned(pid))
                }
                Err(reason) => Some(Event::NotSpawned(reason)),
            },
            Action::Run(which, index) => {
                let step = service.step_command(which, index)?;
                let result = spawn::beside(&self.root, &with, &step.command, step.privileged);
                Some(result.map_or_else(Event::NotSpawned, Event::Spawned))
            }
            Action::Signal(pid, number) => {
                sys::kill(pid, number);
                None
            }
            Action::SignalAll(number) => {
                let members = procfs::members(key, service.machine.main());
                for pid in &members {
                    sys::kill(*pid, number);
                }
                members.is_empty().then_some(Event::Gone)
            }
            // An init script may start several daemons; which of them is the main one cannot be known.
            Action::GuessMain if service.about.manager == shim::Manager::Sysv => None,
            Action::GuessMain => procfs::only_orphan(key).map(Event::Main),
            Action::ReadPidFile => {
                Some(read_pid_file(&self.root, service).map_or(Event::NoMain, Event::Main))
            }
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn remember_started(&mut self, about: StartedService) {
        if !self.started.contains(&about) {
            self.started.push(about);
        }
    }

    /// Returns what was started, what could not be, and what was noted, for the report.
    pub(crate) fn into_history(self) -> (Vec<StartedService>, Vec<String>, Vec<String>) {
        (self.started, self.failures, self.notes)
    }
}

fn read_pid_file(root: &Root, service: &Service) -> Option<i32> {
    let casque_units::Startup::Forking { pid_file: Some(path) } = &service.translated.startup else {
        return None;
    };
    let pid: i32 = fs::read_to_string(root.path(path)).ok()?.trim().parse().ok()?;
    std::path::Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
}
