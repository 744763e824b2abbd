//! `diff`: what changed between two trees as a layer.

use std::collections::BTreeMap;
use std::path::Path;

use casque_image::diff::overlay_candidates;
use casque_image::layer::Diff;
use fs_err as fs;
use proptest::prelude::*;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::scratch::{Scratch, list, list_layer, mode};

/// Returns the names in a layer with a `-` before those it removes.
fn names(listing: &str) -> Vec<String> {
    let name = |line: &str| match line.strip_prefix("removed ") {
        Some(path) => format!("-{path}"),
        None => line.split(" -> ").next().unwrap().rsplit(' ').next().unwrap().to_owned(),
    };
    listing.lines().map(name).collect()
}

#[test]
fn only_what_differs_is_in_the_layer_and_removals_are_whiteouts() {
    let scratch = Scratch::new();
    let same = [("etc/same", "1"), ("usr/bin/x", "x"), ("usr/lib/y", "y")];
    let lower = scratch.tree("lower", &[&same[..], &[("etc/gone", "2"), ("etc/changed", "aa")]].concat());
    let upper = scratch.tree("upper", &[&same[..], &[("etc/changed", "bb"), ("etc/new/deep", "")]].concat());
    mode(&upper.join("usr/lib/y"), 0o600);
    let layer = scratch.diff(&lower, &upper).unwrap();
    let expected =
        ["etc", "etc/changed", "-etc/gone", "etc/new", "etc/new/deep", "usr", "usr/lib", "usr/lib/y"];
    assert_eq!(names(&list_layer(&layer)), expected);
    assert_eq!(scratch.unpacked(&[scratch.layer(&lower), layer]), list(&upper));
}

#[test]
fn a_time_alone_is_no_difference() {
    let scratch = Scratch::new();
    let lower = scratch.tree("lower", &[("a/b", "1"), ("a/c", "-> b")]);
    let upper = scratch.tree("upper", &[("a/b", "1"), ("a/c", "-> b")]);
    let time = std::time::SystemTime::UNIX_EPOCH;
    fs::File::open(upper.join("a/b")).unwrap().file().set_modified(time).unwrap();
    assert_eq!(scratch.diff(&lower, &upper), None);
}

#[test]
fn a_directory_that_became_a_link_or_a_file_needs_no_whiteouts_inside() {
    let scratch = Scratch::new();
    let lower = scratch.tree("lower", &[("lib/x", "1"), ("opt/y", "2"), ("srv", "3")]);
    let upper =
        scratch.tree("upper", &[("lib", "-> usr/lib"), ("usr/lib/x", "1"), ("opt", "o"), ("srv/z", "")]);
    let layer = scratch.diff(&lower, &upper).unwrap();
    assert_eq!(names(&list_layer(&layer)), ["lib", "opt", "srv", "srv/z", "usr", "usr/lib", "usr/lib/x"]);
    assert_eq!(scratch.unpacked(&[scratch.layer(&lower), layer]), list(&upper));
}

#[test]
fn an_overlay_gives_the_same_layer_as_comparing_everything() {
    compare_overlay("");
}

#[test]
fn so_does_an_overlay_as_mounted_in_a_user_namespace() {
    compare_overlay(",userxattr");
}

fn compare_overlay(option: &str) {
    let scratch = Scratch::new();
    let lower = scratch.tree(
        "lower",
        &[("etc/keep", "k"), ("etc/gone", "g"), ("var/a/1", "1"), ("var/a/2", "2"), ("opt/touched", "t")],
    );
    let (upper, view) = (scratch.tree("upper", &[]), scratch.tree("view", &[]));
    if option.is_empty() && xattr::set(&upper, "trusted.probe", b"").is_err() {
        return; // Only real root has these attributes, in which such an overlay keeps its notes.
    }
    let work = scratch.tree("work", &[]);
    let directories = [&lower, &upper, &work].map(|path| path.display().to_string());
    let [lowerdir, upperdir, workdir] = directories;
    let options = format!("lowerdir={lowerdir},upperdir={upperdir},workdir={workdir}{option}\0");
    let options = std::ffi::CString::from_vec_with_nul(options.into_bytes()).unwrap();
    if mount("overlay", &view, "overlay", MountFlags::empty(), Some(options.as_c_str())).is_err() {
        return; // Not everybody may, and not on top of every filesystem.
    }
    let _mounted = Mounted(&view);
    fs::remove_file(view.join("etc/gone")).unwrap();
    fs::remove_dir_all(view.join("var/a")).unwrap();
    fs::create_dir(view.join("var/a")).unwrap();
    fs::write(view.join("var/a/2"), "2").unwrap();
    fs::write(view.join("opt/touched"), "t").unwrap();
    let candidates = overlay_candidates(&lower, &view, &[&upper]).unwrap();
    assert!(!candidates.contains(Path::new("etc/keep")));
    let diff = Diff { lower: &lower, upper: &view, candidates };
    let layer = scratch.store.write_diff(&diff, &scratch.options).unwrap().unwrap();
    assert_eq!(names(&list_layer(&layer)), ["etc", "-etc/gone", "var", "var/a", "-var/a/1"]);
    assert_eq!(scratch.diff(&lower, &view), Some(layer));
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

#[derive(Debug, Clone)]
enum Entry {
    File(String, u32),
    Link(String),
    Directory(BTreeMap<String, Entry>),
}

fn entry() -> impl Strategy<Value = Entry> {
    let leaf = prop_oneof![
        ("[ab]{0,3}", prop_oneof![Just(0o644), Just(0o755), Just(0o4711)])
            .prop_map(|(content, mode)| Entry::File(content, mode)),
        "[a-c]".prop_map(Entry::Link),
        Just(Entry::Directory(BTreeMap::new())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::btree_map("[a-d.]?[a-d]", inner, 0..5).prop_map(Entry::Directory)
    })
}

fn tree() -> impl Strategy<Value = Entry> {
    prop::collection::btree_map("[a-c]", entry(), 0..4).prop_map(Entry::Directory)
}

fn make(path: &Path, entry: &Entry) {
    match entry {
        Entry::File(content, bits) => {
            fs::write(path, content).unwrap();
            mode(path, *bits);
        }
        Entry::Link(target) => fs::os::unix::fs::symlink(target, path).unwrap(),
        Entry::Directory(entries) => {
            fs::create_dir(path).unwrap();
            for (name, entry) in entries {
                make(&path.join(name), entry);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_difference_on_top_of_the_old_tree_is_the_new_tree(before in tree(), after in tree()) {
        let scratch = Scratch::new();
        let (lower, upper) = (scratch.path("lower"), scratch.path("upper"));
        make(&lower, &before);
        make(&upper, &after);
        let mut layers = vec![scratch.layer(&lower)];
        prop_assert_eq!(scratch.unpacked(&layers), list(&lower));
        let difference = scratch.diff(&lower, &upper);
        prop_assert_eq!(difference.is_none(), list(&lower) == list(&upper));
        layers.extend(difference);
        prop_assert_eq!(scratch.unpacked(&layers), list(&upper));
    }
}
