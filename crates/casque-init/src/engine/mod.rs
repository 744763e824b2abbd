//! The loop: waits for the kernel, tells the supervisor what happened, does what it decides.
//!
//! One thread, one poll, no waiting anywhere else. When nothing happens PID 1 does not wake up.

mod actions;
mod children;
mod cleanup;
mod notices;
mod once;
mod probes;
mod reload;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use casque_format::control::{self, Reply, Request as Asked, ServiceStatus, Snapshot};
use casque_format::run::Sockets;

use self::children::Children;
use self::cleanup::Cleanups;
use self::notices::Notices;
use self::once::{Ended, Onces};
use self::probes::Probes;
use self::reload::{PREPARE, Reloading};
use crate::chance::Chance;
use crate::control::{Control, Rights};
use crate::log::{Log, Mask, Output, stamp};
use crate::net::{self, ListenError};
use crate::oom::Oom;
use crate::plan::Plan;
use crate::signal;
use crate::stop::LAST_WORDS;
use crate::supervisor::{Action, Event, Request, Supervisor};
use crate::sys;
use crate::wall::Wall;

pub(crate) use self::reload::Source as PlanSource;

/// So late and more is nobody's slowness: PID 1 was not running.
const SLEPT: Duration = Duration::from_secs(2);

/// How much longer the last words may take while somebody reads them.
const LONGEST_LAST_WORDS: Duration = Duration::from_millis(400);

/// PID 1 at work.
#[derive(Debug)]
pub(crate) struct Engine {
    began: Duration,
    own_uid: u32,
    agent_uid: Option<u32>,
    signals: OwnedFd,
    null: OwnedFd,
    log: Log,
    control: Option<Control>,
    sockets: Vec<OwnedFd>,
    supervisor: Supervisor,
    /// Added to the supervisor's revisions, so that they rise over a change of plans.
    revisions: u64,
    children: Children,
    probes: Probes,
    oom: Oom,
    /// What those who want changes of state know.
    told: Option<Snapshot>,
    /// How often each service was killed for lack of memory.
    oom_kills: BTreeMap<usize, u32>,
    notices: Notices,
    onces: Onces,
    cleanups: Cleanups,
    /// Tells when the clock on the wall was set.
    clock: Option<OwnedFd>,
    source: PlanSource,
    /// The ports, version and secrets of the plan that is carried out.
    listen: Vec<u16>,
    version: String,
    mask: Vec<String>,
    reloading: Option<Reloading>,
    /// Programs that tell services something: whose, their output, and what [`crate::spawn::Child`] holds.
    errands: BTreeMap<i32, (String, u64, OwnedFd)>,
    events: VecDeque<Event>,
    watches_strays: bool,
    kills_strays: bool,
    code: Option<i32>,
}

/// What a descriptor belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Output,
    Stream(u64),
    Status(usize),
    Probe(usize),
    Notices(usize),
    Clock,
    Knock,
    Client(u64),
}

/// What [`Engine::new`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// From [`sys::signal_descriptor`].
    pub(crate) signals: OwnedFd,
    /// Where requests come in.
    pub(crate) control: Option<Control>,
    /// Where everything is written.
    pub(crate) log: Log,
    /// Where plans come from.
    pub(crate) source: PlanSource,
    /// Where it is written down what one-shots have done.
    pub(crate) once: PathBuf,
}

impl Engine {
    /// Prepares the loop for a plan.
    pub(crate) fn new(plan: Plan, parts: Parts) -> io::Result<Self> {
        let Parts { signals, control, log, source, once } = parts;
        let null: File = OpenOptions::new().read(true).custom_flags(libc::O_CLOEXEC).open("/dev/null")?;
        let mut engine = Self {
            began: sys::clock(),
            own_uid: sys::effective_uid(),
            agent_uid: plan.agent_uid,
            signals,
            null: null.into(),
            log,
            control,
            sockets: Vec::new(),
            supervisor: supervisor(Plan { services: Vec::new(), ..plan.clone() }),
            revisions: 0,
            children: Children::default(),
            probes: Probes::default(),
            oom: Oom::here(),
            told: None,
            oom_kills: BTreeMap::new(),
            notices: Notices::default(),
            onces: Onces::new(once),
            cleanups: Cleanups::default(),
            clock: None,
            source,
            listen: Vec::new(),
            version: String::new(),
            mask: Vec::new(),
            reloading: None,
            errands: BTreeMap::new(),
            events: VecDeque::new(),
            watches_strays: false,
            kills_strays: false,
            code: None,
        };
        engine.take_plan(plan);
        Ok(engine)
    }

