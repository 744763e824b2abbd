//! Ports that PID 1 opens and services inherit.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use casque_format::control::ServiceState;
use serde_json::{Value, json};

use crate::container::{Container, PATIENCE, kill, plan};

/// Returns a port that was free a moment ago. The program under test opens it by number, as it
/// would open port 80, so it cannot be handed a listener.
pub fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// A front that tells its process number to whoever comes, on the first socket it inherited.
const FRONT: &str = r#"
    use IO::Socket::INET;
    $ENV{NGINX} =~ /^3;(4;)?$/ or exit 9;
    my $socket = IO::Socket::INET->new_from_fd(3, "r+") or exit 8;
    $socket->blocking(1);
    while (my $peer = $socket->accept) { print $peer "$$\n"; close $peer }
"#;

fn front(port: u16) -> Value {
    let mut plan = plan(&json!({ "front": { "command": ["perl", "-e", FRONT], "sockets": "nginx" } }));
    plan["listen"] = json!([port]);
    plan
}

fn answer(port: u16) -> u32 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn a_connection_made_while_the_front_is_dead_is_answered_by_its_successor() {
    let port = free_port();
    let mut plan = front(port);
    plan["services"]["front"]["restart"]["delay_ms"] = json!(300);
    plan["services"]["front"]["restart"]["max_delay_ms"] = json!(300);
    let container = Container::start(&plan);
    let snapshot = container.wait_ready();
    assert!(snapshot.front_ready);
    let first = answer(port);
    assert_eq!(Some(first), snapshot.services[0].pid);
    kill("KILL", first);
    let dead = container.wait(|snapshot| snapshot.services[0].state == ServiceState::Backoff);
    assert!(!dead.front_ready);
    let second = answer(port);
    assert_ne!(second, first);
    assert_eq!(Some(second), container.wait_ready().services[0].pid);
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn the_agent_learns_how_many_sockets_it_has() {
    let script = "[ -S /proc/$$/fd/3 ] && [ ! -e /proc/$$/fd/$((LISTEN_FDS + 3)) ] && exec sleep 1000";
    let mut plan = plan(&json!({
        "agent": { "command": ["sh", "-c", script], "sockets": "agent" },
        "web": { "command": ["sh", "-c", "[ ! -e /proc/$$/fd/3 ] && exec sleep 1000"] },
    }));
    plan["listen"] = json!([free_port()]);
    for name in ["agent", "web"] {
        plan["services"][name]["ready"] = json!({ "exec": ["true"] });
    }
    let container = Container::start(&plan);
    container.wait_ready();
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn a_port_in_use_is_named_before_anything_starts() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let end = Container::start(&front(port)).end();
    assert_eq!(end.code, Some(100));
    assert_eq!(
        end.output,
        format!(
            "casque | cannot open port {port}: Address already in use (os error 98); run the container \
             with a network of its own, or end what uses the port\n"
        )
    );
}
