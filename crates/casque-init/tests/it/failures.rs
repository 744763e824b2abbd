//! Services that crash, hang or are given up, and what the container makes of it.

use std::time::{Duration, Instant};

use casque_format::control::ServiceState;
use serde_json::{Value, json};

use crate::behaviours::{last_line, note, ready_file, start, to_its_end};
use crate::container::{Container, kill, plan, runs, sh};

#[test]
fn behaviour_14_a_crash_loop_is_counted_slowed_and_given_up_by_class() {
    let restart =
        json!({ "policy": "always", "limit": 4, "delay_ms": 100, "max_delay_ms": 400, "stable_ms": 60_000 });
    let optional = json!({ "metrics": { "command": sh("exit 5"), "critical": false, "restart": restart } });
    let container = start(&plan(&optional));
    let metrics = container.wait_for("metrics", |metrics| metrics.state == ServiceState::Failed);
    assert_eq!(metrics.message.as_deref(), Some("exited with 5, 4 failures in a row"));
    assert_eq!(container.stop().code, Some(0));
    let services =
        json!({ "web": { "command": sh(&format!("{}; exit 6", note("web"))), "restart": restart } });
    let end = to_its_end(&plan(&services));
    assert_eq!(end.code, Some(6), "{}", end.output);
    assert_eq!(last_line(&end), "casque | stopped with 6: service `web` failed: exited with 6");
    let times: Vec<u64> =
        end.read("events").lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect();
    assert_eq!(times.len(), 4);
    for (pair, least) in times.windows(2).zip([90, 180, 360]) {
        assert!(pair[1] - pair[0] >= least * 1_000_000, "{times:?}");
    }
}

/// What ends a container, the code it then has, and how its last line begins.
fn causes() -> Vec<(&'static str, Value, i32, &'static str)> {
    let never = json!({ "policy": "never", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 });
    let web = |change: Value| {
        let mut service = json!({ "command": ["sleep", "1000"], "restart": never });
        service.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({ "web": service })
    };
    let unhealthy =
        json!({ "check": { "exec": ["false"] }, "interval_ms": 100, "timeout_ms": 5_000, "failures": 1 });
    vec![
        (
            "a code",
            web(json!({ "command": sh("exit 7") })),
            7,
            "stopped with 7: service `web` failed: exited with 7",
        ),
        (
            "a clean exit",
            web(
                json!({ "command": ["true"], "restart": { "policy": "always", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 } }),
            ),
            1,
            "stopped with 1: service `web` failed: exited with 0",
        ),
        (
            "a signal",
            web(json!({ "command": sh("kill -SEGV $$") })),
            139,
            "stopped with 139: service `web` failed: killed by SIGSEGV",
        ),
        (
            "no program",
            web(json!({ "command": ["/missing/web"] })),
            127,
            "stopped with 127: service `web` failed: could not start: cannot execute `/missing/web`",
        ),
        (
            "no right to run it",
            web(json!({ "command": ["/etc/passwd"] })),
            126,
            "stopped with 126: service `web` failed: could not start: cannot execute `/etc/passwd`",
        ),
        (
            "no directory",
            web(json!({ "working_directory": "/missing" })),
            126,
            "stopped with 126: service `web` failed: could not start: cannot enter directory `/missing`",
        ),
        (
            "a start timeout",
            web(json!({ "ready": { "exec": ["false"] }, "start_timeout_ms": 300 })),
            101,
            "stopped with 101: service `web` failed: not ready within 300 ms",
        ),
        (
            "its health",
            web(json!({ "health": unhealthy })),
            103,
            "stopped with 103: service `web` failed: a health check failed (its health command exited with 1)",
        ),
        (
            "a one-shot",
            web(json!({ "kind": "oneshot", "command": sh("exit 9") })),
            9,
            "stopped with 9: service `web` failed: exited with 9",
        ),
        (
            "what it requires",
            json!({
                "db": { "command": sh("exit 8"), "critical": false, "restart": never },
                "web": { "command": ["sleep", "1000"], "requires": ["db"] },
            }),
            8,
            "stopped with 8: service `web` failed: it cannot be without `db`, which has failed",
        ),
    ]
}

