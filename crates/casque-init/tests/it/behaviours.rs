//! What a PID 1 of containers has to get right, one test for each behaviour, of the real program as PID 1 and with small
//! services that misbehave. Here: readiness and order, at the start and at the stop.

use std::time::{Duration, Instant};

use casque_format::control::ServiceState;
use serde_json::{Value, json};

use crate::container::{Container, End, is_root, kill, plan, sh};

/// Starts as PID 1 where this test may.
pub fn start(plan: &Value) -> Container {
    assert!(is_root(), "this test needs root");
    Container::start_as_pid_1(plan)
}

/// Runs a plan that ends by itself.
pub fn to_its_end(plan: &Value) -> End {
    assert!(is_root(), "this test needs root");
    Container::start_as_pid_1_to_its_end(plan).end()
}

pub fn last_line(end: &End) -> &str {
    end.output.lines().last().unwrap_or_default()
}

/// Appends a line with the time, to a file that all services share.
pub fn note(what: &str) -> String {
    format!("echo \"$(date +%s%N) {what}\" >> DIR/events")
}

/// Returns what was noted, in the order of time.
pub fn notes(end: &End) -> Vec<String> {
    let mut lines: Vec<String> = end.read("events").lines().map(str::to_owned).collect();
    lines.sort();
    lines.into_iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

pub fn ready_file(name: &str) -> Value {
    json!({ "exec": ["test", "-e", format!("DIR/{name}.up")] })
}

#[test]
fn behaviour_10_the_stop_budget_is_global() {
    let stuck = |name: &str| {
        json!({
            "command": sh(&format!("trap '' TERM QUIT; touch DIR/{name}.up; while :; do sleep 1000; done")),
            "ready": ready_file(name), "stop": { "signal": "TERM", "timeout_ms": 20_000 },
        })
    };
    let slow =
        format!("trap 'sleep 1; {}; exit 0' TERM; touch DIR/mongod.up; sleep 1000 & wait", note("saved"));
    let mut services = json!({
        "celery": stuck("celery"),
        "mongod": { "command": sh(&slow), "ready": ready_file("mongod"), "stop": { "signal": "TERM", "timeout_ms": 2_500 } },
        "nginx": stuck("nginx"),
    });
    services["nginx"]["after"] = json!(["celery"]);
    services["celery"]["after"] = json!(["mongod"]);
    let mut plan = plan(&services);
    // One after the other the two that are stuck would take eight times as long by their own deadlines.
    plan["stop_budget_ms"] = json!(5_000);
    let container = start(&plan);
    container.wait_ready();
    let began = Instant::now();
    let end = container.stop();
    assert!(began.elapsed() < Duration::from_millis(5_500), "{:?}: {}", began.elapsed(), end.output);
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(notes(&end), ["saved"]);
    for (name, killed) in [("nginx", true), ("celery", true), ("mongod", false)] {
        let line = format!("`{name}` has not stopped within ");
        assert_eq!(end.output.contains(&line), killed, "{name}: {}", end.output);
    }
}

#[test]
fn behaviour_10_a_second_signal_shortens_the_stop() {
    let deaf = "trap '' TERM; touch DIR/web.up; while :; do sleep 1000; done";
    let services = json!({ "web": { "command": sh(deaf), "ready": ready_file("web"), "stop": { "signal": "TERM", "timeout_ms": 8_000 } } });
    let container = start(&plan(&services));
    container.wait_ready();
    let began = Instant::now();
    container.signal("TERM");
    container.wait_for("web", |web| web.state == ServiceState::Stopping);
    for count in 1..=3 {
        container.signal("INT");
        // Two signals that wait at the same time are one.
        container.wait_for_lines("SIGINT again", count);
    }
    let end = container.end();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}: {}", began.elapsed(), end.output);
    assert!(end.output.contains("SIGINT again, stopping within 4."), "{}", end.output);
}

