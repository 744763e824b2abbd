//! What a server answers, byte by byte. Whatever it is, no more is taken than was allowed, and each piece where it belongs.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use casque_fuzz::fuzz;

use crate::network::Request;
use crate::proxy::Proxies;
use crate::{Exchange, FetchError, Network, NetworkSettings};

/// A proxy that is itself whatever it is asked to connect to, and has one answer for all of them.
struct Anybody {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Cell<usize>,
}

impl Anybody {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
        let shared = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = shared.lock().unwrap().clone();
                thread::spawn(move || serve(&stream, &answer));
            }
        });
        Self { address, answer, asked: Cell::new(0) }
    }

    /// Has this answer from now on, and returns a host that no connection is open to.
    fn answer(&self, answer: &[u8]) -> String {
        *self.answer.lock().unwrap() = answer.to_vec();
        self.asked.set(self.asked.get() + 1);
        format!("host{}.example", self.asked.get())
    }

    /// Returns who asks nobody else, so that a redirection leads nowhere.
    fn network(&self) -> Network {
        let proxy = Some(format!("http://{}", self.address));
        Network::new(&NetworkSettings {
            proxies: Proxies { http: proxy.clone(), https: proxy, except: None },
            timeout: Duration::from_secs(10),
            ..NetworkSettings::default()
        })
        .unwrap()
    }
}

fn serve(mut stream: &TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    if lines.next().is_some_and(|line| line.starts_with("GET ") || line.starts_with("HEAD ")) {
        while lines.next().is_some_and(|line| !line.is_empty()) {}
        stream.write_all(answer)?;
        stream.shutdown(Shutdown::Write)?;
        // Who closes with something unread takes back what it has sent.
        lines.for_each(drop);
    }
    Ok(())
}

/// Asks for what is at an address, of which `from` bytes are here and `limit` may be.
fn stream(network: &Network, host: &str, from: u64, limit: u64) -> Result<u64, FetchError> {
    let url = format!("http://user:pass-word@{host}/dists/x");
    let mut next = None;
    let request = Request { url: &url, accept: None, from, limit };
    let whole = network.stream(&request, &mut |offset, piece| {
        // The first says where it begins: at the start, or where what is here ends.
        assert_eq!(offset, next.unwrap_or(if offset == 0 { 0 } else { from }));
        next = Some(offset + piece.len() as u64);
        assert!(next <= Some(limit), "more than was allowed");
        Ok(())
    });
    if let Ok(whole) = whole {
        assert!(next.is_none_or(|next| next == whole) && whole <= limit.max(from));
    }
    whole
}

#[test]
fn whatever_a_server_answers_no_more_is_taken_than_was_allowed() {
    let server = Anybody::start();
    let network = server.network();
    let seeds: [&[u8]; 7] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Type: text/plain\r\n\r\n0123456789abcdefghij",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n0123456789",
        b"HTTP/1.1 302 Found\r\nLocation: //other.example:81/a?b#c\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Moved\r\nLocation: https://u:p@other.example/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nbusy",
    ];
    let answered = |data: &[u8], from| {
        let host = server.answer(data);
        stream(&network, &host, from, 30)
    };
    assert_eq!(answered(seeds[0], 10).unwrap(), 20);
    assert_eq!(answered(seeds[1], 10).unwrap(), 20);
    assert_eq!(answered(seeds[2], 0).unwrap(), 10);
    assert!(matches!(answered(seeds[4], 0), Err(FetchError::Redirections { .. })));
    fuzz("answers to a download", &seeds, |data| {
        if let Err(error) = answered(data, if data.len() % 2 == 0 { 0 } else { 10 }) {
            let said = words(&error);
            assert!(!said.contains("pass-word") && !said.contains(char::is_control), "{said:?}");
        }
    });
}

#[test]
fn whatever_a_depot_answers_is_passed_on_within_bounds() {
    let server = Anybody::start();
    let network = server.network();
    let seeds: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nUpload-Offset: 7\r\nUpload-Length: 10\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
        b"HTTP/1.1 507 Full\r\nRetry-After: 9\r\nContent-Length: 12\r\n\r\nthe \x1b disk\r\n",
    ];
    let looked_up = |data: &[u8]| network.look_up(&format!("http://{}/api", server.answer(data)));
    assert_eq!(looked_up(seeds[0]).unwrap().as_deref(), Some(&b"{}"[..]));
    assert_eq!(looked_up(seeds[1]).unwrap(), None);
    let longest = Cell::new(0);
    fuzz("answers of a depot", &seeds, |data| {
        if data.len() % 2 == 0 {
            let url = format!("http://{}/api", server.answer(data));
            let head = Exchange { method: "HEAD", url: &url, headers: &[], body: &[] };
            let Ok(answer) = network.exchange(&head) else { return };
            assert!(answer.headers.iter().all(|(_, value)| !value.contains(['\r', '\n'])), "{answer:?}");
            return;
        }
        match looked_up(data) {
            Ok(body) => longest.set(body.map_or(0, |body| body.len()).max(longest.get())),
            Err(error) => {
                let said = words(&error);
                let shown = |c: char| !c.is_control() || c == '\n';
                assert!(said.chars().all(shown) && !said.contains("pass-word"), "{said:?}");
            }
        }
    });
    assert!(longest.into_inner() > 0, "some were taken");
}

/// Returns an error with all that caused it.
fn words(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text += &format!(": {next}");
        cause = next.source();
    }
    text
}
