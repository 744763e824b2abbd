//! What services and clients say to PID 1. Whatever it is, it is read, answered or hung up on.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use casque_format::control::{Reply, Request};
use casque_fuzz::fuzz;

use crate::control::{Control, Rights};
use crate::notify::Notification;
use crate::ready::{Dialog, Verdict};
use crate::sys;

#[test]
fn a_datagram_says_what_its_lines_say_and_no_more() {
    let seeds: [&[u8]; 4] = [
        b"READY=1\nSTATUS=Loading \x1b[31m7 of 9\nEXTEND_TIMEOUT_USEC=1500000\nMAINPID=7\nRELOADING=1\nX",
        b"STOPPING=1\n",
        b"READY=1",
        b"STATUS=a\nSTATUS=b\nREADY=0",
    ];
    fuzz("notifications", &seeds, |data| {
        let Notification { ready, stopping, status, extend, main_pid } = Notification::parse(data);
        let text = String::from_utf8_lossy(data);
        assert_eq!(ready, text.lines().any(|line| line == "READY=1"));
        assert_eq!(stopping, text.lines().any(|line| line == "STOPPING=1"));
        for text in status.iter().chain(&main_pid) {
            assert!(text.chars().count() <= 256 && !text.contains(char::is_control));
        }
        assert!(extend.is_none_or(|span| span <= Duration::from_secs(86_400)));
    });
}

/// An answer of a MongoDB, with each kind of element before its `ok`.
fn mongodb() -> Vec<u8> {
    let mut elements =
        b"\x02setName\0\x03\0\0\0rs\0\x03topology\0\x05\0\0\0\0\x04hosts\0\x05\0\0\0\0".to_vec();
    elements.extend(
        b"\x08isWritablePrimary\0\x01\x09localTime\0\0\0\0\0\0\0\0\0\x0anothing\0\x10max\0\x01\0\0\0",
    );
    elements.extend(b"\x05data\0\x02\0\0\0\0ab\x07id\0abcdefghijkl\x11time\0\0\0\0\0\0\0\0\0\x01ok\0");
    elements.extend(1.0_f64.to_le_bytes());
    let length = |size: usize| i32::try_from(size).unwrap().to_le_bytes();
    let document = [&length(elements.len() + 5)[..], &elements, b"\0"].concat();
    let head = [0, 0, 2013, 0].map(i32::to_le_bytes).concat();
    [&length(21 + document.len())[..], &head, b"\0", &document].concat()
}

/// Judges an answer as it comes, piece by piece: what was decided once stays.
fn judge(dialog: &Dialog, answer: &[u8]) {
    let whole = dialog.judge(answer, false);
    for end in [1, 4, 12, 13, 20, answer.len() / 2, answer.len().saturating_sub(1)] {
        let earlier = dialog.judge(&answer[..end.min(answer.len())], false);
        assert!(earlier == Verdict::Incomplete || earlier == whole, "{earlier:?}, then {whole:?}");
    }
    match dialog.judge(answer, true) {
        Verdict::Incomplete => panic!("an answer at its end is judged"),
        Verdict::NotReady(reason) => assert!(!reason.contains(char::is_control), "{reason:?}"),
        Verdict::Ready => {}
    }
}

#[test]
fn a_verdict_on_an_answer_is_not_taken_back() {
    let http: [&[u8]; 3] =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.0 503 No\r\n\r\n", b"HTTP/1.1 302\r\n"];
    fuzz("answers of a web server", &http, |data| judge(&Dialog::Http(Vec::new()), data));
    let redis: [&[u8]; 3] = [b"+PONG\r\n", b"-LOADING Redis is loading\r\n", b"-NOAUTH Authentication\r\n"];
    fuzz("answers of a Redis", &redis, |data| judge(&Dialog::Redis, data));
    let mongodb = mongodb();
    assert_eq!(Dialog::Mongodb.judge(&mongodb, false), Verdict::Ready);
    fuzz("answers of a MongoDB", &[&mongodb], |data| judge(&Dialog::Mongodb, data));
}

#[test]
fn each_line_of_a_client_is_answered_once_until_it_is_hung_up_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let mut control = Control::open(&socket).unwrap();
    let control = std::cell::RefCell::new((&mut control, 0));
    let rights = Rights { own_uid: sys::effective_uid(), agent_uid: None };
    let seeds: [&[u8]; 4] = [
        b"{\"command\":\"status\"}\n{\"command\":\"watch\"}\n",
        b"{\"command\":\"logs\",\"service\":\"web\",\"lines\":10}\n{\"command\":\"reload\"}\n",
        b"{\"command\":\"restart\",\"service\":\"web\"}\r\n",
        b"{\"command\":\"follow\",\"service\":null,\"lines\":0}\n[]\n\n",
    ];
    fuzz("control requests", &seeds, |data| {
        let (control, id) = &mut *control.borrow_mut();
        let mut client = UnixStream::connect(&socket).unwrap();
        control.accept(Duration::ZERO);
        *id += 1;
        client.write_all(data).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        while control.knows(*id) {
            control.read(*id);
            while let Some(request) = control.next_request(*id, rights, Duration::ZERO) {
                let again = serde_json::to_vec(&request).unwrap();
                assert_eq!(serde_json::from_slice::<Request>(&again).unwrap(), request);
                control.answer(*id, &Reply::Done, Duration::ZERO);
            }
        }
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        let asked = data.iter().filter(|byte| **byte == b'\n').count();
        // Who asks for more at once than is kept gets nothing.
        assert!(answers.lines().count() == asked || (asked > 16 && answers.is_empty()), "{asked}: {answers}");
        for answer in answers.lines() {
            serde_json::from_str::<Reply>(answer).unwrap();
        }
    });
}
