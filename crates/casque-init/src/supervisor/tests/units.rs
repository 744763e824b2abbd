//! Units beside the plain service, in virtual time: those that notify, timers, health checks, edges, other plans.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::exit::Cause;
use crate::service::Service;

fn said(text: &str) -> Notification {
    Notification::parse(text.as_bytes())
}

fn once_failed() -> Value {
    json!({ "policy": "never", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 })
}

impl Scene {
    fn service(&self, name: &str) -> &Service {
        &self.supervisor.services()[self.supervisor.place_of(name).unwrap()]
    }

    /// Sets the clock on the wall, in seconds since the beginning of the test.
    fn look(&mut self, seconds: i64) {
        self.supervisor.look_at_clock(BEGAN + seconds);
    }

    fn change(&mut self, now: u64, services: &Value) -> Vec<Action> {
        let mut actions = Vec::new();
        self.supervisor.change(at(now), checked(plan(services)), &mut actions).unwrap();
        actions.extend(self.supervisor.step(at(now), Event::Due));
        actions.retain(|action| !matches!(action, Action::Log(_) | Action::CancelProbe(_)));
        actions
    }
}

#[test]
fn a_service_that_notifies_is_ready_when_it_says_so() {
    let mut scene = Scene::new(&json!({ "web": { "ready": "notify", "start_timeout_ms": 1_000 } }));
    assert_eq!(scene.due(0), [Action::Spawn(WEB)]);
    scene.step(1, Event::Running(WEB));
    assert_eq!(scene.service("web").message(), Some("not ready yet: it has not said that it is"));
    scene.step(500, Event::Notified(WEB, said("STATUS=3 of 9\nEXTEND_TIMEOUT_USEC=2000000")));
    assert_eq!(scene.service("web").message(), Some("3 of 9"));
    assert_eq!(scene.supervisor.deadline(), Some(at(2_500)));
    scene.step(2_000, Event::Notified(WEB, said("READY=1\nMAINPID=77")));
    assert!(scene.supervisor.all_ready());
    assert_eq!(
        scene.words[0],
        "`web` says that its main process is 77; only the process that was started can be it: \
         tell the program to stay in the foreground"
    );
}

#[test]
fn a_stop_can_be_extended_only_within_the_budget() {
    let mut scene = Scene::new(&json!({ "web": { "ready": "notify" } }));
    scene.due(0);
    scene.step(1, Event::Running(WEB));
    scene.step(2, Event::Notified(WEB, said("READY=1")));
    scene.step(1_000, terminate());
    assert_eq!(scene.supervisor.deadline(), Some(at(3_000)));
    scene.step(2_000, Event::Notified(WEB, said("EXTEND_TIMEOUT_USEC=3000000")));
    assert_eq!(scene.supervisor.deadline(), Some(at(5_000)));
    scene.step(4_000, Event::Notified(WEB, said("EXTEND_TIMEOUT_USEC=60000000")));
    // 9 s, of which 500 ms are for what is left over.
    assert_eq!(scene.supervisor.deadline(), Some(at(9_500)));
    assert_eq!(scene.due(9_500), [Action::Kill(WEB)]);
}

#[test]
fn a_service_starts_again_only_when_its_post_stop_command_has_ended() {
    let mut scene = Scene::new(&json!({ "web": { "post_stop": ["sweep"] } }));
    scene.up();
    assert_eq!(scene.step(20_000, Event::CleansUp(WEB)), []);
    assert_eq!(scene.service("web").public_state(), casque_format::control::ServiceState::Stopping);
    assert_eq!(scene.due(21_999), []);
    // As long as a stop, and the wait after a stable run is none.
    assert_eq!(scene.due(22_000), [Action::Kill(WEB)]);
    assert_eq!(scene.exited(22_001, WEB, 3), [Action::Spawn(WEB)]);
    // Whoever asks for a stop meanwhile has it, without a signal that nobody would get.
    scene.step(22_002, Event::Running(WEB));
    scene.step(22_003, Event::CleansUp(WEB));
    assert_eq!(scene.ask(22_004, Request::Stop), []);
    assert_eq!(scene.exited(22_005, WEB, 3), [done(7)]);
    assert_eq!(scene.due(1_000_000), []);
}

