//! `layer`: a tree as a layer.

use casque_image::layer::LayerError;
use casque_image::listing;
use fs_err as fs;
use rustix::fs::FileType;
use tempfile::TempDir;

use crate::scratch::{EPOCH, Scratch, list, list_layer, mode, paths};

fn owner() -> String {
    format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
}

#[test]
fn a_layer_holds_the_tree_sorted_with_owners_and_modes() {
    let scratch = Scratch::new();
    let root = scratch
        .tree("root", &[("bin/tool", "run"), ("etc/", ""), ("etc/motd", "hello"), ("bin/sh", "-> tool")]);
    mode(&root.join("bin/tool"), 0o4755);
    fs::hard_link(root.join("bin/tool"), root.join("bin/same")).unwrap();
    let owner = owner();
    let listing = list_layer(&scratch.layer(&root));
    let expected = format!(
        "dir 0755 {owner} bin\n\
         file 4755 {owner} 3 acba25512100f80b bin/same\n\
         symlink {owner} bin/sh -> tool\n\
         link bin/tool -> bin/same\n\
         dir 0755 {owner} etc\n\
         file 0644 {owner} 5 2cf24dba5fb0a30e etc/motd\n"
    );
    assert_eq!(listing, expected);
}

#[test]
fn the_bytes_depend_neither_on_times_nor_on_the_order_of_creation() {
    let scratch = Scratch::new();
    let one = scratch.tree("one", &[("a", "1"), ("b/c", "2"), ("b.d", "3")]);
    let other = scratch.tree("other", &[("b.d", "3"), ("b/c", "2"), ("a", "1")]);
    let (one, other) = (scratch.layer(&one), scratch.layer(&other));
    assert_eq!(one, other);
    assert_eq!(scratch.store.get(&one.diff_id).unwrap(), Some(one.clone()));
    let bytes = fs::read(&one.path).unwrap();
    assert_eq!(casque_format::digest::Digest::of(&bytes), one.diff_id);
    assert_eq!(bytes.len() as u64, one.size);
    let mut archive = tar::Archive::new(&bytes[..]);
    for entry in archive.entries().unwrap() {
        assert_eq!(entry.unwrap().header().mtime().unwrap(), EPOCH);
    }
}

#[test]
fn the_store_keeps_nothing_but_complete_layers() {
    let scratch = Scratch::new();
    let root = scratch.tree("root", &[("ok", ""), (".wh.no", "")]);
    let error = scratch.store.write_tree(&root, &scratch.options).unwrap_err();
    assert!(matches!(error, LayerError::ReservedName { .. }));
    assert_eq!(
        error.to_string(),
        "cannot put `.wh.no` into a layer: names that begin with `.wh.` mean deletions there"
    );
    assert_eq!(fs::read_dir(scratch.path("layers/sha256")).unwrap().count(), 0);
}

#[test]
fn what_the_options_leave_out_is_left_out() {
    let mut scratch = Scratch::new();
    let root = scratch.tree("root", &[("dev/null", ""), ("tmp/x/y", ""), ("tmp-not/z", "")]);
    scratch.options.omit = paths(&["dev"]);
    scratch.options.empty = paths(&["tmp"]);
    let owner = owner();
    assert_eq!(
        list_layer(&scratch.layer(&root)),
        format!(
            "dir 0755 {owner} tmp\ndir 0755 {owner} tmp-not\n\
             file 0644 {owner} 0 e3b0c44298fc1c14 tmp-not/z\n"
        )
    );
}

#[test]
fn chosen_paths_come_with_the_directories_they_are_in() {
    let scratch = Scratch::new();
    let root = scratch.tree("root", &[("usr/lib/a", ""), ("usr/lib/b", ""), ("etc/c", "")]);
    let chosen = paths(&["usr/lib/a", "usr/lib/not-there"]);
    let layer = scratch.store.write_paths(&root, &chosen, &scratch.options).unwrap();
    let listing = list_layer(&layer);
    let names: Vec<&str> = listing.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["usr", "usr/lib", "usr/lib/a"]);
}

#[test]
fn special_files_attributes_and_foreign_owners_survive() {
    // Owners, devices and capabilities need root, and not of a user namespace; pipes need nobody.
    let scratch = Scratch::new();
    let root = scratch.tree("root", &[("ping", "x"), ("plain", "y")]);
    let make = |name, kind, number| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, root.join(name), kind, mode, number)
    };
    make("pipe", FileType::Fifo, 0).unwrap();
    let as_root = make("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)).is_ok();
    let supported = xattr::set(root.join("plain"), "user.origin", b"a\nb").is_ok();
    if as_root {
        fs::os::unix::fs::lchown(root.join("plain"), Some(3_000_000), Some(999)).unwrap();
        let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        xattr::set(root.join("ping"), "security.capability", &capability).unwrap();
    }
    let before = list(&root);
    assert_eq!(before.contains(" security.capability="), as_root);
    assert_eq!(before.contains(" user.origin="), supported);
    assert!(!as_root || before.contains("3000000:999"));
    assert_eq!(scratch.unpacked(&[scratch.layer(&root)]), before);
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let Some(small) = small_filesystem() else { return };
    let scratch = Scratch::new();
    let root = scratch.tree("root", &[]);
    fs::write(root.join("large"), vec![7; 2 << 20]).unwrap();
    let store = casque_image::layer::LayerStore::open(small.path()).unwrap();
    let error = store.write_tree(&root, &scratch.options).unwrap_err();
    let left = fs::read_dir(small.path().join("sha256")).unwrap().count();
    let expected = format!("cannot write a layer into `{}`", small.path().join("sha256").display());
    assert_eq!(error.to_string(), expected);
    let LayerError::Write { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(left, 0);
}

/// A mounted filesystem of one megabyte; `None` for those who may not mount.
fn small_filesystem() -> Option<Mounted> {
    let directory = TempDir::new().unwrap();
    let options = Some(c"size=1m");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", directory.path(), "tmpfs", flags, options).ok()?;
    Some(Mounted(directory))
}

struct Mounted(TempDir);

impl Mounted {
    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_listing_of_a_layer_equals_that_of_its_tree() {
    let scratch = Scratch::new();
    let root = scratch.tree("root", &[("a/b", "x"), ("a/c", "-> b"), ("d/", "")]);
    let layer = scratch.layer(&root);
    assert_eq!(list_layer(&layer), listing::of_tree(&root, &scratch.options).unwrap());
}
