//! What must hold whatever the services do: a small world of random services in virtual time.

use std::collections::BTreeMap;

use casque_format::run::WhenLost;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::{Chance, Duration, Event, Exit, Notification, State, Supervisor, at, checked, service, wall};
use crate::supervisor::{Action, Request};

/// How one service behaves.
#[derive(Debug, Clone)]
struct Behaviour {
    /// Probes that say no before one says yes.
    reluctance: u8,
    /// Milliseconds until each run ends by itself.
    lives: Vec<u16>,
    /// Milliseconds it needs to act on its stop signal; none ignores it.
    obeys: Option<u16>,
    /// How it needs each of those before it; none if it does not.
    needs: Vec<Option<(Need, Option<WhenLost>)>>,
    critical: bool,
    kind: Kind,
    /// Health checks that succeed before one fails; none has no checks.
    health: Option<u8>,
    /// Milliseconds that its post-stop command needs; none has no such command.
    cleanup: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Probed,
    Notifies,
    Timer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    After,
    Requires,
}

fn need() -> impl Strategy<Value = Option<(Need, Option<WhenLost>)>> {
    let need = prop_oneof![Just(Need::After), Just(Need::Requires)];
    let lost = prop_oneof![
        2 => Just(None),
        1 => Just(Some(WhenLost::Restart)),
        1 => Just(Some(WhenLost::Stop)),
    ];
    prop_oneof![1 => Just(None), 1 => (need, lost).prop_map(Some)]
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let kind = prop_oneof![4 => Just(Kind::Probed), 2 => Just(Kind::Notifies), 1 => Just(Kind::Timer)];
    let needs = prop::collection::vec(need(), 5);
    let health = prop::option::weighted(0.3, 0..5_u8);
    let cleanup = prop::option::weighted(0.3, 1..3_000_u16);
    let own = (needs, prop::bool::weighted(0.2), kind, health, cleanup);
    (
        0..4_u8,
        prop::collection::vec(1..3_000_u16, 0..4),
        prop_oneof![3 => (1..1_500_u16).prop_map(Some), 1 => Just(None)],
        own,
    )
        .prop_map(|(reluctance, lives, obeys, (needs, critical, kind, health, cleanup))| Behaviour {
            reluctance,
            lives,
            obeys,
            needs,
            critical,
            kind,
            health,
            cleanup,
        })
}

/// Something from outside.
#[derive(Debug, Clone)]
enum Visit {
    Ask(Request, usize),
    Terminate,
    /// The clock on the wall jumps by so many seconds.
    SetClock(i16),
    /// Somebody stopped PID 1 for so many milliseconds.
    Sleep(u16),
    /// A service says something whenever it likes.
    Say(usize, bool),
    /// Somebody wants everything stopped for so many milliseconds.
    Maintain(u16),
}

fn visits() -> impl Strategy<Value = Vec<(u16, Visit)>> {
    let request = prop_oneof![Just(Request::Start), Just(Request::Stop), Just(Request::Restart)];
    let visit = prop_oneof![
        6 => (request, 0..5_usize).prop_map(|(request, id)| Visit::Ask(request, id)),
        1 => Just(Visit::Terminate),
        2 => any::<i16>().prop_map(Visit::SetClock),
        2 => any::<u16>().prop_map(Visit::Sleep),
        2 => (0..5_usize, any::<bool>()).prop_map(|(id, stopping)| Visit::Say(id, stopping)),
        2 => (0..20_000_u16).prop_map(Visit::Maintain),
    ];
    prop::collection::vec((0..65_000_u16, visit), 0..12)
}

const BUDGET: u64 = 5_000;
const DEATH: u64 = 5;

/// Something that happens, if the run it belongs to is still on.
type Planned = (Option<(usize, u64)>, Event);

/// The world: who runs since when, and what will happen.
struct World {
    supervisor: Supervisor,
    behaviours: Vec<Behaviour>,
    after: Vec<Vec<usize>>,
    /// Seconds that the clock on the wall is off.
    skew: i64,
    /// Health checks under way, and how many each service has passed in its run.
    examining: Vec<bool>,
    passed: Vec<u8>,
    /// Post-stop commands that run.
    cleaning: Vec<bool>,
    /// The run of each service that has a process.
    runs: BTreeMap<usize, u64>,
    next_run: u64,
    spawns: Vec<Vec<Duration>>,
    doubts: Vec<u8>,
    asked: Vec<bool>,
    /// Somebody was told that everything is stopped.
    maintained: Option<u64>,
    was_maintained: bool,
    /// The next start of each is one after maintenance.
    anew: Vec<bool>,
    ready: Vec<bool>,
    agenda: BTreeMap<(Duration, u64), Planned>,
    entries: u64,
    stopping_since: Option<Duration>,
    exit: Option<Duration>,
    /// When the clock is set, and by how much.
    jumps: Vec<(Duration, i64)>,
}

