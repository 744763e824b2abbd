//! The supervisor's decisions, in virtual time.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::exit::StartError;
use crate::plan::Place;

mod maintenance;
mod properties;
mod units;

const WEB: usize = 0;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn service(change: &Value) -> Value {
    let mut service = json!({
        "kind": "simple", "command": ["true"], "start_timeout_ms": 30_000,
        "restart": { "policy": "always", "limit": 4, "delay_ms": 500, "max_delay_ms": 1_500, "stable_ms": 10_000 },
        "stop": { "signal": "TERM", "timeout_ms": 2_000 }, "critical": false,
    });
    for (key, value) in change.as_object().unwrap() {
        service[key] = value.clone();
    }
    service
}

fn plan(services: &Value) -> Value {
    let services: Value = services
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, change)| (name.clone(), service(change)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "version": 1, "product": { "name": "a/b", "version": "1", "command": "b" }, "listen": [],
        "services": services, "stop_budget_ms": 9_000, "mask": [], "agent_uid": 1,
    })
}

fn checked(plan: Value) -> Plan {
    Plan::check(serde_json::from_value(plan).unwrap(), &Place::of_a_test()).unwrap()
}

/// 2026-11-27 10:15, a Friday, at the beginning of each test.
const BEGAN: i64 = 1_795_774_500;

fn wall() -> Wall {
    Wall { seconds: BEGAN, zone: |_| 0 }
}

/// A supervisor of these services, sorted by name, and a log of what it does without its own words.
struct Scene {
    supervisor: Supervisor,
    words: Vec<String>,
}

impl Scene {
    fn new(services: &Value) -> Self {
        let plan = plan(services);
        Self { supervisor: Supervisor::new(checked(plan), wall(), Chance::none()), words: Vec::new() }
    }

    fn step(&mut self, now: u64, event: Event) -> Vec<Action> {
        let mut actions = self.supervisor.step(at(now), event);
        actions.retain(|action| match action {
            Action::Quote(_) => false,
            Action::Log(words) => {
                self.words.push(words.clone());
                false
            }
            Action::CancelProbe(_) => false,
            _ => true,
        });
        actions
    }

    fn due(&mut self, now: u64) -> Vec<Action> {
        self.step(now, Event::Due)
    }

    fn exited(&mut self, now: u64, id: usize, code: i32) -> Vec<Action> {
        self.step(now, Event::Exited(id, Exit::Code(code)))
    }

    fn ask(&mut self, now: u64, request: Request) -> Vec<Action> {
        self.step(now, Event::Asked { client: 7, request, service: "web".to_owned() })
    }

    /// Starts everything that waits for nothing and lets it run.
    fn up(&mut self) {
        let mut actions = self.due(0);
        while let Some(action) = actions.pop() {
            if let Action::Spawn(id) = action {
                actions.extend(self.step(0, Event::Running(id)));
            }
        }
    }
}

fn done(client: u64) -> Action {
    Action::Answer { client, result: Ok(()) }
}

fn refused(message: &str) -> Action {
    Action::Answer { client: 7, result: Err(message.to_owned()) }
}

fn terminate() -> Event {
    Event::Terminate("SIGTERM".to_owned())
}

#[test]
fn a_service_starts_when_what_it_needs_is_ready() {
    let mut scene = Scene::new(&json!({
        "a-db": { "ready": { "tcp": "127.0.0.1:1" } }, "b-cache": {}, "web": { "after": ["a-db", "b-cache"] },
    }));
    assert_eq!(scene.due(0), [Action::Spawn(0), Action::Spawn(1)]);
    assert_eq!(scene.step(1, Event::Running(1)), []);
    assert_eq!(scene.step(2, Event::Running(0)), [Action::Probe(0)]);
    assert_eq!(scene.step(3, Event::Probed(0, Err("no".to_owned()))), []);
    assert_eq!(scene.supervisor.deadline(), Some(at(53)));
    assert_eq!(scene.due(53), [Action::Probe(0)]);
    assert_eq!(scene.step(54, Event::Probed(0, Ok(()))), [Action::Spawn(2)]);
}

#[test]
fn a_oneshot_is_ready_when_it_has_ended_well() {
    let mut scene = Scene::new(&json!({ "migrate": { "kind": "oneshot" }, "web": { "after": ["migrate"] } }));
    assert_eq!(scene.due(0), [Action::Spawn(0)]);
    assert_eq!(scene.step(1, Event::Running(0)), []);
    assert_eq!(scene.exited(5, 0, 0), [Action::Spawn(1)]);
}