#[test]
fn behaviour_11_an_ordered_stop_waits_for_death() {
    let service = |name: &str, needs: &[&str]| {
        let script = format!(
            "trap '{}; sleep 0.3; {}; exit 0' TERM; touch DIR/{name}.up; sleep 1000 & wait",
            note(&format!("{name} told")),
            note(&format!("{name} gone")),
        );
        json!({ "command": sh(&script), "ready": ready_file(name), "after": needs })
    };
    let services = json!({
        "gunicorn-1": service("gunicorn-1", &["redis"]), "gunicorn-2": service("gunicorn-2", &["redis"]),
        "mongod": service("mongod", &[]), "redis": service("redis", &["setup"]),
        // It has ended when the stop comes, and the order goes through it all the same.
        "setup": { "kind": "oneshot", "command": ["true"], "after": ["mongod"] },
    });
    let container = start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    let notes = notes(&end);
    let place = |what: &str| {
        notes.iter().position(|note| note == what).unwrap_or_else(|| panic!("{what}: {notes:?}"))
    };
    assert!(place("gunicorn-1 gone").max(place("gunicorn-2 gone")) < place("redis told"), "{notes:?}");
    assert!(place("gunicorn-1 told").max(place("gunicorn-2 told")) < 2, "{notes:?}");
    assert!(place("redis gone") < place("mongod told"), "{notes:?}");
}

#[test]
fn behaviour_12_dependents_wait_for_readiness_through_restarts() {
    // Dies on its first run before it is ready, and needs a while on its second.
    let script =
        "if [ ! -e DIR/tried ]; then touch DIR/tried; exit 1; fi; sleep 0.4; touch DIR/db.up; sleep 1000";
    let services = json!({
        "db": { "command": sh(script), "ready": ready_file("db") },
        "web": { "command": sh("test -e DIR/db.up && touch DIR/in-order; exec sleep 1000"), "after": ["db"] },
    });
    let container = start(&plan(&services));
    let snapshot = container.wait_ready();
    assert_eq!((snapshot.services[0].restarts, snapshot.services[1].restarts), (1, 0));
    container.until("web has looked", || container.path("in-order").exists());
    container.stop();
}

#[test]
fn behaviour_12_a_service_that_is_never_ready_ends_the_start_and_is_named() {
    let services = json!({
        "db": { "command": ["sleep", "1000"], "ready": { "exec": ["sh", "-c", "echo still loading >&2; exit 3"] }, "start_timeout_ms": 700,
            "restart": { "policy": "never", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 } },
        "web": { "command": sh("touch DIR/web.up; sleep 1000"), "after": ["db"] },
    });
    let end = to_its_end(&plan(&services));
    assert_eq!(end.code, Some(101), "{}", end.output);
    assert_eq!(
        last_line(&end),
        "casque | stopped with 101: service `db` failed: not ready within 700 ms (its readiness command exited with 3: still loading)"
    );
    assert!(!end.path("web.up").exists());
}

#[test]
fn behaviour_13_a_lost_dependency_has_the_consequences_of_its_edge() {
    let services = json!({
        "db": { "command": ["sleep", "1000"] },
        "goes-on": { "command": ["sleep", "1000"], "after": ["db"] },
        "restarts": { "command": ["sleep", "1000"], "after": ["db"], "when_lost": { "db": "restart" } },
        "stops": { "command": ["sleep", "1000"], "after": ["db"], "when_lost": { "db": "stop" } },
    });
    let container = Container::start(&plan(&services));
    let db = container.wait_ready().services[0].pid.unwrap();
    kill("KILL", db);
    let done = container.wait(|snapshot| {
        let [db, on, restarts, stops] = &snapshot.services[..] else { return false };
        db.restarts == 1
            && on.restarts == 0
            && restarts.restarts == 1
            && restarts.state == ServiceState::Ready
            && stops.state == ServiceState::Stopped
    });
    assert_eq!(done.services[1].state, ServiceState::Ready);
    assert_eq!(done.services[3].message.as_deref(), Some("is stopped, since `db` is not ready any more"));
    container.stop();
}
