//! Post-stop commands.

use casque_format::control::ServiceState;
use serde_json::json;

use crate::behaviours::{note, notes, ready_file};
use crate::container::{Container, is_root, kill, plan, runs, sh};

#[test]
fn behaviour_26_a_post_stop_command_runs_after_each_end_and_before_the_next_start() {
    assert!(is_root(), "this test needs root");
    let main = "echo start >> DIR/events; test -e DIR/web.up && exec sleep 1000; \
                sleep 1000 & echo $! > DIR/left; touch DIR/web.up; exit 3";
    let after = "test -e /proc/$(cat DIR/left)/exe && echo left >> DIR/events; \
                 echo \"$CASQUE_EXIT_REASON $CASQUE_EXIT_CODE/$CASQUE_EXIT_SIGNAL as $(id -u) $OWN\" >> DIR/events; \
                 sleep 0.2; echo swept >> DIR/events; exit 4";
    let services = json!({
        "web": {
            "command": sh(main), "post_stop": sh(after), "environment": { "OWN": "own" },
            "ready": { "exec": ["sh", "-c", "test $(grep -c start DIR/events) -gt 1 && tail -n 1 DIR/events | grep start"] },
            "user": { "name": "web", "uid": 64_001, "gid": 64_001, "home": "/" },
        },
    });
    let container = Container::start(&plan(&services));
    let web = container.wait_for("web", |web| web.state == ServiceState::Ready);
    assert_eq!((web.restarts, web.last_exit.as_deref()), (1, Some("exited with 3")));
    kill("KILL", web.pid.unwrap());
    container.wait_for("web", |web| web.restarts == 2 && web.state == ServiceState::Ready);
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(
        end.read("events").lines().collect::<Vec<_>>(),
        [
            "start",
            "exited 3/ as 64001 own",
            "swept",
            "start",
            "killed /KILL as 64001 own",
            "swept",
            "start",
            "stopped /TERM as 64001 own",
            "swept",
        ]
    );
    let failed = "casque | `web` has a post-stop command that exited with 4\n";
    assert_eq!(end.output.matches(failed).count(), 3, "{}", end.output);
}

#[test]
fn behaviour_26_what_a_post_stop_command_needs_is_there_until_it_has_ended() {
    let db = format!("trap '{}; exit 0' TERM; touch DIR/db.up; sleep 1000 & wait", note("db told"));
    let after = format!("{}; sleep 0.3; {}", note("web gone"), note("swept"));
    let services = json!({
        "db": { "command": sh(&db), "ready": ready_file("db") },
        "web": { "command": ["sleep", "1000"], "post_stop": sh(&after), "after": ["db"] },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    assert_eq!(notes(&end), ["web gone", "swept", "db told"]);
}

#[test]
fn behaviour_26_a_post_stop_command_that_hangs_or_is_not_there_keeps_nobody() {
    let hangs = "sleep 1000 & echo $! >> DIR/children; \
                 setsid sh -c 'echo $$ >> DIR/children; exec sleep 1000' & sleep 1000";
    let services = json!({
        "none": { "command": sh("test -e DIR/none && exec sleep 1000; touch DIR/none; exit 1"), "post_stop": ["/missing/sweep"] },
        "web": {
            "command": sh("test -e DIR/web && exec sleep 1000; touch DIR/web; exit 1"), "post_stop": sh(hangs),
            "stop": { "signal": "TERM", "timeout_ms": 1_500 },
        },
    });
    let container = Container::start(&plan(&services));
    container.wait(|snapshot| {
        snapshot.services.iter().all(|one| one.restarts == 1 && one.state == ServiceState::Ready)
    });
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    let killed = "`web` has a post-stop command that has not ended within ";
    assert_eq!(end.output.matches(killed).count(), 2, "{}", end.output);
    let missing =
        "`none` has a post-stop command that could not start: cannot execute `/missing/sweep`: No such file";
    assert_eq!(end.output.matches(missing).count(), 2, "{}", end.output);
    let children: Vec<u32> = end.read("children").lines().map(|line| line.parse().unwrap()).collect();
    assert!(children.len() == 4 && !children.iter().any(|&child| runs(child)), "{children:?}");
}
