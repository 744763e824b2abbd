//! A small web server on loopback, and a client that asks a proxy for what it has.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use casque_fetch::{Network, NetworkSettings, Store};
use casque_replay::{Authority, Fetch, Proxy, Sockets, Tape, Told};
use tempfile::TempDir;

/// What was asked for, and how to answer: the whole answer as bytes.
type Answers = Box<dyn Fn(&str, usize) -> Vec<u8> + Send + Sync>;

/// A web server; it ends with the test's process.
pub struct Internet {
    pub address: SocketAddr,
    /// The head of each request.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Internet {
    /// Answers each request with what `answers` makes of its first line and the number of requests before it.
    pub fn start(answers: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (heads, answers): (_, Arc<Answers>) = (asked.clone(), Arc::new(Box::new(answers)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, heads, answers) = (stream.unwrap(), heads.clone(), answers.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut head = String::new();
                    let mut length = 0;
                    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {
                        let line = head.lines().last().unwrap().to_lowercase();
                        if let Some(value) = line.strip_prefix("content-length: ") {
                            length = value.parse().unwrap();
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let number = {
                        let mut heads = heads.lock().unwrap();
                        heads.push(head.clone());
                        heads.len() - 1
                    };
                    let first = head.lines().next().unwrap_or_default();
                    let _ = stream.write_all(&answers(first, number));
                });
            }
        });
        Self { address, asked }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Returns a whole answer.
pub fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// A place to keep what is recorded, and proxies that use it.
pub struct Place {
    pub directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn store(&self) -> Store {
        Store::open(self.directory.path()).unwrap()
    }

    /// Records what `work`, given the proxy's address, asks for.
    pub fn record(&self, before: &[Fetch], work: impl FnOnce(&Client)) -> Told {
        let network = Network::new(&NetworkSettings::default()).unwrap();
        self.run(Tape::record(self.store(), network, before), work)
    }

    /// Replays `fetches` to `work`.
    pub fn replay(&self, fetches: &[Fetch], work: impl FnOnce(&Client)) -> Told {
        self.run(Tape::replay(self.store(), fetches), work)
    }

    pub fn run(&self, tape: Tape, work: impl FnOnce(&Client)) -> Told {
        let (sockets, address) = Sockets::anywhere().unwrap();
        let tape = Arc::new(tape);
        let authority = Arc::new(Authority::new().unwrap());
        let certificate = authority.certificate();
        let proxy = Proxy::start(sockets, tape.clone(), authority).unwrap();
        work(&Client { address, certificate });
        proxy.stop();
        tape.told().unwrap()
    }
}

/// A client of a proxy.
pub struct Client {
    pub address: SocketAddr,
    pub certificate: String,
}

impl Client {
    /// Sends these bytes and returns everything that comes back.
    pub fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        back
    }

    /// Asks for an address and returns the whole answer.
    pub fn get(&self, url: &str) -> String {
        self.raw(&format!("GET {url} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }
}
