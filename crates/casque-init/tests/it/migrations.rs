//! One-shots that run once, and plans that change while everything runs.

use casque_format::control::{Change, Reply, Request, ServiceState, Touched};
use serde_json::{Value, json};

use crate::behaviours::{ready_file, start};
use crate::container::{Container, End, plan, sh};

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
fn behaviour_26_each_one_shot_runs_as_often_as_its_rule_says() {
    let (volume, other, runs) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let note = |name: &str| sh(&format!("echo >> {}/{name}", runs.path().display()));
    let services = json!({
        "always": { "kind": "oneshot", "command": note("always") },
        "version": { "kind": "oneshot", "once": "version", "command": note("version") },
        "volume": { "kind": "oneshot", "once": "volume", "command": note("volume") },
    });
    let count = |name: &str| std::fs::read(runs.path().join(name)).unwrap().len();
    let mut counts = Vec::new();
    // The second is a restart, then come an update, the way back, and a volume of its own.
    for (place, version) in [(&volume, "1"), (&volume, "1"), (&volume, "2"), (&volume, "1"), (&other, "1")] {
        let mut plan = plan(&services);
        plan["product"]["version"] = json!(version);
        let container = Container::start_in(&plan, place.path());
        container.wait_ready();
        assert_eq!(container.stop().code, Some(0));
        counts.push((count("always"), count("version"), count("volume")));
    }
    assert_eq!(counts, [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 3, 1), (5, 4, 2)]);
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
    let reloaded = |changes: &[(&str, Touched)]| {
        let change = |&(service, touched): &(&str, Touched)| Change { service: service.to_owned(), touched };
        Reply::Reloaded { changes: changes.iter().map(change).collect() }
    };
    assert_eq!(container.ask(&Request::Reload), reloaded(&[]));
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
    let touched = [
        ("new", Touched::Started),
        ("teller", Touched::Told),
        ("told", Touched::Told),
        ("web", Touched::Started),
    ];
    assert_eq!(container.ask(&Request::Reload), reloaded(&touched));
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
    let touched = [("cache", Touched::Stopped), ("web", Touched::Started)];
    assert_eq!(container.ask(&Request::Reload), reloaded(&touched));
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
