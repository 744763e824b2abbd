//! What is given to `restore`. Whatever it is, nothing is believed that was changed, and nothing is written elsewhere.

use std::os::unix::fs::symlink;

use casque_fuzz::fuzz;

use super::tests::{forged_by, header, read};
use super::*;
use crate::root::Root;

/// A backup of a volume with a directory, links and a file that has two names.
fn made() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path().to_owned());
    fs_err::create_dir_all(root.join("/data/db/deep")).unwrap();
    fs_err::write(root.join("/data/db/one"), "content").unwrap();
    fs_err::write(root.join("/data/empty"), "").unwrap();
    fs_err::hard_link(root.join("/data/db/one"), root.join("/data/again")).unwrap();
    symlink("../outside", root.join("/data/out")).unwrap();
    fs_err::write(root.join("/data").join("n".repeat(120)), "x").unwrap();
    write(&root, Contents { logs: false }, &header(), Vec::new(), || Ok(()), &mut |_| {}).unwrap().0
}

#[test]
fn no_backup_is_believed_but_the_one_that_was_made() {
    let good = made();
    assert_eq!(read(&good, None).unwrap(), header());
    fuzz("backup", &[&good], |data| {
        assert!(data == good || read(data, None).is_err());
    });
}

#[test]
fn whatever_is_in_a_backup_stays_in_the_place_for_it() {
    // The frames are passed over, since they are none of a compressed stream.
    let tar = zstd::stream::decode_all(&*made()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let (outside, new) = (place.path().join("outside"), place.path().join("new"));
    fs_err::create_dir(&outside).unwrap();
    let restore = |backup: &[u8]| {
        fs_err::create_dir(&new).unwrap();
        let mut stage = Stage::new(&new, Owners::Mine).unwrap();
        let backup = Backup::open(io::Cursor::new(backup)).unwrap();
        let outcome = backup.read(Some(&mut stage), &mut |_| {});
        drop(stage);
        assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 2);
        remove(&new);
        outcome
    };
    assert!(restore(&forged_by(&tar)).is_ok());
    fuzz("content of a backup", &[&tar], |tar| {
        let mut backup = forged_by(&with_checksums(tar));
        // What is missing here is noticed last, and nobody waits for the disk.
        backup.pop();
        assert!(restore(&backup).is_err());
    });
}

/// Makes the headers of a tar right again, so that changes reach what reads them.
fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
    tar
}

/// Removes a directory, whatever modes are in it.
fn remove(directory: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs_err::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            remove(&path);
        } else {
            fs_err::remove_file(&path).unwrap();
        }
    }
    fs_err::remove_dir(directory).unwrap();
}
