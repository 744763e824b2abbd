//! What stands in for a service that the customer has elsewhere: whom it reaches, and what it says when it is refused.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread::JoinHandle;

use bson::{Document, doc};

use crate::instance::{Finished, Instance};

/// A server that gives these answers, one a request, to each client in turn.
fn server(answers: Vec<Vec<Vec<u8>>>) -> (u16, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for client in answers {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in client {
                let mut request = vec![0; 4096];
                let count = stream.read(&mut request).unwrap();
                asked.push(request[..count].to_vec());
                stream.write_all(&answer).unwrap();
            }
        }
        asked
    });
    (port, serving)
}

fn lines(answers: &[&str]) -> Vec<Vec<u8>> {
    answers.iter().map(|answer| format!("{answer}\r\n").into_bytes()).collect()
}

/// A MongoDB's answer.
fn message(document: &Document) -> Vec<u8> {
    let body = document.to_vec().unwrap();
    let mut message = Vec::new();
    for number in [i32::try_from(21 + body.len()).unwrap(), 1, 1, 2013, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(body);
    message
}

fn asked(url: &str, words: &[&str]) -> Finished {
    let words: Vec<&str> = ["external"].iter().chain(words).copied().collect();
    Instance::new().run(&words, &[("CASQUE_EXTERNAL_URL", url)])
}

/// Asks a server once, and returns what is said of it; the port is named PORT.
fn said(answers: Vec<Vec<u8>>, url: impl Fn(u16) -> String) -> (i32, String) {
    let (port, serving) = server(vec![answers]);
    let finished = asked(&url(port), &["the-url", "--once"]);
    serving.join().unwrap();
    let text = format!("{}{}", finished.stdout, finished.stderr);
    (finished.code, text.replace(&format!(":{port}"), ":PORT"))
}

fn redis(answers: &[&str], login: &str) -> (i32, String) {
    said(lines(answers), |port| format!("redis://{login}127.0.0.1:{port}/2"))
}

fn refused(reason: &str) -> (i32, String) {
    (100, format!("error: cannot use what `the-url` names: 127.0.0.1:PORT: {reason}\n"))
}

#[test]
fn a_redis_that_lets_us_in_is_reached() {
    let (port, serving) = server(vec![lines(&["+OK", "+OK", "+PONG"])]);
    let finished = asked(&format!("redis://app:p%20w@127.0.0.1:{port}/2"), &["redis-url"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    assert_eq!(finished.stdout, format!("redis-url: 127.0.0.1:{port} is a Redis that answers\n"));
    let requests: Vec<String> =
        serving.join().unwrap().into_iter().map(|one| String::from_utf8(one).unwrap()).collect();
    assert_eq!(
        requests,
        [
            "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$3\r\np w\r\n",
            "*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n",
            "*1\r\n$4\r\nPING\r\n"
        ]
    );
}

#[test]
fn a_redis_that_refuses_is_told_in_its_own_words_and_never_with_the_password() {
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(
        redis(&[wrong], "app:secret@"),
        refused(
            "reached, but user `app` is refused: WRONGPASS invalid username-password pair or user is disabled."
        )
    );
    assert_eq!(
        redis(&["-NOAUTH Authentication required."], ""),
        refused("reached, but not database `2`: NOAUTH Authentication required.")
    );
    assert_eq!(
        redis(&["+OK", "-ERR DB index is out of range"], ":secret@"),
        refused("reached, but not database `2`: DB index is out of range")
    );
    assert_eq!(redis(&["HTTP/1.1 400 Bad Request"], ""), refused("reached, but what answers is no Redis"));
}

#[test]
fn a_redis_whose_user_may_not_even_ping_is_good_enough() {
    let (code, text) =
        redis(&["+OK", "+OK", "-NOPERM this user has no permissions to run the 'ping' command"], "a:b@");
    assert_eq!((code, text.as_str()), (0, "the-url: 127.0.0.1:PORT is a Redis that knows the user\n"));
}

#[test]
fn it_waits_for_what_comes_up_and_says_so_once() {
    let loading = lines(&["-LOADING Redis is loading the dataset in memory"]);
    let (port, serving) = server(vec![loading.clone(), loading, lines(&["+PONG"])]);
    let mut command = Instance::new().command(&["external", "redis-url"]);
    command.env("CASQUE_EXTERNAL_URL", format!("redis://127.0.0.1:{port}"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    serving.join().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "warning: waiting for what `redis-url` names: 127.0.0.1:{port}: reached, but it does not serve: LOADING Redis is loading the dataset in memory\n"
        )
    );
}

#[test]
fn where_nobody_listens_it_says_which_address_refused() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let finished = asked(&format!("mongodb://localhost:{port}"), &["mongodb-url", "--once"]);
    // Where there is IPv6, it is tried as well.
    let refused = "127.0.0.1: Connection refused (os error 111)";
    assert!(finished.stderr.contains(refused), "{}", finished.stderr);
    let place = format!("error: cannot use what `mongodb-url` names: localhost:{port}: ");
    assert!(finished.stderr.starts_with(&place), "{}", finished.stderr);
    assert_eq!(finished.code, 100);
}

#[test]
fn a_mongodb_of_another_replica_set_is_refused_and_one_without_a_primary_waited_for() {
    let hello = |set: &str| message(&doc! { "ok": 1.0, "setName": set, "isWritablePrimary": false });
    let url = |port: u16| format!("mongodb://127.0.0.1:{port}/?replicaSet=mine");
    assert_eq!(
        said(vec![hello("other")], url),
        refused("reached, but it is of `other`, not of the replica set `mine`")
    );
    assert_eq!(
        said(vec![hello("mine")], url),
        refused("reached, but the replica set `mine` has no primary now")
    );
}

#[test]
fn what_answers_and_is_no_mongodb_is_not_believed() {
    let url = |port: u16| format!("mongodb://127.0.0.1:{port}/");
    let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    assert_eq!(said(vec![page], url), refused("reached, but what answers is no MongoDB"));
    let mut huge = message(&doc! { "ok": 1.0 });
    huge[..4].copy_from_slice(&i32::MAX.to_le_bytes());
    assert_eq!(said(vec![huge], url), refused("reached, but what answers is no MongoDB"));
    let mut old = message(&doc! { "ok": 1.0 });
    // OP_REPLY, which no MongoDB has sent since 5.1.
    old[12..16].copy_from_slice(&1_i32.to_le_bytes());
    assert_eq!(said(vec![old], url), refused("reached, but what answers is no MongoDB"));
}

#[test]
fn a_url_that_no_driver_takes_is_refused_and_one_of_unknown_kind_let_be() {
    let wrong = asked("redis://a:99999", &["redis-url"]);
    assert_eq!(
        (wrong.code, wrong.stderr.as_str()),
        (100, "error: cannot use what `redis-url` names: `99999` is no port\n")
    );
    let unknown = asked("s3://bucket/key", &["store-url"]);
    assert_eq!(
        (unknown.code, unknown.stdout.as_str()),
        (0, "store-url: it names no port, so that nothing was asked\n")
    );
}
