//! Each way to tell that a service serves, against a small server of its kind.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread::spawn;

use casque_format::control::ServiceState;
use serde_json::{Value, json};

use crate::container::{Container, plan};

/// Starts a service with this check, which is not ready until `serve` has run.
fn becomes_ready(ready: &Value, first: &str, serve: impl FnOnce()) {
    let services = json!({ "web": { "command": ["sleep", "1000"], "ready": ready } });
    let container = Container::start(&plan(&services));
    let web = container.wait_for("web", |web| web.message.is_some());
    assert_eq!(web.state, ServiceState::Starting);
    let message = web.message.unwrap();
    assert!(message.starts_with("not ready yet: ") && message.contains(first), "{message}");
    serve();
    container.wait_ready();
    assert_eq!(container.stop().code, Some(0));
}

/// Answers the first `no.len()` connections with those, all later ones with `yes`.
fn answer(listener: TcpListener, no: &'static [&'static [u8]], yes: &'static [u8]) {
    spawn(move || {
        for (count, peer) in listener.incoming().enumerate() {
            let mut peer = peer.unwrap();
            let mut request = [0; 4096];
            let _ = peer.read(&mut request).unwrap();
            // Two pieces, so that an answer is never read at once by chance.
            let answer = no.get(count).copied().unwrap_or(yes);
            let (first, second) = answer.split_at(answer.len() / 2);
            let _ = peer.write_all(first).and_then(|()| peer.write_all(second));
        }
    });
}

fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn tcp() {
    let port = crate::sockets::free_port();
    let mut listener = None;
    becomes_ready(&json!({ "tcp": format!("127.0.0.1:{port}") }), "Connection refused", || {
        listener = Some(TcpListener::bind(("127.0.0.1", port)).unwrap());
    });
}

#[test]
fn unix() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.sock");
    becomes_ready(&json!({ "unix": path }), "No such file or directory", || {
        // The listener lives on when its value is gone, as long as somebody holds it.
        std::mem::forget(UnixListener::bind(&path).unwrap());
    });
}

#[test]
fn http() {
    let (listener, address) = server();
    let no: &[&[u8]] = &[b"HTTP/1.1 503 Service Unavailable\r\n\r\n"];
    answer(listener, no, b"HTTP/1.1 204 No Content\r\n\r\n");
    becomes_ready(&json!({ "http": format!("http://{address}/health") }), "it answered HTTP 503", || {});
}

#[test]
fn http_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.sock");
    let url = format!("unix:{}:/health", path.display());
    becomes_ready(&json!({ "http": url }), "No such file or directory", || {
        let listener = UnixListener::bind(&path).unwrap();
        spawn(move || {
            for peer in listener.incoming() {
                let mut peer = peer.unwrap();
                let mut request = [0; 4096];
                let size = peer.read(&mut request).unwrap();
                assert!(request[..size].starts_with(b"GET /health HTTP/1.1\r\nHost: localhost\r\n"));
                peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            }
        });
    });
}

#[test]
fn redis() {
    let (listener, address) = server();
    answer(
        listener,
        &[b"-LOADING Redis is loading the dataset in memory\r\n"],
        b"-NOAUTH Authentication required.\r\n",
    );
    becomes_ready(&json!({ "redis": address }), "it is loading its data", || {});
}

#[test]
fn mongodb() {
    // { ok: 0.0 } and { ok: 1.0 }, as a server sends them.
    const NO: &[u8] =
        b"\x26\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x11\0\0\0\x01ok\0\0\0\0\0\0\0\0\0\0";
    const YES: &[u8] =
        b"\x26\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x11\0\0\0\x01ok\0\0\0\0\0\0\0\xf0\x3f\0";
    let (listener, address) = server();
    answer(listener, &[NO], YES);
    becomes_ready(&json!({ "mongodb": address }), "it refused `hello`", || {});
}

#[test]
fn exec() {
    let directory = tempfile::tempdir().unwrap();
    let flag = directory.path().join("up");
    becomes_ready(&json!({ "exec": ["test", "-e", flag] }), "its readiness command exited with 1", || {
        std::fs::write(&flag, "").unwrap();
    });
}

#[test]
fn a_readiness_command_that_cannot_run_is_named() {
    let services =
        json!({ "web": { "command": ["sleep", "1000"], "ready": { "exec": ["/missing/check"] } } });
    let container = Container::start(&plan(&services));
    let web = container.wait_for("web", |web| web.message.is_some());
    assert_eq!(
        web.message.unwrap(),
        "not ready yet: cannot execute `/missing/check`: No such file or directory (os error 2)"
    );
    container.stop();
}

#[test]
fn dependents_wait_for_readiness() {
    let directory = tempfile::tempdir().unwrap();
    let flag = directory.path().join("up");
    let services = json!({
        "db": { "command": ["sleep", "1000"], "ready": { "exec": ["test", "-e", flag] } },
        "web": { "command": ["sleep", "1000"], "after": ["db"] },
    });
    let container = Container::start(&plan(&services));
    let snapshot =
        container.wait(|snapshot| snapshot.services.first().is_some_and(|db| db.message.is_some()));
    assert_eq!(snapshot.services[1].state, ServiceState::Waiting);
    assert_eq!(snapshot.services[1].message.as_deref(), Some("waits for `db`"));
    std::fs::write(&flag, "").unwrap();
    container.wait_ready();
    container.stop();
}