    /// Opens the plan's ports and carries it out from now on. The plan before must be at its end.
    pub(crate) fn adopt(&mut self, plan: Plan) -> Result<(), ListenError> {
        self.sockets = net::listen(&plan.listen)?;
        self.take_plan(plan);
        Ok(())
    }

    fn take_plan(&mut self, plan: Plan) {
        self.revisions += self.supervisor.revision() + 1;
        self.agent_uid = plan.agent_uid;
        (self.listen, self.version) = (plan.listen.clone(), plan.version.clone());
        self.mask.clone_from(&plan.mask);
        self.log.hide(Mask::new(&plan.mask));
        self.log.arrange(&plan.logs, plan.services.iter().map(|service| service.name.as_str()));
        self.oom_kills.clear();
        let agent = plan.services.iter().find(|service| service.spec.sockets == Sockets::Agent);
        let agent = agent.and_then(|service| service.spec.user.as_ref());
        if let (Some(control), Some(user)) = (&self.control, agent.filter(|_| self.own_uid == 0)) {
            control.admit(user.gid);
        }
        self.supervisor = supervisor(plan);
        self.watch_surroundings();
        self.events.push_back(Event::Due);
    }

    /// Opens what the plan's services need beside their own processes.
    fn watch_surroundings(&mut self) {
        if self.supervisor.keeps_schedules() && self.clock.is_none() {
            // Without it a run after the clock was set may come at the time that it had before.
            self.clock = sys::watch_wall().ok();
        }
    }

    /// Runs until the container ends; returns PID 1's exit code.
    pub(crate) fn run(&mut self) -> i32 {
        loop {
            if let Err(code) = self.decide() {
                return code;
            }
            self.wait();
        }
    }

    /// Runs until every service is ready, or the container ends with a code.
    pub(crate) fn run_until_ready(&mut self) -> Result<(), i32> {
        loop {
            self.decide()?;
            if self.supervisor.all_ready() {
                return Ok(());
            }
            self.wait();
        }
    }

    /// Writes one of PID 1's own lines.
    pub(crate) fn say(&mut self, text: &str) {
        self.log.say(text);
    }

    #[cfg(test)]
    pub(crate) fn newest_lines(&self) -> Vec<String> {
        self.log.newest(None, 100).unwrap_or_default()
    }

    /// Stops everything, because PID 1 has a problem of its own.
    pub(crate) fn broken(&mut self, what: String) {
        self.events.push_back(Event::Broken(what));
    }

    /// Writes what is left of the log, for a short while.
    pub(crate) fn last_words(&mut self) {
        let mut until = sys::clock() + LAST_WORDS;
        let latest = until + LONGEST_LAST_WORDS;
        loop {
            let now = sys::clock();
            self.log.due(now.saturating_sub(self.began));
            if now >= until || !(self.log.output().is_waiting() || self.log.is_reading()) {
                return self.feed_followers(now.saturating_sub(self.began));
            }
            let streams: Vec<(u64, RawFd)> = self.log.descriptors().collect();
            let mut fds: Vec<libc::pollfd> =
                streams.iter().map(|&(_, fd)| interest(fd, libc::POLLIN)).collect();
            if self.log.output().is_waiting() {
                fds.push(interest(self.log.output().descriptor(), libc::POLLOUT));
            }
            let rest = self.log.deadline().map(|at| at + self.began).unwrap_or(until).min(until);
            if sys::poll(&mut fds, Some(rest.saturating_sub(now))).is_err() {
                return;
            }
            for (fd, &(id, _)) in fds.iter().zip(&streams) {
                if fd.revents != 0 {
                    self.log.read(id);
                }
            }
            if fds.len() > streams.len() && fds[streams.len()].revents != 0 {
                self.log.write();
                // Somebody reads: worth some more patience.
                until = (sys::clock() + LAST_WORDS).min(latest);
            }
        }
    }

    /// Waits for something to happen and turns it into events.
    fn wait(&mut self) {
        let sources = self.sources();
        let mut fds: Vec<libc::pollfd> =
            sources.iter().map(|&(_, fd, events)| interest(fd, events)).collect();
        let deadline = self.deadline();
        let timeout = deadline.map(|at| at.saturating_sub(self.now()));
        if let Err(error) = sys::poll(&mut fds, timeout) {
            self.broken(format!("PID 1 cannot wait for events: {error}"));
        }
        let late = deadline.map(|at| self.now().saturating_sub(at)).filter(|late| *late >= SLEPT);
        if let Some(late) = late {
            self.events.push_back(Event::Slept(late));
        }
        for (fd, &(source, ..)) in fds.iter().zip(&sources) {
            if fd.revents != 0 {
                self.handle(source, fd.revents);
            }
        }
        self.due();
    }

