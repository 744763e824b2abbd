//! What a service's process finds: its descriptors, signals, user, environment and limits.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::container::{Container, is_root, plan};

/// Runs one command to its end and returns its lines.
fn lines_of(change: &Value) -> Vec<String> {
    let mut service = json!({ "kind": "oneshot" });
    for (key, value) in change.as_object().unwrap() {
        service[key] = value.clone();
    }
    let container = Container::start(&plan(&json!({ "web": service })));
    container.wait_ready();
    let end = container.stop();
    assert_eq!(end.code, Some(0), "{}", end.output);
    end.output.lines().filter_map(|line| line.strip_prefix("web | ")).map(str::to_owned).collect()
}

#[test]
fn a_service_has_three_descriptors_and_no_others() {
    let container = Container::start(&plan(&json!({ "web": { "command": ["sleep", "1000"] } })));
    let pid = container.wait_ready().services[0].pid.unwrap();
    container.until_executed(pid, "sleep");
    let mut descriptors: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    descriptors.sort();
    assert_eq!(descriptors, ["0", "1", "2"]);
    let input = std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap();
    assert_eq!(input, std::path::Path::new("/dev/null"));
    container.stop();
}

#[test]
fn a_service_starts_with_every_signal_as_it_should_be() {
    let lines = lines_of(&json!({ "command": ["cat", "/proc/self/status"] }));
    let wanted = ["SigBlk:", "SigIgn:", "SigCgt:", "NoNewPrivs:"];
    let mut found: Vec<&str> = lines
        .iter()
        .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
        .map(String::as_str)
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "NoNewPrivs:\t1",
            "SigBlk:\t0000000000000000",
            "SigCgt:\t0000000000000000",
            "SigIgn:\t0000000000000000",
        ]
    );
}

#[test]
fn a_service_leads_a_session_of_its_own() {
    let lines = lines_of(&json!({ "command": ["sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat"] }));
    let ids: Vec<&str> = lines[0].split(' ').collect();
    assert_eq!((ids[0], ids[0]), (ids[1], ids[2]));
}

#[test]
fn the_environment_is_what_the_plan_says_and_no_secret_of_ours() {
    let service = json!({
        "command": ["env"], "environment": { "A": "1 2", "PATH": "/usr/bin:/bin", "HOME": "/srv", "USER": "web", "LOGNAME": "web" },
    });
    let mut lines = lines_of(&service);
    lines.sort();
    assert_eq!(lines, ["A=1 2", "HOME=/srv", "LOGNAME=web", "PATH=/usr/bin:/bin", "USER=web"]);
}

#[test]
fn directory_and_mask_are_what_the_plan_says() {
    let service =
        json!({ "command": ["sh", "-c", "pwd; umask"], "working_directory": "/usr", "umask": 0o077 });
    assert_eq!(lines_of(&service), ["/usr", "0077"]);
    assert_eq!(lines_of(&json!({ "command": ["sh", "-c", "pwd; umask"] })), ["/", "0022"]);
}

#[test]
fn the_limit_on_open_files_is_neither_tiny_nor_absurd() {
    let lines = lines_of(&json!({ "command": ["sh", "-c", "ulimit -Sn; ulimit -Hn"] }));
    let limits: Vec<u64> = lines.iter().map(|line| line.parse().unwrap()).collect();
    assert!(limits[0] <= 65_536 && limits[1] <= 1 << 20, "{limits:?}");
    assert_eq!(limits[0], limits[1].min(65_536));
}

#[test]
fn the_limits_of_resources_are_the_plan_s_and_never_above_the_container_s() {
    let limits = json!({ "nofile": 300, "core": 0, "nproc": u64::MAX });
    let service = json!({ "command": ["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -Hc"], "limits": limits });
    assert_eq!(lines_of(&service), ["300", "300", "0"]);
}

#[test]
fn a_service_becomes_its_user_for_good() {
    assert!(is_root(), "this test needs root");
    let service = json!({
        "command": ["sh", "-c", "id -u; id -g; id -G; echo $USER $HOME; grep -E '^(Uid|Gid|Cap(Prm|Eff))' /proc/self/status; echo open > /dev/stdout"],
        "user": { "name": "web", "uid": 64_001, "gid": 64_002, "groups": [64_003], "home": "/srv/web" },
    });
    assert_eq!(
        lines_of(&service),
        [
            "64001",
            "64002",
            "64002 64003",
            "web /srv/web",
            "Uid:\t64001\t64001\t64001\t64001",
            "Gid:\t64002\t64002\t64002\t64002",
            "CapPrm:\t0000000000000000",
            "CapEff:\t0000000000000000",
            "open",
        ]
    );
}

#[test]
fn directories_are_made_and_what_a_predecessor_left_is_removed() {
    let services = json!({
        "web": {
            "command": ["sleep", "1000"], "directories": [{ "path": "DIR/run/web/cache", "mode": 0o755 }], "remove": ["DIR/missing", "DIR/plan.json"],
            "user": { "name": "web", "uid": 64_001, "gid": 64_002, "home": "/" },
        },
    });
    let container = Container::start(&plan(&services));
    container.wait_ready();
    let made = std::fs::metadata(container.path("run/web/cache")).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o755);
    if is_root() {
        assert_eq!((made.uid(), made.gid()), (64_001, 64_002));
        assert_eq!(std::fs::metadata(container.path("run/web")).unwrap().uid(), 0);
    }
    assert!(!container.path("plan.json").exists());
    assert_eq!(container.stop().code, Some(0));
}

#[test]
fn a_directory_is_never_given_away_through_a_link() {
    assert!(is_root(), "this test needs root");
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    let link = directory.path().join("link");
    std::fs::create_dir(&victim).unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    let services = json!({
        "web": { "command": ["true"], "directories": [{ "path": link, "mode": 0o755 }], "user": { "name": "web", "uid": 64_001, "gid": 64_002, "home": "/" } },
    });
    let end = Container::start(&plan(&services)).end();
    assert_eq!(end.code, Some(126), "{}", end.output);
    assert_eq!(std::fs::metadata(&victim).unwrap().uid(), 0);
}
