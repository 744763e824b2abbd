//! Who may ask, and who is hung up on.

use super::*;

#[test]
fn the_agent_may_only_look_and_strangers_may_nothing() {
    let rights = Rights { own_uid: 1000, agent_uid: Some(900) };
    let stop = Request::Stop { service: "web".to_owned() };
    let logs = Request::Logs { service: None, lines: 1 };
    for owner in [0, 1000] {
        assert!(rights.allow(owner, &stop) && rights.allow(owner, &Request::Status));
    }
    assert!(rights.allow(900, &Request::Status) && rights.allow(900, &Request::Watch));
    let follow = Request::Follow { service: None, lines: 1 };
    assert!(!rights.allow(900, &follow) && !rights.allow(900, &Request::Events));
    assert!(!rights.allow(900, &stop) && !rights.allow(900, &logs));
    assert!(rights.allow(900, &Request::Reload) && !rights.allow(901, &Request::Reload));
    assert!(!rights.allow(901, &Request::Status));
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/control.sock");
    fs::create_dir(directory.path().join("run")).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    let control = Control::open(&path).unwrap();
    let error = open_or_explain(&path).unwrap_err();
    assert!(error.contains("Address already in use"), "{error}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(control);
    assert!(!path.exists());
}

/// A socket and somebody who has connected to it at the beginning of time.
fn connected() -> (tempfile::TempDir, Control, UnixStream) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let mut control = Control::open(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    control.accept(Duration::ZERO);
    assert!(control.knows(1));
    (directory, control, client)
}

#[test]
fn behaviour_25_who_does_not_finish_a_question_is_hung_up_on() {
    let (_directory, mut control, mut client) = connected();
    client.write_all(br#"{"command":"#).unwrap();
    control.read(1);
    assert_eq!(control.deadline(), Some(LONGEST_QUESTION));
    control.due(LONGEST_QUESTION - Duration::from_millis(1));
    assert!(control.knows(1));
    control.due(LONGEST_QUESTION);
    assert!(!control.knows(1));
}

#[test]
fn behaviour_25_who_asks_for_too_much_at_once_is_hung_up_on() {
    let longest = vec![b'x'; LONGEST_REQUEST];
    let many = b"{}\n".repeat(MOST_QUEUED + 1);
    for flood in [longest.as_slice(), &many] {
        let (_directory, mut control, mut client) = connected();
        for piece in flood.chunks(4096) {
            client.write_all(piece).unwrap();
            control.read(1);
        }
        let may_go_on = flood.len() == LONGEST_REQUEST;
        assert_eq!(control.knows(1), may_go_on);
        if may_go_on {
            client.write_all(b"x").unwrap();
            control.read(1);
            assert!(!control.knows(1));
        }
    }
}

#[test]
fn behaviour_25_who_does_not_read_an_answer_is_hung_up_on() {
    let (_directory, mut control, mut client) = connected();
    client.write_all(b"{\"command\":\"status\"}\n").unwrap();
    control.read(1);
    let rights = Rights { own_uid: sys::effective_uid(), agent_uid: None };
    assert_eq!(control.next_request(1, rights, Duration::ZERO), Some(Request::Status));
    // More than a socket holds.
    let reply = Reply::Logs { lines: vec!["x".repeat(8 << 20)] };
    control.answer(1, &reply, Duration::from_secs(60));
    assert_eq!(control.deadline(), Some(Duration::from_secs(60) + PATIENCE));
    control.due(Duration::from_secs(60) + PATIENCE);
    assert!(!control.knows(1));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_a_client_sends_is_answered_or_hung_up_on(
        pieces in proptest::collection::vec(
            proptest::prelude::prop_oneof![
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
                proptest::strategy::Just(b"{\"command\":\"status\"}\n".to_vec()),
                proptest::strategy::Just(b"{\"command\":\"logs\",\"lines\":-1}\n".to_vec()),
            ],
            0..12,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut control = Control::open(&directory.path().join("control.sock")).unwrap();
        let mut client = UnixStream::connect(directory.path().join("control.sock")).unwrap();
        control.accept(Duration::ZERO);
        let rights = Rights { own_uid: sys::effective_uid(), agent_uid: None };
        let mut lines = 0;
        for piece in &pieces {
            client.write_all(piece).unwrap();
            lines += piece.iter().filter(|&&byte| byte == b'\n').count();
            control.read(1);
            while let Some(request) = control.next_request(1, rights, Duration::ZERO) {
                proptest::prop_assert_eq!(request, Request::Status);
                control.answer(1, &Reply::Done, Duration::ZERO);
            }
        }
        drop(control);
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        proptest::prop_assert_eq!(answers.lines().count(), lines);
    }
}
