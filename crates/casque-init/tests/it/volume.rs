//! A volume is one container's at a time.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::container::{Container, plan, sh};

fn start(lock: &Path) -> Container {
    let services = json!({ "db": { "command": sh("touch DIR/db.up; exec sleep 1000") } });
    Container::start_with(&plan(&services), |command| {
        command.arg("--lock").arg(lock);
    })
}

#[test]
fn a_second_container_on_a_volume_ends_before_any_service_and_names_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let lock = directory.path().join("lock");
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let first = start(&lock);
    first.wait_ready();
    assert_eq!(fs::read_to_string(&lock).unwrap(), name);
    let second = start(&lock).end();
    assert_eq!(second.code, Some(102), "{}", second.output);
    let line = format!(
        "casque | another container `{}` uses this volume; stop it first, or start this one with a volume of its own\n",
        name.trim()
    );
    assert_eq!(second.output, line);
    assert!(!second.path("db.up").exists());
    // Whoever is killed has no say, and leaves the volume all the same.
    drop(first);
    let third = start(&lock);
    third.wait_ready();
    assert_eq!(third.stop().code, Some(0));
}

#[test]
fn a_volume_that_cannot_be_locked_is_used_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let container = start(&directory.path().join("missing/lock"));
    container.wait_ready();
    let end = container.stop();
    let line = format!(
        "casque | cannot lock `{}`, so nothing keeps a second container from this volume: No such file or directory (os error 2)\n",
        directory.path().join("missing/lock").display()
    );
    assert!(end.output.contains(&line), "{}", end.output);
}