impl World {
    fn new(behaviours: Vec<Behaviour>, visits: &[(u16, Visit)]) -> Self {
        let count = behaviours.len();
        let after: Vec<Vec<usize>> = behaviours
            .iter()
            .enumerate()
            .map(|(id, behaviour)| {
                let timer = |needed: &usize| behaviours[*needed].kind == Kind::Timer;
                (0..id).filter(|needed| behaviour.needs[*needed].is_some() && !timer(needed)).collect()
            })
            .collect();
        let services: Map<String, Value> = (0..count)
            .map(|id| {
                let own = &behaviours[id];
                let needs = |wanted: Need| {
                    let of =
                        after[id].iter().filter(|&&n| own.needs[n].is_some_and(|(need, _)| need == wanted));
                    of.map(|n| format!("s{n}")).collect::<Vec<_>>()
                };
                let lost = after[id].iter().filter_map(|&n| Some((format!("s{n}"), own.needs[n]?.1?)));
                let mut change = json!({
                    "after": needs(Need::After), "requires": needs(Need::Requires),
                    "when_lost": lost.collect::<BTreeMap<_, _>>(), "start_timeout_ms": 10_000,
                    "critical": own.critical, "stop": { "signal": "TERM", "timeout_ms": 900 },
                });
                match own.kind {
                    Kind::Probed => change["ready"] = json!({ "tcp": "127.0.0.1:1" }),
                    Kind::Notifies => change["ready"] = json!("notify"),
                    Kind::Timer => {
                        change["kind"] = json!("oneshot");
                        change["schedule"] = json!("* * * * *");
                    }
                }
                if own.health.is_some() && own.kind != Kind::Timer {
                    change["health"] = json!({
                        "check": { "unix": "/s" }, "interval_ms": 2_000, "timeout_ms": 500, "failures": 2,
                    });
                }
                (format!("s{id}"), service(&change))
            })
            .collect();
        let plan = json!({
            "version": 1, "product": { "name": "a/b", "version": "1", "command": "b" }, "listen": [],
            "services": services, "stop_budget_ms": BUDGET, "mask": [], "agent_uid": 1,
        });
        let mut world = Self {
            supervisor: Supervisor::new(checked(plan), wall(), Chance::new(1)),
            doubts: vec![0; count],
            skew: 0,
            examining: vec![false; count],
            passed: vec![0; count],
            cleaning: vec![false; count],
            asked: vec![false; count],
            maintained: None,
            was_maintained: false,
            anew: vec![false; count],
            ready: vec![false; count],
            spawns: vec![Vec::new(); count],
            behaviours,
            after,
            runs: BTreeMap::new(),
            next_run: 0,
            agenda: BTreeMap::new(),
            entries: 0,
            stopping_since: None,
            exit: None,
            jumps: Vec::new(),
        };
        world.plan(at(0), None, Event::Due);
        for (client, (when, visit)) in (100..).zip(visits) {
            let event = match visit {
                Visit::Ask(request, id) => {
                    Event::Asked { client: 1, request: *request, service: format!("s{id}") }
                }
                Visit::Terminate => Event::Terminate("SIGTERM".to_owned()),
                Visit::SetClock(_) => Event::ClockSet,
                Visit::Maintain(span) => {
                    let end = at(u64::from(*when) + u64::from(*span));
                    world.plan(end, None, Event::HungUp(client));
                    Event::Maintain(client)
                }
                Visit::Sleep(millis) => Event::Slept(at(u64::from(*millis))),
                Visit::Say(id, _) if *id >= count => continue,
                Visit::Say(id, stopping) => {
                    let text = if *stopping { "STOPPING=1" } else { "EXTEND_TIMEOUT_USEC=700000" };
                    Event::Notified(*id, Notification::parse(text.as_bytes()))
                }
            };
            if let Visit::SetClock(seconds) = visit {
                world.jumps.push((at(u64::from(*when)), i64::from(*seconds)));
            }
            world.plan(at(u64::from(*when)), None, event);
        }
        world.plan(at(200_000), None, Event::Terminate("SIGTERM".to_owned()));
        world
    }

    fn plan(&mut self, when: Duration, run: Option<(usize, u64)>, event: Event) {
        self.entries += 1;
        self.agenda.insert((when, self.entries), (run, event));
    }