#[test]
fn a_post_stop_command_has_the_time_of_the_stop_and_a_moment_after_a_kill() {
    let mut scene = Scene::new(&json!({ "web": { "stop": { "signal": "TERM", "timeout_ms": 60_000 } } }));
    scene.up();
    assert_eq!(scene.step(0, terminate()), [Action::Signal(WEB, libc::SIGTERM)]);
    scene.step(1_000, Event::CleansUp(WEB));
    // 9 s, of which 500 ms are for what is left over.
    assert_eq!(scene.supervisor.deadline(), Some(at(8_500)));
    assert_eq!(scene.due(8_500), [Action::Kill(WEB)]);
    let mut scene = Scene::new(&json!({ "web": {} }));
    scene.up();
    assert_eq!(scene.step(0, terminate()), [Action::Signal(WEB, libc::SIGTERM)]);
    assert_eq!(scene.due(2_000), [Action::Kill(WEB)]);
    scene.step(2_001, Event::CleansUp(WEB));
    assert_eq!(scene.due(4_001), [Action::Kill(WEB)]);
    // What was killed at the end of the budget.
    let mut scene = Scene::new(&json!({ "web": { "stop": { "signal": "TERM", "timeout_ms": 60_000 } } }));
    scene.up();
    scene.step(0, terminate());
    assert_eq!(scene.due(8_500), [Action::Kill(WEB)]);
    scene.step(8_501, Event::CleansUp(WEB));
    assert_eq!(scene.due(8_701), [Action::Kill(WEB)]);
    assert_eq!(scene.exited(8_702, WEB, 0), [Action::TerminateStrays]);
}

#[test]
fn a_timer_waits_for_its_time_and_runs_one_at_a_time() {
    let services =
        json!({ "job": { "kind": "oneshot", "schedule": "*/5 * * * *", "start_timeout_ms": 400_000 } });
    let mut scene = Scene::new(&services);
    assert_eq!(scene.due(0), []);
    assert!(scene.supervisor.all_ready());
    assert_eq!(scene.service("job").message(), Some("next run at 2026-11-27 10:20"));
    assert_eq!(scene.supervisor.deadline(), Some(at(300_000)));
    scene.look(300);
    assert_eq!(scene.due(300_000), [Action::Spawn(0)]);
    assert!(scene.supervisor.all_ready());
    scene.look(660);
    // 10:25 has passed while it ran.
    assert_eq!(scene.exited(660_000, 0, 3), []);
    assert_eq!(
        scene.service("job").message(),
        Some("next run at 2026-11-27 10:30; the last has failed: exited with 3")
    );
    assert_eq!(
        scene.words,
        [
            "`job` runs now, by its schedule",
            "`job` exited with 3; this run has failed",
            "`job` has left out its run of 2026-11-27 10:25: the one before took too long",
        ]
    );
    scene.look(900);
    assert_eq!(scene.due(900_000), [Action::Spawn(0)]);
    scene.look(901);
    scene.exited(901_000, 0, 0);
    assert_eq!(scene.service("job").message(), Some("next run at 2026-11-27 10:35"));
}

#[test]
fn a_run_that_takes_too_long_is_stopped_and_the_next_comes_at_its_time() {
    let services = json!({ "job": { "kind": "oneshot", "schedule": "@hourly", "start_timeout_ms": 60_000, "critical": true } });
    let mut scene = Scene::new(&services);
    scene.due(0);
    scene.look(2_700);
    assert_eq!(scene.due(2_700_000), [Action::Spawn(0)]);
    scene.look(2_760);
    assert_eq!(scene.due(2_760_000), [Action::Signal(0, libc::SIGTERM)]);
    scene.exited(2_760_001, 0, 0);
    assert_eq!(
        scene.service("job").message(),
        Some("next run at 2026-11-27 12:00; the last has failed: not ready within 60 s")
    );
}

