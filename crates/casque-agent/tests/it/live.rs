//! Settings that change while services run: checked before, and taken back when something says no.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use casque_format::control::{
    Change, Overall, Reply, Request, ServiceState, ServiceStatus, Snapshot, Touched,
};
use casque_format::paths;
use serde_json::{Value, json};

use crate::instance::{Instance, plan};

const FILE: &str = "/run/casque/files/etc/app.conf";

/// An instance that was prepared once, whose `web` reads the marked file and has a check.
fn checked(check: &str) -> Instance {
    let instance = Instance::new();
    instance.write_plan(with_check(&["/etc/app.conf"], &["/bin/sh", "-c", check]));
    instance.run(&["prepare"], &[]).quiet();
    instance
}

fn with_check(files: &[&str], check: &[&str]) -> Value {
    let mut plan = plan();
    let web = &mut plan["services"]["web"]["service"];
    (web["files"], web["check"]) = (json!(files), json!(check));
    plan
}

/// What a change must not touch when it is refused.
fn everything(instance: &Instance) -> (String, String, Vec<String>) {
    (instance.read(FILE), instance.read(paths::RUN_PLAN), instance.list(paths::RUN))
}

#[test]
fn a_check_sees_the_new_files_in_their_places_and_its_no_brings_the_old_ones_back() {
    let instance = Instance::new();
    let file = instance.path(FILE).display().to_string();
    let script = format!("! grep 'port = 81' {file}; exit $?");
    instance.write_plan(with_check(&["/etc/app.conf"], &["/bin/sh", "-c", &script]));
    // Nothing runs yet: whoever starts says itself what is wrong.
    instance.run(&["prepare"], &[("PORT", "81")]).quiet();
    instance.run(&["prepare"], &[]).quiet();
    let before = everything(&instance);
    let finished = instance.run(&["prepare", "--running"], &[("PORT", "81")]);
    let script = script.replace(&instance.path("/").display().to_string(), "/");
    let said = format!(
        "error: service `web` cannot take over the change: `/bin/sh -c {script}` exited with 1\nerror:   port = 81\n"
    );
    assert_eq!((finished.code, finished.stderr), (100, said));
    assert_eq!(everything(&instance), before);
    instance.run(&["prepare", "--running"], &[("PORT", "82")]).quiet();
    assert!(instance.read(FILE).contains("port = 82"));
    assert_eq!(instance.list(paths::RUN), before.2);
}

#[test]
fn a_check_that_repeats_a_new_secret_does_not_get_it_into_the_log() {
    let instance = checked("echo \"$SMTP_URL\"; kill -9 $$");
    let before = everything(&instance);
    let finished = instance.run(&["prepare", "--running"], &[("SMTP_URL", "smtp://u:hunter2@mail")]);
    assert_eq!(
        finished.stderr,
        "error: service `web` cannot take over the change: `/bin/sh -c echo \"$SMTP_URL\"; kill -9 $$` was killed by signal 9\nerror:   ********\n"
    );
    assert_eq!(everything(&instance), before);
}

#[test]
fn only_who_reads_what_changes_is_checked() {
    let instance = checked("exit 7");
    instance.run(&["prepare", "--running"], &[]).quiet();
    // It reads another file, and its own plan is the same.
    instance.write_plan(with_check(&["/etc/other.conf"], &["/bin/sh", "-c", "exit 7"]));
    instance.run(&["prepare"], &[]).quiet();
    instance.run(&["prepare", "--running"], &[("PORT", "81")]).quiet();
    // This one is in its environment.
    let finished = instance.run(&["prepare", "--running"], &[("PORT", "81"), ("SMTP_URL", "smtp://mail")]);
    assert_eq!(finished.code, 100, "{finished:?}");
    // And this is the file by another name.
    instance.write("/etc/keep", "");
    std::os::unix::fs::symlink(instance.path(FILE), instance.path("/etc/linked.conf")).unwrap();
    instance.write_plan(with_check(&["/etc/linked.conf"], &["/bin/sh", "-c", "exit 7"]));
    instance.run(&["prepare"], &[]).quiet();
    assert_eq!(instance.run(&["prepare", "--running"], &[("PORT", "81")]).code, 100);
}

/// Answers one connection after the other, each with the lines of one entry, and returns what was asked.
fn answer(socket: UnixListener, replies: Vec<Vec<Reply>>) -> JoinHandle<Vec<Request>> {
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        for replies in replies {
            let (mut stream, _) = socket.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            asked.push(serde_json::from_str(&line).unwrap());
            for reply in replies {
                // Whoever knows enough has hung up.
                let _ = writeln!(stream, "{}", serde_json::to_string(&reply).unwrap());
            }
        }
        asked
    })
}

