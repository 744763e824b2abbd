//! Services that notify, timers, replicas, and what a process finds; anybody anywhere.

use casque_format::control::{Reply, Request, ServiceState};
use serde_json::json;

use crate::behaviours::start;
use crate::container::{Container, is_root, plan, sh};

#[test]
fn behaviour_12_notify_tells_readiness_and_liars_are_not_believed() {
    let services = json!({
        // Each in its own session: what the one says is never taken for the other's.
        "liar": { "command": ["python3", "-c", TELL, "READY=1\nMAINPID=1\nSTATUS=secretword is loaded"], "ready": "notify" },
        "mute": { "command": sh("touch DIR/mute.up; exec sleep 1000"), "ready": "notify" },
        "web": { "command": ["sleep", "1000"], "after": ["mute"] },
    });
    let mut plan = plan(&services);
    plan["mask"] = json!(["secretword"]);
    let container = start(&plan);
    container.wait_for("liar", |liar| liar.state == ServiceState::Ready);
    container.until("mute runs", || container.path("mute.up").exists());
    let snapshot = container.wait(|snapshot| snapshot.services[1].message.is_some());
    assert_eq!(snapshot.services[1].message.as_deref(), Some("not ready yet: it has not said that it is"));
    assert_eq!(snapshot.services[2].state, ServiceState::Waiting);
    let end = container.stop();
    assert!(end.output.contains("`liar` says that its main process is 1; only"), "{}", end.output);
    assert!(!end.output.contains("secretword"), "{}", end.output);
}

/// Says something on the socket in `NOTIFY_SOCKET` and stays.
const TELL: &str = "import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(sys.argv[1].encode(), '\\0' + os.environ['NOTIFY_SOCKET'][1:])
time.sleep(1000)";

/// As [`TELL`], in a child that is gone by the time its words are read; the parent stays.
const TELL_AND_GO: &str = "import os, socket, time
pid = os.fork()
if pid == 0:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendto(b'READY=1', '\\0' + os.environ['NOTIFY_SOCKET'][1:])
    os._exit(0)
os.waitpid(pid, 0)
time.sleep(1000)";

#[test]
fn behaviour_12_what_a_process_says_is_never_taken_for_the_words_of_another_service() {
    // Two of one user on the socket of a third, which alone has yet to be ready: one stays, and one is gone by the time its
    // words are read, which were said on a socket of its own.
    let services = json!({
        "liar": { "command": ["python3", "-c", LIE] },
        "mute": { "command": sh("echo $NOTIFY_SOCKET > DIR/new; mv DIR/new DIR/address; exec sleep 1000"), "ready": "notify" },
        "other": { "command": ["python3", "-c", TELL_AND_GO], "ready": "notify" },
    });
    let container = start(&plan(&services));
    container.wait_for_line("says something of a service that it does not belong to");
    container.wait_for("other", |other| other.state == ServiceState::Ready);
    // What comes after it was read after it.
    for _ in 0..2 {
        let Reply::Status { snapshot } = container.ask(&Request::Status) else { panic!("no status") };
        let state = |name: &str| snapshot.services.iter().find(|one| one.name == name).unwrap().state;
        assert_eq!(state("mute"), ServiceState::Starting);
    }
    assert_eq!(container.stop().code, Some(0));
}

/// Says what another service should say, by its address, and stays.
const LIE: &str = "import os, socket, time
while not os.path.exists('DIR/address'): time.sleep(0.01)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b'READY=1', '\\0' + open('DIR/address').read().strip()[1:])
time.sleep(1000)";

#[test]
fn behaviour_12_a_short_lived_helper_may_notify_for_its_service() {
    let services = json!({ "web": { "command": ["python3", "-c", TELL_AND_GO], "ready": "notify" } });
    let container = start(&plan(&services));
    container.wait_ready();
    container.stop();
}

#[test]
fn timers_run_by_their_schedule_and_are_shown() {
    let services = json!({ "job": { "kind": "oneshot", "schedule": "* * * * *", "command": sh("date +%S >> DIR/runs") } });
    let container = start(&plan(&services));
    let job = container.wait_ready().services[0].clone();
    assert!(job.message.unwrap().starts_with("next run at "), "no time is shown");
    assert_eq!(container.ask(&Request::Start { service: "job".to_owned() }), Reply::Done);
    assert_eq!(container.read("runs").lines().count(), 1);
    container.stop();
}

#[test]
fn replicas_are_as_many_as_this_container_may_have() {
    let services = json!({
        "worker": { "command": sh("echo I am {replica} or $CASQUE_REPLICA; exec sleep 1000"), "replicas": { "count": 3 } },
        "web": { "command": ["sleep", "1000"], "after": ["worker"] },
    });
    let container = start(&plan(&services));
    let snapshot = container.wait_ready();
    let names: Vec<_> = snapshot.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["web", "worker-1", "worker-2", "worker-3"]);
    let refused = container.ask(&Request::Restart { service: "worker".to_owned() });
    assert_eq!(
        refused,
        Reply::Error {
            message: "there is no service `worker`, there are `worker-1`, `worker-2`, `worker-3`".to_owned()
        }
    );
    let end = container.stop();
    assert!(end.output.contains("worker-2 | I am 2 or 2\n"), "{}", end.output);
}

#[test]
fn a_service_has_its_own_nice_value_score_and_directories() {
    let services = json!({
        "web": {
            "kind": "oneshot", "nice": 7, "oom_score_adjust": 300,
            "user": { "name": "web", "uid": 64_001, "gid": 64_002, "groups": [64_003], "home": "/srv/web" },
            "directories": [
                { "path": "DIR/run/own", "mode": 0o750 }, { "path": "DIR/run/other", "mode": 0o2770, "owner": [64_009, 64_008] },
            ],
            "command": sh("nice; cat /proc/self/oom_score_adj; id -G; echo $HOME; stat -c '%a %u %g' DIR/run/own DIR/run/other"),
        },
    });
    let container = start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    let lines: Vec<&str> = end.output.lines().filter_map(|line| line.strip_prefix("web | ")).collect();
    assert_eq!(lines, ["7", "300", "64002 64003", "/srv/web", "750 64001 64002", "2770 64009 64008"]);
}

#[test]
fn behaviour_19_it_runs_as_anybody_anywhere() {
    assert!(is_root(), "this test needs root");
    let services = json!({ "web": { "command": sh("echo up as $(id -u); exec sleep 1000"),
        "ready": { "exec": ["true"] }, "user": { "name": "web", "uid": 64_001, "gid": 64_001, "home": "/" } } });
    for uid in ["0", "1000", "1234567890"] {
        for mount in ["rw", "ro and a /run", "ro"] {
            for pid_1 in [true, false] {
                for no_new_privs in [true, false] {
                    let case = format!("uid {uid}, {mount}, PID 1: {pid_1}, no_new_privs: {no_new_privs}");
                    let container =
                        Container::start_surrounded(&plan(&services), uid, mount, pid_1, no_new_privs);
                    container.wait_for_line("web | up as ");
                    let end = container.stop();
                    let expected = if uid == "0" {
                        "web | up as 64001\n".to_owned()
                    } else {
                        format!("web | up as {uid}\n")
                    };
                    assert!(end.output.contains(&expected), "{case}: {}", end.output);
                    assert_eq!(end.code, Some(0), "{case}: {}", end.output);
                    let complains = end.output.contains("cannot open the control socket");
                    assert_eq!(complains, mount == "ro", "{case}: {}", end.output);
                }
            }
        }
    }
}