#[test]
fn a_clock_that_is_set_moves_the_next_run_and_repeats_none() {
    let mut scene = Scene::new(&json!({ "job": { "kind": "oneshot", "schedule": "@hourly" } }));
    scene.due(0);
    assert_eq!(scene.supervisor.deadline(), Some(at(2_700_000)));
    // Five minutes ahead: the run is nearer.
    scene.look(300);
    assert_eq!(scene.step(0, Event::ClockSet), []);
    assert_eq!(scene.supervisor.deadline(), Some(at(2_400_000)));
    // Two hours ahead, over the run: it is not made up for.
    scene.look(7_500);
    assert_eq!(scene.step(1, Event::ClockSet), []);
    assert_eq!(scene.words, ["`job` has missed its run of 2026-11-27 11:00"]);
    assert_eq!(scene.service("job").message(), Some("next run at 2026-11-27 13:00"));
    scene.look(9_900);
    assert_eq!(scene.due(2_400_001), [Action::Spawn(0)]);
    scene.exited(2_400_002, 0, 0);
    // Half an hour back: 13:00 has been.
    scene.look(8_100);
    scene.step(2_400_003, Event::ClockSet);
    assert_eq!(scene.service("job").message(), Some("next run at 2026-11-27 14:00"));
    // Days back: the clock was wrong.
    scene.look(-200_000);
    scene.step(2_400_004, Event::ClockSet);
    assert_eq!(scene.service("job").message(), Some("next run at 2026-11-25 03:00"));
}

#[test]
fn behaviour_24_a_clock_that_is_set_moves_no_backoff_no_check_and_no_deadline() {
    let mut scene = Scene::new(&json!({
        "back": {},
        "check": { "health": { "check": { "unix": "/s" }, "interval_ms": 7_000, "timeout_ms": 1_000, "failures": 1 } },
        "start": { "ready": "notify" },
        "stop": {},
    }));
    scene.up();
    let place = |scene: &Scene, name: &str| scene.supervisor.place_of(name).unwrap();
    let (back, stop) = (place(&scene, "back"), place(&scene, "stop"));
    scene.exited(1, back, 1);
    let asked = Event::Asked { client: 7, request: Request::Stop, service: "stop".to_owned() };
    assert_eq!(scene.step(1, asked), [Action::Signal(stop, libc::SIGTERM)]);
    let deadlines = |scene: &Scene| {
        let all = scene.supervisor.services().iter().map(Service::deadline);
        all.collect::<Vec<_>>()
    };
    let before = deadlines(&scene);
    assert_eq!(before, [Some(at(501)), Some(at(7_000)), Some(at(30_000)), Some(at(2_001))]);
    for jump in [3_600, -3_600, 100_000_000] {
        scene.look(jump);
        assert_eq!(scene.step(2, Event::ClockSet), []);
        assert_eq!(deadlines(&scene), before, "{jump}");
    }
}

#[test]
fn whoever_asks_runs_a_timer_at_once_and_learns_how_it_ended() {
    let mut scene = Scene::new(&json!({ "web": { "kind": "oneshot", "schedule": "@daily" } }));
    scene.due(0);
    assert_eq!(scene.ask(1, Request::Start), [Action::Spawn(WEB)]);
    assert_eq!(scene.exited(2, WEB, 4), [refused("`web` failed: exited with 4")]);
    assert_eq!(scene.ask(3, Request::Start), [Action::Spawn(WEB)]);
    assert_eq!(scene.exited(4, WEB, 0), [done(7)]);
}

fn watched() -> Value {
    json!({ "check": { "tcp": "127.0.0.1:1" }, "interval_ms": 1_000, "timeout_ms": 500, "failures": 2 })
}

#[test]
fn a_service_that_fails_its_checks_is_restarted_once_for_each_row_of_failures() {
    let mut scene = Scene::new(&json!({ "web": { "health": watched() } }));
    scene.up();
    assert_eq!(scene.due(1_000), [Action::Examine(WEB)]);
    // Never two at once.
    assert_eq!(scene.due(5_000), []);
    scene.step(5_001, Event::Probed(WEB, Err("no".to_owned())));
    assert_eq!(scene.service("web").message(), Some("health check 1 of 2 failed: no"));
    assert_eq!(scene.due(6_001), [Action::Examine(WEB)]);
    assert_eq!(scene.step(6_002, Event::Probed(WEB, Ok(()))), []);
    assert_eq!(scene.service("web").message(), None);
    for (asked, answer) in [(7_002, 7_003), (8_003, 8_004)] {
        assert_eq!(scene.due(asked), [Action::Examine(WEB)]);
        let failed = Event::Probed(WEB, Err("no".to_owned()));
        let stops = scene.step(answer, failed);
        assert_eq!(stops.is_empty(), answer == 7_003, "{stops:?}");
    }
    assert_eq!(scene.step(8_005, Event::Probed(WEB, Err("late".to_owned()))), []);
    assert_eq!(scene.exited(8_100, WEB, 0), []);
    // As after a crash.
    assert_eq!(scene.supervisor.deadline(), Some(at(8_600)));
    assert!(scene.words.contains(&"`web` 2 health checks in a row failed (no); stopping it".to_owned()));
}

