//! `serve` on a real listener, with a stand-in for PID 1 that pushes what it likes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use casque_format::control::{Overall, Reply, Request, Snapshot};
use casque_format::paths;
use serde_json::{Value, json};

use crate::instance::Instance;

const LIMIT: Duration = Duration::from_secs(20);

/// A running agent, the listener it inherited, and PID 1's end of its socket.
struct Served {
    instance: Instance,
    control: Option<UnixListener>,
    watcher: Option<UnixStream>,
    listener: TcpListener,
    child: Child,
}

impl Served {
    fn start() -> Self {
        let instance = Instance::new();
        let config = json!({
            "product": {"name": "vendor/backend", "version": "43.4.4", "command": "backend"},
            "status_path": "/status", "status_agent": "monitor", "status_token": "T0ken", "warnings": ["w"],
        });
        instance.write(paths::AGENT_CONFIG, &config.to_string());
        let control = instance.control_socket();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let agent = instance.command(&["serve"]);
        // The shell puts the listener, which a test can hand over only as stdin, where PID 1 puts it.
        let child = Command::new("/bin/sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 </dev/null"])
            .arg(agent.get_program())
            .args(agent.get_args())
            .env_clear()
            .env("LISTEN_FDS", "1")
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
            .spawn()
            .unwrap();
        let mut served = Self { instance, control: Some(control), watcher: None, listener, child };
        served.accept_watcher();
        served
    }

    /// Waits until the agent asks to watch.
    fn accept_watcher(&mut self) {
        let (stream, _) = self.control.as_ref().unwrap().accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), Request::Watch);
        self.watcher = Some(stream);
    }

    fn push(&mut self, state: Overall, front_ready: bool) {
        let snapshot = Snapshot { version: 1, state, uptime_ms: 1, front_ready, services: vec![] };
        let line = serde_json::to_string(&Reply::Status { snapshot }).unwrap();
        writeln!(self.watcher.as_mut().unwrap(), "{line}").unwrap();
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn tcp(&self, head: &str) -> Answer {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        exchange(stream, head)
    }

    fn unix(&self, head: &str) -> Answer {
        let stream = UnixStream::connect(self.instance.path(paths::AGENT_SOCKET)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        exchange(stream, head)
    }

    /// Asks at the unix socket, which always answers, until it knows `state`.
    fn wait_until(&self, state: &str) {
        let deadline = std::time::Instant::now() + LIMIT;
        while self.unix("GET /status HTTP/1.1").json()["state"] != state {
            assert!(std::time::Instant::now() < deadline, "never {state}");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a connection can be accepted.
fn is_connected(listener: &TcpListener) -> bool {
    let mut wanted = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec::try_from(LIMIT).unwrap();
    rustix::event::poll(&mut wanted, Some(&limit)).unwrap() == 1
}

struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn exchange(mut stream: impl Read + Write, head: &str) -> Answer {
    write!(stream, "{head}\r\nHost: a\r\n\r\n").unwrap();
    read_answer(stream)
}

fn read_answer(mut stream: impl Read) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { code, head: head.to_lowercase(), body: body.to_owned() }
}

#[test]
fn status_turns_from_503_to_200_and_shows_details_to_the_token() {
    let mut served = Served::start();
    let answer = served.tcp("GET /status HTTP/1.1");
    assert_eq!((answer.code, answer.json()), (503, json!({"version": 1, "state": "starting"})));
    assert!(answer.head.contains("\r\nretry-after: 5"), "{}", answer.head);
    served.push(Overall::Ready, false);
    served.wait_until("ready");
    for head in [
        "GET /status HTTP/1.1\r\nUser-Agent: monitor T0ken",
        "GET /status HTTP/1.0\r\nAuthorization: Bearer T0ken",
    ] {
        for answer in [served.tcp(head), served.unix(head)] {
            assert_eq!((answer.code, &answer.json()["details"]["product_version"]), (200, &json!("43.4.4")));
            assert!(answer.head.contains("\r\ncache-control: no-store"));
        }
    }
    let wrong = served.tcp("GET /status HTTP/1.1\r\nUser-Agent: monitor wrong");
    assert_eq!((wrong.code, wrong.json()), (200, json!({"version": 1, "state": "ready"})));
}

#[test]
fn head_is_answered_without_a_body() {
    let served = Served::start();
    let answer = served.tcp("HEAD /status HTTP/1.1");
    assert_eq!((answer.code, answer.body.as_str()), (503, ""));
    assert!(answer.head.contains("\r\ncontent-length: 33"), "{}", answer.head);
}

#[test]
fn people_get_a_page_and_an_upload_gets_its_answer() {
    let served = Served::start();
    let page = served.tcp("GET / HTTP/1.1\r\nAccept: text/html");
    assert_eq!(page.code, 503);
    assert!(page.body.contains("vendor/backend is starting"), "{}", page.body);
    let mut stream = TcpStream::connect(served.address()).unwrap();
    let body = vec![b'x'; 300_000];
    write!(stream, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(&body).unwrap();
    let answer = read_answer(stream);
    assert_eq!((answer.code, answer.json()), (503, json!({"state": "starting"})));
}

#[test]
fn the_exposed_ports_are_the_fronts_while_it_is_ready() {
    let mut served = Served::start();
    assert_eq!(served.tcp("GET / HTTP/1.1").code, 503);
    // A connection from before the switch is finished after it.
    let mut early = TcpStream::connect(served.address()).unwrap();
    write!(early, "GET / HTTP/1.1\r\n").unwrap();
    assert_eq!(served.tcp("GET / HTTP/1.1").code, 503);

    served.push(Overall::Ready, true);
    served.wait_until("ready");
    // The test is the front now, and every connection must come to it.
    for _ in 0..20 {
        let _client = TcpStream::connect(served.address()).unwrap();
        assert!(is_connected(&served.listener), "the agent took a connection that is the front's");
        served.listener.accept().unwrap();
    }
    write!(early, "Host: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(early).code, 503);
    assert_eq!(served.unix("GET /status HTTP/1.1").code, 200);

    served.push(Overall::Degraded, false);
    let answer = served.tcp("GET / HTTP/1.1\r\nAccept: text/html");
    assert!(answer.body.contains("is not available"), "{}", answer.body);
}

#[test]
fn a_lost_pid_1_is_degraded_until_it_is_back() {
    let mut served = Served::start();
    served.push(Overall::Ready, false);
    served.wait_until("ready");
    served.watcher = None;
    served.wait_until("degraded");
    let answer = served.unix("GET /status HTTP/1.1\r\nUser-Agent: monitor T0ken");
    assert!(answer.body.contains("PID 1 does not answer"), "{}", answer.body);
    served.accept_watcher();
    served.push(Overall::Ready, false);
    served.wait_until("ready");
}

#[test]
fn a_stale_socket_is_replaced_and_everybody_may_connect() {
    use std::os::unix::fs::PermissionsExt;

    let mut served = Served::start();
    served.wait_until("starting");
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let path = served.instance.path(paths::AGENT_SOCKET);
    assert!(path.symlink_metadata().is_ok());
    served.child = served.instance.command(&["serve"]).spawn().unwrap();
    served.accept_watcher();
    served.wait_until("starting");
    assert_eq!(fs_err::metadata(path).unwrap().permissions().mode() & 0o777, 0o666);
}

#[test]
fn term_ends_it_and_wrong_descriptors_are_named() {
    let mut served = Served::start();
    served.wait_until("starting");
    let pid = rustix::process::Pid::from_child(&served.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(served.child.wait().unwrap().success());

    let finished = served.instance.run(&["serve"], &[("LISTEN_FDS", "90000")]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (1, "error: cannot serve on `the inherited sockets`: Bad file descriptor (os error 9)\n")
    );
}

#[test]
fn hup_has_it_read_its_configuration_again_and_keep_what_it_has_when_that_is_none() {
    let served = Served::start();
    served.wait_until("starting");
    let knows = |token: &str| {
        let head = format!("GET /status HTTP/1.1\r\nUser-Agent: monitor {token}");
        served.unix(&head).json().get("details").is_some()
    };
    assert_eq!((knows("T0ken"), knows("other")), (true, false));
    let pid = rustix::process::Pid::from_child(&served.child);
    let tell = |config: &str| {
        served.instance.write(paths::AGENT_CONFIG, config);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    let before = served.instance.read(paths::AGENT_CONFIG);
    tell("{");
    tell(&before.replace("T0ken", "other"));
    let deadline = std::time::Instant::now() + LIMIT;
    while !knows("other") {
        assert!(std::time::Instant::now() < deadline, "the new token is never known");
    }
    assert!(!knows("T0ken"));
}

#[test]
fn metrics_and_probes_are_answered_on_both_sockets() {
    let served = Served::start();
    let token = "\r\nAuthorization: Bearer T0ken";
    for answer in [served.tcp("GET /metrics HTTP/1.1"), served.unix(&format!("GET /metrics HTTP/1.1{token}"))]
    {
        assert_eq!(answer.code, 200);
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        assert!(answer.body.contains("\ncasque_volume_free_bytes "), "{}", answer.body);
    }
    assert_eq!(served.unix("GET /metrics HTTP/1.1").code, 401);
    assert_eq!((served.tcp("GET /livez HTTP/1.1").code, served.tcp("GET /readyz HTTP/1.1").code), (200, 503));
}
