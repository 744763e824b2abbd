//! What must hold whatever the services do: a small world of random services in virtual time.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::{Duration, Event, Exit, Plan, Supervisor, at, service};
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
    after: Vec<bool>,
    critical: bool,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    (
        0..4_u8,
        prop::collection::vec(1..3_000_u16, 0..4),
        prop_oneof![3 => (1..1_500_u16).prop_map(Some), 1 => Just(None)],
        prop::collection::vec(any::<bool>(), 5),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(reluctance, lives, obeys, after, critical)| Behaviour {
            reluctance,
            lives,
            obeys,
            after,
            critical,
        })
}

/// Something from outside.
#[derive(Debug, Clone)]
enum Visit {
    Ask(Request, usize),
    Terminate,
}

fn visits() -> impl Strategy<Value = Vec<(u16, Visit)>> {
    let request = prop_oneof![Just(Request::Start), Just(Request::Stop), Just(Request::Restart)];
    let visit = prop_oneof![
        6 => (request, 0..5_usize).prop_map(|(request, id)| Visit::Ask(request, id)),
        1 => Just(Visit::Terminate),
    ];
    prop::collection::vec((0..20_000_u16, visit), 0..8)
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
    /// The run of each service that has a process.
    runs: BTreeMap<usize, u64>,
    next_run: u64,
    spawns: Vec<Vec<Duration>>,
    doubts: Vec<u8>,
    asked: Vec<bool>,
    ready: Vec<bool>,
    agenda: BTreeMap<(Duration, u64), Planned>,
    entries: u64,
    stopping_since: Option<Duration>,
    exit: Option<Duration>,
}

impl World {
    fn new(behaviours: Vec<Behaviour>, visits: &[(u16, Visit)]) -> Self {
        let count = behaviours.len();
        let after: Vec<Vec<usize>> = behaviours
            .iter()
            .enumerate()
            .map(|(id, behaviour)| (0..id).filter(|&needed| behaviour.after[needed]).collect())
            .collect();
        let services: Map<String, Value> = (0..count)
            .map(|id| {
                let needs: Vec<String> = after[id].iter().map(|n| format!("s{n}")).collect();
                let change = json!({
                    "after": needs, "ready": { "tcp": "127.0.0.1:1" }, "start_timeout_ms": 10_000,
                    "critical": behaviours[id].critical,
                    "stop": { "signal": "TERM", "timeout_ms": 900 },
                });
                (format!("s{id}"), service(&change))
            })
            .collect();
        let plan = json!({
            "version": 1, "product": { "name": "a/b", "version": "1", "command": "b" }, "listen": [],
            "services": services, "stop_budget_ms": BUDGET, "mask": [], "agent_uid": 1,
        });
        let plan = Plan::check(serde_json::from_value(plan).unwrap()).unwrap();
        let mut world = Self {
            supervisor: Supervisor::new(plan),
            doubts: vec![0; count],
            asked: vec![false; count],
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
        };
        world.plan(at(0), None, Event::Due);
        for (when, visit) in visits {
            let event = match visit {
                Visit::Ask(request, id) => {
                    Event::Asked { client: 1, request: *request, service: format!("s{id}") }
                }
                Visit::Terminate => Event::Terminate("SIGTERM".to_owned()),
            };
            world.plan(at(u64::from(*when)), None, event);
        }
        world.plan(at(60_000), None, Event::Terminate("SIGTERM".to_owned()));
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
                    (key.0, event)
                }
                (None, None) => return Err("nothing will ever happen again".to_owned()),
            };
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

    fn note(&mut self, event: &Event) {
        match event {
            Event::Exited(id, _) => {
                self.runs.remove(id);
                self.ready[*id] = false;
            }
            Event::Probed(id, Ok(())) => self.ready[*id] = true,
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
            Action::Log(_)
            | Action::Quote(_)
            | Action::CancelProbe(_)
            | Action::KillStrays
            | Action::Answer { .. } => {}
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
        let first = self.spawns[id].is_empty();
        if first && !self.after[id].iter().all(|&needed| self.ready[needed]) {
            return Err(format!("s{id} starts before what it needs is ready"));
        }
        self.spawns[id].push(now);
        let recent = self.spawns[id].iter().filter(|&&at| at + Duration::from_secs(1) > now);
        if recent.count() > 4 && !self.asked[id] {
            return Err(format!("s{id} starts too often"));
        }
        self.next_run += 1;
        self.runs.insert(id, self.next_run);
        let run = Some((id, self.next_run));
        self.doubts[id] = self.behaviours[id].reluctance;
        self.plan(now + at(1), run, Event::Running(id));
        if let Some(&life) = self.behaviours[id].lives.get(self.spawns[id].len() - 1) {
            let exit = Exit::Code(i32::from(life % 3));
            self.plan(now + at(u64::from(life) + 2), run, Event::Exited(id, exit));
        }
        Ok(())
    }

    fn signal(&mut self, now: Duration, id: usize) -> Result<(), String> {
        let dependent = (0..self.after.len())
            .find(|other| self.after[*other].contains(&id) && self.runs.contains_key(other));
        if let (Some(dependent), true, false) = (dependent, self.stopping_since.is_some(), self.asked[id]) {
            return Err(format!("s{id} is stopped before s{dependent}"));
        }
        if let Some(needed) = self.behaviours[id].obeys {
            let run = self.runs[&id];
            let exit = Event::Exited(id, Exit::Code(0));
            self.plan(now + at(u64::from(needed)), Some((id, run)), exit);
        }
        Ok(())
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
