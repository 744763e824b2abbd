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
    Plan::check(serde_json::from_value(plan).unwrap()).unwrap_err().to_string()
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
    let plan = Plan::check(serde_json::from_value(plan).unwrap()).unwrap();
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
        refusal_of(|s| s["directories"] = json!(["run/web"])),
        "service `web`: `run/web` is not an absolute path"
    );
    let mut blank = plan(json!({ "my web": service(&[]) }));
    assert_eq!(
        refusal(blank.clone()),
        "service `my web`: a service's name has at least one letter and no blanks"
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
    let missing = Plan::load(&path).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read run plan `/"), "{missing}");
    fs::write(&path, "{").unwrap();
    let broken = Plan::load(&path).unwrap_err().to_string();
    assert!(broken.starts_with("cannot understand run plan `/"), "{broken}");
}