#[test]
fn a_oneshot_that_fails_is_repeated_and_then_given_up() {
    let mut scene = Scene::new(&json!({
        "migrate": { "kind": "oneshot", "critical": true,
            "restart": { "policy": "on-failure", "limit": 2, "delay_ms": 100, "max_delay_ms": 100, "stable_ms": 1 } },
        "web": { "after": ["migrate"] },
    }));
    scene.due(0);
    assert_eq!(scene.exited(10, 0, 4), []);
    assert_eq!(scene.due(110), [Action::Spawn(0)]);
    assert_eq!(scene.exited(120, 0, 4), [Action::TerminateStrays]);
    assert_eq!(scene.step(121, Event::StraysGone), [Action::Exit(4)]);
    assert_eq!(
        scene.words,
        [
            "`migrate` exited with 4; starting it again in 100 ms",
            "`migrate` failed: exited with 4, 2 failures in a row",
            "service `migrate` failed: exited with 4; stopping everything",
            "stopped with 4: service `migrate` failed: exited with 4",
        ]
    );
}

#[test]
fn a_crash_loop_waits_longer_and_longer_and_ends() {
    let mut scene = Scene::new(&json!({ "web": {} }));
    scene.up();
    let mut starts = Vec::new();
    let mut now = 0;
    while let State::Ready = scene.supervisor.services()[WEB].state() {
        now += 1;
        scene.exited(now, WEB, 1);
        if let Some(due) = scene.supervisor.deadline() {
            starts.push(due - at(now));
            now = u64::try_from(due.as_millis()).unwrap();
            assert_eq!(scene.due(now), [Action::Spawn(WEB)]);
            scene.step(now, Event::Running(WEB));
        }
    }
    assert_eq!(starts, [at(500), at(1_000), at(1_500)]);
    assert_eq!(scene.supervisor.services()[WEB].message(), Some("exited with 1, 4 failures in a row"));
    assert_eq!(scene.supervisor.services()[WEB].restarts(), 3);
}

#[test]
fn a_stable_service_comes_back_at_once() {
    let mut scene = Scene::new(&json!({ "web": {} }));
    scene.up();
    let killed = Event::Exited(WEB, Exit::Signal(9));
    assert_eq!(scene.step(10_000, killed.clone()), [Action::Spawn(WEB)]);
    scene.step(10_001, Event::Running(WEB));
    assert_eq!(scene.step(10_002, killed), []);
    assert_eq!(scene.supervisor.deadline(), Some(at(10_502)));
}

#[test]
fn an_optional_service_fails_alone_and_dependents_are_left_running() {
    let mut scene = Scene::new(&json!({
        "db": { "restart": { "policy": "never", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 } },
        "web": { "after": ["db"] },
    }));
    scene.up();
    assert!(scene.supervisor.all_ready());
    assert_eq!(scene.exited(5, 0, 1), []);
    let snapshot = scene.supervisor.snapshot(at(5), &std::collections::BTreeMap::new());
    assert_eq!(snapshot.state, casque_format::control::Overall::Degraded);
    let states: Vec<_> = snapshot.services.iter().map(|s| s.state).collect();
    use casque_format::control::ServiceState::{Failed, Ready};
    assert_eq!(states, [Failed, Ready]);
}

#[test]
fn a_program_that_cannot_run_is_not_tried_again() {
    let error = StartError { text: "no such file".to_owned(), code: 127, permanent: true };
    let mut scene = Scene::new(&json!({ "web": { "critical": true } }));
    scene.due(0);
    let event = Event::Exited(WEB, Exit::NotStarted(error.clone()));
    assert_eq!(scene.step(1, event), [Action::TerminateStrays]);
    assert_eq!(scene.step(2, Event::StraysGone), [Action::Exit(127)]);
    let passing = StartError { permanent: false, ..error };
    let mut scene = Scene::new(&json!({ "web": { "critical": true } }));
    scene.due(0);
    assert_eq!(scene.step(1, Event::Exited(WEB, Exit::NotStarted(passing))), []);
    assert_eq!(scene.supervisor.deadline(), Some(at(501)));
}

#[test]
fn behaviour_07_whoever_goes_into_the_background_is_not_started_again_and_never_a_success() {
    let mut scene = Scene::new(&json!({ "web": { "critical": true } }));
    scene.up();
    let exit = Exit::Background(vec!["`webd` (process 7)".to_owned()]);
    assert_eq!(scene.step(1, Event::Exited(WEB, exit)), [Action::TerminateStrays]);
    assert_eq!(scene.step(2, Event::StraysGone), [Action::Exit(1)]);
    assert_eq!(
        scene.words.last().unwrap(),
        "stopped with 1: service `web` failed: exited with 0 and left `webd` (process 7) running in the background; run it \
         in the foreground, where it can be watched"
    );
}

