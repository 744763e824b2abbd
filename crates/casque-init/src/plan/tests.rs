//! Plans that are refused, and what is said about them.

use serde_json::{Value, json};

use super::*;

fn service(after: &[&str]) -> Value {
    json!({
        "kind": "simple", "command": ["true"], "after": after, "start_timeout_ms": 1000,
        "restart": { "policy": "always", "limit": 8, "delay_ms": 500, "max_delay_ms": 15000, "stable_ms": 10000 },
        "stop": { "signal": "TERM", "timeout_ms": 2500 }, "critical": true,
    })
}

fn plan(services: Value) -> Value {
    json!({
        "version": 1, "product": { "name": "a/b", "version": "1", "command": "b" }, "listen": [80],
        "services": services, "stop_budget_ms": 9000, "mask": [], "agent_uid": 1,
    })
}

fn refusal(plan: Value) -> String {
    Plan::check(serde_json::from_value(plan).unwrap(), &Place::of_a_test()).unwrap_err().to_string()
}

fn refusal_of(change: impl Fn(&mut Value)) -> String {
    let mut service = service(&[]);
    change(&mut service);
    refusal(plan(json!({ "web": service })))
}

#[test]
fn services_are_sorted_and_needs_become_places() {
    let plan = plan(
        json!({ "web": service(&["db", "cache", "db"]), "db": service(&[]), "cache": service(&["db"]) }),
    );
    let plan = Plan::check(serde_json::from_value(plan).unwrap(), &Place::of_a_test()).unwrap();
    let after: Vec<_> = plan.services.iter().map(|s| (s.name.as_str(), s.after.as_slice())).collect();
    assert_eq!(after, [("cache", &[1][..]), ("db", &[]), ("web", &[1, 0])]);
    assert_eq!(plan.services[0].stop_signal, libc::SIGTERM);
}

#[test]
fn a_cycle_names_its_services_and_those_behind_it() {
    let services = json!({
        "a": service(&["b"]), "b": service(&["a"]), "c": service(&["a"]), "d": service(&[]),
    });
    assert_eq!(refusal(plan(services)), "these services wait for each other: `a`, `b`, `c`");
}

#[test]
fn what_does_not_exist_is_named() {
    assert_eq!(
        refusal_of(|s| s["after"] = json!(["databse"])),
        "service `web`: it needs `databse`, which this plan does not define"
    );
    assert_eq!(
        refusal_of(|s| s["stop"]["signal"] = json!("SIGTERM")),
        "service `web`: there is no signal `SIGTERM`"
    );
    assert_eq!(
        refusal_of(|s| s["ready"] = json!({ "tcp": "db:1" })),
        "service `web`: `db:1` is not a numeric address and a port, such as 127.0.0.1:80"
    );
}

#[test]
fn what_cannot_be_executed_is_refused() {
    assert_eq!(refusal_of(|s| s["command"] = json!([])), "service `web`: its command is empty");
    assert_eq!(
        refusal_of(|s| s["command"] = json!(["a\0b"])),
        "service `web`: a NUL byte is in its command, environment or paths"
    );
    assert_eq!(
        refusal_of(|s| s["environment"] = json!({ "A=B": "" })),
        "service `web`: `A=B` is not the name of an environment variable"
    );
    assert_eq!(
        refusal_of(|s| s["directories"] = json!([{ "path": "run/web", "mode": 0 }])),
        "service `web`: `run/web` is not an absolute path"
    );
    let mut blank = plan(json!({ "my web": service(&[]) }));
    assert_eq!(
        refusal(blank.clone()),
        "service `my web`: a service's name has at least one letter, no blanks and no `/`"
    );
    blank["version"] = json!(2);
    assert_eq!(refusal(blank), "the run plan has version 2, this program reads version 1");
}

#[test]
fn ports_are_opened_once() {
    let mut twice = plan(json!({}));
    twice["listen"] = json!([80, 443, 80]);
    assert_eq!(refusal(twice), "the run plan cannot open port 80: it is 0 or there twice");
}

#[test]
fn a_missing_and_a_broken_file_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.json");
    let missing = Plan::load(&path, &Place::of_a_test()).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read run plan `/"), "{missing}");
    fs::write(&path, "{").unwrap();
    let broken = Plan::load(&path, &Place::of_a_test()).unwrap_err().to_string();
    assert!(broken.starts_with("cannot understand run plan `/"), "{broken}");
}

