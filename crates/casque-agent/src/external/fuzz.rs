//! What answers in place of a database. Whatever it says, it is understood or refused, in words that a terminal can show.

use std::io::Cursor;

use bson::doc;
use casque_fuzz::fuzz;
use tokio::io::{join, sink};
use tokio::runtime::Builder;

use super::stream::Duplex;
use super::{Refusal, Target, ask_as};

/// Asks what says `answers`, whatever it is told.
fn asked(url: &str, answers: &[u8]) -> Result<String, Refusal> {
    let target = Target::parse(url).unwrap();
    let mut stream: Box<dyn Duplex> = Box::new(join(Cursor::new(answers.to_vec()), sink()));
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(ask_as(&mut stream, &target))
}

/// Returns what was said of it, judged for what no answer may change.
fn said(url: &str, answers: &[u8]) -> String {
    let text = asked(url, answers).unwrap_or_else(|refusal| refusal.text);
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(!text.contains("pass-word"), "{text:?}");
    // What a server says of itself is shown, and no more than somebody reads.
    assert!(text.chars().count() <= 1000, "{} characters", text.chars().count());
    text
}

fn message(document: &[u8]) -> Vec<u8> {
    let length = i32::try_from(21 + document.len()).unwrap();
    [&[length, 1, 0, 2013, 0].map(i32::to_le_bytes).concat()[..], b"\0", document].concat()
}

fn answer(document: &bson::Document) -> Vec<u8> {
    message(&document.to_vec().unwrap())
}

#[test]
fn whatever_answers_in_place_of_a_mongodb_does_not_let_the_user_in() {
    let url = "mongodb://app:pass-word@db.example/data?replicaSet=rs";
    let hello = answer(&doc! {
        "isWritablePrimary": true, "setName": "rs", "hosts": ["a:1", "b:2"], "primary": "a:1",
        "topologyVersion": { "counter": 7_i64 }, "saslSupportedMechs": ["SCRAM-SHA-256"], "ok": 1.0,
    });
    let challenge = "r=AAAA,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let binary = |text: &str| bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: text.as_bytes().to_vec(),
    };
    let log_in = answer(&doc! { "conversationId": 1, "done": false, "payload": binary(challenge), "ok": 1 });
    let refusal = answer(&doc! { "ok": 0, "code": 18, "errmsg": "no user \u{1b}[31m", "codeName": "x" });
    let other = answer(&doc! { "setName": "rs", "isWritablePrimary": false, "ok": true });
    let seeds = [[&hello[..], &log_in].concat(), [&hello[..], &refusal].concat(), refusal, other];
    assert!(said(url, &seeds[0]).ends_with("its challenge is none of SCRAM"));
    assert!(said(url, &seeds[1]).contains("is refused: no user"));
    fuzz("MongoDB", &seeds.each_ref().map(Vec::as_slice), |data| {
        assert!(!said(url, data).contains("lets the user in"));
    });
}

#[test]
fn documents_in_documents_without_end_are_no_harm() {
    let depth = 100_000;
    let mut document = Vec::new();
    for level in (1..=depth).rev() {
        document.extend(i32::try_from(5 + 8 * level).unwrap().to_le_bytes());
        document.extend(b"\x03a\0");
    }
    document.extend(b"\x05\0\0\0\0");
    document.extend(vec![0; depth]);
    let text = said("mongodb://db.example", &message(&document));
    assert_eq!(text, "reached, but it does not serve: it gives no reason");
}

#[test]
fn whatever_answers_in_place_of_a_redis_is_a_redis_or_refused() {
    let url = "redis://app:pass-word@cache.example/3";
    let seeds: [&[u8]; 5] = [
        b"+OK\r\n+OK\r\n+PONG\r\n",
        b"-ERR unknown command 'AUTH', with args beginning with: 'app' 'pass-word'\r\n",
        b"-WRONGPASS invalid username-password pair\r\n",
        b"+OK\r\n-ERR DB index \x1b[31m is out of range\r\n",
        b"+OK\r\n+OK\r\n-NOPERM no\r\n",
    ];
    assert_eq!(said(url, seeds[0]), "a Redis that answers");
    fuzz("Redis", &seeds, |data| {
        // Who did not say yes three times is none that answers.
        let yes = data.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"+")).count();
        assert!(said(url, data) != "a Redis that answers" || yes >= 3);
    });
}