    /// Lets everything happen; an error is what should not have.
    fn run(&mut self) -> Result<(), String> {
        for _ in 0..20_000 {
            let planned = self.agenda.keys().next().copied();
            let due = self.supervisor.deadline();
            let (now, event) = match (planned, due) {
                (Some((when, _)), Some(due)) if due < when => (due, Event::Due),
                (None, Some(due)) => (due, Event::Due),
                (Some(key), _) => {
                    let (run, event) = self.agenda.remove(&key).unwrap();
                    if run.is_some_and(|(id, run)| self.runs.get(&id) != Some(&run)) {
                        continue;
                    }
                    (key.0, self.clean_up(key.0, run, event))
                }
                (None, None) => return Err("nothing will ever happen again".to_owned()),
            };
            self.jumps.retain(|&(when, seconds)| {
                self.skew += if when <= now { seconds } else { 0 };
                when > now
            });
            let seconds = i64::try_from(now.as_secs()).unwrap();
            self.supervisor.look_at_clock(wall().seconds + seconds + self.skew);
            self.note(&event);
            for action in self.supervisor.step(now, event) {
                self.perform(now, action)?;
            }
            if self.supervisor.deadline().is_some_and(|due| due <= now) {
                return Err(format!("a deadline at {now:?} was not dealt with"));
            }
            if self.exit.is_some() {
                return Ok(());
            }
        }
        Err("the world does not come to an end".to_owned())
    }

    /// Has a post-stop command come between a service's end and what follows from it.
    fn clean_up(&mut self, now: Duration, run: Option<(usize, u64)>, event: Event) -> Event {
        let Event::Exited(id, _) = event else {
            return event;
        };
        let needed = self.behaviours[id].cleanup.filter(|_| self.behaviours[id].kind != Kind::Timer);
        match needed {
            Some(needed) if !std::mem::replace(&mut self.cleaning[id], true) => {
                // Whatever else was to become of this run has no process any more.
                self.agenda.retain(|_, (other, _)| *other != run);
                self.plan(now + at(u64::from(needed)), run, event);
                Event::CleansUp(id)
            }
            _ => event,
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::CleansUp(id) => {
                self.ready[*id] = false;
                self.examining[*id] = false;
            }
            Event::Exited(id, _) => {
                self.cleaning[*id] = false;
                self.runs.remove(id);
                self.ready[*id] = false;
                self.examining[*id] = false;
            }
            Event::Probed(id, Ok(())) if !self.examining[*id] => self.ready[*id] = true,
            Event::Probed(id, _) => self.examining[*id] = false,
            Event::Notified(id, said) if said.ready => self.ready[*id] = true,
            Event::HungUp(client) if self.maintained == Some(*client) => {
                self.maintained = None;
                self.anew.fill(true);
            }
            Event::Asked { service, .. } => {
                if let Some(id) = service[1..].parse::<usize>().ok().filter(|&id| id < self.asked.len()) {
                    self.asked[id] = true;
                }
            }
            _ => {}
        }
    }

    fn perform(&mut self, now: Duration, action: Action) -> Result<(), String> {
        match action {
            Action::Spawn(id) => self.spawn(now, id)?,
            Action::Probe(id) => {
                let run = (id, self.runs[&id]);
                let outcome = if self.doubts[id] > 0 { Err("no".to_owned()) } else { Ok(()) };
                self.doubts[id] = self.doubts[id].saturating_sub(1);
                self.plan(now + at(1), Some(run), Event::Probed(id, outcome));
            }
            Action::Signal(id, _) | Action::SignalGroup(id, _) => self.signal(now, id)?,
            Action::Kill(id) => {
                let run = self.runs[&id];
                self.plan(now + at(DEATH), Some((id, run)), Event::Exited(id, Exit::Signal(9)));
            }
            Action::TerminateStrays => {
                if !self.runs.is_empty() {
                    return Err("strays are chased while services run".to_owned());
                }
                self.plan(now + at(DEATH), None, Event::StraysGone);
            }
            Action::Exit(_) => self.end(now)?,
            Action::Log(text) if text.contains("stopping everything") || text.starts_with("stopping on") => {
                self.stopping_since = Some(now);
            }
            Action::Examine(id) => self.examine(now, id)?,
            Action::CancelProbe(id) => {
                self.examining[id] = false;
                self.agenda
                    .retain(|_, (_, event)| !matches!(event, Event::Probed(probed, _) if *probed == id));
            }
            Action::Tell(_) => return Err("nobody changed a file".to_owned()),
            Action::Answer { client, result: Ok(()) } if client >= 100 => {
                if let Some(id) = self.runs.keys().next() {
                    return Err(format!("s{id} runs in maintenance"));
                }
                self.maintained = Some(client);
                self.was_maintained = true;
            }
            Action::Log(_) | Action::Quote(_) | Action::KillStrays | Action::Answer { .. } => {}
        }
        Ok(())
    }

