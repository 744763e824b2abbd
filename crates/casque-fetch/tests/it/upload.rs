//! Uploads to a small server that keeps what it gets, and loses connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use casque_fetch::{FetchError, Network, NetworkSettings, Progress, Upload};
use tempfile::TempDir;

/// How the server takes what it is sent.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// So many bytes for each connection, which then ends without an answer.
    Cut(usize),
    /// Says no before the body.
    Refuse(&'static str),
    /// Says that it is done and keeps nothing.
    Forget,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    requests: Vec<String>,
}

fn serve(manner: Manner, length: usize) -> (String, Arc<Mutex<Kept>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/blob", listener.local_addr().unwrap());
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let shared = Arc::clone(&kept);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(&stream, manner, length, &shared);
        }
    });
    (url, kept)
}

fn answer(mut stream: &TcpStream, manner: Manner, length: usize, kept: &Mutex<Kept>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim() {
            "" => break,
            line => head.push(line.to_lowercase()),
        }
    }
    let number = |name: &str| {
        let line = head.iter().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.trim().parse::<usize>().unwrap())
    };
    let mut kept = kept.lock().unwrap();
    kept.requests.push(format!("{} from {}", head[0].split(' ').next().unwrap(), number("upload-offset:")));
    let there = kept.bytes.len();
    if head[0].starts_with("head") {
        let whole = if there == length { format!("Upload-Length: {length}\r\n") } else { String::new() };
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nUpload-Offset: {there}\r\n{whole}Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }
    assert_eq!((number("upload-offset:"), number("upload-length:")), (there, length));
    assert!(head.contains(&"expect: 100-continue".to_owned()), "{head:?}");
    match manner {
        Manner::Refuse(text) => write!(
            stream,
            "HTTP/1.1 507 Full\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ),
        Manner::Forget => {
            write!(stream, "HTTP/1.1 100 Continue\r\n\r\n")?;
            std::io::copy(&mut reader.take(number("content-length:") as u64), &mut std::io::sink())?;
            write!(stream, "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        }
        Manner::Cut(most) => {
            write!(stream, "HTTP/1.1 100 Continue\r\n\r\n")?;
            let announced = number("content-length:");
            let mut piece = vec![0; announced.min(most)];
            reader.read_exact(&mut piece)?;
            kept.bytes.extend_from_slice(&piece);
            if announced > most {
                return stream.shutdown(std::net::Shutdown::Both);
            }
            write!(stream, "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        }
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Progress for Counter {
    fn expect(&self, _files: usize, _bytes: u64) {}
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
    fn discard(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
    fn done(&self, _label: &str) {}
}

fn file(length: usize) -> (TempDir, PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    let path = directory.path().join("file");
    std::fs::write(&path, &content).unwrap();
    (directory, path, content)
}

fn upload(url: &str, path: &PathBuf, length: usize, progress: &Counter) -> Result<u64, FetchError> {
    let network = Network::new(&NetworkSettings::default()).unwrap();
    network.upload(&Upload { url, file: path, size: length as u64 }, progress)
}

#[test]
fn an_upload_goes_on_where_the_server_is_however_often_it_breaks() {
    let length = 1_000_000;
    let (_directory, path, content) = file(length);
    let (url, kept) = serve(Manner::Cut(150_000), length);
    let progress = Counter::default();
    upload(&url, &path, length, &progress).unwrap();
    assert_eq!(progress.0.load(Ordering::Relaxed), length as u64);
    let kept = kept.lock().unwrap();
    assert!(kept.bytes == content, "the server has another file");
    let patches: Vec<_> = kept.requests.iter().filter(|line| line.starts_with("patch")).collect();
    assert_eq!((patches.len(), patches[1].as_str()), (7, "patch from 150000"));
    drop(kept);
    // Again: nothing is sent.
    assert_eq!(upload(&url, &path, length, &progress).unwrap(), 0);
}

#[test]
fn an_upload_that_gains_nothing_ends() {
    let (_directory, path, _) = file(1000);
    let (url, kept) = serve(Manner::Cut(0), 1000);
    assert!(matches!(upload(&url, &path, 1000, &Counter::default()), Err(FetchError::Connect { .. })));
    assert_eq!(kept.lock().unwrap().requests.len(), 6);
    let (url, _) = serve(Manner::Forget, 1000);
    let error = upload(&url, &path, 1000, &Counter::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("`{url}` broke off after 0 bytes"));
}

#[test]
fn what_a_server_refuses_is_not_sent_and_its_reason_is_told() {
    let length = 50_000_000;
    let (_directory, path, _) = file(length);
    let (url, kept) = serve(Manner::Refuse("the depot's disk is full\n"), length);
    let error = upload(&url, &path, length, &Counter::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("`{url}` was answered with status 507: the depot's disk is full"));
    assert_eq!(kept.lock().unwrap().requests, ["head from 0", "patch from 0"]);
}
