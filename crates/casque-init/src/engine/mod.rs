//! The loop: waits for the kernel, tells the supervisor what happened, does what it decides.
//!
//! One thread, one poll, no waiting anywhere else. When nothing happens PID 1 does not wake up.

mod actions;
mod children;
mod cleanup;
mod notices;
mod once;
mod probes;
mod reap;
mod reload;
mod requests;
mod told;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use casque_format::control::Snapshot;
use casque_format::run::Sockets;

use self::children::Children;
use self::cleanup::Cleanups;
use self::notices::Notices;
use self::once::Onces;
use self::probes::Probes;
use self::reload::{PREPARE, Reloading};
use self::told::snapshot;
use crate::chance::Chance;
use crate::control::Control;
use crate::log::{Log, Mask, Output};
use crate::net::{self, ListenError};
use crate::oom::Oom;
use crate::plan::Plan;
use crate::signal;
use crate::stop::LAST_WORDS;
use crate::supervisor::{Event, Supervisor};
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

    fn name(&self, id: usize) -> &str {
        self.supervisor.services().get(id).map_or("prepare", |service| &service.plan().name)
    }

    fn now(&self) -> Duration {
        sys::clock().saturating_sub(self.began)
    }
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
