//! Tunnels: TLS is ended here, so that what is in it can be recorded; what is not HTTP is refused by name.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;

use casque_replay::{Fetch, Proxy, Sockets, Tape};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::internet::{Client, Internet, Place, answer};

fn fetch(url: &str) -> Fetch {
    let text = format!("url = \"{url}\"\nstatus = 404\n");
    toml_like(&text)
}

/// A record as the lock has it.
fn toml_like(text: &str) -> Fetch {
    let json: Vec<String> = text
        .lines()
        .map(|line| {
            let (key, value) = line.split_once(" = ").unwrap();
            format!("\"{key}\":{value}")
        })
        .collect();
    serde_json::from_str(&format!("{{{}}}", json.join(","))).unwrap()
}

fn tunnel(client: &Client, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(client.address).unwrap();
    write!(stream, "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let expected = b"HTTP/1.1 200 OK\r\n\r\n";
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said, expected);
    stream
}

#[test]
fn a_tls_client_that_trusts_the_build_is_answered_from_the_record() {
    let place = Place::new();
    let fetches = [fetch("https://example.org/gone"), fetch("https://example.org:8443/gone")];
    let told = place.replay(&fetches, |client| {
        for host in ["example.org:443", "example.org:8443"] {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("example.org").unwrap();
            let connection = ClientConnection::new(Arc::new(config), name).unwrap();
            let mut stream = StreamOwned::new(connection, tunnel(client, host));
            stream
                .write_all(b"GET /gone HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut said = vec![0; 22];
            stream.read_exact(&mut said).unwrap();
            assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 404 Not Found");
        }
    });
    assert_eq!((told.missing.len(), told.fetches.len()), (0, 2));
}

#[test]
fn plain_http_goes_through_a_tunnel_too() {
    let internet = Internet::start(|_, _| answer("200 OK", "", "content"));
    let place = Place::new();
    let told = place.record(&[], |client| {
        let mut stream = tunnel(client, &internet.address.to_string());
        stream.write_all(b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.ends_with("content"), "{said}");
    });
    assert_eq!(told.fetches[0].url, internet.url("/file"));
}

#[test]
fn a_protocol_that_is_not_http_is_refused_by_name() {
    let place = Place::new();
    let told = place.replay(&[], |client| {
        let mut stream = tunnel(client, "git.example.org:22");
        // No letters in capitals, and no handshake of TLS.
        stream.write_all(b"ssh").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"");
        assert!(client.get("ftp://example.org/file").starts_with("HTTP/1.1 400 "));
    });
    assert_eq!(
        told.refused,
        [
            "GET ftp://example.org/file, which is not asked by HTTP",
            "git.example.org:22, which is not asked by HTTP",
        ]
    );
}

#[test]
fn a_name_that_is_looked_up_does_not_exist_and_is_told() {
    let place = Place::new();
    let (sockets, _) = Sockets::anywhere().unwrap();
    let names = sockets.names_address().unwrap();
    let tape = Arc::new(Tape::replay(place.store(), &[]));
    let authority = Arc::new(casque_replay::Authority::new().unwrap());
    let proxy = Proxy::start(sockets, tape.clone(), authority).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01";
    socket.send_to(question, names).unwrap();
    let mut said = [0; 512];
    let (length, _) = socket.recv_from(&mut said).unwrap();
    assert_eq!((length, said[3] & 0x0f), (question.len(), 3));
    proxy.stop();
    assert_eq!(tape.told().unwrap().names, ["example.org"]);
}
