//! All services together: order, requests, the ordered stop. Pure: events in, actions out.

use std::time::Duration;

use casque_format::run::Sockets;

use self::maintenance::Maintenance;
use crate::chance::Chance;
use crate::exit::{Exit, INTERNAL, Span};
use crate::notify::Notification;
use crate::plan::Plan;
use crate::service::{Service, State, Then};
use crate::stop::Budget;
use crate::wall::Wall;

mod change;
mod edges;
mod maintenance;
mod requests;
mod snapshot;

pub(crate) use self::maintenance::UNDER_WAY;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A deadline has come, or the very beginning.
    Due,
    /// A service's program runs.
    Running(usize),
    /// A service's probe ended, or a health check of it.
    Probed(usize, Result<(), String>),
    /// A service said something of itself.
    Notified(usize, Notification),
    /// A one-shot that runs once was done before, by this version.
    DoneBefore(usize, String),
    /// Nothing of what was due could happen for so long: the machine slept, or somebody stopped PID 1.
    Slept(Duration),
    /// The clock on the wall was set.
    ClockSet,
    /// A service's main process is gone, and so is what it left behind; its post-stop command runs, and the exit follows.
    CleansUp(usize),
    /// A service's main process is gone, and so is what it left behind.
    Exited(usize, Exit),
    /// No child of ours is left.
    StraysGone,
    /// Somebody wants the container to stop; says who.
    Terminate(String),
    /// PID 1 itself has a problem and stops everything.
    Broken(String),
    /// Somebody asks that every service but the agent be stopped until it hangs up.
    Maintain(u64),
    /// Whoever asked for that has hung up.
    HungUp(u64),
    /// Somebody asks for something.
    Asked {
        /// Whom to answer.
        client: u64,
        /// What to do.
        request: Request,
        /// With which service.
        service: String,
    },
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Start a service.
    Start,
    /// Stop a service.
    Stop,
    /// Stop and start a service.
    Restart,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a service's main process.
    Spawn(usize),
    /// Ask a starting service once whether it is ready.
    Probe(usize),
    /// Ask a ready service once whether it still serves.
    Examine(usize),
    /// Tell a service of its changed files.
    Tell(usize),
    /// Forget a probe that is under way.
    CancelProbe(usize),
    /// Send a signal to a service's main process.
    Signal(usize, i32),
    /// Send a signal to a service's process group.
    SignalGroup(usize, i32),
    /// Kill everything that belongs to a service, its post-stop command included.
    Kill(usize),
    /// Ask all other descendants to end.
    TerminateStrays,
    /// Kill all other descendants.
    KillStrays,
    /// Write a line to the log.
    Log(String),
    /// Repeat a service's last lines in the log.
    Quote(usize),
    /// Answer a request.
    Answer {
        /// Whose.
        client: u64,
        /// Done, or why not.
        result: Result<(), String>,
    },
    /// End with this code.
    Exit(i32),
}

/// All services together.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// A service keeps its place as long as PID 1 runs.
    services: Vec<Service>,
    /// The losses of each that have had their consequences.
    losses: Vec<u64>,
    wall: Wall,
    chance: Chance,
    stop_budget: Duration,
    phase: Phase,
    was_ready: bool,
    waiters: Vec<Waiter>,
    maintenance: Option<Maintenance>,
    phases: u64,
}

#[derive(Debug)]
enum Phase {
    Running,
    /// Services stop in order.
    Stopping(Ending),
    /// Services are gone; strays have had TERM.
    Strays {
        ending: Ending,
        kill_at: Duration,
        killed: bool,
    },
    Over,
}

/// How the container ends.
#[derive(Debug, Clone)]
struct Ending {
    code: i32,
    /// The last line of the log; none when the stop was asked for.
    why: Option<String>,
    /// The service that failed.
    failed: Option<usize>,
    budget: Budget,
}

/// Somebody waits for a request's outcome.
#[derive(Debug)]
struct Waiter {
    client: u64,
    service: usize,
    up: bool,
}

impl Supervisor {
    /// Returns a supervisor that has done nothing yet.
    pub(crate) fn new(plan: Plan, wall: Wall, mut chance: Chance) -> Self {
        let services = plan.services.into_iter().enumerate();
        let services: Vec<Service> =
            services.map(|(id, plan)| Service::new(id, plan, chance.split())).collect();
        Self {
            losses: vec![0; services.len()],
            services,
            wall,
            chance,
            stop_budget: plan.stop_budget,
            phase: Phase::Running,
            was_ready: false,
            waiters: Vec::new(),
            maintenance: None,
            phases: 0,
        }
    }

    /// Says what the clock on the wall shows.
    pub(crate) fn look_at_clock(&mut self, seconds: i64) {
        self.wall.seconds = seconds;
    }

    /// Says whether the clock on the wall matters.
    pub(crate) fn keeps_schedules(&self) -> bool {
        self.services.iter().any(|service| service.plan().schedule.is_some())
    }

