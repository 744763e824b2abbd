//! Proxies, logins and redirections.

use std::time::Duration;

use casque_fetch::{Credentials, FetchError, Network, NetworkSettings, Proxies};

use crate::fetch::{set, wanted};
use crate::server::{Answer, Server};

fn network(settings: NetworkSettings) -> Network {
    Network::new(&NetworkSettings { timeout: Duration::from_secs(20), ..settings }).unwrap()
}

fn with_proxy(address: &str, except: &str) -> Network {
    let proxies = Proxies {
        http: Some(address.to_owned()),
        https: None,
        except: Some(except.to_owned()).filter(|except| !except.is_empty()),
    };
    network(NetworkSettings { proxies, ..NetworkSettings::default() })
}

fn with_login(text: &str) -> Network {
    let credentials = Credentials::parse(text).unwrap();
    network(NetworkSettings { credentials, ..NetworkSettings::default() })
}

#[test]
fn a_proxy_is_asked_with_its_login_and_not_for_the_exceptions() {
    let server = Server::start();
    let url = server.answer("/thing", &[Answer::File(b"thing".to_vec())]);
    let proxy = format!("http://us%40er:pass@{}", server.address());
    let through = with_proxy(&proxy, "");
    assert_eq!(through.get("http://archive.example/thing", 5).unwrap(), b"thing");
    assert_eq!(server.asked(), ["archive.example:80", "/thing"]);
    assert_eq!(server.headers("proxy-authorization"), ["Proxy-Authorization: Basic dXNAZXI6cGFzcw=="]);

    let directly = with_proxy(&proxy, "127.0.0.0/8");
    assert_eq!(directly.get(&url, 5).unwrap(), b"thing");
    assert_eq!(server.asked().len(), 3, "asked without a proxy");
}

#[test]
fn a_proxy_that_refuses_is_told_without_its_login() {
    let server = Server::start();
    server.refuse_to_connect();
    let proxy = format!("http://user:secret@{}", server.address());
    let refused = with_proxy(&proxy, "").get("http://archive.example/thing", 5).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the proxy does not lead to `http://archive.example/thing`: proxy server responded 407/407"
    );
}

#[test]
fn a_login_goes_to_its_own_host_and_nowhere_else() {
    let (own, other) = (Server::start(), Server::start());
    let url = own.answer("/thing", &[Answer::For("Basic dXNlcjpzZWNyZXQ=", b"thing".to_vec())]);
    let login = format!("machine http://{} login user password secret", own.address());
    assert_eq!(with_login(&login).get(&url, 5).unwrap(), b"thing");

    let elsewhere = other.answer("/there", &[Answer::File(b"thing".to_vec())]);
    let moved = own.answer("/moved", &[Answer::Moved(elsewhere)]);
    assert_eq!(with_login(&login).get(&moved, 5).unwrap(), b"thing");
    assert_eq!(other.headers("authorization"), [""; 0]);

    let refused = with_login("").get(&url, 5).unwrap_err();
    assert_eq!(refused.to_string(), format!("`{url}` was answered with status 401"));
}

#[test]
fn a_login_in_an_address_is_used_and_never_shown() {
    let server = Server::start();
    server.answer("/thing", &[Answer::For("Basic dXNlcjpzZWNyZXQ=", b"thing".to_vec())]);
    let url = |login: &str| format!("http://{login}{}/thing", server.address());
    let network = with_login("");
    assert_eq!(network.get(&url("user:secret@"), 5).unwrap(), b"thing");
    let refused = network.get(&url("user:wrong@"), 5).unwrap_err();
    assert_eq!(refused.to_string(), format!("`{}` was answered with status 401", url("")));
    assert!(!format!("{refused:?}").contains("wrong"));
}

#[test]
fn redirections_end_somewhere() {
    let server = Server::start();
    let url = server.answer("/round", &[Answer::Moved("/round".to_owned())]);
    let refused = with_login("").get(&url, 5).unwrap_err();
    assert_eq!(refused.to_string(), format!("`{url}` leads from one redirection to the next without end"));
    assert_eq!(server.asked().len(), 11);
    let url = server.answer("/out", &[Answer::Moved("file:///etc/passwd".to_owned())]);
    let refused = with_login("").get(&url, 5).unwrap_err();
    assert_eq!(refused.to_string(), format!("`{url}` is not an http or https address"));
}

#[test]
fn without_a_network_nobody_is_asked() {
    let server = Server::start();
    let url = server.answer("/thing", &[Answer::File(b"thing".to_vec())]);
    let settings = NetworkSettings { offline: true, ..NetworkSettings::default() };
    let refused = network(settings).get(&url, 5).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("`{url}` is not asked for, since this is to be done without a network")
    );
    assert!(server.asked().is_empty());
}

#[test]
fn a_server_that_asks_for_more_patience_than_there_is_is_not_asked_again() {
    let set = set();
    let url = set.server.answer("/thing", &[Answer::Told(503, "Retry-After: 3600")]);
    let refused = set.refusal(wanted(b"x", std::slice::from_ref(&url)));
    assert_eq!(refused.to_string(), format!("`{url}` was answered with status 503"));
    assert_eq!(set.server.asked().len(), 1);
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let server = Server::start();
    let url = server.answer("/thing", &[Answer::Silence(5)]);
    let settings = NetworkSettings { timeout: Duration::from_millis(200), ..NetworkSettings::default() };
    let refused = Network::new(&settings).unwrap().get(&url, 5).unwrap_err();
    assert!(matches!(refused, FetchError::Truncated { received: 0, .. }), "{refused}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn an_answer_without_measure_is_not_read() {
    let server = Server::start();
    let url = server.answer("/api", &[Answer::Silence((64 << 20) + 1)]);
    let error = network(NetworkSettings::default()).look_up(&url).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{url}` is larger than the 67108864 bytes that were expected at most")
    );
}
