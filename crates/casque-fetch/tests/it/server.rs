//! A web server that gives each path the answers it was told, in turn; the last one stays.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a path is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The whole file.
    File(Vec<u8>),
    /// Nothing but a status.
    Status(u16),
    /// A file that is announced with its size and ends after this many bytes.
    Broken(Vec<u8>, usize),
    /// A redirection.
    Moved(String),
}

/// The server; its threads end with the test's process.
pub struct Server {
    address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<HashMap<String, Vec<Answer>>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let server = Self { address, answers: Arc::clone(&answers), asked: Arc::clone(&asked) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                thread::spawn(move || serve(&stream, &answers, &asked));
            }
        });
        server
    }

    /// Says what `path` is answered with, the first time and later.
    pub fn answer(&self, path: &str, answers: &[Answer]) -> String {
        self.answers.lock().unwrap().insert(path.to_owned(), answers.to_vec());
        format!("http://{}{path}", self.address)
    }

    /// Returns the paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, answers: &Mutex<HashMap<String, Vec<Answer>>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(request)) = lines.next() {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        asked.lock().unwrap().push(path.clone());
        if request.starts_with("CONNECT ") {
            // As a proxy, it is itself what it connects to.
            if (&mut &*stream).write_all(b"HTTP/1.1 200 Connected\r\n\r\n").is_err() {
                return;
            }
            continue;
        }
        let answer = {
            let mut all = answers.lock().unwrap();
            match all.get_mut(&path) {
                Some(left) if left.len() > 1 => left.remove(0),
                Some(left) => left[0].clone(),
                None => Answer::Status(404),
            }
        };
        if send(stream, &answer).is_err() || matches!(answer, Answer::Broken(..)) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn send(mut stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    match answer {
        Answer::File(body) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(body)
        }
        Answer::Status(status) => write!(stream, "HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n"),
        Answer::Broken(body, end) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(&body[..*end])
        }
        Answer::Moved(to) => {
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
        }
    }
}