    fn spawn(&mut self, now: Duration, id: usize) -> Result<(), String> {
        if self.runs.contains_key(&id) {
            return Err(format!("s{id} runs twice"));
        }
        if self.stopping_since.is_some() {
            return Err(format!("s{id} starts during the stop"));
        }
        if self.maintained.is_some() {
            return Err(format!("s{id} starts in maintenance"));
        }
        let anew = std::mem::take(&mut self.anew[id]) && !self.asked.contains(&true);
        let first = (anew || self.spawns[id].is_empty()) && self.behaviours[id].kind != Kind::Timer;
        let late = self.after[id].iter().find(|&&needed| {
            let failed = matches!(self.supervisor.services()[needed].state(), State::Failed(_));
            let order_alone = self.behaviours[id].needs[needed].is_some_and(|(need, _)| need == Need::After);
            !(self.ready[needed] || failed && order_alone)
        });
        if let (true, Some(needed)) = (first, late) {
            return Err(format!("s{id} starts before s{needed}, which it needs, is ready"));
        }
        self.spawns[id].push(now);
        let recent = self.spawns[id].iter().filter(|&&at| at + Duration::from_secs(1) > now);
        let follows = self.after[id].iter().filter(|&&needed| {
            self.behaviours[id].needs[needed].is_some_and(|(_, lost)| lost == Some(WhenLost::Restart))
        });
        // Who follows others starts as often as they do.
        let follows = follows.count();
        if recent.count() > 4 * (1 + follows) && !self.asked.contains(&true) && !self.was_maintained {
            return Err(format!("s{id} starts too often"));
        }
        self.next_run += 1;
        self.runs.insert(id, self.next_run);
        let run = Some((id, self.next_run));
        self.doubts[id] = self.behaviours[id].reluctance;
        self.passed[id] = 0;
        self.plan(now + at(1), run, Event::Running(id));
        if self.behaviours[id].kind == Kind::Notifies {
            let pause = u64::from(self.behaviours[id].reluctance) * 200 + 2;
            let said = Notification { ready: true, ..Notification::default() };
            self.plan(now + at(pause), run, Event::Notified(id, said));
        }
        if let Some(&life) = self.behaviours[id].lives.get(self.spawns[id].len() - 1) {
            let exit = Exit::Code(i32::from(life % 3));
            self.plan(now + at(u64::from(life) + 2), run, Event::Exited(id, exit));
        }
        Ok(())
    }

    fn examine(&mut self, now: Duration, id: usize) -> Result<(), String> {
        if std::mem::replace(&mut self.examining[id], true) {
            return Err(format!("s{id} is asked twice at a time"));
        }
        let Some(run) = self.runs.get(&id) else {
            return Err(format!("s{id} is asked and does not run"));
        };
        let run = Some((id, *run));
        self.passed[id] = self.passed[id].saturating_add(1);
        let well = self.behaviours[id].health.is_some_and(|healthy| self.passed[id] <= healthy);
        let outcome = if well { Ok(()) } else { Err("no".to_owned()) };
        self.plan(now + at(20), run, Event::Probed(id, outcome));
        Ok(())
    }

    fn signal(&mut self, now: Duration, id: usize) -> Result<(), String> {
        if self.cleaning[id] {
            return Err(format!("s{id} is told to stop and has no process"));
        }
        let dependent = self.runs.keys().find(|&&other| self.comes_after(other, id));
        // What was told to stop before is none of the ordered stop's business.
        let asked = self.asked.contains(&true) || self.follows_anybody();
        if let (Some(dependent), true, false) = (dependent, self.stopping_since.is_some(), asked) {
            return Err(format!("s{id} is stopped before s{dependent}"));
        }
        if let Some(needed) = self.behaviours[id].obeys {
            let run = self.runs[&id];
            let exit = Event::Exited(id, Exit::Code(0));
            self.plan(now + at(u64::from(needed)), Some((id, run)), exit);
        }
        Ok(())
    }

    /// Says whether one service comes after another, be it through others.
    fn comes_after(&self, id: usize, needed: usize) -> bool {
        self.after[id].iter().any(|&next| next == needed || self.comes_after(next, needed))
    }

    fn follows_anybody(&self) -> bool {
        let mut needs = self.behaviours.iter().flat_map(|behaviour| &behaviour.needs);
        needs.any(|need| need.is_some_and(|(_, lost)| lost.is_some()))
    }

    fn end(&mut self, now: Duration) -> Result<(), String> {
        let since = self.stopping_since.ok_or("the end came without a reason")?;
        if now > since + at(BUDGET) {
            return Err(format!("the stop took {:?}", now - since));
        }
        if let Some(id) = self.runs.keys().next() {
            return Err(format!("s{id} still runs at the end"));
        }
        self.exit = Some(now);
        Ok(())
    }
}

proptest! {
    #[test]
    fn order_budget_and_backoff_hold_whatever_happens(
        behaviours in prop::collection::vec(behaviour(), 1..6),
        visits in visits(),
    ) {
        let mut world = World::new(behaviours, &visits);
        let outcome = world.run();
        prop_assert!(outcome.is_ok(), "{outcome:?}");
    }
}
