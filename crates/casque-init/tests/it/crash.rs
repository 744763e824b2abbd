//! Services that fail, and what the container makes of it.

use serde_json::{Value, json};

use crate::container::{Container, kill, plan, runs, sh};

/// The last line that PID 1 writes.
fn last(output: &str) -> &str {
    output.lines().last().unwrap_or_default()
}

#[test]
fn a_crash_loop_of_a_critical_service_ends_the_container_with_its_code() {
    let container = Container::start(&plan(&json!({ "web": { "command": sh("echo oh no; exit 3") } })));
    let end = container.end();
    assert_eq!(end.code, Some(3), "{}", end.output);
    assert_eq!(end.output.matches("web | oh no\n").count(), 3, "{}", end.output);
    assert_eq!(last(&end.output), "casque | stopped with 3: service `web` failed: exited with 3");
}

#[test]
fn a_signal_becomes_128_and_its_number() {
    let mut plan = plan(&json!({ "web": { "command": sh("kill -KILL $$") } }));
    plan["services"]["web"]["restart"]["policy"] = json!("never");
    let end = Container::start(&plan).end();
    assert_eq!(end.code, Some(137), "{}", end.output);
    assert_eq!(last(&end.output), "casque | stopped with 137: service `web` failed: killed by SIGKILL");
}

#[test]
fn behaviour_07_a_daemon_is_asked_to_stay_in_the_foreground_and_not_started_again() {
    for daemon in ["setsid sleep 1000 & exit 0", "(sleep 1000 &) & wait; exit 0"] {
        let end = Container::start(&plan(&json!({ "web": { "command": sh(daemon) } }))).end();
        assert_eq!(end.code, Some(1), "{}", end.output);
        let about = |line: &&str| line.starts_with("casque | `web` failed: ");
        let lines: Vec<&str> = end.output.lines().filter(about).collect();
        assert_eq!(lines.len(), 1, "{}", end.output);
        assert!(lines[0].contains(": exited with 0 and left `sleep` (process "), "{}", end.output);
        assert!(
            lines[0]
                .ends_with(" running in the background; run it in the foreground, where it can be watched")
        );
        assert!(!end.output.contains("starting it again"), "{}", end.output);
    }
}

#[test]
fn behaviour_07_a_child_that_is_about_to_end_makes_no_daemon() {
    let mut plan = plan(&json!({ "web": { "command": sh("sleep 0.02 & exit 0") } }));
    plan["services"]["web"]["restart"]["policy"] = json!("on-failure");
    let container = Container::start(&plan);
    container.wait_for("web", |web| web.state == casque_format::control::ServiceState::Stopped);
    let end = container.stop();
    assert!(!end.output.contains("background"), "{}", end.output);
}

#[test]
fn behaviour_07_whoever_was_told_to_end_or_has_a_task_that_ends_is_no_daemon() {
    let daemon = "setsid sh -c 'echo $$ > DIR/left; exec sleep 1000' & while ! test -s DIR/left; do :; done; sleep 1000 & exit 0";
    let services = json!({
        "setup": { "kind": "oneshot", "command": sh(daemon) },
        "web": { "command": sh("trap 'setsid sleep 1000 & exit 0' TERM; touch DIR/web.up; sleep 1000 & wait"),
            "ready": { "exec": ["test", "-e", "DIR/web.up"] } },
    });
    let container = Container::start(&plan(&services));
    let setup = container.wait_ready().services[0].clone();
    assert_eq!(setup.last_exit.as_deref(), Some("exited with 0"));
    let daemon = container.read("left").trim().parse().unwrap();
    assert!(runs(daemon), "it was what the one-shot was for");
    let stop = casque_format::control::Request::Stop { service: "web".to_owned() };
    assert_eq!(container.ask(&stop), casque_format::control::Reply::Done);
    let web = container.wait_for("web", |web| web.state == casque_format::control::ServiceState::Stopped);
    assert_eq!(web.last_exit.as_deref(), Some("exited with 0"));
    let end = container.stop();
    assert!(!end.output.contains("background") && !runs(daemon), "{}", end.output);
}

