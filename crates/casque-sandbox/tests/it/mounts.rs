//! Overlays, and that they vanish.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use casque_sandbox::{Error, Overlay, Upper, memory, overlay, private_mounts};

/// Runs in a thread, which gets mounts of its own and takes them with it.
fn with_private_mounts(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        private_mounts().unwrap();
        work();
    })
    .join()
    .unwrap();
}

#[test]
fn changes_go_to_the_upper_directory() {
    with_private_mounts(|| {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        for name in ["below", "changes", "work", "at"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("below").join("file"), "old").unwrap();
        let mounted = overlay(Overlay {
            lower: &[path("below")],
            upper: Some(Upper { changes: &path("changes"), work: &path("work") }),
            at: &path("at"),
        })
        .unwrap();
        assert_eq!(std::fs::read_to_string(mounted.path().join("file")).unwrap(), "old");
        std::fs::write(path("at").join("file"), "new").unwrap();
        mounted.unmount().unwrap();
        assert_eq!(std::fs::read_to_string(path("below").join("file")).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(path("changes").join("file")).unwrap(), "new");
        assert!(!path("at").join("file").exists());
    });
}

#[test]
fn two_hundred_directories_with_long_and_odd_names_lie_over_each_other() {
    with_private_mounts(|| {
        let base = tempfile::tempdir().unwrap();
        let lower: Vec<PathBuf> = (0..200)
            .map(|number| {
                let name = format!("{}:,{number}", "long".repeat(50));
                let directory = base.path().join(name);
                std::fs::create_dir(&directory).unwrap();
                std::fs::write(directory.join("top"), number.to_string()).unwrap();
                std::fs::write(directory.join(number.to_string()), "").unwrap();
                directory
            })
            .collect();
        let at = base.path().join("at");
        std::fs::create_dir(&at).unwrap();
        let mounted = overlay(Overlay { lower: &lower, upper: None, at: &at }).unwrap();
        assert_eq!(std::fs::read_dir(mounted.path()).unwrap().count(), 201);
        assert_eq!(std::fs::read_to_string(at.join("top")).unwrap(), "0");
        assert!(std::fs::write(at.join("new"), "").is_err());
    });
}

#[test]
fn one_directory_without_changes_is_read_only_too() {
    with_private_mounts(|| {
        let base = tempfile::tempdir().unwrap();
        let below = base.path().join("below");
        let at = base.path().join("at");
        std::fs::create_dir(&below).unwrap();
        std::fs::create_dir(&at).unwrap();
        std::fs::write(below.join("file"), "old").unwrap();
        let mounted = overlay(Overlay { lower: &[below], upper: None, at: &at }).unwrap();
        assert_eq!(std::fs::read_to_string(at.join("file")).unwrap(), "old");
        assert!(std::fs::write(at.join("file"), "new").is_err());
        drop(mounted);
        assert!(!at.join("file").exists());
    });
}

#[test]
fn a_missing_directory_is_named() {
    with_private_mounts(|| {
        let base = tempfile::tempdir().unwrap();
        let missing = base.path().join("missing");
        let lower = [missing.clone(), base.path().to_path_buf()];
        let error = overlay(Overlay { lower: &lower, upper: None, at: base.path() }).unwrap_err();
        assert!(matches!(&error, Error::Step { .. }));
        assert_eq!(error.to_string(), format!("cannot open directory `{}`", missing.display()));
    });
}

#[test]
fn mounts_are_seen_by_nobody_else() {
    let base = tempfile::tempdir().unwrap();
    let at = base.path().join("at");
    std::fs::create_dir(&at).unwrap();
    let inside = at.clone();
    with_private_mounts(move || {
        let usr = PathBuf::from("/usr");
        let _mounted = overlay(Overlay { lower: &[usr], upper: None, at: &inside }).unwrap();
        assert!(inside.join("bin").exists());
        let mounts = |process| std::fs::read_to_string(format!("/proc/{process}/mounts")).unwrap();
        let inside = inside.to_str().unwrap();
        assert!(mounts("thread-self").contains(inside));
        assert!(!mounts("self").contains(inside));
    });
    assert!(!at.join("bin").exists());
}

#[test]
fn what_is_in_memory_is_on_no_disk_and_gone_afterwards() {
    with_private_mounts(|| {
        let base = tempfile::tempdir().unwrap();
        let mounted = memory(base.path()).unwrap();
        std::fs::write(base.path().join("file"), "secret").unwrap();
        assert_eq!(mounted.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
        assert!(mounts.contains(&format!("tmpfs {} tmpfs ", base.path().display())), "{mounts}");
        drop(mounted);
        assert!(!base.path().join("file").exists());
    });
}
