//! Lines that PID 1 left in the buffer, sent to receivers that are slow, absent, cut the connection or are not who they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use casque_format::paths;
use casque_format::settings::built_in;
use casque_format::syslog::{Record, segment_name};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::instance::{Instance, plan};

const LIMIT: Duration = Duration::from_secs(40);

/// A product whose agent can be started and killed.
struct Product {
    instance: Instance,
    child: Option<Child>,
}

impl Product {
    /// One whose logs are sent to `url`; the agent does not run yet.
    fn new(url: &str) -> Self {
        let product = Self { instance: Instance::new(), child: None };
        product.instance.write(&format!("{}/sent/keep", paths::SYSLOG_BUFFER), "");
        product.configure(url);
        product
    }

    fn configure(&self, url: &str) {
        let (scheme, place) = url.split_once("://").unwrap();
        let (host, port) = place.rsplit_once(':').unwrap();
        let config = json!({
            "product": {"name": "vendor/backend", "version": "43.4.4", "command": "backend"},
            "status_path": "/status", "status_agent": "monitor", "status_token": "T0ken", "warnings": [],
            "syslog": {
                "url": url, "transport": scheme, "host": host, "port": port.parse::<u16>().unwrap(),
                "facility": 16, "trusted": "/ca.pem",
            },
        });
        self.instance.write(paths::AGENT_CONFIG, &config.to_string());
    }

