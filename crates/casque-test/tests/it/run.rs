//! `casque run`, `stop`, `exec` and `logs`. They need root, as containers do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::thread;

use casque_sandbox::{ProcessHandle, start_time};

use casque_test::Seen;

use crate::container::Place;

const KILL: i32 = 9;
const TERM: i32 = 15;

/// Sends bytes, says that this was all, and returns the answer.
fn echo(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn signal(pid: u32, signal: i32) -> ProcessHandle {
    let pid = i32::try_from(pid).unwrap();
    let process = ProcessHandle::open(pid, start_time(pid).unwrap()).unwrap();
    process.signal(signal).unwrap();
    process
}

#[test]
fn words_after_the_image_are_run_once_and_leave_nothing() {
    let place = Place::new();
    let arguments =
        ["run", "--env", "MINE=a=b", "--env", "FROM_IMAGE=2", "fake.tar", "say", "--loud", "hello"];
    let seen = place.run(&arguments);
    assert_eq!(seen.code, Some(3), "{}", seen.stderr);
    let lines: Vec<&str> = seen.stdout.lines().collect();
    assert_eq!(lines[..3], ["--loud hello", "FROM_IMAGE=2", "HOME=/root"]);
    assert!(lines[3].starts_with("HOSTNAME=fake-"));
    assert_eq!(lines[4], "MINE=a=b");
    assert_eq!(std::fs::read_dir(place.path("state/containers")).unwrap().count(), 0);
}

#[test]
fn a_detached_container_serves_its_published_port_until_it_is_stopped() {
    let place = Place::new();
    let address = place.start(&["--data", "new/data"], "serve");
    assert_eq!(echo(&address, b"hello"), b"hello");

    let seen = place.run(&["exec", "fake", "/bin/fake-service", "say", "inside"]);
    assert_eq!(seen.code, Some(3), "{}", seen.stderr);
    assert!(seen.stdout.starts_with("inside\nFROM_IMAGE=1\nHOME=/root\nHOSTNAME=fake\n"));

    let seen = place.run(&["stop", "fake"]);
    assert_eq!(seen, Seen { code: Some(7), stdout: String::new(), stderr: String::new() });
    assert_eq!(place.run(&["logs", "fake"]).stdout, "ready\nstopping\n");

    // What it wrote stays, in a directory that was made as the image has it.
    let data = std::fs::metadata(place.path("new/data")).unwrap();
    assert_eq!((data.uid(), data.gid()), (900, 901));
    assert!(place.path("new/data/started").exists());
    let left = std::fs::read_dir(place.path("state/containers/fake")).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["lock", "log", "state.json"]);
}

#[test]
fn many_connections_at_once_carry_their_bytes_unchanged() {
    let place = Place::new();
    let address = place.start(&[], "serve");
    thread::scope(|scope| {
        for number in 0..40_u8 {
            let address = &address;
            scope.spawn(move || {
                let bytes: Vec<u8> = (0..500_000_u32).map(|index| index.to_le_bytes()[0] ^ number).collect();
                assert_eq!(echo(address, &bytes), bytes);
            });
        }
    });
}

