//! `unpack`: what engines agree on that our own layers do not use.

use std::os::unix::fs::MetadataExt;

use casque_image::read::Archive;
use casque_image::unpack::unpack;
use fs_err as fs;

use crate::scratch::{EPOCH, Scratch, list, mode};

#[test]
fn an_opaque_directory_hides_lower_layers_but_not_its_own() {
    let scratch = Scratch::new();
    let lower = scratch.tree("lower", &[("etc/old", "1"), ("etc/sub/old", "2"), ("etc/sub/new", "old")]);
    let first = scratch.layer(&lower);
    let upper = scratch.tree("upper", &[("etc/a", "a"), ("etc/sub/new", "new")]);
    // The marker may come after entries of its own layer; only foreign builders write it.
    let mut second = scratch.layer(&upper);
    let mut bytes = fs::read(&second.path).unwrap();
    bytes.truncate(bytes.len() - 1024);
    let mut out = tar::Builder::new(bytes);
    let mut marker = tar::Header::new_ustar();
    marker.set_size(0);
    out.append_data(&mut marker, "etc/.wh..wh..opq", &b""[..]).unwrap();
    let bytes = out.into_inner().unwrap();
    second.diff_id = casque_format::digest::Digest::of(&bytes);
    second.size = bytes.len() as u64;
    second.path = scratch.path("second");
    fs::write(&second.path, bytes).unwrap();
    assert_eq!(scratch.unpacked(&[first, second]), list(&upper));
    let archive = Archive::open(&scratch.path("image.tar")).unwrap();
    let names: Vec<_> =
        archive.tree().unwrap().entries().keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, ["etc", "etc/a", "etc/sub", "etc/sub/new"]);
}

#[test]
fn directories_keep_their_times_and_closed_ones_are_filled() {
    if !rustix::process::getuid().is_root() {
        return; // Others cannot put anything into a closed directory, however it came about.
    }
    let scratch = Scratch::new();
    let root = scratch.tree("root", &[("closed/a", "1"), ("closed/deep/b", "2")]);
    mode(&root.join("closed"), 0o555);
    let archive = Archive::open(&scratch.archive(&[scratch.layer(&root)])).unwrap();
    let target = scratch.tree("unpacked", &[]);
    unpack(&archive, &target).unwrap();
    assert_eq!(list(&target), list(&root));
    for path in ["closed", "closed/a", "closed/deep"] {
        assert_eq!(fs::metadata(target.join(path)).unwrap().mtime(), EPOCH as i64, "{path}");
    }
    for root in [&root, &target] {
        mode(&root.join("closed"), 0o755);
    }
}

#[test]
fn hard_links_stay_one_file() {
    let scratch = Scratch::new();
    let root = scratch.tree("root", &[("a", "1"), ("d/", "")]);
    fs::hard_link(root.join("a"), root.join("d/b")).unwrap();
    let archive = Archive::open(&scratch.archive(&[scratch.layer(&root)])).unwrap();
    let target = scratch.tree("unpacked", &[]);
    unpack(&archive, &target).unwrap();
    let inode = |name: &str| fs::metadata(target.join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("d/b"));
    assert_eq!(archive.read_file("d/b".as_ref(), 1).unwrap().as_deref(), Some(&b"1"[..]));
}
