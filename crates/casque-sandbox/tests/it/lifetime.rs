//! Who ends when.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use casque_sandbox::{Exit, FirstProcess, ProcessHandle, start_time};

use crate::environment::{Environment, captured, sandbox, text};

/// Long enough for any machine; reached only when something is broken.
const AT_MOST: Duration = Duration::from_secs(60);

/// Returns what the kernel says of a process, from its state on (proc(5)).
fn stat(pid: i32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned).collect()
}

/// Returns the helper, whose child the first process is.
fn helper_of(first: i32) -> i32 {
    stat(first)[1].parse().unwrap()
}

#[test]
fn a_signal_reaches_the_command_through_either_first_process() {
    let environment = Environment::new();
    for first_process in [FirstProcess::Command, FirstProcess::Reaper] {
        let mut spec =
            environment.script("trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
        spec.first_process = first_process;
        let (reader, streams) = captured();
        let mut running = sandbox().spawn_with(&spec, streams).unwrap();
        let mut lines = BufReader::new(reader).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        running.terminate(15).unwrap();
        assert_eq!(running.wait().unwrap(), Exit::Code(5));
        assert_eq!(lines.next().unwrap().unwrap(), "asked");
    }
}

#[test]
fn a_signaller_works_while_another_thread_waits() {
    let environment = Environment::new();
    let (_reader, streams) = captured();
    let mut running = sandbox().spawn_with(&environment.script("sleep 1000"), streams).unwrap();
    let signaller = running.signaller().unwrap();
    let sender = std::thread::spawn(move || signaller.send(9));
    assert_eq!(running.wait().unwrap(), Exit::Signal(9));
    sender.join().unwrap().unwrap();
    running.terminate(15).unwrap();
}

#[test]
fn signals_that_arrive_together_are_both_sent() {
    const STOP: i32 = 19;
    const CONTINUE: i32 = 18;
    let environment = Environment::new();
    let (reader, streams) = captured();
    let script = "trap '' TERM; echo ready; while :; do sleep 1000; done";
    let mut running = sandbox().spawn_with(&environment.script(script), streams).unwrap();
    assert_eq!(BufReader::new(reader).lines().next().unwrap().unwrap(), "ready");
    let pid = running.pid_of_first();
    let first = ProcessHandle::open(pid, start_time(pid).unwrap()).unwrap();
    let helper = helper_of(pid);
    let helper_process = ProcessHandle::open(helper, start_time(helper).unwrap()).unwrap();
    helper_process.signal(STOP).unwrap();
    while stat(helper)[0] != "T" {
        std::thread::yield_now();
    }
    let signaller = running.signaller().unwrap();
    signaller.send(15).unwrap();
    signaller.send(9).unwrap();
    helper_process.signal(CONTINUE).unwrap();
    assert!(first.wait(AT_MOST).unwrap());
    assert_eq!(running.wait().unwrap(), Exit::Signal(9));
}

#[test]
fn everything_inside_ends_when_the_handle_is_dropped() {
    let environment = Environment::new();
    let (mut reader, streams) = captured();
    let script = "setsid sleep 1000 & setsid sleep 1000 & wait";
    let running = sandbox().spawn_with(&environment.script(script), streams).unwrap();
    drop(running);
    // The pipe closes when the last process that holds it is gone.
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn everything_inside_ends_when_the_helper_is_killed() {
    let environment = Environment::new();
    let (mut reader, streams) = captured();
    let mut running = sandbox().spawn_with(&environment.script("sleep 1000"), streams).unwrap();
    let pid = running.pid_of_first();
    let first = ProcessHandle::open(pid, start_time(pid).unwrap()).unwrap();
    let helper = helper_of(pid);
    ProcessHandle::open(helper, start_time(helper).unwrap()).unwrap().signal(9).unwrap();
    assert!(first.wait(AT_MOST).unwrap());
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    let error = running.wait().unwrap_err();
    assert_eq!(error.to_string(), "the process that watches over the sandbox ended unexpectedly");
}

#[test]
fn nothing_is_inherited_but_the_three_streams() {
    let environment = Environment::new();
    let spec = environment.command(&["/bin/ls", "/proc/self/fd"]);
    // Not closed on exec, as the job server of make is not.
    let _inherited = rustix::io::dup(std::io::stdin()).unwrap();
    assert_eq!(text(&spec), "0\n1\n2\n3\n");
}

#[test]
fn a_helper_that_nobody_talks_to_does_nothing() {
    let mut helper = Command::new(env!("CARGO_BIN_EXE_casque-sandbox-helper"));
    helper.arg("--sandbox-helper");
    assert_eq!(helper.stdin(Stdio::null()).status().unwrap().code(), Some(2));
}