fn reloaded(changes: &[(&str, Touched)]) -> Vec<Reply> {
    let change = |&(service, touched): &(&str, Touched)| Change { service: service.to_owned(), touched };
    vec![Reply::Reloaded { changes: changes.iter().map(change).collect() }]
}

fn seen(states: &[ServiceState]) -> Vec<Reply> {
    let snapshot = |&state: &ServiceState| Reply::Status {
        snapshot: Snapshot {
            version: 1,
            state: Overall::Degraded,
            uptime_ms: 1,
            front_ready: true,
            services: vec![ServiceStatus {
                name: "web".to_owned(),
                state,
                pid: None,
                restarts: 0,
                since_ms: 0,
                last_exit: (state == ServiceState::Backoff).then(|| "exited with 3".to_owned()),
                message: None,
                oom_kills: 0,
                dropped_lines: 0,
                unfiled_lines: 0,
                log_problem: None,
            }],
        },
    };
    states.iter().map(snapshot).collect()
}

#[test]
fn a_running_product_takes_over_at_once_and_says_what_of_it() {
    let instance = Instance::new();
    let touched = [("db", Touched::Stopped), ("nginx", Touched::Told), ("web", Touched::Started)];
    let states = [ServiceState::Stopping, ServiceState::Starting, ServiceState::Ready];
    let asked = answer(instance.control_socket(), vec![reloaded(&touched), seen(&states), reloaded(&[])]);
    assert_eq!(
        instance.run(&["settings", "set", "port", "81"], &[]).quiet(),
        "`port` is in `/data/config/settings.toml`; `nginx` was told; `web` was started anew; `db` was stopped\n"
    );
    assert_eq!(
        instance.run(&["settings", "unset", "port"], &[]).quiet(),
        "`port` is no longer in `/data/config/settings.toml`; nothing that runs depends on it\n"
    );
    assert_eq!(asked.join().unwrap(), [Request::Reload, Request::Watch, Request::Reload]);
}

#[test]
fn what_was_changed_by_hand_is_taken_over_when_somebody_says_so() {
    let instance = Instance::new();
    let gone = instance.run(&["reload"], &[]);
    assert_eq!((gone.code, gone.stderr.starts_with("error: cannot reach PID 1")), (69, true), "{gone:?}");
    let refusal = Reply::Error { message: "another reload is under way".to_owned() };
    let replies = vec![reloaded(&[("nginx", Touched::Told)]), reloaded(&[]), vec![refusal]];
    let asked = answer(instance.control_socket(), replies);
    assert_eq!(instance.run(&["reload"], &[]).quiet(), "`nginx` was told\n");
    assert_eq!(instance.run(&["reload"], &[]).quiet(), "nothing has changed\n");
    let refused = instance.run(&["reload"], &[]);
    assert_eq!((refused.code, refused.stderr.as_str()), (100, "error: another reload is under way\n"));
    assert_eq!(asked.join().unwrap(), [Request::Reload, Request::Reload, Request::Reload]);
}

#[test]
fn what_is_refused_leaves_the_settings_as_they_were() {
    let instance = Instance::new();
    let before = "# Ours.\nport = 80\n";
    instance.write(paths::SETTINGS_FILE, before);
    let refusals = [
        (
            "the plan could not be prepared: exited with 100; nothing was changed\nwarning: w\nerror: no\nerror:   why",
            "error: no\nerror:   why\n",
        ),
        ("another reload is under way", "error: another reload is under way\n"),
    ];
    let replies = refusals.iter().map(|(message, _)| vec![Reply::Error { message: (*message).to_owned() }]);
    let asked = answer(instance.control_socket(), replies.collect());
    for (_, said) in refusals {
        let finished = instance.run(&["settings", "set", "port", "81"], &[]);
        assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (100, "", said));
        assert_eq!(instance.read(paths::SETTINGS_FILE), before);
    }
    asked.join().unwrap();
}

#[test]
fn a_service_that_does_not_run_with_it_gets_its_old_settings_back() {
    let instance = Instance::new();
    instance.write(paths::SETTINGS_FILE, "port = 80\n");
    let replies = vec![
        reloaded(&[("web", Touched::Started)]),
        seen(&[ServiceState::Starting, ServiceState::Backoff]),
        reloaded(&[("web", Touched::Started)]),
        seen(&[ServiceState::Ready]),
    ];
    let asked = answer(instance.control_socket(), replies);
    let finished = instance.run(&["settings", "set", "port", "81"], &[]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (100, "error: `web` does not run with it: exited with 3; the settings are what they were before\n")
    );
    assert_eq!(instance.read(paths::SETTINGS_FILE), "port = 80\n");
    assert_eq!(asked.join().unwrap(), [Request::Reload, Request::Watch, Request::Reload, Request::Watch]);
}