#[test]
fn a_connection_is_closed_when_nobody_listens_inside() {
    let place = Place::new();
    let address = place.start(&[], "deaf");
    let mut stream = TcpStream::connect(&address).unwrap();
    // The end, or a reset: the kernel's choice.
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn a_foreground_container_ends_in_order_at_a_signal() {
    let place = Place::new();
    let mut casque = place.casque(&["run", "--name", "fake", "fake.tar"]);
    let mut casque = casque.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(casque.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    signal(casque.id(), TERM);
    assert_eq!(lines.next().unwrap().unwrap(), "stopping");
    let output = casque.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "unpacking vendor/fake:v1\nfake: its /data is removed when it ends; keep it with `--data DIR`\n"
    );
    assert!(!place.path("state/containers/fake/data").exists());
}

#[test]
fn a_second_signal_kills_a_container_that_does_not_listen() {
    let place = Place::new();
    let mut casque = place.casque(&["run", "--name", "fake", "fake.tar", "stubborn"]);
    let mut casque = casque.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(casque.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    signal(casque.id(), TERM);
    signal(casque.id(), 1);
    assert_eq!(casque.wait().unwrap().code(), Some(128 + KILL));
}

#[test]
fn a_container_that_does_not_end_in_time_is_killed() {
    let place = Place::new();
    place.start(&[], "stubborn");
    let seen = place.run(&["stop", "--timeout", "50ms", "fake"]);
    assert_eq!(seen.code, Some(128 + KILL));
    assert_eq!(seen.stderr, "fake: killed, it did not end within 50ms\n");
}

#[test]
fn everything_ends_with_the_supervisor_and_the_name_is_free_again() {
    let place = Place::new();
    place.start(&[], "serve");
    let state = std::fs::read_to_string(place.path("state/containers/fake/state.json")).unwrap();
    let pid = state.split_once("\"pid\": ").unwrap().1.split(',').next().unwrap();
    // Process 1 is the helper's child, and the helper the supervisor's.
    let parent = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned()
    };
    let first = pid.parse().unwrap();
    let first = ProcessHandle::open(first, start_time(first).unwrap()).unwrap();
    signal(parent(&parent(pid)).parse().unwrap(), KILL);
    assert!(first.wait(std::time::Duration::from_secs(60)).unwrap());
    let seen = place.run(&["stop", "fake"]);
    assert_eq!(
        seen.stderr,
        "error: cannot stop `fake`\n  \
         caused by: container `fake` was killed together with the program that supervised it\n\
         hint: `casque logs fake` shows what it wrote\n"
    );
    let again = place.start(&[], "serve");
    assert_eq!(echo(&again, b"again"), b"again");
}

#[test]
fn the_log_can_be_followed_to_the_end() {
    let place = Place::new();
    place.start(&[], "serve");
    let mut logs = place.casque(&["logs", "--follow", "fake"]);
    let mut logs = logs.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    assert_eq!(place.run(&["stop", "fake"]).code, Some(7));
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest, ["stopping"]);
    assert_eq!(logs.wait().unwrap().code(), Some(0));
}

#[test]
fn a_read_only_container_writes_to_its_data() {
    let place = Place::new();
    let address = place.start(&["--read-only", "--data", "data"], "serve");
    assert_eq!(echo(&address, b"hello"), b"hello");
    assert!(place.path("data/started").exists());
}

#[test]
fn a_name_and_a_port_in_use_are_refused_before_anything_starts() {
    let place = Place::new();
    let address = place.start(&[], "serve");
    let seen = place.run(&["run", "--name", "fake", "fake.tar"]);
    assert_eq!(
        (seen.code, seen.stderr.as_str()),
        (
            Some(2),
            "error: cannot run `fake.tar`\n  caused by: a container named `fake` runs already\n\
             hint: stop it with `casque stop fake`, or choose another name with `--name`\n"
        )
    );
    for detach in [&[][..], &["--detach"]] {
        let publish = format!("{address}:80");
        let mut arguments = vec!["run", "--name", "other", "--publish", &publish];
        arguments.extend(detach);
        arguments.push("fake.tar");
        let seen = place.run(&arguments);
        assert_eq!(
            (seen.code, seen.stderr),
            (
                Some(2),
                format!(
                    "error: cannot run `fake.tar`\n  caused by: cannot listen on {address}\n  \
                     caused by: Address already in use (os error 98)\n\
                     hint: choose another host port, as in `--publish 8081:80`\n"
                )
            )
        );
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let place = Place::new();
    place.start(&[], "serve");
    for arguments in [&["stop", "web"][..], &["logs", "web"], &["exec", "web", "true"]] {
        let seen = place.run(arguments);
        assert_eq!(seen.code, Some(2));
        let rest = seen.stderr.split_once('\n').unwrap().1;
        assert_eq!(rest, "  caused by: no container named `web` is known\nhint: running now: fake\n");
    }
}

#[test]
fn a_missing_command_ends_with_the_code_shells_use() {
    let place = Place::new();
    place.start(&[], "serve");
    let seen = place.run(&["exec", "fake", "no-such-program"]);
    assert_eq!(
        (seen.code, seen.stderr.as_str()),
        (
            Some(127),
            "error: cannot run a command in `fake`\n  caused by: cannot run `no-such-program`\n  \
             caused by: No such file or directory (os error 2)\n"
        )
    );
}