#[test]
fn a_start_that_takes_too_long_is_a_failure() {
    let mut scene = Scene::new(&json!({
        "web": { "critical": true, "start_timeout_ms": 1_000, "ready": { "unix": "/s" },
            "restart": { "policy": "always", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 } },
    }));
    scene.due(0);
    scene.step(0, Event::Running(WEB));
    scene.step(10, Event::Probed(WEB, Err("nobody listens".to_owned())));
    assert_eq!(scene.due(1_000), [Action::Signal(WEB, libc::SIGTERM)]);
    assert_eq!(scene.due(3_000), [Action::Kill(WEB)]);
    let killed = Event::Exited(WEB, Exit::Signal(9));
    assert_eq!(scene.step(3_001, killed), [Action::TerminateStrays]);
    assert_eq!(scene.step(3_002, Event::StraysGone), [Action::Exit(101)]);
    assert_eq!(
        scene.words.last().unwrap(),
        "stopped with 101: service `web` failed: not ready within 1 s (nobody listens)"
    );
}

#[test]
fn services_stop_after_those_that_need_them() {
    let mut scene = Scene::new(&json!({
        "db": {}, "web": { "after": ["db"] }, "worker": { "after": ["db"], "stop": { "signal": "QUIT", "timeout_ms": 1_000 } },
    }));
    scene.up();
    assert_eq!(
        scene.step(100, terminate()),
        [Action::Signal(1, libc::SIGTERM), Action::Signal(2, libc::SIGQUIT)]
    );
    assert_eq!(scene.exited(110, 1, 0), []);
    assert_eq!(scene.due(1_100), [Action::Kill(2)]);
    let killed = Event::Exited(2, Exit::Signal(9));
    assert_eq!(scene.step(1_101, killed), [Action::Signal(0, libc::SIGTERM)]);
    assert_eq!(scene.exited(1_110, 0, 0), [Action::TerminateStrays]);
    assert_eq!(scene.step(1_111, Event::StraysGone), [Action::Exit(0)]);
}

#[test]
fn what_was_done_in_between_does_not_end_the_order_of_the_stop() {
    let mut scene = Scene::new(&json!({
        "a-db": {}, "b-setup": { "kind": "oneshot", "after": ["a-db"] }, "web": { "after": ["b-setup"] },
    }));
    scene.up();
    assert_eq!(scene.exited(5, 1, 0), [Action::Spawn(2)]);
    scene.step(6, Event::Running(2));
    assert_eq!(scene.step(100, terminate()), [Action::Signal(2, libc::SIGTERM)]);
    assert_eq!(scene.exited(110, 2, 0), [Action::Signal(0, libc::SIGTERM)]);
}

#[test]
fn a_service_that_dies_during_the_stop_is_not_started_again() {
    let mut scene = Scene::new(&json!({ "db": {}, "web": { "after": ["db"] } }));
    scene.up();
    scene.step(20_000, terminate());
    assert_eq!(scene.exited(20_001, 0, 1), []);
    assert_eq!(scene.exited(20_002, 1, 0), [Action::TerminateStrays]);
}

#[test]
fn what_is_still_starting_is_stopped_too_and_what_waits_never_starts() {
    let mut scene = Scene::new(&json!({
        "db": { "ready": { "tcp": "127.0.0.1:1" } }, "web": { "after": ["db"] },
    }));
    scene.due(0);
    scene.step(1, Event::Running(0));
    assert_eq!(scene.step(2, terminate()), [Action::Signal(0, libc::SIGTERM)]);
    assert_eq!(scene.step(3, Event::Probed(0, Ok(()))), []);
    assert_eq!(scene.exited(4, 0, 0), [Action::TerminateStrays]);
}

#[test]
fn a_second_signal_halves_the_time_that_is_left() {
    let mut scene = Scene::new(&json!({ "web": { "stop": { "signal": "TERM", "timeout_ms": 8_000 } } }));
    scene.up();
    scene.step(0, terminate());
    assert_eq!(scene.supervisor.deadline(), Some(at(8_000)));
    scene.step(800, terminate());
    // Half of 8 s is 4 s, of which 500 ms are for what is left over.
    assert_eq!(scene.supervisor.deadline(), Some(at(4_300)));
}