    fn start(&mut self) {
        let said =
            fs_err::OpenOptions::new().create(true).append(true).open(self.instance.path("/said")).unwrap();
        let child = self.instance.command(&["serve"]).stderr(Stdio::from(said.into_file())).spawn().unwrap();
        self.child = Some(child);
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Reads its configuration again, as when settings change.
    fn reload(&self) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// Writes records as PID 1 does, into a segment of their own.
    fn log(&self, numbers: std::ops::RangeInclusive<u64>, length: usize) {
        let path = format!("{}/{}", paths::SYSLOG_BUFFER, segment_name(*numbers.start()));
        let mut text = String::new();
        for number in numbers {
            let line = format!("line {number} {}", "x".repeat(length));
            let time = "2023-11-14T22:13:20.123Z".to_owned();
            let record = Record { number, time, service: "web".to_owned(), line };
            text += &(serde_json::to_string(&record).unwrap() + "\n");
        }
        self.instance.write(&path, &text);
    }

    /// What the status says of the receiver; nothing while the agent does not answer yet.
    fn syslog(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.instance.path(paths::AGENT_SOCKET)).ok()?;
        stream.write_all(b"GET /status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer T0ken\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status: Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
        Some(status["details"]["syslog"].clone())
    }

    fn wait_until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let now = self.syslog();
            if let Some(now) = now.as_ref().filter(|now| is(now)) {
                return now.clone();
            }
            assert!(begin.elapsed() < LIMIT, "{what}: {now:?}\n{}", self.instance.read("/said"));
        }
    }

    fn wait_until_all_is_sent(&self) -> Value {
        self.wait_until("nothing waits", |now| now["waiting_bytes"] == 0)
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Reads messages until there is no whole one any more, or `most` are there; returns their numbers.
fn numbers(stream: &mut impl BufRead, most: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < most {
        let Some(message) = message(stream) else { break };
        numbers.push(number(&message));
    }
    numbers
}

fn message(stream: &mut impl BufRead) -> Option<String> {
    let mut length = Vec::new();
    stream.read_until(b' ', &mut length).ok().filter(|read| *read > 0)?;
    let length = std::str::from_utf8(&length).unwrap().trim_end().parse().unwrap();
    let mut message = vec![0; length];
    stream.read_exact(&mut message).ok()?;
    Some(String::from_utf8(message).unwrap())
}

/// The number of a message, which its line has, too.
fn number(message: &str) -> u64 {
    let number = message.split_once("number=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap();
    assert!(message.contains(&format!("] line {number} ")), "{message}");
    number
}

fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    BufReader::new(stream)
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn an_agent_that_is_killed_goes_on_where_it_was() {
    let (listener, port) = listener();
    set_socket_recv_buffer_size(&listener, 2048).unwrap();
    // By a name, which /etc/hosts knows.
    let mut product = Product::new(&format!("tcp://localhost:{port}"));
    product.log(1..=1500, 80);
    product.start();
    let mut stream = accept(&listener);
    let first = message(&mut stream).unwrap();
    let (head, body) = first.split_once("] ").unwrap();
    assert!(head.starts_with("<134>1 2023-11-14T22:13:20.123Z "), "{head}");
    assert!(head.ends_with(
        r#" web - - [casque@32473 product="vendor/backend" version="43.4.4" instance="" number="1""#
    ));
    assert!(body.starts_with("line 1 xxx"));
    assert!(numbers(&mut stream, 1499).into_iter().eq(2..=1500));
    // What is written while it runs is noticed.
    product.log(1501..=1502, 9);
    assert_eq!(numbers(&mut stream, 2), [1501, 1502]);
    // Killed while a batch is on its way, which the kernel then sends to its end.
    product.log(1503..=9000, 300);
    product.wait_until("it takes nothing", takes_nothing);
    product.kill();
    let rest = numbers(&mut stream, usize::MAX);
    let last = *rest.last().unwrap();
    assert!(last > 1520 && last < 9000, "{last}");
    assert!(rest.iter().copied().eq(1503..=last), "up to {last}");
    product.start();
    let mut stream = accept(&listener);
    let again = numbers(&mut stream, usize::try_from(9000 - last).unwrap());
    assert!(again.iter().copied().eq(last + 1..=9000), "after {last} comes {}", again[0]);
    let status = product.wait_until_all_is_sent();
    assert_eq!((&status["connected"], &status["lost_lines"]), (&json!(true), &json!(0)));
}

#[test]
fn lines_wait_for_a_receiver_that_is_absent_and_the_log_has_it_once() {
    let (gone, port) = listener();
    drop(gone);
    let mut product = Product::new(&format!("tcp://127.0.0.1:{port}"));
    product.log(1..=1000, 80);
    product.start();
    product.wait_until("it is away", |now| {
        now["connected"] == false && now["last_error"].as_str().is_some_and(|why| why.contains("refused"))
    });
    product.log(1001..=4000, 80);
    let status = product.wait_until("more waits", |now| now["waiting_bytes"].as_u64() > Some(400_000));
    assert_eq!(status["receiver"], format!("tcp://127.0.0.1:{port}"));
    let begin = Instant::now();
    let said = || product.instance.read("/said");
    while !said().contains("is away") {
        assert!(begin.elapsed() < LIMIT);
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut stream = accept(&listener);
    assert!(numbers(&mut stream, 4000).into_iter().eq(1..=4000));
    product.wait_until_all_is_sent();
    while !said().contains("is back") {
        assert!(begin.elapsed() < LIMIT);
    }
    assert_eq!((said().matches("is away").count(), said().lines().count()), (1, 2), "{}", said());
}

/// The receiver looks at what its kernel has and closes: everything whole in there was received.
#[test]
fn a_connection_that_is_cut_loses_nothing_repeats_nothing_and_a_receiver_that_does_not_read_costs_no_memory()
{
    let (listener, port) = listener();
    set_socket_recv_buffer_size(&listener, 2048).unwrap();
    let mut product = Product::new(&format!("tcp://127.0.0.1:{port}"));
    product.log(1..=100, 100);
    product.start();
    let stream = accept(&listener);
    product.log(101..=100_000, 300);
    let memory = memory(&product);
    product.wait_until("it takes nothing", takes_nothing);
    let grown = self::memory(&product) - memory;
    assert!(grown < 8 << 10, "{grown} KiB");
    let mut has = vec![0; 1 << 20];
    let length = stream.get_ref().peek(&mut has).unwrap();
    let received = numbers(&mut &has[..length], usize::MAX);
    let last = u64::try_from(received.len()).unwrap();
    assert!(last > 3 && received == (1..=last).collect::<Vec<_>>(), "{received:?}");
    drop(stream);
    let mut again = accept(&listener);
    assert_eq!(numbers(&mut again, 3000), (last + 1..=last + 3000).collect::<Vec<_>>());
}

fn takes_nothing(syslog: &Value) -> bool {
    syslog["last_error"].as_str().is_some_and(|why| why.contains("taken nothing"))
}

/// The most memory it ever had, KiB.
fn memory(product: &Product) -> u64 {
    let pid = product.child.as_ref().unwrap().id();
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_had_no_room_is_one_line_with_its_number() {
    let (listener, port) = listener();
    let mut product = Product::new(&format!("tcp://127.0.0.1:{port}"));
    product.log(5..=6, 9);
    product.start();
    let mut stream = accept(&listener);
    let lost = message(&mut stream).unwrap();
    assert!(lost.starts_with("<132>1 ") && lost.contains(" casque - - ["), "{lost}");
    assert!(lost.contains("] 4 lines are missing here: "), "{lost}");
    assert_eq!(numbers(&mut stream, 2), [5, 6]);
    assert_eq!(product.wait_until_all_is_sent()["lost_lines"], 4);
}

#[test]
fn another_receiver_goes_on_where_the_first_one_was_without_another_start() {
    let ((first, one), (second, two)) = (listener(), listener());
    let mut product = Product::new(&format!("tcp://127.0.0.1:{one}"));
    product.log(1..=3, 9);
    product.start();
    assert_eq!(numbers(&mut accept(&first), 3), [1, 2, 3]);
    product.wait_until_all_is_sent();
    product.configure(&format!("tcp://127.0.0.1:{two}"));
    product.reload();
    product.log(4..=5, 9);
    assert_eq!(numbers(&mut accept(&second), 2), [4, 5]);
}

#[test]
fn datagrams_are_sent_one_by_one_once_somebody_is_there() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let mut product = Product::new(&format!("udp://127.0.0.1:{port}"));
    product.log(1..=150, 80);
    product.start();
    product.wait_until("it is refused", |now| {
        now["last_error"].as_str().is_some_and(|why| why.contains("refused"))
    });
    let socket = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 4096];
    for expected in 1..=150 {
        let length = socket.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.starts_with("<134>1 "), "{text}");
        assert_eq!(number(text), expected);
    }
}

/// An authority, and what it signed for `host`.
fn signed(host: &str) -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("Authority of {host}"));
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (authority.pem(), Arc::new(config))
}