#[test]
fn an_optional_service_fails_alone() {
    let services = json!({
        "report": { "command": sh("exit 4"), "critical": false },
        "web": { "command": ["sleep", "1000"] },
    });
    let container = Container::start(&plan(&services));
    let report = container.wait_for("report", |s| s.state == casque_format::control::ServiceState::Failed);
    assert_eq!(report.message.as_deref(), Some("exited with 4, 3 failures in a row"));
    assert_eq!(report.last_exit.as_deref(), Some("exited with 4"));
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn a_start_that_takes_too_long_ends_the_container_with_101() {
    let mut plan = plan(&json!({
        "web": { "command": ["sleep", "1000"], "ready": { "unix": "DIR/web.sock" }, "start_timeout_ms": 300 },
    }));
    plan["services"]["web"]["restart"]["limit"] = json!(1);
    let end = Container::start(&plan).end();
    assert_eq!(end.code, Some(101), "{}", end.output);
    let why = "service `web` failed: not ready within 300 ms (cannot connect to `/";
    assert!(last(&end.output).contains(why), "{}", end.output);
}

#[test]
fn a_program_that_cannot_run_is_named_with_the_reason_and_not_repeated() {
    let cases: [(Value, i32, &str); 5] = [
        (
            json!({ "command": ["/missing/web"] }),
            127,
            "cannot execute `/missing/web`: No such file or directory (os error 2)",
        ),
        (
            json!({ "command": ["web-of-nobody"] }),
            127,
            "cannot execute `web-of-nobody`: it is in no directory of PATH",
        ),
        (
            json!({ "command": ["/etc/passwd"] }),
            126,
            "cannot execute `/etc/passwd`: Permission denied (os error 13)",
        ),
        (
            json!({ "command": ["true"], "working_directory": "/missing" }),
            126,
            "cannot enter directory `/missing`: No such file or directory (os error 2)",
        ),
        (
            json!({ "command": ["true"], "directories": [{ "path": "/proc/web", "mode": 0o755 }] }),
            126,
            "cannot make directory `/proc/web`: No such file or directory (os error 2)",
        ),
    ];
    for (service, code, reason) in cases {
        let end = Container::start(&plan(&json!({ "web": service }))).end();
        assert_eq!(end.code, Some(code), "{}", end.output);
        let expected = [
            format!("casque | `web` failed: could not start: {reason}"),
            format!("casque | service `web` failed: could not start: {reason}; stopping everything"),
            format!("casque | stopped with {code}: service `web` failed: could not start: {reason}"),
        ];
        assert_eq!(end.output.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_cannot_be_removed_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let services = json!({ "web": { "command": ["true"], "remove": [directory.path()] } });
    let end = Container::start(&plan(&services)).end();
    assert_eq!(end.code, Some(126), "{}", end.output);
    let reason = format!("cannot remove `{}`: Is a directory (os error 21)", directory.path().display());
    assert!(end.output.contains(&reason), "{}", end.output);
}

#[test]
fn a_script_without_its_interpreter_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    for (text, reason) in [
        ("#!/missing/interpreter\n", "the interpreter it names does not exist"),
        ("echo hello\n", "it is no program for this machine, and no script that begins with `#!`"),
    ] {
        let script = directory.path().join("script");
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let end = Container::start(&plan(&json!({ "web": { "command": [script] } }))).end();
        assert!(end.output.contains(reason), "{}", end.output);
    }
}

#[test]
fn behaviour_06_leftovers_that_left_the_session_are_gone_too_whoever_they_are() {
    assert!(crate::container::is_root(), "this test needs root");
    // Twice a session of its own, no parent but PID 1, an environment nobody may read.
    let script = "test -e DIR/first && exec sleep 1000; setsid setsid setpriv --reuid 64998 --clear-groups sh -c \
                  'echo $$ > DIR/first; exec sleep 1000' & while ! test -s DIR/first; do :; done; kill -KILL $$";
    let services = json!({
        "other": { "command": ["setsid", "--wait", "sleep", "1000"] },
        "web": { "command": sh(script) },
    });
    let container = Container::start_as_pid_1(&plan(&services));
    let seen = container.wait_for("web", |web| web.restarts == 1 && web.pid.is_some());
    assert_eq!(seen.last_exit.as_deref(), Some("killed by SIGKILL"));
    let inside = std::process::Command::new("nsenter")
        .args(["--target", &container.pid.to_string(), "--pid", "--mount", "ps", "-eo", "uid,args"])
        .output()
        .unwrap();
    let inside = String::from_utf8(inside.stdout).unwrap();
    assert!(!inside.contains("64998"), "{inside}");
    assert_eq!(
        inside.matches(" sleep 1000").count(),
        3,
        "of the other service nothing was touched: {inside}"
    );
    assert_eq!(container.stop().code, Some(0));
}

/// A master whose worker alone holds a port, as a prefork server's does.
const PREFORK: &str = r#"
    use IO::Socket::INET;
    my $port = shift;
    my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port", Listen => 5, ReuseAddr => 1) or exit 9;
    if (my $worker = fork) { close $socket; open my $file, ">>", "DIR/workers"; print $file "$worker\n"; close $file; sleep 1000; }
    while (my $peer = $socket->accept) { close $peer }
"#;

#[test]
fn behaviour_06_leftovers_are_gone_before_the_replacement_starts() {
    let port = crate::sockets::free_port();
    let services = json!({
        "web": { "command": ["perl", "-e", PREFORK, port.to_string()],
            "ready": { "tcp": format!("127.0.0.1:{port}") } },
    });
    let container = Container::start(&plan(&services));
    let master = container.wait_ready().services[0].pid.unwrap();
    container.until("the worker is known", || container.path("workers").exists());
    let worker = container.read("workers").trim().parse().unwrap();
    assert!(runs(worker));
    kill("KILL", master);
    let web = container
        .wait_for("web", |web| web.restarts > 0 && web.state == casque_format::control::ServiceState::Ready);
    assert_eq!((web.restarts, web.last_exit.as_deref()), (1, Some("killed by SIGKILL")));
    assert!(!runs(worker));
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused() {
    let mut plan = plan(&json!({ "web": {} }));
    plan["services"]["web"]["after"] = json!(["databse"]);
    let end = Container::start(&plan).end();
    assert_eq!(end.code, Some(1));
    assert_eq!(end.output, "casque | service `web`: it needs `databse`, which this plan does not define\n");
}