#[test]
fn a_service_that_does_not_even_die_of_kill_does_not_keep_the_container() {
    let mut scene = Scene::new(&json!({ "db": {}, "web": { "after": ["db"] } }));
    scene.up();
    assert_eq!(scene.step(0, terminate()), [Action::Signal(1, libc::SIGTERM)]);
    assert_eq!(scene.due(2_000), [Action::Kill(1)]);
    // The database gets its signal at the beginning of its own share.
    assert_eq!(scene.supervisor.deadline(), Some(at(6_700)));
    assert_eq!(scene.due(6_700), [Action::Signal(0, libc::SIGTERM)]);
    assert_eq!(scene.exited(6_800, 0, 0), []);
    assert_eq!(scene.due(8_800), [Action::Exit(0)]);
    assert!(scene.words.contains(&"these do not even die of KILL: `web`".to_owned()));
}

#[test]
fn strays_get_their_signal_then_kill() {
    let mut scene = Scene::new(&json!({}));
    scene.due(0);
    assert_eq!(scene.step(0, terminate()), [Action::TerminateStrays]);
    assert_eq!(scene.due(1_000), [Action::KillStrays]);
    assert_eq!(scene.due(1_001), []);
    assert_eq!(scene.due(8_800), [Action::Exit(0)]);
}

#[test]
fn a_restart_is_answered_when_the_service_is_ready_again() {
    let mut scene = Scene::new(&json!({ "web": {} }));
    scene.up();
    assert_eq!(scene.ask(1, Request::Restart), [Action::Signal(WEB, libc::SIGTERM)]);
    assert_eq!(scene.exited(2, WEB, 0), [Action::Spawn(WEB)]);
    assert_eq!(scene.step(3, Event::Running(WEB)), [done(7)]);
}

#[test]
fn a_stop_lasts_until_a_start() {
    let mut scene = Scene::new(&json!({ "web": {} }));
    scene.up();
    assert_eq!(scene.ask(1, Request::Stop), [Action::Signal(WEB, libc::SIGTERM)]);
    assert_eq!(scene.exited(2, WEB, 0), [done(7)]);
    assert_eq!(scene.due(1_000_000), []);
    assert_eq!(scene.ask(1_000_000, Request::Start), [Action::Spawn(WEB)]);
    assert_eq!(scene.step(1_000_001, Event::Running(WEB)), [done(7)]);
}

#[test]
fn a_request_that_cannot_be_met_is_answered_with_the_reason() {
    let mut scene = Scene::new(&json!({
        "web": { "restart": { "policy": "never", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 } },
    }));
    scene.up();
    let ask = Event::Asked { client: 7, request: Request::Stop, service: "db".to_owned() };
    assert_eq!(scene.step(1, ask), [refused("there is no service `db`")]);
    scene.ask(2, Request::Restart);
    scene.exited(3, WEB, 0);
    assert_eq!(scene.exited(4, WEB, 3), [refused("`web` failed: exited with 3")]);
    assert_eq!(scene.ask(5, Request::Start), [Action::Spawn(WEB)]);
    assert_eq!(
        scene.step(6, terminate()),
        [Action::Signal(WEB, libc::SIGTERM), refused("the container is stopping")]
    );
    assert_eq!(scene.ask(7, Request::Start), [refused("the container is stopping")]);
}

#[test]
fn a_service_whose_policy_allows_it_may_end_well() {
    let mut scene = Scene::new(&json!({
        "web": { "critical": true, "restart": { "policy": "on-failure", "limit": 3, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 } },
    }));
    scene.up();
    assert_eq!(scene.exited(4, WEB, 0), []);
    assert!(matches!(scene.supervisor.services()[WEB].state(), State::Stopped));
}

#[test]
fn a_waiting_service_says_for_what() {
    let mut scene = Scene::new(&json!({ "db": {}, "web": { "after": ["db"] } }));
    scene.due(0);
    let snapshot = scene.supervisor.snapshot(at(3), &std::collections::BTreeMap::from([(0, 42)]));
    assert_eq!(snapshot.state, casque_format::control::Overall::Starting);
    assert_eq!(snapshot.services[0].pid, Some(42));
    assert_eq!(snapshot.services[1].message.as_deref(), Some("waits for `db`"));
    assert!(!snapshot.front_ready);
}

#[test]
fn a_mistake_in_pid_1_stops_everything_in_order() {
    let mut scene = Scene::new(&json!({ "db": {}, "web": { "after": ["db"] } }));
    scene.up();
    let broken = Event::Broken("PID 1 has made a mistake".to_owned());
    assert_eq!(scene.step(1, broken), [Action::Signal(1, libc::SIGTERM)]);
    assert_eq!(scene.exited(2, 1, 0), [Action::Signal(0, libc::SIGTERM)]);
    scene.exited(3, 0, 0);
    assert_eq!(scene.step(4, Event::StraysGone), [Action::Exit(1)]);
}