fn accept_tls(
    listener: &TcpListener,
    config: &Arc<ServerConfig>,
) -> BufReader<StreamOwned<ServerConnection, TcpStream>> {
    let stream = accept(listener).into_inner();
    BufReader::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream))
}

#[test]
fn tls_is_for_the_host_that_a_trusted_authority_signed_and_nobody_else_gets_a_line() {
    let (listener, port) = listener();
    let (other, stranger) = signed("localhost");
    let (authority, wrong_host) = signed("elsewhere.example");
    let mut product = Product::new(&format!("tls://localhost:{port}"));
    product.instance.write("/ca.pem", &authority);
    product.log(1..=700, 80);
    product.start();
    for (server, reason) in [(&stranger, "UnknownIssuer"), (&wrong_host, "not valid for name")] {
        assert_eq!(message(&mut accept_tls(&listener, server)), None);
        product.wait_until(reason, |now| now["last_error"].as_str().is_some_and(|why| why.contains(reason)));
    }
    // Authorities are read at each try.
    product.instance.write("/ca.pem", &other);
    let mut stream = accept_tls(&listener, &stranger);
    assert!(numbers(&mut stream, 700).into_iter().eq(1..=700));
    product.wait_until_all_is_sent();
    drop(stream);
    product.log(701..=702, 9);
    assert_eq!(numbers(&mut accept_tls(&listener, &stranger), 2), [701, 702]);
}

#[test]
fn the_settings_make_the_buffer_and_its_directories_and_without_a_receiver_there_is_none() {
    let instance = Instance::new();
    let mut plan = plan();
    for (name, setting) in built_in().into_iter().filter(|(name, _)| name.starts_with("syslog-")) {
        plan["settings"][name] = serde_json::to_value(setting).unwrap();
    }
    instance.write_plan(plan);
    instance.run(&["prepare"], &[]).quiet();
    assert!(!instance.exists(paths::SYSLOG_BUFFER));
    assert_eq!(instance.json(paths::RUN_PLAN)["logs"].get("syslog"), None);
    let given =
        [("SYSLOG_URL", "tls://logs.example"), ("SYSLOG_BUFFER", "2M"), ("SYSLOG_FACILITY", "daemon")];
    instance.run(&["prepare"], &given).quiet();
    let buffer = json!({"directory": paths::SYSLOG_BUFFER, "size": 2 << 20});
    assert_eq!(instance.json(paths::RUN_PLAN)["logs"]["syslog"], buffer);
    let receiver = json!({
        "url": "tls://logs.example", "transport": "tls", "host": "logs.example", "port": 6514, "facility": 3,
        "trusted": "/etc/ssl/certs/ca-certificates.crt",
    });
    assert_eq!(instance.json(paths::AGENT_CONFIG)["syslog"], receiver);
    let mode = |path| fs_err::metadata(instance.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(paths::SYSLOG_BUFFER), mode("/data/casque/syslog/sent")), (0o750, 0o700));
    let wrong = instance.run(&["prepare"], &[("SYSLOG_URL", "https://logs.example")]);
    assert_eq!(
        (wrong.code, wrong.stderr.lines().count(), wrong.stderr.contains("`udp://` or `tcp://` or `tls://`")),
        (100, 1, true),
        "{}",
        wrong.stderr
    );
}
