//! What a depot reads of what it is sent: which part, which release, any bytes at all. Whatever it is, it is read or refused.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use casque_depot::range::{Part, part};
use casque_format::release::{ArtefactName, Release};
use casque_fuzz::fuzz;

use crate::connections::start;

#[test]
fn a_part_is_inside_the_file_whatever_is_asked() {
    fuzz("ranges", &[b"bytes=0-9", b"bytes=-5", b"bytes=7-", b"bytes=0-1,3-4"], |data| {
        let text = String::from_utf8_lossy(data);
        for size in [0, 1, 10, u64::MAX] {
            if let Part::Bytes { start, length } = part(Some(&text), None, "\"x\"", size) {
                assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    });
}

#[test]
fn a_record_is_read_or_refused_and_names_no_other_place() {
    let record = br#"{"version":1,"product":"backend","channel":"stable","release":"v1","counter":1,"created":1,"expires":2,"commit":"a","artefacts":[{"name":"docker_backend-v1.tar","kind":"image","size":1,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","blobs":[]}],"notes":"new"}"#;
    assert!(Release::parse(record).is_ok());
    fuzz("records", &[record], |data| {
        let Ok(release) = Release::parse(data) else { return };
        for artefact in &release.artefacts {
            let name = artefact.name.as_str();
            assert!(!name.contains('/') && !name.starts_with('.') && name.parse::<ArtefactName>().is_ok());
        }
        assert_eq!(Release::parse(&release.canonical()), Ok(release));
    });
}

/// Sends bytes and says that no more will come; returns what is answered until the depot closes, which it has to.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Who is refused early finds the other side closed already.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    answer
}

#[test]
fn whatever_bytes_come_are_answered_or_closed_and_the_depot_goes_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let running = runtime.block_on(start("head-seconds = 20\nidle-seconds = 20"));
    let (acme, token, address) = (&running.house.acme, &running.house.token, running.address);
    let digest = casque_format::digest::Digest::of(b"0123456789");
    let seeds = [
        "GET / HTTP/1.1\r\nhost: a\r\naccept: text/html\r\n\r\nGET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        format!(
            "GET /backend/docker_backend-v1.tar HTTP/1.1\r\nhost: a\r\nauthorization: {acme}\r\nrange: bytes=0-9\r\n\r\n"
        ),
        format!("HEAD /backend/stable/docker_backend-latest.tar HTTP/1.0\r\nauthorization: {acme}\r\n\r\n"),
        format!(
            "PATCH /api/v1/backend/blobs/{digest} HTTP/1.1\r\nhost: a\r\nauthorization: {token}\r\nexpect: 100-continue\r\n\
             upload-offset: 0\r\nupload-length: 10\r\ncontent-length: 10\r\n\r\n0123456789"
        ),
        format!(
            "POST /api/v1/backend/releases HTTP/1.1\r\nhost: a\r\nauthorization: {token}\r\ntransfer-encoding: chunked\r\n\r\n\
             1b\r\n{{\"record\":{{}},\"signature\":1}}\r\n0\r\n\r\n"
        ),
        "GET /staff/releases/?after=%2e%2e HTTP/1.1\r\nhost: a\r\ncookie: a=b\r\nx-forwarded-for: ::1\r\n\r\n".to_owned(),
    ];
    assert!(exchange(address, seeds[1].as_bytes()).starts_with(b"HTTP/1.1 206 "));
    let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
    fuzz("bytes on a connection", &seeds, |data| {
        let answer = exchange(address, data);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", answer.escape_ascii());
        let broken = answer.windows(13).any(|part| part == b"HTTP/1.1 500 ");
        assert!(!broken, "{}", answer.escape_ascii());
    });
    let health = exchange(address, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(health.starts_with(b"HTTP/1.1 200 ") && health.ends_with(b"ok\n"), "{}", health.escape_ascii());
}
