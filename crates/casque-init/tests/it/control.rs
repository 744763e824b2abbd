//! The control socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use casque_format::control::{Overall, Reply, Request, ServiceState};
use serde_json::json;

use crate::container::{Container, is_root, plan};

fn sleeper() -> serde_json::Value {
    plan(&json!({ "web": { "command": ["sleep", "1000"] } }))
}

#[test]
fn status_tells_the_state_of_everything() {
    let container = Container::start(&sleeper());
    let pid = container.wait_ready().services[0].pid;
    let Reply::Status { snapshot } = container.ask(&Request::Status) else { panic!("no status") };
    assert_eq!((snapshot.version, snapshot.state, snapshot.front_ready), (1, Overall::Ready, false));
    let web = &snapshot.services[0];
    assert_eq!((web.name.as_str(), web.state, web.restarts), ("web", ServiceState::Ready, 0));
    assert_eq!((web.pid, &web.last_exit, &web.message), (pid, &None, &None));
    container.stop();
}

#[test]
fn a_service_is_restarted_stopped_and_started_on_request() {
    let container = Container::start(&sleeper());
    let before = container.wait_ready().services[0].pid;
    let web = || "web".to_owned();
    assert_eq!(container.ask(&Request::Restart { service: web() }), Reply::Done);
    let after = container.wait_ready().services[0].clone();
    assert_ne!(after.pid, before);
    assert_eq!(after.restarts, 1);
    assert_eq!(container.ask(&Request::Stop { service: web() }), Reply::Done);
    let stopped = container.wait_for("web", |web| web.state == ServiceState::Stopped);
    assert_eq!((stopped.pid, stopped.last_exit.as_deref()), (None, Some("killed by SIGTERM")));
    assert_eq!(container.ask(&Request::Start { service: web() }), Reply::Done);
    container.wait_ready();
    assert_eq!(
        container.ask(&Request::Restart { service: "db".to_owned() }),
        Reply::Error { message: "there is no service `db`".to_owned() }
    );
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn nonsense_is_answered_and_a_flood_is_cut_off() {
    let container = Container::start(&sleeper());
    container.wait_ready();
    let mut stream = container.connect();
    stream.write_all(b"hello\n{\"command\":\"status\"}\n").unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = answers.next().unwrap().unwrap();
    assert!(first.contains("cannot understand the request"), "{first}");
    assert!(answers.next().unwrap().unwrap().contains("\"reply\":\"status\""));

    let mut flood = container.connect();
    let piece = [b'x'; 4096];
    // Sooner or later PID 1 hangs up, and then writing fails.
    while flood.write_all(&piece).is_ok() {}
    assert!(matches!(container.ask(&Request::Status), Reply::Status { .. }));
    container.stop();
}

#[test]
fn behaviour_25_a_client_that_does_not_read_holds_nobody_up() {
    let container = Container::start(&sleeper());
    container.wait_ready();
    let mut stuck = container.connect();
    let mut half = container.connect();
    half.write_all(b"{\"command\":").unwrap();
    // Far more answers than a socket holds, none of them read.
    let web = || "web".to_owned();
    stuck.write_all("{\"command\":\"watch\"}\n".as_bytes()).unwrap();
    for _ in 0..20 {
        assert_eq!(container.ask(&Request::Restart { service: web() }), Reply::Done);
    }
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    // What was sent is whole lines, the newest state at their end or the connection closed.
    let mut text = String::new();
    stuck.read_to_string(&mut text).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.ends_with('}'), "{last}");
}

#[test]
fn behaviour_25_other_users_may_not_ask_and_the_agent_may_only_look() {
    assert!(is_root(), "this test needs root");
    let user = json!({ "name": "agent", "uid": 64_999, "gid": 64_999, "home": "/" });
    let agent = json!({ "agent": { "command": ["sleep", "1000"], "sockets": "agent", "user": user } });
    let container = Container::start(&plan(&agent));
    container.wait_ready();
    let ask = |uid: u32, gid: u32, request: &str| {
        let script = "use IO::Socket::UNIX; \
            my $s = IO::Socket::UNIX->new(Peer => shift) or die $!; \
            print $s shift, \"\\n\"; print scalar <$s>;";
        let mut command = Command::new("perl");
        command.args(["-e", script]).arg(container.path("control.sock")).arg(request);
        let output = command.uid(uid).gid(gid).output().unwrap();
        (output.status.success()).then(|| serde_json::from_slice::<Reply>(&output.stdout).unwrap())
    };
    let refused = |uid: u32| Reply::Error {
        message: format!("user {uid} may not ask for this; root and the container's own user may"),
    };
    assert!(matches!(ask(64_999, 64_999, r#"{"command":"status"}"#), Some(Reply::Status { .. })));
    assert_eq!(ask(64_999, 64_999, r#"{"command":"logs","lines":1}"#), Some(refused(64_999)));
    assert_eq!(ask(64_998, 64_999, r#"{"command":"status"}"#), Some(refused(64_998)));
    assert_eq!(ask(64_998, 64_998, r#"{"command":"status"}"#), None, "it cannot even connect");
    container.stop();
}

#[test]
fn without_a_place_for_the_socket_it_works_and_says_so() {
    let plan = plan(&json!({ "web": { "command": ["sh", "-c", "exit 5"], "critical": true } }));
    let container = Container::start_with(&plan, |command| {
        command.args(["--control", "/proc/casque/control.sock"]);
    });
    let end = container.end();
    assert_eq!(end.code, Some(5));
    assert!(
        end.output.starts_with("casque | cannot open the control socket `/proc/casque/control.sock`: "),
        "{}",
        end.output
    );
}