#[test]
fn replicas_are_services_of_their_own_and_others_wait_for_all() {
    let mut worker = service(&["db"]);
    worker["command"] = json!(["work", "--number={replica}"]);
    worker["replicas"] = json!({ "per_cpu": 2, "max": 3 });
    worker["health"] = json!({ "check": { "unix": "/run/{replica}.sock" }, "interval_ms": 1, "timeout_ms": 1, "failures": 1 });
    let mut front = service(&["worker"]);
    front["requires"] = json!(["worker"]);
    front["when_lost"] = json!({ "worker": "restart" });
    let plan = plan(json!({ "db": service(&[]), "front": front, "worker": worker }));
    let plan = Plan::check(serde_json::from_value(plan).unwrap(), &Place::of_a_test()).unwrap();
    let names: Vec<_> = plan.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["db", "front", "worker-1", "worker-2", "worker-3"]);
    let front = &plan.services[1];
    assert_eq!((front.after.as_slice(), front.requires.as_slice()), (&[2, 3, 4][..], &[2, 3, 4][..]));
    assert_eq!(front.when_lost.len(), 3);
    let second = &plan.services[3];
    assert_eq!(second.spec.command, ["work", "--number=2"]);
    assert_eq!(second.spec.environment["CASQUE_REPLICA"], "2");
    assert_eq!(
        second.health.as_ref().unwrap().check,
        Check::parse(&Ready::Unix("/run/2.sock".to_owned())).unwrap()
    );
}

#[test]
fn the_number_of_replicas_is_the_least_that_is_allowed_and_at_least_one() {
    let number = |replicas: Value| {
        let replicas: run::Replicas = serde_json::from_value(replicas).unwrap();
        replicas.number(4, 1 << 30)
    };
    assert_eq!(number(json!({ "count": 3 })), 3);
    assert_eq!(number(json!({ "per_cpu": 2 })), 8);
    assert_eq!(number(json!({ "per_cpu": 2, "per_memory": 256 << 20, "max": 8 })), 4);
    assert_eq!(number(json!({ "per_memory": 2_u64 << 30 })), 1);
    assert_eq!(number(json!({})), 1);
}

#[test]
fn what_only_some_services_can_have_is_refused_for_others() {
    assert_eq!(
        refusal_of(|s| s["schedule"] = json!("@daily")),
        "service `web`: only a one-shot runs once or by a schedule"
    );
    assert_eq!(
        refusal_of(|s| {
            s["kind"] = json!("oneshot");
            s["schedule"] = json!("61 * * * *");
        }),
        "service `web`: its schedule is `61 * * * *`, and `61` is not a minute, 0 to 59"
    );
    assert_eq!(
        refusal_of(
            |s| s["health"] = json!({ "check": "notify", "interval_ms": 1, "timeout_ms": 1, "failures": 1 })
        ),
        "service `web`: a health check asks, it cannot wait to be told"
    );
    assert_eq!(
        refusal_of(|s| s["reload"] = json!({ "exec": [] })),
        "service `web`: its reload command is empty"
    );
    assert_eq!(refusal_of(|s| s["post_stop"] = json!([])), "service `web`: its post-stop command is empty");
    assert_eq!(
        refusal_of(|s| {
            s["kind"] = json!("oneshot");
            s["post_stop"] = json!(["/bin/sweep"]);
        }),
        "service `web`: a one-shot has no post-stop command: another can come after it"
    );
    assert_eq!(
        refusal_of(|s| s["post_stop"] = json!(["/bin/sweep", "a\0b"])),
        "service `web`: a NUL byte is in its command, environment or paths"
    );
    assert_eq!(
        refusal_of(|s| s["requires"] = json!(["db"])),
        "service `web`: it needs `db`, which this plan does not define"
    );
    let mut worker = service(&[]);
    worker["replicas"] = json!({ "count": 1 });
    assert_eq!(
        refusal(plan(json!({ "worker": worker, "worker-1": service(&[]) }))),
        "the run plan has two services `worker-1`: one is a replica of another"
    );
}

#[test]
fn a_file_that_a_service_reads_makes_its_plan_another_and_a_file_of_others_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place { rendered: directory.path().to_owned(), ..Place::of_a_test() };
    let own = directory.path().join("own.ini");
    let mut picky = service(&[]);
    picky["files"] = json!([own]);
    let read = || {
        let plan = plan(json!({ "all": service(&[]), "picky": picky }));
        let plan = Plan::check(serde_json::from_value(plan).unwrap(), &place).unwrap();
        (plan.services[0].content, plan.services[1].content)
    };
    fs::write(&own, "a").unwrap();
    let before = read();
    fs::write(directory.path().join("other.ini"), "b").unwrap();
    let other = read();
    assert!(other.0 != before.0 && other.1 == before.1);
    fs::write(&own, "c").unwrap();
    let changed = read();
    assert!(changed.0 != other.0 && changed.1 != other.1);
}
