//! What a store keeps, and what it does not.

use std::path::Path;
use std::process::Command;

use casque_fetch::{FetchError, Store};
use casque_format::digest::Digest;

fn files(directory: &Path) -> usize {
    fs_err::read_dir(directory.join("tmp")).unwrap().count()
}

#[test]
fn what_is_put_in_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let digest = store.insert_bytes(b"thing").unwrap();
    assert_eq!(digest, Digest::of(b"thing"));
    assert_eq!(store.insert_bytes(b"thing").unwrap(), digest);
    assert!(store.contains(&digest) && !store.contains(&Digest::of(b"other")));
    assert_eq!(Store::open(directory.path()).unwrap().read(&digest).unwrap(), b"thing");
    assert_eq!(fs_err::read(store.path(&digest)).unwrap(), b"thing");
    assert_eq!(files(directory.path()), 0);
}

#[test]
fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let abandoned = directory.path().join("tmp/abandoned");
    let busy = directory.path().join("tmp/busy");
    fs_err::write(&abandoned, "half").unwrap();
    fs_err::write(&busy, "half").unwrap();
    let lock = fs_err::File::open(&busy).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    Store::open(directory.path()).unwrap();
    assert!(!abandoned.exists() && busy.exists());
    drop(lock);
    Store::open(directory.path()).unwrap();
    assert_eq!(files(directory.path()), 0);
    drop(store);
}

#[test]
fn many_writers_of_one_file_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(directory.path()).unwrap();
                for n in 0..20_u8 {
                    let content = vec![n; 5000];
                    let digest = store.insert_bytes(&content).unwrap();
                    assert_eq!(store.read(&digest).unwrap(), content);
                }
            });
        }
    });
    assert_eq!(files(directory.path()), 0);
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(directory.path())
        .output();
    assert!(
        mounted.is_ok_and(|output| output.status.success()),
        "this test needs root, for a small file system"
    );
    let store = Store::open(directory.path()).unwrap();
    let content = vec![1; 1 << 20];
    let refused = store.insert_bytes(&content).unwrap_err();
    let left = files(directory.path());
    assert!(Command::new("umount").arg(directory.path()).status().unwrap().success());
    let FetchError::Disk(cause) = refused else { panic!("{refused}") };
    assert_eq!(cause.kind(), std::io::ErrorKind::StorageFull);
    assert!(cause.to_string().starts_with("cannot write `"), "{cause}");
    assert_eq!(left, 0);
}

#[test]
fn another_store_is_read_and_what_it_has_is_checked() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, other) = (Store::open(here.path()).unwrap(), Store::open(there.path()).unwrap());
    let good = other.insert_bytes(b"good").unwrap();
    let missing = Digest::of(b"missing");
    store.import(there.path(), &[good, missing]).unwrap();
    assert_eq!(store.read(&good).unwrap(), b"good");
    assert!(!store.contains(&missing));

    let bad = other.insert_bytes(b"whole").unwrap();
    fs_err::write(other.path(&bad), b"rotten").unwrap();
    let refused = store.import(there.path(), &[bad]).unwrap_err();
    assert!(matches!(refused, FetchError::HashMismatch { .. }), "{refused}");
    assert!(!store.contains(&bad));

    let refused = store.import(&there.path().join("tmp"), &[good]).unwrap_err();
    assert_eq!(refused.to_string(), format!("`{}/tmp` is not a store of downloads", there.path().display()));
}