#[test]
fn nobody_is_blamed_for_the_time_that_the_machine_slept() {
    let mut scene = Scene::new(&json!({ "web": { "health": { "check": { "tcp": "127.0.0.1:1" },
        "interval_ms": 1_000, "timeout_ms": 500, "failures": 1 } } }));
    scene.up();
    assert_eq!(scene.due(1_000), [Action::Examine(WEB)]);
    assert_eq!(scene.step(90_000, Event::Slept(at(88_500))), []);
    assert_eq!(scene.step(90_000, Event::Probed(WEB, Err("no answer within 500 ms".to_owned()))), []);
    assert_eq!(scene.supervisor.deadline(), Some(at(91_000)));
    assert_eq!(scene.step(180_000, Event::Slept(at(89_000))), [Action::Examine(WEB)]);
    assert_eq!(
        scene.step(180_001, Event::Probed(WEB, Err("no".to_owned()))),
        [Action::Signal(WEB, libc::SIGTERM)]
    );
    let mut scene = Scene::new(&json!({ "web": { "ready": { "unix": "/s" }, "start_timeout_ms": 1_000 } }));
    scene.due(0);
    assert_eq!(scene.step(60_000, Event::Slept(at(59_500))), []);
    assert_eq!(scene.supervisor.deadline(), Some(at(60_500)));
}

#[test]
fn who_requires_what_has_failed_fails_and_who_only_comes_after_starts() {
    let mut scene = Scene::new(&json!({
        "db": { "restart": once_failed() },
        "later": { "requires": ["web"] }, "tidy": { "after": ["db"] }, "web": { "requires": ["db"] },
    }));
    assert_eq!(scene.due(0), [Action::Spawn(0)]);
    assert_eq!(scene.exited(1, 0, 9), [Action::Spawn(2)]);
    let causes: Vec<Option<String>> = ["later", "web"]
        .map(|name| match scene.service(name).state() {
            State::Failed(cause) => Some(cause.to_string()),
            _ => None,
        })
        .into();
    assert_eq!(
        causes,
        [
            Some("it cannot be without `web`, which has failed".to_owned()),
            Some("it cannot be without `db`, which has failed".to_owned())
        ]
    );
    assert_eq!(Cause::Needs { name: "db".to_owned(), code: 9 }.code(), 9);
}

#[test]
fn a_running_service_is_stopped_when_what_it_requires_has_failed_and_its_code_is_that_one_s() {
    let mut scene = Scene::new(&json!({
        "db": { "restart": once_failed() }, "web": { "requires": ["db"], "critical": true },
    }));
    scene.up();
    assert_eq!(scene.exited(1, 0, 9), [Action::Signal(1, libc::SIGTERM)]);
    assert_eq!(scene.exited(2, 1, 0), [Action::TerminateStrays]);
    assert_eq!(scene.step(3, Event::StraysGone), [Action::Exit(9)]);
    assert_eq!(
        scene.words.last().unwrap(),
        "stopped with 9: service `web` failed: it cannot be without `db`, which has failed"
    );
}

