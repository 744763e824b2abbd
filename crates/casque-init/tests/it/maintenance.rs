//! Maintenance: the life of one connection.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use casque_format::control::{Overall, Reply, Request, ServiceState};
use serde_json::{Value, json};

use crate::behaviours::ready_file;
use crate::container::{Container, plan, sh};

fn services() -> Value {
    plan(&json!({
        "agent": { "command": ["sleep", "1000"], "sockets": "agent" },
        // Ready when it has said that it begins, each time.
        "db": {
            "command": sh("trap 'rm DIR/db.up; echo db ends; exit' TERM; echo db begins; touch DIR/db.up; while :; do sleep 0.05; done"),
            "ready": ready_file("db"),
        },
        "web": {
            "command": sh("trap 'echo web ends; exit' TERM; echo web begins; while :; do sleep 0.05; done"),
            "after": ["db"],
        },
    }))
}

/// Waits until the shells of both services have begun so many times, and would end in order.
fn begun(container: &Container, times: usize) {
    container.wait_ready();
    container.wait_for_lines("db | db begins", times);
    container.wait_for_lines("web | web begins", times);
}

fn state(container: &Container) -> Overall {
    let Reply::Status { snapshot } = container.ask(&Request::Status) else { panic!("no status") };
    snapshot.state
}

/// Asks for maintenance and returns when everything has stopped.
fn maintain(container: &Container) -> UnixStream {
    let mut line = container.connect();
    line.write_all(b"{\"command\":\"maintain\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(line.try_clone().unwrap()).read_line(&mut answer).unwrap();
    assert_eq!(serde_json::from_str::<Reply>(&answer).unwrap(), Reply::Done);
    line
}

#[test]
fn everything_but_the_agent_is_stopped_until_the_line_is_dropped() {
    let container = Container::start(&services());
    begun(&container, 1);
    let agent = container.wait_for("agent", |agent| agent.pid.is_some()).pid;
    let line = maintain(&container);
    assert_eq!(state(&container), Overall::Maintenance);
    let web = container.wait_for("web", |web| web.state == ServiceState::Stopped);
    assert_eq!((web.pid, web.last_exit.as_deref()), (None, Some("exited with 0")));
    let busy = |reply: Reply| match reply {
        Reply::Error { message } => message,
        other => panic!("{other:?}"),
    };
    for request in [Request::Maintain, Request::Reload, Request::Start { service: "web".to_owned() }] {
        let message = busy(container.ask(&request));
        assert_eq!(
            message,
            "the container is in maintenance, as for a backup; ask again when that has ended"
        );
    }
    drop(line);
    begun(&container, 2);
    assert_eq!(container.wait_for("agent", |agent| agent.pid.is_some()).pid, agent);
    let end = container.stop();
    let said: Vec<&str> =
        end.output.lines().filter(|line| line.contains("begins") || line.contains("ends")).collect();
    assert_eq!(
        said,
        [
            "db | db begins",
            "web | web begins",
            "casque | maintenance begins: every service but the agent is stopped until it has ended",
            "web | web ends",
            "db | db ends",
            "db | db begins",
            "web | web begins",
            "web | web ends",
            "db | db ends",
        ]
    );
    assert!(end.output.contains("casque | maintenance has ended: services start again\n"), "{}", end.output);
}

#[test]
fn services_come_back_when_whoever_asked_is_killed() {
    let container = Container::start(&services());
    container.wait_ready();
    let script = "use IO::Socket::UNIX; $| = 1; \
        my $s = IO::Socket::UNIX->new(Peer => shift) or die $!; \
        print $s \"{\\\"command\\\":\\\"maintain\\\"}\\n\"; $s->flush; print scalar <$s>; sleep 1000;";
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(container.path("control.sock")).stdout(Stdio::piped());
    let mut client = command.spawn().unwrap();
    let mut answer = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"reply\":\"done\"}\n");
    assert_eq!(state(&container), Overall::Maintenance);
    client.kill().unwrap();
    client.wait().unwrap();
    container.wait_ready();
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn whoever_hangs_up_at_once_leaves_everything_running() {
    let container = Container::start(&services());
    container.wait_ready();
    for _ in 0..5 {
        let mut line = container.connect();
        line.write_all(b"{\"command\":\"maintain\"}\n").unwrap();
        drop(line);
        container.wait_ready();
    }
    // One that was told to stop is stopping, not forgotten.
    let line = maintain(&container);
    assert_eq!(container.stop().code, Some(0));
    drop(line);
}
