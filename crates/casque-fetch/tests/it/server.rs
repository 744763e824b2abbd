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
    /// The rest of a file from the byte that is asked for; this much of it, then the connection ends.
    Range(Vec<u8>, usize),
    /// The head of an answer, and then silence until the client hangs up.
    Silence(usize),
    /// A status with a header.
    Told(u16, &'static str),
    /// The file, for who has this `Authorization`.
    For(&'static str, Vec<u8>),
    /// A redirection.
    Moved(String),
}

/// The server; its threads end with the test's process.
pub struct Server {
    address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<HashMap<String, Vec<Answer>>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let server = Self {
            address,
            answers: Arc::clone(&answers),
            asked: Arc::clone(&asked),
            heads: Arc::clone(&heads),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, asked, heads) = (Arc::clone(&answers), Arc::clone(&asked), Arc::clone(&heads));
                thread::spawn(move || serve(&stream, &answers, &asked, &heads));
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

    /// Returns every line of the heads of the requests that begins with `name`, in lower case.
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.heads
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.to_lowercase().starts_with(name))
            .cloned()
            .collect()
    }

    /// Answers with 407 as a proxy.
    pub fn refuse_to_connect(&self) {
        self.answer("CONNECT", &[]);
    }

    /// Returns host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(
    stream: &TcpStream,
    answers: &Mutex<HashMap<String, Vec<Answer>>>,
    asked: &Mutex<Vec<String>>,
    heads: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(request)) = lines.next() {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let head: Vec<String> =
            lines.by_ref().map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
        heads.lock().unwrap().extend(head.clone());
        asked.lock().unwrap().push(path.clone());
        if request.starts_with("CONNECT ") {
            if answers.lock().unwrap().contains_key("CONNECT") {
                let _ = send(stream, &Answer::Status(407), &head);
                return;
            }
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
        if matches!(answer, Answer::Silence(..)) {
            let _ = send(stream, &answer, &head);
            // The next line never comes; this ends when the client does.
            continue;
        }
        if send(stream, &answer, &head).is_err() || matches!(answer, Answer::Broken(..) | Answer::Range(..)) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn send(mut stream: &TcpStream, answer: &Answer, head: &[String]) -> std::io::Result<()> {
    let header = |name: &str| {
        head.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
    };
    match answer {
        Answer::Range(body, most) => {
            let from = header("range").and_then(|(_, range)| range.strip_prefix("bytes="));
            let from: usize = from.map_or(0, |from| from.trim_end_matches('-').parse().unwrap());
            let (end, rest) = (body.len(), &body[from..]);
            let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
            let last = end - 1;
            write!(stream, "HTTP/1.1 {status}\r\nContent-Range: bytes {from}-{last}/{end}\r\n")?;
            write!(stream, "Content-Length: {}\r\n\r\n", rest.len())?;
            stream.write_all(&rest[..rest.len().min(*most)])
        }
        Answer::Silence(size) => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"),
        Answer::Told(status, line) => {
            write!(stream, "HTTP/1.1 {status} Told\r\n{line}\r\nContent-Length: 0\r\n\r\n")
        }
        Answer::For(login, body) => match header("authorization") {
            Some((_, given)) if given == *login => send(stream, &Answer::File(body.clone()), head),
            _ => send(stream, &Answer::Status(401), head),
        },
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