#[test]
fn behaviour_15_every_cause_has_its_code_and_its_last_line() {
    for (cause, services, code, last) in causes() {
        let end = to_its_end(&plan(&services));
        assert_eq!(end.code, Some(code), "{cause}: {}", end.output);
        let line = last_line(&end);
        assert!(line.strip_prefix("casque | ").is_some_and(|line| line.starts_with(last)), "{cause}: {line}");
    }
    let container = start(&plan(&json!({ "web": { "command": ["sleep", "1000"] } })));
    container.wait_ready();
    let end = container.stop();
    assert_eq!((end.code, last_line(&end)), (Some(0), "casque | stopped"));
}

#[test]
fn behaviour_15_the_table_for_customers_has_every_code() {
    let page = include_str!("../../../../docs/customer.md");
    let table = page.split("### Of the container\n").nth(1).unwrap().split("\n##").next().unwrap();
    let described = |code: i32| table.lines().any(|line| line.starts_with(&format!("| {code} |")));
    for (cause, _, code, _) in causes() {
        // Every other code is the service's own.
        let own = !(100..=125).contains(&code);
        assert!(own || described(code), "{cause}: {code}");
    }
    assert!(described(0) && table.contains("\n| other |"));
}

#[test]
fn behaviour_22_a_check_that_hangs_forks_and_floods_harms_nobody() {
    // All hang while this run of the service is sick, each with two children, one of which has left its session, and a lot
    // of words. The next run is well.
    let check = "[ -e DIR/sick ] || exit 0; sleep 1000 & echo $! >> DIR/children; \
                 setsid sh -c 'echo $$ >> DIR/children; exec sleep 1000' & yes flood; sleep 1000";
    let services = json!({
        "web": {
            "command": sh("rm -f DIR/sick; touch DIR/up; exec sleep 1000"),
            "ready": { "exec": ["test", "-e", "DIR/up"] },
            "health": { "check": { "exec": ["sh", "-c", check] }, "interval_ms": 100, "timeout_ms": 400, "failures": 2 },
        },
    });
    let container = Container::start(&plan(&services));
    let first = container.wait_ready().services[0].pid;
    std::fs::write(container.path("sick"), "").unwrap();
    let again = container.wait_for("web", |web| web.restarts == 1 && web.state == ServiceState::Ready);
    assert_ne!(again.pid, first);
    let children: Vec<u32> = container.read("children").lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(children.len(), 4, "two checks in a row and never two at once");
    container.until("their children are gone", || !children.iter().any(|&child| runs(child)));
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert!(
        end.output.contains("`web` 2 health checks in a row failed (no answer within 400 ms); stopping it"),
        "{}",
        end.output
    );
    assert!(!end.output.contains("flood"));
}

#[test]
fn behaviour_24_a_pause_of_pid_1_is_nobody_s_failure() {
    // The check is under way all the time: for it, too, the machine has slept.
    let check = "echo >> DIR/asked; while ! test -e DIR/go; do sleep 0.05; done";
    let services = json!({
        "web": {
            "command": ["sleep", "1000"],
            "health": { "check": { "exec": ["sh", "-c", check] }, "interval_ms": 100, "timeout_ms": 3_000, "failures": 1 },
        },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    container.until("it is being asked", || container.path("asked").exists());
    container.signal("STOP");
    let paused = Instant::now();
    // Two seconds beyond its time are what nobody is to blame for.
    container.until("the pause is long", || paused.elapsed() > Duration::from_millis(5_500));
    container.signal("CONT");
    container.until("it is asked again", || container.read("asked").len() > 1);
    std::fs::write(container.path("go"), "").unwrap();
    container.until("it is asked as before", || container.read("asked").len() > 2);
    let web = container.wait_ready().services[0].clone();
    assert_eq!(web.restarts, 0, "{web:?}");
    container.stop();
}

#[test]
fn what_a_service_left_running_is_gone_with_it() {
    let services = json!({ "web": { "command": sh("sleep 1000 & echo $! > DIR/left; touch DIR/web.up; wait"), "ready": ready_file("web") } });
    let container = Container::start(&plan(&services));
    let pid = container.wait_ready().services[0].pid.unwrap();
    let left: u32 = container.read("left").trim().parse().unwrap();
    kill("KILL", pid);
    container.wait_for("web", |web| web.restarts == 1);
    assert!(!runs(left));
    container.stop();
}