    fn sources(&mut self) -> Vec<(Source, RawFd, libc::c_short)> {
        // What was said comes before the end of whoever said it.
        let notices = self.notices.descriptors().map(|(id, fd)| (Source::Notices(id), fd, libc::POLLIN));
        let mut sources: Vec<_> = notices.collect();
        sources.push((Source::Signals, self.signals.as_raw_fd(), libc::POLLIN));
        if self.log.output().is_waiting() {
            sources.push((Source::Output, self.log.output().descriptor(), libc::POLLOUT));
        }
        sources.extend(self.log.descriptors().map(|(id, fd)| (Source::Stream(id), fd, libc::POLLIN)));
        sources.extend(self.children.descriptors().map(|(id, fd)| (Source::Status(id), fd, libc::POLLIN)));
        sources.extend(self.probes.descriptors().map(|(id, fd, writes)| {
            (Source::Probe(id), fd, if writes { libc::POLLOUT } else { libc::POLLIN })
        }));
        if let Some(clock) = &self.clock {
            sources.push((Source::Clock, clock.as_raw_fd(), libc::POLLIN));
        }
        if let Some(control) = &self.control {
            sources.push((Source::Knock, control.listener(), libc::POLLIN));
            sources.extend(control.descriptors().map(|(id, fd, writes)| {
                let write = if writes { libc::POLLOUT } else { 0 };
                (Source::Client(id), fd, libc::POLLIN | write)
            }));
        }
        sources
    }