#[test]
fn each_edge_says_what_follows_from_a_loss() {
    let mut scene = Scene::new(&json!({
        "db": {},
        "goes-on": { "after": ["db"] },
        "restarts": { "after": ["db"], "when_lost": { "db": "restart" } },
        "stops": { "after": ["db"], "when_lost": { "db": "stop" } },
    }));
    scene.up();
    assert_eq!(scene.exited(20, 0, 1), [Action::Signal(2, libc::SIGTERM), Action::Signal(3, libc::SIGTERM)]);
    scene.exited(21, 2, 0);
    scene.exited(22, 3, 0);
    assert_eq!(scene.due(520), [Action::Spawn(0)]);
    assert_eq!(scene.step(521, Event::Running(0)), [Action::Spawn(2)]);
    assert!(matches!(scene.service("stops").state(), State::Stopped));
    assert!(matches!(scene.service("goes-on").state(), State::Ready));
    assert!(
        scene
            .words
            .contains(&"`goes-on` comes after `db`, which is not ready any more; it goes on".to_owned())
    );
}

#[test]
fn a_one_shot_that_was_done_before_is_done() {
    let mut scene = Scene::new(&json!({
        "setup": { "kind": "oneshot", "once": "version" }, "web": { "after": ["setup"] },
    }));
    assert_eq!(scene.due(0), [Action::Spawn(0)]);
    assert_eq!(scene.step(1, Event::DoneBefore(0, "1".to_owned())), [Action::Spawn(1)]);
    assert_eq!(scene.words, ["`setup` was done before, by version 1"]);
}

#[test]
fn another_plan_runs_no_one_shot_again_that_runs_once() {
    let plan = |value: &str| {
        let environment = json!({ "A": value });
        json!({
            "each-start": { "kind": "oneshot", "environment": environment },
            "migrate": { "kind": "oneshot", "once": "version", "environment": environment },
        })
    };
    let mut scene = Scene::new(&plan("1"));
    assert_eq!(scene.due(0), [Action::Spawn(0), Action::Spawn(1)]);
    scene.exited(1, 0, 0);
    scene.exited(1, 1, 0);
    assert_eq!(scene.change(2, &plan("2")), [Action::Spawn(0)]);
    assert_eq!(scene.service("migrate").plan().spec.environment["A"], "2");
}

#[test]
fn another_plan_touches_only_what_is_different_in_it() {
    let before = json!({ "cache": {}, "db": {}, "old": {}, "web": { "after": ["db"] } });
    let mut scene = Scene::new(&before);
    scene.up();
    assert_eq!(scene.change(1, &before), []);
    let after = json!({
        "cache": { "environment": { "A": "1" } }, "db": {}, "new": { "after": ["db"] }, "web": { "after": ["db"] },
    });
    // Places stay: `old` has 2, `new` gets 4.
    assert_eq!(
        scene.change(2, &after),
        [Action::Signal(2, libc::SIGTERM), Action::Signal(0, libc::SIGTERM), Action::Spawn(4)]
    );
    assert_eq!(scene.exited(3, 2, 0), []);
    assert_eq!(scene.exited(3, 0, 0), [Action::Spawn(0)]);
    assert_eq!(scene.service("cache").plan().spec.environment["A"], "1");
    assert_eq!(scene.service("db").restarts(), 0);
    let snapshot = scene.supervisor.snapshot(at(4), &BTreeMap::new());
    let names: Vec<_> = snapshot.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["cache", "db", "new", "web"]);
    // It comes back to its old place.
    assert_eq!(
        scene.change(5, &before),
        [Action::Signal(4, libc::SIGTERM), Action::Signal(0, libc::SIGTERM), Action::Spawn(2)]
    );
}

#[test]
fn a_service_that_can_be_told_of_changed_files_is_not_restarted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("web.ini");
    std::fs::write(&file, "1").unwrap();
    let told = json!({ "web": { "files": [file], "reload": { "signal": "HUP" } } });
    let untold = json!({ "web": { "files": [file] } });
    for (services, expected) in [(told, Action::Tell(WEB)), (untold, Action::Signal(WEB, libc::SIGTERM))] {
        let mut scene = Scene::new(&services);
        scene.up();
        std::fs::write(&file, format!("{expected:?}")).unwrap();
        assert_eq!(scene.change(1, &services), [expected]);
        assert_eq!(scene.change(2, &services), []);
    }
}

#[test]
fn a_plan_that_comes_during_the_stop_is_refused() {
    let mut scene = Scene::new(&json!({ "web": {} }));
    scene.up();
    scene.step(1, terminate());
    assert_eq!(scene.supervisor.change(at(2), checked(plan(&json!({}))), &mut Vec::new()), None);
}
