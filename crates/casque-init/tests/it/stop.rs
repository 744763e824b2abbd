//! The ordered stop.

use serde_json::{Value, json};

use crate::container::{Container, is_root, plan, runs, sh};

/// A service that does `last` when it is told to stop, and is ready once it can be told.
fn obedient(name: &str, last: &str) -> Value {
    json!({
        "command": sh(&format!("trap '{last}; exit 0' TERM; touch DIR/{name}; sleep 1000 & wait")),
        "ready": { "exec": ["test", "-e", format!("DIR/{name}")] },
    })
}

fn after(mut service: Value, needed: &[&str]) -> Value {
    service["after"] = json!(needed);
    service
}

#[test]
fn services_are_told_to_stop_after_those_that_need_them_are_gone() {
    let services = json!({
        "db": obedient("db", "echo db >> DIR/order"),
        "front": after(obedient("front", "sleep 0.2; echo front >> DIR/order"), &["web"]),
        "web": after(obedient("web", "sleep 0.1; echo web >> DIR/order"), &["db"]),
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(end.read("order"), "front\nweb\ndb\n");
    assert!(end.output.ends_with("casque | stopped\n"), "{}", end.output);
}

#[test]
fn whoever_ignores_the_signal_is_killed_within_the_budget() {
    let services = json!({
        "web": {
            "command": sh("trap '' TERM; touch DIR/web; while :; do sleep 1000; done"),
            "ready": { "exec": ["test", "-e", "DIR/web"] },
            "stop": { "signal": "TERM", "timeout_ms": 60_000 },
        },
        "db": obedient("db", "echo saved > DIR/order"),
    });
    let mut plan = plan(&services);
    plan["services"]["web"]["after"] = json!(["db"]);
    plan["stop_budget_ms"] = json!(1_500);
    let container = Container::start(&plan);
    let web = container.wait_ready().services[1].pid.unwrap();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert!(end.output.contains("casque | `web` has not stopped within "), "{}", end.output);
    assert_eq!(end.read("order"), "saved\n");
    assert!(!runs(web));
}

#[test]
fn a_stop_signal_for_the_group_reaches_the_children_too() {
    // The shell itself ignores the signal, as one does that waits for its child.
    let script = "trap : TERM; sh -c 'trap \"echo told > DIR/child; exit\" TERM; touch DIR/up; sleep 1000 & wait' & \
                  child=$!; while kill -0 $child 2>/dev/null; do wait $child; done";
    let services = json!({
        "web": {
            "command": sh(script),
            "ready": { "exec": ["test", "-e", "DIR/up"] },
            "stop": { "signal": "TERM", "timeout_ms": 5_000, "group": true },
        },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(end.read("child"), "told\n");
    assert!(!end.output.contains("killing it"), "{}", end.output);
}

#[test]
fn a_daemon_that_left_its_session_is_told_and_gone() {
    let script = "setsid sh -c 'trap \"echo told > DIR/stray; exit\" TERM; echo $$ > DIR/pid; \
                  touch DIR/up; sleep 1000 & wait' & \
                  trap 'exit 0' TERM; sleep 1000 & wait";
    let services = json!({
        "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/up"] } },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(end.read("stray"), "told\n");
    assert!(!runs(end.read("pid").trim().parse().unwrap()));
}

#[test]
fn a_stubborn_daemon_is_killed() {
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > DIR/pid; touch DIR/up; while :; do sleep 1000; done' & \
                  trap 'exit 0' TERM; sleep 1000 & wait";
    let services = json!({
        "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/up"] } },
    });
    let mut plan = plan(&services);
    plan["stop_budget_ms"] = json!(1_000);
    let container = Container::start(&plan);
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert!(!runs(end.read("pid").trim().parse().unwrap()));
}

#[test]
fn only_the_main_process_gets_the_stop_signal() {
    let script = "sh -c 'trap \"echo told > DIR/worker\" TERM; touch DIR/up; sleep 1000 & wait' & \
                  trap 'exit 0' TERM; sleep 1000 & wait";
    let services = json!({
        "web": { "command": sh(script), "ready": { "exec": ["test", "-e", "DIR/up"] } },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert!(!end.path("worker").exists());
}

#[test]
fn a_stop_in_the_middle_of_a_start_is_a_clean_stop() {
    let services = json!({
        "db": { "command": ["sleep", "1000"], "ready": { "exec": ["false"] } },
        "web": after(obedient("web", ""), &["db"]),
    });
    let container = Container::start(&plan(&services));
    container.wait_for("db", |db| db.message.is_some());
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert!(!end.path("web").exists());
}

#[test]
fn every_stop_signal_stops_and_others_do_not() {
    for signal in ["INT", "QUIT", "PWR"] {
        let container = Container::start(&plan(&json!({ "db": obedient("db", "") })));
        container.wait_ready();
        for harmless in ["HUP", "USR1", "USR2", "WINCH"] {
            container.signal(harmless);
        }
        container.wait_ready();
        container.signal(signal);
        let end = container.end();
        assert_eq!(end.code, Some(0), "{signal}: {}", end.output);
        assert!(end.output.contains(&format!("stopping on SIG{signal}, within 9 s")), "{}", end.output);
    }
}

#[test]
fn as_pid_1_it_reaps_a_storm_of_orphans_and_stops_in_order() {
    assert!(is_root(), "this test needs root");
    // Each inner shell dies at once and leaves its child to PID 1.
    let storm = "n=0; while [ $n -lt 300 ]; do (sh -c 'exit 0' & exit 0); n=$((n+1)); done; touch DIR/storm; sleep 1000";
    let services = json!({
        "db": obedient("db", "echo db >> DIR/order"),
        "storm": { "command": sh(storm), "ready": { "exec": ["test", "-e", "DIR/storm"] } },
        "web": after(obedient("web", "echo web >> DIR/order"), &["db"]),
    });
    let container = Container::start_as_pid_1(&plan(&services));
    container.wait_ready();
    container.until("all orphans are reaped", || container.zombies().is_empty());
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(end.read("order"), "web\ndb\n");
}
