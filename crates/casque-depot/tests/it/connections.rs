//! Real connections, and what some do with them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use casque_depot::serve;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::house::{House, clock};

pub struct Running {
    pub house: House,
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

pub async fn start(lines: &str) -> Running {
    serving(House::with(lines)).await
}

async fn serving(house: House) -> Running {
    house.release("v1", 1, "stable", &"x".repeat(8_000_000)).await;
    let listener = serve::listen(&house.depot).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let depot = Arc::clone(&house.depot);
    let served = tokio::spawn(async move {
        serve::serve(depot, listener, async { drop(stopped.await) }).await.unwrap();
    });
    Running { house, address, stop, served }
}

/// Sends bytes and returns all that comes until the other side closes, which it has to.
async fn exchange(address: SocketAddr, request: impl Into<Vec<u8>>) -> String {
    let request = request.into();
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(&request);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            // Who is refused before all was read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.unwrap()),
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_big_is_refused() {
    let running = start("").await;
    let big = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let answer = exchange(running.address, big).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_many_lines_is_refused() {
    let running = start("").await;
    let many = |count| {
        let lines = "x: y\r\n".repeat(count);
        format!("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n")
    };
    let answer = exchange(running.address, many(62)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = exchange(running.address, many(63)).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_given_up() {
    let running = start("head-seconds = 1").await;
    let answer = exchange(running.address, "GET / HTTP/1.1\r\nhost: a\r\nx: ").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(exchange(running.address, "GET /healthz HTTP/1.0\r\n\r\n").await.lines().last(), Some("ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_nothing_more_will_come_is_answered() {
    let running = start("").await;
    let file = format!(
        "GET /backend/docker_backend-v1.tar HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\n\r\n",
        running.house.acme
    );
    let (address, length) = (running.address, 8_000_000);
    let ask = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(file.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    let answer = tokio::task::spawn_blocking(ask).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() > length, "{} bytes", answer.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_falls_silent_is_given_up_and_can_be_gone_on_with() {
    let running = start("idle-seconds = 1").await;
    let digest = casque_format::digest::Digest::of(b"0123456789");
    let request = format!(
        "PATCH /api/v1/backend/blobs/{digest} HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\n\
         upload-offset: 0\r\nupload-length: 10\r\ncontent-length: 10\r\nconnection: close\r\n\r\n0123",
        running.house.token
    );
    let answer = exchange(running.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let seen = running.house.patch(digest, 4, 10, "456789").await;
    assert_eq!(seen.status.as_u16(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_finishes_although_the_depot_is_told_to_stop() {
    let running = start("").await;
    let request = format!(
        "GET /backend/docker_backend-v1.tar HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\n\r\n",
        running.house.acme
    );
    let address = running.address;
    let (begun, began) = oneshot::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
    let reading = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 1000];
        stream.read_exact(&mut first).unwrap();
        begun.send(()).unwrap();
        goes_on.recv().unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        let head = String::from_utf8_lossy(&first).find("\r\n\r\n").unwrap() + 4;
        first.len() - head + rest.len()
    });
    began.await.unwrap();
    running.stop.send(()).unwrap();
    // The socket is closed to others; then the reader goes on.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let mut served = running.served;
    let ended = tokio::time::timeout(Duration::from_millis(200), &mut served).await;
    assert!(ended.is_err(), "it waits for the download");
    go_on.send(()).unwrap();
    assert_eq!(reading.await.unwrap(), 8_000_000);
    served.await.unwrap();
}

/// Whether [`broken_clock`] panics: every handler asks what time it is, some on a thread of the runtime, some on one that may wait.
static BROKEN: AtomicBool = AtomicBool::new(false);

fn broken_clock() -> SystemTime {
    assert!(!BROKEN.load(Ordering::SeqCst), "the clock is broken");
    clock()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_request_is_answered_is_one_answer_and_the_depot_goes_on() {
    let running = serving(House::at("", broken_clock)).await;
    let ask = async |path: &str| {
        let authorization = &running.house.acme;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: {authorization}\r\n\r\n");
        // The same connection is asked again after the panic.
        let health = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        exchange(running.address, format!("{request}{health}")).await
    };
    BROKEN.store(true, Ordering::SeqCst);
    for path in ["/backend/docker_backend-v1.tar", "/backend/"] {
        let answer = ask(path).await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{path}: {answer}");
        assert!(answer.contains("the depot made a mistake; its log has more"), "{path}: {answer}");
        assert!(answer.ends_with("ok\n"), "{path}: {answer}");
    }
    BROKEN.store(false, Ordering::SeqCst);
    let answer = ask("/backend/").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{answer}");
    let metrics =
        exchange(running.address, "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(
        metrics.lines().any(|line| line.starts_with("casque_depot_panics_total") && line.ends_with(" 2")),
        "{metrics}"
    );
}
