//! What a PID 1 of containers has to get right, one test for each behaviour, of the real program as PID 1 and with small
//! services that misbehave. Here: stopping, order, restarts, exit codes, one-shots, health, other plans.

use std::time::{Duration, Instant};

use casque_format::control::{Reply, Request, ServiceState};
use serde_json::{Value, json};

use crate::container::{Container, End, is_root, kill, plan, runs, sh};

/// Starts as PID 1 where this test may.
fn start(plan: &Value) -> Container {
    assert!(is_root(), "this test needs root");
    Container::start_as_pid_1(plan)
}

/// Runs a plan that ends by itself.
fn to_its_end(plan: &Value) -> End {
    assert!(is_root(), "this test needs root");
    Container::start_as_pid_1_to_its_end(plan).end()
}

fn last_line(end: &End) -> &str {
    end.output.lines().last().unwrap_or_default()
}

/// Appends a line with the time, to a file that all services share.
fn note(what: &str) -> String {
    format!("echo \"$(date +%s%N) {what}\" >> DIR/events")
}

/// Returns what was noted, in the order of time.
fn notes(end: &End) -> Vec<String> {
    let mut lines: Vec<String> = end.read("events").lines().map(str::to_owned).collect();
    lines.sort();
    lines.into_iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

fn ready_file(name: &str) -> Value {
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
        format!("trap 'sleep 2; {}; exit 0' TERM; touch DIR/mongod.up; sleep 1000 & wait", note("saved"));
    let mut services = json!({
        "celery": stuck("celery"),
        "mongod": { "command": sh(&slow), "ready": ready_file("mongod"), "stop": { "signal": "TERM", "timeout_ms": 2_500 } },
        "nginx": stuck("nginx"),
    });
    services["nginx"]["after"] = json!(["celery"]);
    services["celery"]["after"] = json!(["mongod"]);
    let mut plan = plan(&services);
    plan["stop_budget_ms"] = json!(5_000);
    // The shares of the three, as `casque check` would have them.
    for (name, timeout) in [("nginx", 1_000), ("celery", 1_000)] {
        plan["services"][name]["stop"]["timeout_ms"] = json!(timeout);
    }
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
        "mongod": service("mongod", &[]), "redis": service("redis", &["mongod"]),
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
fn behaviour_12_notify_tells_readiness_and_liars_are_not_believed() {
    let services = json!({
        // Each in its own session: what the one says is never taken for the other's.
        "liar": { "command": ["python3", "-c", TELL, "READY=1\nMAINPID=1\nSTATUS=secretword is loaded"], "ready": "notify" },
        "mute": { "command": sh("touch DIR/mute.up; exec sleep 1000"), "ready": "notify" },
        "web": { "command": ["sleep", "1000"], "after": ["mute"] },
    });
    let mut plan = plan(&services);
    plan["mask"] = json!(["secretword"]);
    let container = start(&plan);
    container.wait_for("liar", |liar| liar.state == ServiceState::Ready);
    container.until("mute runs", || container.path("mute.up").exists());
    let snapshot = container.wait(|snapshot| snapshot.services[1].message.is_some());
    assert_eq!(snapshot.services[1].message.as_deref(), Some("not ready yet: it has not said that it is"));
    assert_eq!(snapshot.services[2].state, ServiceState::Waiting);
    let end = container.stop();
    assert!(end.output.contains("`liar` says that its main process is 1; only"), "{}", end.output);
    assert!(!end.output.contains("secretword"), "{}", end.output);
}

/// Says something on the socket in `NOTIFY_SOCKET` and stays.
const TELL: &str = "import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(sys.argv[1].encode(), '\\0' + os.environ['NOTIFY_SOCKET'][1:])
time.sleep(1000)";

/// As [`TELL`], in a child that is gone by the time its words are read; the parent stays.
const TELL_AND_GO: &str = "import os, socket, time
pid = os.fork()
if pid == 0:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendto(b'READY=1', '\\0' + os.environ['NOTIFY_SOCKET'][1:])
    os._exit(0)
os.waitpid(pid, 0)
time.sleep(1000)";

#[test]
fn behaviour_12_a_short_lived_helper_may_notify_for_its_service() {
    let services = json!({ "web": { "command": ["python3", "-c", TELL_AND_GO], "ready": "notify" } });
    let container = start(&plan(&services));
    container.wait_ready();
    container.stop();
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
    // The first of each kind succeeds, so that the service is ready; then all hang, with a child and a lot of words.
    let check = "[ -e DIR/sick ] || exit 0; yes flood & echo $! >> DIR/children; yes flood; sleep 1000";
    let services = json!({
        "web": {
            "command": ["sleep", "1000"],
            "health": { "check": { "exec": ["sh", "-c", check] }, "interval_ms": 100, "timeout_ms": 400, "failures": 2 },
        },
    });
    let container = start(&plan(&services));
    let first = container.wait_ready().services[0].pid;
    std::fs::write(container.path("sick"), "").unwrap();
    let again = container.wait_for("web", |web| web.restarts == 1 && web.state == ServiceState::Ready);
    assert_ne!(again.pid, first);
    std::fs::remove_file(container.path("sick")).unwrap();
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
    let services = json!({
        "web": {
            "command": ["sleep", "1000"],
            "health": { "check": { "exec": ["sh", "-c", "echo >> DIR/asked; exec sleep 0.2"] }, "interval_ms": 100, "timeout_ms": 1_000, "failures": 1 },
        },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    container.until("it is being asked", || container.path("asked").exists());
    container.signal("STOP");
    let paused = Instant::now();
    container.until("the pause is long", || paused.elapsed() > Duration::from_millis(3_500));
    let before = container.read("asked").len();
    container.signal("CONT");
    container.until("it is asked again", || container.read("asked").len() > before + 1);
    let web = container.wait_ready().services[0].clone();
    assert_eq!(web.restarts, 0, "{web:?}");
    container.stop();
}

#[test]
fn behaviour_26_a_migration_runs_once_for_each_version_and_before_those_that_need_it() {
    let shared = tempfile::tempdir().unwrap();
    let run = |version: &str, code: i32| {
        let services = json!({
            "migrate": { "kind": "oneshot", "once": "version", "command": sh(&format!("echo ran; exit {code}")),
                "restart": { "policy": "never", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1 } },
            "web": { "command": sh("touch DIR/web.up; exec sleep 1000"), "after": ["migrate"] },
        });
        let mut plan = plan(&services);
        plan["product"]["version"] = json!(version);
        let container = Container::start_in(&plan, shared.path());
        if code == 0 {
            container.wait_ready();
            container.stop()
        } else {
            container.end()
        }
    };
    let ran = |end: &End| end.output.contains("migrate | ran");
    let first = run("1", 0);
    assert!(ran(&first), "{}", first.output);
    let second = run("1", 0);
    assert!(
        !ran(&second) && second.output.contains("`migrate` was done before, by version 1"),
        "{}",
        second.output
    );
    let failed = run("2", 4);
    assert_eq!(failed.code, Some(4), "{}", failed.output);
    assert!(ran(&failed) && !failed.path("web.up").exists());
    assert!(
        failed
            .output
            .contains("`migrate` counts as not done for version 2: the volume stays as version 1 left it"),
        "{}",
        failed.output
    );
    assert!(ran(&run("2", 0)));
    assert!(!ran(&run("2", 0)));
    let stamp = std::fs::read_to_string(shared.path().join("migrate.json")).unwrap();
    let stamp: Value = serde_json::from_str(&stamp).unwrap();
    assert_eq!(stamp, json!({ "version": 1, "product_version": "2" }));
}

#[test]
fn behaviour_26_two_containers_on_a_volume_never_both_run_a_migration() {
    let shared = tempfile::tempdir().unwrap();
    let gate = shared.path().join("go");
    let script = format!(
        "echo began >> {0}/runs; while [ ! -e {1} ]; do sleep 0.05; done; echo ended >> {0}/runs",
        shared.path().display(),
        gate.display()
    );
    let services = json!({
        "migrate": { "kind": "oneshot", "once": "volume", "command": sh(&script) },
        "web": { "command": ["sleep", "1000"], "after": ["migrate"] },
    });
    let first = Container::start_in(&plan(&services), shared.path());
    first.until("it has begun", || shared.path().join("runs").exists());
    let second = Container::start_in(&plan(&services), shared.path());
    second.wait_for_line("`migrate` waits for another container that runs it on this volume");
    // One that waits can be stopped.
    let third = Container::start_in(&plan(&services), shared.path());
    third.wait_for_line("waits for another container");
    let end = third.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    std::fs::write(&gate, "").unwrap();
    first.wait_ready();
    second.wait_ready();
    let end = second.stop();
    first.stop();
    assert!(end.output.contains("`migrate` was done before, by version 1"), "{}", end.output);
    assert_eq!(std::fs::read_to_string(shared.path().join("runs")).unwrap(), "began\nended\n");
}

#[test]
fn behaviour_26_whoever_dies_in_a_migration_leaves_it_to_the_next() {
    let shared = tempfile::tempdir().unwrap();
    let runs = shared.path().join("runs");
    let script = format!("echo began >> {0}; [ $(wc -l < {0}) -gt 1 ] || exec sleep 1000", runs.display());
    let services = json!({ "migrate": { "kind": "oneshot", "once": "version", "command": sh(&script) } });
    let first = Container::start_in(&plan(&services), shared.path());
    first.until("it has begun", || runs.exists());
    let second = Container::start_in(&plan(&services), shared.path());
    second.wait_for_line("waits for another container");
    drop(first);
    second.wait_ready();
    second.stop();
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "began\nbegan\n");
}

#[test]
fn behaviour_28_another_plan_restarts_only_what_changed_and_a_bad_one_nothing() {
    let before = json!({
        "cache": { "command": ["sleep", "1000"] },
        "told": { "command": sh("trap 'touch DIR/told' HUP; touch DIR/told.up; while :; do sleep 1000 & wait; done"),
            "ready": ready_file("told"), "files": ["DIR/told.ini"], "reload": { "signal": "HUP" } },
        "teller": { "command": ["sleep", "1000"], "files": ["DIR/told.ini"], "reload": { "exec": ["sh", "-c", "echo told by command; exit 3"] } },
        "web": { "command": ["sleep", "1000"], "after": ["cache"], "files": [] },
    });
    let container = start(&plan(&before));
    let pids = |container: &Container| {
        let snapshot = container.wait_ready();
        snapshot.services.iter().map(|service| (service.name.clone(), service.pid)).collect::<Vec<_>>()
    };
    let first = pids(&container);
    assert_eq!(container.ask(&Request::Reload), Reply::Done);
    assert_eq!(pids(&container), first);
    // A plan that nobody can carry out.
    let mut bad = before.clone();
    bad["web"]["after"] = json!(["databse"]);
    container.write_plan(&plan(&bad));
    assert_eq!(
        container.ask(&Request::Reload),
        Reply::Error {
            message:
                "service `web`: it needs `databse`, which this plan does not define; nothing was changed"
                    .to_owned()
        }
    );
    assert_eq!(pids(&container), first);
    // One service is another, one is gone, one is new, and a file has changed.
    let mut after = before.clone();
    after["web"]["environment"] = json!({ "A": "1" });
    after["new"] = json!({ "command": ["sleep", "1000"], "after": ["web"] });
    std::fs::write(container.path("told.ini"), "changed").unwrap();
    container.write_plan(&plan(&after));
    assert_eq!(container.ask(&Request::Reload), Reply::Done);
    container.until("the signal has come", || container.path("told").exists());
    container.wait_for("new", |new| new.state == ServiceState::Ready);
    let second = pids(&container);
    let pid = |pids: &[(String, Option<u32>)], name: &str| {
        pids.iter().find(|(known, _)| known == name).and_then(|(_, pid)| *pid)
    };
    for (name, stays) in [("cache", true), ("told", true), ("teller", true), ("web", false)] {
        assert_eq!(pid(&first, name) == pid(&second, name), stays, "{name}: {first:?} {second:?}");
    }
    after.as_object_mut().unwrap().remove("cache");
    after["web"]["after"] = json!([]);
    container.write_plan(&plan(&after));
    assert_eq!(container.ask(&Request::Reload), Reply::Done);
    let names =
        |snapshot: &casque_format::control::Snapshot| snapshot.services.iter().all(|s| s.name != "cache");
    container.wait(names);
    let end = container.stop();
    assert!(end.output.contains("teller | told by command\n"), "{}", end.output);
    assert!(
        end.output.contains("`teller` was told of its changed files, and that exited with 3"),
        "{}",
        end.output
    );
}

#[test]
fn timers_run_by_their_schedule_and_are_shown() {
    let services = json!({ "job": { "kind": "oneshot", "schedule": "* * * * *", "command": sh("date +%S >> DIR/runs") } });
    let container = start(&plan(&services));
    let job = container.wait_ready().services[0].clone();
    assert!(job.message.unwrap().starts_with("next run at "), "no time is shown");
    assert_eq!(container.ask(&Request::Start { service: "job".to_owned() }), Reply::Done);
    assert_eq!(container.read("runs").lines().count(), 1);
    container.stop();
}

#[test]
fn replicas_are_as_many_as_this_container_may_have() {
    let services = json!({
        "worker": { "command": sh("echo I am {replica} or $CASQUE_REPLICA; exec sleep 1000"), "replicas": { "count": 3 } },
        "web": { "command": ["sleep", "1000"], "after": ["worker"] },
    });
    let container = start(&plan(&services));
    let snapshot = container.wait_ready();
    let names: Vec<_> = snapshot.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["web", "worker-1", "worker-2", "worker-3"]);
    let refused = container.ask(&Request::Restart { service: "worker".to_owned() });
    assert_eq!(
        refused,
        Reply::Error {
            message: "there is no service `worker`, there are `worker-1`, `worker-2`, `worker-3`".to_owned()
        }
    );
    let end = container.stop();
    assert!(end.output.contains("worker-2 | I am 2 or 2\n"), "{}", end.output);
}

#[test]
fn a_service_has_its_own_nice_value_score_and_directories() {
    let services = json!({
        "web": {
            "kind": "oneshot", "nice": 7, "oom_score_adjust": 300,
            "user": { "name": "web", "uid": 64_001, "gid": 64_002, "groups": [64_003], "home": "/srv/web" },
            "directories": [
                { "path": "DIR/run/own", "mode": 0o750 }, { "path": "DIR/run/other", "mode": 0o2770, "owner": [64_009, 64_008] },
            ],
            "command": sh("nice; cat /proc/self/oom_score_adj; id -G; echo $HOME; stat -c '%a %u %g' DIR/run/own DIR/run/other"),
        },
    });
    let container = start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    let lines: Vec<&str> = end.output.lines().filter_map(|line| line.strip_prefix("web | ")).collect();
    assert_eq!(lines, ["7", "300", "64002 64003", "/srv/web", "750 64001 64002", "2770 64009 64008"]);
}

#[test]
fn behaviour_19_it_runs_as_anybody_anywhere() {
    assert!(is_root(), "this test needs root");
    let services = json!({ "web": { "command": sh("echo up as $(id -u); exec sleep 1000"),
        "ready": { "exec": ["true"] }, "user": { "name": "web", "uid": 64_001, "gid": 64_001, "home": "/" } } });
    for uid in ["0", "1000", "1234567890"] {
        for mount in ["rw", "ro and a /run", "ro"] {
            for pid_1 in [true, false] {
                for no_new_privs in [true, false] {
                    let case = format!("uid {uid}, {mount}, PID 1: {pid_1}, no_new_privs: {no_new_privs}");
                    let container =
                        Container::start_surrounded(&plan(&services), uid, mount, pid_1, no_new_privs);
                    container.wait_for_line("web | up as ");
                    let end = container.stop();
                    let expected = if uid == "0" {
                        "web | up as 64001\n".to_owned()
                    } else {
                        format!("web | up as {uid}\n")
                    };
                    assert!(end.output.contains(&expected), "{case}: {}", end.output);
                    assert_eq!(end.code, Some(0), "{case}: {}", end.output);
                    let complains = end.output.contains("cannot open the control socket");
                    assert_eq!(complains, mount == "ro", "{case}: {}", end.output);
                }
            }
        }
    }
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