    fn deadline(&self) -> Option<Duration> {
        [
            self.supervisor.deadline(),
            self.children.deadline(),
            self.probes.deadline(),
            self.log.deadline(),
            self.reload_deadline(),
            self.control.as_ref().and_then(Control::deadline),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn handle(&mut self, source: Source, ready: libc::c_short) {
        let now = self.now();
        match source {
            Source::Signals => self.take_signals(),
            Source::Output => self.log.write(),
            Source::Stream(id) => self.log.read(id),
            Source::Status(id) => {
                if self.children.read_status(id) && id != PREPARE {
                    self.events.push_back(Event::Running(id));
                }
            }
            Source::Probe(id) => {
                if let Some(outcome) = self.probes.advance(id) {
                    self.events.push_back(Event::Probed(id, outcome));
                }
            }
            Source::Notices(id) => self.take_notices(id),
            Source::Clock => {
                self.clock = sys::watch_wall().ok();
                self.events.push_back(Event::ClockSet);
            }
            Source::Knock => {
                if let Some(control) = &mut self.control {
                    control.accept(now);
                }
            }
            Source::Client(id) => {
                if let Some(control) = &mut self.control {
                    if ready & libc::POLLOUT != 0 {
                        control.write(id, now);
                    }
                    if ready & !libc::POLLOUT != 0 {
                        control.read(id);
                    }
                }
            }
        }
    }

    /// Does everything whose time has come.
    fn due(&mut self) {
        let now = self.now();
        self.look_for_leavers(now, false);
        self.press_reload(now);
        for (id, outcome) in self.probes.due(now) {
            self.events.push_back(Event::Probed(id, outcome));
        }
        self.log.due(now);
        if let Some(control) = &mut self.control {
            control.due(now);
        }
        if self.supervisor.deadline().is_some_and(|at| at <= now) {
            self.events.push_back(Event::Due);
        }
    }

    /// Takes requests, lets the supervisor decide about all that happened, and shows the outcome;
    /// an error is PID 1's exit code.
    fn decide(&mut self) -> Result<(), i32> {
        // Before anybody begins to follow, who would get them twice.
        self.feed_followers(self.now());
        self.take_requests();
        while let Some(event) = self.events.pop_front().or_else(|| self.hang_up()) {
            let now = self.now();
            self.supervisor.look_at_clock(sys::wall());
            for action in self.supervisor.step(now, event) {
                self.perform(action, now);
            }
            self.tell_events(now);
        }
        let now = self.now();
        self.feed_followers(now);
        let revision = self.revisions + self.supervisor.revision();
        if let Some(control) = &mut self.control {
            let pids = self.children.pids();
            control.publish(revision, now, || {
                snapshot(&self.supervisor, &self.log, &self.oom_kills, now, &pids)
            });
        }
        self.code.map_or(Ok(()), Err)
    }

    /// Returns that whoever asked for maintenance is gone, when that is so.
    fn hang_up(&self) -> Option<Event> {
        let client = self.supervisor.maintainer()?;
        let is_there = self.control.as_ref().is_some_and(|control| control.knows(client));
        (!is_there).then_some(Event::HungUp(client))
    }

    /// Sends new lines to whoever follows them.
    fn feed_followers(&mut self, now: Duration) {
        let Some(control) = &mut self.control else {
            return;
        };
        self.log.follow(control.has_followers());
        for (label, block) in self.log.fresh() {
            let text = String::from_utf8_lossy(&block);
            let lines: Vec<String> = text.lines().map(|line| format!("{label} | {line}")).collect();
            control.send_lines(&label, &lines, now);
        }
    }

    /// Sends what has changed to whoever wants to know.
    fn tell_events(&mut self, now: Duration) {
        let Some(control) = self.control.as_mut().filter(|control| control.has_listeners()) else {
            self.told = None;
            return;
        };
        let pids = self.children.pids();
        let new = snapshot(&self.supervisor, &self.log, &self.oom_kills, now, &pids);
        if let Some(old) = self.told.replace(new.clone()) {
            for event in changes(&old, &new, &stamp(sys::wall_clock())) {
                control.send_event(&event, now);
            }
        }
    }

    fn take_signals(&mut self) {
        while let Some(number) = sys::read_signal(&self.signals) {
            match number {
                libc::SIGCHLD => self.reap(),
                libc::SIGTERM | libc::SIGINT | libc::SIGQUIT | libc::SIGPWR => {
                    self.events.push_back(Event::Terminate(signal::name(number)));
                }
                // HUP, USR1, USR2 and WINCH mean nothing to PID 1 and must not end it.
                _ => {}
            }
        }
    }

    /// Reaps every child that has ended: ours, probes, strangers. One signal may stand for many.
    fn reap(&mut self) {
        let now = self.now();
        loop {
            let pid = match sys::ended_child() {
                sys::Children::Ended(pid) => pid,
                sys::Children::Busy => {
                    if self.kills_strays {
                        // They may have forked while they were counted.
                        actions::signal_strays(libc::SIGKILL);
                    }
                    break;
                }
                sys::Children::None => {
                    if self.watches_strays {
                        self.events.push_back(Event::StraysGone);
                    }
                    break;
                }
            };
            let (stopping, oom) = (self.supervisor.is_stopping(), &mut self.oom);
            if let Some(ended) = self.children.ended(pid, now, stopping, oom, || sys::reap(pid)) {
                if ended.out_of_memory {
                    *self.oom_kills.entry(ended.id).or_default() += 1;
                }
                self.log.finish(ended.stream, now);
                if ended.just_ran && ended.id != PREPARE {
                    self.events.push_back(Event::Running(ended.id));
                }
            } else if let Some((id, asked)) = self.probes.ended(pid) {
                sys::kill(-pid, libc::SIGKILL);
                let outcome = asked.judge(sys::reap(pid)).map_err(|problem| self.log.masked(&problem));
                self.events.push_back(Event::Probed(id, outcome));
            } else if !self.cleanup_ended(pid, now) && !self.errand_ended(pid, now) {
                sys::reap(pid);
            }
        }
        self.look_for_leavers(now, true);
    }

    fn look_for_leavers(&mut self, now: Duration, reaped: bool) {
        for (id, exit, left) in self.children.gone(now, reaped) {
            if !left.is_empty() {
                let name = self.name(id).to_owned();
                self.log.say(&format!("`{name}` left processes that do not die: {left:?}"));
            }
            if id == PREPARE {
                self.prepared(exit, now);
                continue;
            }
            if self.clean_up(id, &exit) {
                continue;
            }
            match self.ended_once(id, exit) {
                Ended::Of(exit) => self.events.push_back(Event::Exited(id, exit)),
                Ended::Locked => self.perform(Action::Spawn(id), now),
            }
        }
    }

    fn take_requests(&mut self) {
        let now = self.now();
        let rights = Rights { own_uid: self.own_uid, agent_uid: self.agent_uid };
        let Some(control) = &mut self.control else {
            return;
        };
        let mut asked = Vec::new();
        let mut reloads = Vec::new();
        for client in control.asking() {
            while let Some(request) = control.next_request(client, rights, now) {
                let (request, service) = match request {
                    Asked::Status => {
                        let pids = self.children.pids();
                        let snapshot = snapshot(&self.supervisor, &self.log, &self.oom_kills, now, &pids);
                        control.answer(client, &Reply::Status { snapshot }, now);
                        continue;
                    }
                    Asked::Watch => {
                        control.watch(client);
                        break;
                    }
                    Asked::Logs { service, lines } => {
                        let reply = match self.log.newest(service.as_deref(), lines) {
                            Some(lines) => Reply::Logs { lines },
                            None => no_service(service),
                        };
                        control.answer(client, &reply, now);
                        continue;
                    }
                    Asked::Follow { service, lines } => {
                        match self.log.newest(service.as_deref(), lines) {
                            Some(lines) => {
                                control.answer(client, &Reply::Logs { lines }, now);
                                control.follow(client, service);
                                self.log.follow(true);
                            }
                            None => control.answer(client, &no_service(service), now),
                        }
                        continue;
                    }
                    Asked::Events => {
                        let pids = self.children.pids();
                        let told = snapshot(&self.supervisor, &self.log, &self.oom_kills, now, &pids);
                        let (time, container) = (stamp(sys::wall_clock()), Some(told.state));
                        let event = control::Event { time, container, service: None };
                        control.answer(client, &Reply::Event { event }, now);
                        control.tell_events(client);
                        self.told.get_or_insert(told);
                        continue;
                    }
                    Asked::Reload => {
                        reloads.push(client);
                        break;
                    }
                    Asked::Maintain if self.reloading.is_some() => {
                        let message = "settings are being taken over; ask again when that is done".to_owned();
                        control.answer(client, &Reply::Error { message }, now);
                        continue;
                    }
                    Asked::Maintain => {
                        control.hold(client);
                        asked.push(Event::Maintain(client));
                        break;
                    }
                    Asked::Restart { service } => (Request::Restart, service),
                    Asked::Stop { service } => (Request::Stop, service),
                    Asked::Start { service } => (Request::Start, service),
                };
                asked.push(Event::Asked { client, request, service });
            }
        }
        self.events.extend(asked);
        for client in reloads {
            self.begin_reload(client, now);
        }
    }

    fn name(&self, id: usize) -> &str {
        self.supervisor.services().get(id).map_or("prepare", |service| &service.plan().name)
    }

    fn now(&self) -> Duration {
        sys::clock().saturating_sub(self.began)
    }
}

fn no_service(name: Option<String>) -> Reply {
    Reply::Error { message: format!("there is no service `{}`", name.unwrap_or_default()) }
}

/// Returns what is different in `new`.
fn changes(old: &Snapshot, new: &Snapshot, time: &str) -> Vec<control::Event> {
    let event = |container, service| control::Event { time: time.to_owned(), container, service };
    // Time alone is no change.
    let facts = |service: &ServiceStatus| ServiceStatus { since_ms: 0, ..service.clone() };
    let before: BTreeMap<&str, ServiceStatus> =
        old.services.iter().map(|service| (service.name.as_str(), facts(service))).collect();
    let services =
        new.services.iter().filter(|service| before.get(service.name.as_str()) != Some(&facts(service)));
    let mut all: Vec<control::Event> = services.map(|service| event(None, Some(service.clone()))).collect();
    if old.state != new.state {
        all.push(event(Some(new.state), None));
    }
    all
}

/// Returns the state of everything, what the supervisor does not know of included.
fn snapshot(
    supervisor: &Supervisor,
    log: &Log,
    oom_kills: &BTreeMap<usize, u32>,
    now: Duration,
    pids: &BTreeMap<usize, i32>,
) -> Snapshot {
    let mut snapshot = supervisor.snapshot(now, pids);
    for (id, service) in snapshot.services.iter_mut().enumerate() {
        let losses = log.losses(&service.name);
        service.dropped_lines = losses.dropped;
        service.unfiled_lines = losses.unfiled;
        service.log_problem = losses.problem;
        service.oom_kills = oom_kills.get(&id).copied().unwrap_or_default();
    }
    snapshot
}

fn supervisor(plan: Plan) -> Supervisor {
    let wall = Wall { seconds: sys::wall(), zone: sys::zone };
    Supervisor::new(plan, wall, Chance::new(sys::seed()))
}

fn interest(fd: RawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

/// Returns a log on standard output.
pub(crate) fn standard_log() -> io::Result<Log> {
    Ok(Log::new(Output::standard()?))
}

/// Kills all descendants at once: the last resort.
pub(crate) fn kill_everybody() {
    actions::signal_strays(libc::SIGKILL);
}