    /// Decides what to do about `event`; `now` counts from PID 1's start.
    pub(crate) fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Due => {}
            Event::Running(id) => self.services[id].running(now, &mut actions),
            Event::Probed(id, result) => self.services[id].probed(now, result, &mut actions),
            Event::CleansUp(id) => {
                let latest = self.kill_at(id);
                self.services[id].cleans_up(now, latest, &mut actions);
            }
            Event::Exited(id, exit) => self.services[id].exited(now, exit, &mut actions),
            Event::Notified(id, said) => {
                let latest = self.kill_at(id);
                self.services[id].notified(now, &said, latest, &mut actions);
            }
            Event::DoneBefore(id, by) => self.services[id].done_before(now, &by, &mut actions),
            Event::Slept(gap) => self.services.iter_mut().for_each(|service| service.slept(gap)),
            Event::ClockSet => {
                let wall = self.wall;
                self.services.iter_mut().for_each(|service| service.clock_was_set(now, wall));
            }
            Event::StraysGone => self.strays_gone(&mut actions),
            Event::Terminate(who) => self.terminate(now, &who, &mut actions),
            Event::Maintain(client) => self.maintain(now, client, &mut actions),
            Event::HungUp(client) => self.hung_up(now, client, &mut actions),
            Event::Broken(what) => self.begin_stop(now, INTERNAL, Some(what), &mut actions),
            Event::Asked { client, request, service } => {
                self.ask(now, client, request, &service, &mut actions);
            }
        }
        self.settle(now, &mut actions);
        actions
    }

    /// Returns when to call [`Self::step`] with [`Event::Due`] if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::Running | Phase::Over => None,
            Phase::Stopping(ending) => {
                let forced = self.unsignalled().map(|id| ending.budget.signal_at(id));
                forced.chain([ending.budget.deadline]).min()
            }
            Phase::Strays { kill_at, killed: false, .. } => Some(*kill_at),
            Phase::Strays { ending, .. } => Some(ending.budget.deadline),
        };
        let services = match self.phase {
            Phase::Over => None,
            _ => self.services.iter().filter_map(Service::deadline).min(),
        };
        phase.into_iter().chain(services).min()
    }

    /// Returns the services, each at its place.
    pub(crate) fn services(&self) -> &[Service] {
        &self.services
    }

    /// Says whether every service is ready now.
    pub(crate) fn all_ready(&self) -> bool {
        self.services.iter().filter(|service| !service.is_retired()).all(Service::is_ready)
    }

    /// Says whether the container is on its way to its end.
    pub(crate) fn is_stopping(&self) -> bool {
        !matches!(self.phase, Phase::Running)
    }

    /// Counts the changes that a watcher should see.
    pub(crate) fn revision(&self) -> u64 {
        self.phases + self.services.iter().map(Service::revision).sum::<u64>()
    }

    fn front_ready(&self) -> bool {
        let fronts = self.services.iter().filter(|s| s.plan().spec.sockets == Sockets::Nginx);
        fronts.into_iter().any(Service::is_ready)
    }

    /// Does everything that follows from the states as they are now.
    fn settle(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for service in &mut self.services {
            service.due(now, actions);
        }
        if matches!(self.phase, Phase::Running) {
            self.stop_if_critical_failed(now, actions);
        }
        if matches!(self.phase, Phase::Running) {
            match self.maintenance {
                None => self.follow_losses(now, actions),
                Some(_) => self.hold_next(now, actions),
            }
            self.follow_failures(now, actions);
            self.start_waiting(now, actions);
            for service in &mut self.services {
                service.keep_schedule(now, self.wall, actions);
            }
            if !self.was_ready && self.maintenance.is_none() && self.all_ready() {
                self.was_ready = true;
                self.phases += 1;
            }
            self.stop_if_critical_failed(now, actions);
        }
        if matches!(self.phase, Phase::Stopping(_)) {
            self.stop_next(now, actions);
        }
        if matches!(self.phase, Phase::Strays { .. }) {
            self.press_strays(now, actions);
        }
        self.answer(actions);
    }

    fn start_waiting(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let settled: Vec<bool> = self.services.iter().map(Service::is_settled).collect();
        for service in &mut self.services {
            let free = service.plan().after.iter().all(|&needed| settled[needed]);
            if free && matches!(service.state(), State::Waiting) {
                service.begin(now, actions);
            }
        }
    }

    fn stop_if_critical_failed(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let failed = self.services.iter().enumerate().find_map(|(id, service)| match service.state() {
            State::Failed(cause) if service.plan().spec.critical => Some((id, service, cause)),
            _ => None,
        });
        if let Some((id, service, cause)) = failed {
            let why = format!("service `{}` failed: {cause}", service.plan().name);
            self.begin_stop(now, cause.code(), Some(why), actions);
            if let Phase::Stopping(ending) = &mut self.phase {
                ending.failed = Some(id);
            }
        }
    }

    /// Begins the ordered stop, or if it is under way, halves the time that is left.
    fn terminate(&mut self, now: Duration, who: &str, actions: &mut Vec<Action>) {
        match &self.phase {
            Phase::Running => {
                actions.push(Action::Log(format!("stopping on {who}, within {}", Span(self.stop_budget))));
                self.begin_stop(now, 0, None, actions);
            }
            Phase::Stopping(ending) => {
                let left = ending.budget.deadline.saturating_sub(now) / 2;
                actions.push(Action::Log(format!("{who} again, stopping within {}", Span(left))));
                let budget = self.budget(now, left);
                if let Phase::Stopping(ending) = &mut self.phase {
                    ending.budget = budget;
                }
                for (id, service) in self.services.iter_mut().enumerate() {
                    if let (State::Stopping { .. }, Phase::Stopping(ending)) = (service.state(), &self.phase)
                    {
                        let kill_at = ending.budget.kill_at(id);
                        service.stop(now, kill_at, Then::Stay, actions);
                    }
                }
            }
            Phase::Strays { .. } | Phase::Over => {}
        }
    }

    fn begin_stop(&mut self, now: Duration, code: i32, why: Option<String>, actions: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        if let Some(why) = &why {
            actions.push(Action::Log(format!("{why}; stopping everything")));
        }
        self.break_off_maintenance(actions);
        for service in &mut self.services {
            service.end(now);
        }
        let budget = self.budget(now, self.stop_budget);
        for (id, service) in self.services.iter_mut().enumerate() {
            if matches!(service.state(), State::Stopping { .. }) {
                service.stop(now, budget.kill_at(id), Then::Stay, actions);
            }
        }
        self.phase = Phase::Stopping(Ending { code, why, failed: None, budget });
        self.phases += 1;
    }

    fn budget(&self, now: Duration, span: Duration) -> Budget {
        let wanted = |s: &Service| if s.is_up() { s.stop_timeout() } else { Duration::ZERO };
        let timeouts: Vec<Duration> = self.services.iter().map(wanted).collect();
        let after: Vec<&[usize]> = self.services.iter().map(|s| s.plan().after.as_slice()).collect();
        Budget::new(now, span, &timeouts, &after)
    }

    /// Returns when a service gets KILL at the latest.
    fn kill_at(&self, id: usize) -> Duration {
        match &self.phase {
            Phase::Stopping(ending) => ending.budget.kill_at(id),
            _ => Duration::MAX,
        }
    }

    /// Returns the services that run and have not had their stop signal.
    fn unsignalled(&self) -> impl Iterator<Item = usize> {
        self.services.iter().enumerate().filter_map(|(id, service)| {
            matches!(service.state(), State::Starting { .. } | State::Ready).then_some(id)
        })
    }

    /// Stops whatever nothing running depends on any more.
    fn stop_next(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let Phase::Stopping(ending) = &self.phase else {
            return;
        };
        let ending = ending.clone();
        let needed = self.needed();
        for id in self.unsignalled().collect::<Vec<_>>() {
            if !needed[id] || ending.budget.signal_at(id) <= now {
                let service = &mut self.services[id];
                let kill_at = (now + service.stop_timeout()).min(ending.budget.kill_at(id));
                service.stop(now, kill_at.max(now), Then::Stay, actions);
            }
        }
        let up: Vec<&str> = self
            .services
            .iter()
            .filter(|service| service.is_up())
            .map(|service| service.plan().name.as_str())
            .collect();
        if up.is_empty() {
            // One half of what is left for a stray's own TERM handler, the other for KILL.
            let kill_at = now + ending.budget.deadline.saturating_sub(now) / 2;
            let kill_at = kill_at.min(now + Duration::from_secs(1));
            actions.push(Action::TerminateStrays);
            self.phase = Phase::Strays { ending, kill_at, killed: false };
        } else if ending.budget.deadline <= now {
            actions.push(Action::Log(format!("these do not even die of KILL: `{}`", up.join("`, `"))));
            self.exit(&ending, actions);
        }
    }

    /// Says of each service whether something that is up comes after it, be it through others that are not: a one-shot in
    /// between has ended long ago, and those after it still use what it used.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.services.len()];
        let up = self.services.iter().filter(|service| service.is_up());
        let mut open: Vec<usize> = up.flat_map(|service| &service.plan().after).copied().collect();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut needed[id], true) {
                open.extend(&self.services[id].plan().after);
            }
        }
        needed
    }

    fn press_strays(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let Phase::Strays { ending, kill_at, killed } = &mut self.phase else {
            return;
        };
        if !*killed && *kill_at <= now {
            *killed = true;
            actions.push(Action::KillStrays);
        }
        if ending.budget.deadline <= now {
            let ending = ending.clone();
            self.exit(&ending, actions);
        }
    }

    fn strays_gone(&mut self, actions: &mut Vec<Action>) {
        if let Phase::Strays { ending, .. } = &self.phase {
            let ending = ending.clone();
            self.exit(&ending, actions);
        }
    }

    fn exit(&mut self, ending: &Ending, actions: &mut Vec<Action>) {
        self.phase = Phase::Over;
        self.phases += 1;
        actions.extend(ending.failed.map(Action::Quote));
        actions.push(Action::Log(match &ending.why {
            Some(why) => format!("stopped with {}: {why}", ending.code),
            None => "stopped".to_owned(),
        }));
        actions.push(Action::Exit(ending.code));
    }
}

#[cfg(test)]
mod tests;
