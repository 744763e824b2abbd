//! What services write, and what becomes of it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use casque_format::control::{Reply, Request};
use serde_json::json;

use crate::container::{Container, plan, sh};

fn oneshot(script: &str) -> serde_json::Value {
    json!({ "web": { "kind": "oneshot", "command": sh(script) } })
}

#[test]
fn lines_are_labelled_and_secrets_are_masked() {
    let mut plan = plan(&oneshot(
        "printf 'token geh'; sleep 0.05; echo eim; echo '{\"p\":\"a\\\"b/c\"}' >&2; printf end",
    ));
    plan["mask"] = json!(["geheim", "a\"b/c"]);
    let container = Container::start(&plan);
    container.wait_ready();
    let end = container.stop();
    let lines: Vec<&str> = end.output.lines().filter(|line| line.starts_with("web | ")).collect();
    assert_eq!(lines, ["web | token ***", "web | {\"p\":\"***\"}", "web | end"]);
}

#[test]
fn the_newest_lines_are_there_for_who_asks() {
    let container = Container::start(&plan(&oneshot("seq 1 5000")));
    container.wait_ready();
    let logs = |service: Option<&str>, lines| {
        container.ask(&Request::Logs { service: service.map(str::to_owned), lines })
    };
    let Reply::Logs { lines } = logs(Some("web"), 3) else { panic!("no lines") };
    assert_eq!(lines, ["web | 4998", "web | 4999", "web | 5000"]);
    let Reply::Logs { lines } = logs(None, u32::MAX) else { panic!("no lines") };
    assert_eq!(lines.len(), 1001, "1000 of the service, one of PID 1");
    assert!(lines[1000].starts_with("casque | `web` done after "));
    let Reply::Error { message } = logs(Some("db"), 1) else { panic!("an answer") };
    assert_eq!(message, "there is no service `db`");
    container.stop();
}

#[test]
fn what_is_written_while_stopping_is_not_lost() {
    let services = json!({
        "web": {
            "command": sh("trap 'seq 1 20000; exit 0' TERM; touch DIR/up; sleep 1000 & wait"),
            "ready": { "exec": ["test", "-e", "DIR/up"] },
        },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    let numbers: Vec<u32> =
        end.output.lines().filter_map(|line| line.strip_prefix("web | ")?.parse().ok()).collect();
    assert_eq!(numbers, (1..=20_000).collect::<Vec<_>>());
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let services = json!({
        "flood": { "kind": "oneshot", "command": sh("seq 1 1000000") },
        "web": { "command": ["sleep", "1000"], "after": ["flood"] },
    });
    // Standard output is a pipe that nobody empties until the end.
    let (reader, writer) = std::io::pipe().unwrap();
    let container = Container::start_with(&plan(&services), |command| {
        command.stdout(Stdio::from(writer));
    });
    container.wait_ready();
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let first: Vec<String> = lines.by_ref().take(2).collect();
    assert_eq!(first, ["flood | 1", "flood | 2"]);
    // What PID 1 itself says is there, and before it how much is not.
    let mut dropped = false;
    for line in lines.by_ref() {
        dropped |= line.ends_with(" lines dropped here: nobody read the log");
        if line.starts_with("casque | `flood` done after ") {
            break;
        }
    }
    assert!(dropped);
    container.signal("TERM");
    assert_eq!(lines.last().as_deref(), Some("casque | stopped"));
    assert_eq!(container.end().code, Some(0));
}

#[test]
fn output_held_open_by_a_stranger_delays_nothing() {
    let services = json!({
        "web": {
            "kind": "oneshot", "command": sh("setsid sh -c 'touch DIR/up; sleep 1000' & while ! [ -e DIR/up ]; do :; done"),
        },
        "after": { "command": ["sleep", "1000"], "after": ["web"] },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    assert_eq!(container.stop().code, Some(0));
}
