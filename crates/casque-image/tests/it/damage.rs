//! Archives that are broken, foreign or hostile.

use std::error::Error;
use std::path::Path;

use casque_image::archive::ArchiveError;
use casque_image::read::{Archive, ReadError};
use casque_image::unpack::{UnpackError, unpack};
use fs_err as fs;
use proptest::prelude::*;

use crate::scratch::{Scratch, image, list};

fn message(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).rposition(|window| window == text).unwrap()
}

#[test]
fn a_changed_layer_is_named_when_verified_and_when_unpacked() {
    let scratch = Scratch::new();
    let layer = scratch.layer(&scratch.tree("root", &[("a", "the true content")]));
    let path = scratch.archive(std::slice::from_ref(&layer));
    let mut bytes = fs::read(&path).unwrap();
    let place = find(&bytes, b"the true content");
    bytes[place + 4..place + 8].copy_from_slice(b"evil");
    fs::write(&path, bytes).unwrap();
    let archive = Archive::open(&path).unwrap();
    let expected = format!(
        "`blobs/sha256/{}` in archive `{}` is damaged: its content has not the digest that was recorded",
        layer.diff_id,
        path.display()
    );
    assert_eq!(message(&archive.verify().unwrap_err()), expected);
    let error = unpack(&archive, &scratch.tree("unpacked", &[])).unwrap_err();
    assert_eq!(message(&error), expected);
}

#[test]
fn a_changed_configuration_is_refused_at_once() {
    let scratch = Scratch::new();
    let path = scratch.archive(&[scratch.layer(&scratch.tree("root", &[("a", "")]))]);
    let mut bytes = fs::read(&path).unwrap();
    let place = find(&bytes, b"/bin/tool");
    bytes[place..place + 9].copy_from_slice(b"/bin/evil");
    fs::write(&path, bytes).unwrap();
    assert!(matches!(Archive::open(&path).unwrap_err(), ReadError::Damaged { .. }));
}

#[test]
fn a_cut_archive_is_refused_wherever_it_ends() {
    let scratch = Scratch::new();
    let layer = scratch.layer(&scratch.tree("root", &[("a", &"x".repeat(2000))]));
    let path = scratch.archive(std::slice::from_ref(&layer));
    let bytes = fs::read(&path).unwrap();
    let cut = scratch.path("cut.tar");
    for length in (0..bytes.len() - 1024).step_by(256) {
        fs::write(&cut, &bytes[..length]).unwrap();
        assert!(Archive::open(&cut).is_err(), "{length} of {} bytes", bytes.len());
    }
    fs::write(&cut, &bytes[..bytes.len() - 1500]).unwrap();
    assert_eq!(
        message(&Archive::open(&cut).unwrap_err()),
        format!("archive `{}` is cut off inside `blobs/sha256/{}`", cut.display(), layer.diff_id)
    );
}

#[test]
fn what_is_no_image_says_so() {
    let scratch = Scratch::new();
    let text = scratch.path("text");
    fs::write(&text, "hello".repeat(500)).unwrap();
    let error = Archive::open(&text).unwrap_err();
    assert_eq!(error.to_string(), format!("`{}` is no image archive, or only a part of one", text.display()));
    let directory = scratch.tree("directory", &[]);
    let error = Archive::open(&directory).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` is no image archive: it has neither `manifest.json` nor `index.json`",
            directory.display()
        )
    );
    let error = Archive::open(Path::new("/no/such/file")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to open file `/no/such/file`: No such file or directory (os error 2)"
    );
}

#[test]
fn several_images_in_one_archive_are_named() {
    let scratch = Scratch::new();
    let manifest = r#"[{"Config":"a.json","RepoTags":["a:1"],"Layers":[]},{"Config":"b.json","RepoTags":null,"Layers":[]}]"#;
    let directory = scratch.tree("directory", &[("manifest.json", manifest)]);
    assert_eq!(
        Archive::open(&directory).unwrap_err().to_string(),
        format!(
            "archive `{}` holds 2 images (a:1, b.json), and only archives of one image can be used",
            directory.display()
        )
    );
}

#[test]
fn a_layer_changed_in_the_store_is_not_shipped() {
    let scratch = Scratch::new();
    let layer = scratch.layer(&scratch.tree("root", &[("a", "")]));
    let mut bytes = fs::read(&layer.path).unwrap();
    bytes[0] = b'b';
    fs::write(&layer.path, bytes).unwrap();
    let path = scratch.path("image.tar");
    let error = scratch.write(&image(std::slice::from_ref(&layer)), &path).unwrap_err();
    assert!(matches!(error, ArchiveError::DamagedLayer { .. }));
    assert_eq!(
        error.to_string(),
        format!("layer `{}` is damaged: its content is not what its name says", layer.path.display())
    );
    assert!(!path.exists());
    let rest = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(rest, 3, "the layers, the memory and the tree, no temporary file");
}

#[test]
fn an_archive_that_cannot_be_written_is_named() {
    let scratch = Scratch::new();
    let path = scratch.path("missing/image.tar");
    let error = scratch.write(&image(&[]), &path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write archive `{}`", path.display()));
}

/// Makes an image whose one layer has these entries: name, type and link target or content.
fn hostile(scratch: &Scratch, entries: &[(&str, tar::EntryType, &str)]) -> Archive {
    let mut out = tar::Builder::new(Vec::new());
    for (name, kind, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(rustix::process::getuid().as_raw().into());
        header.set_gid(rustix::process::getgid().as_raw().into());
        header.set_mtime(0);
        let content = if kind.is_file() { text.as_bytes() } else { b"" };
        if !kind.is_file() {
            header.set_link_name_literal(text).unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        out.append(&header, content).unwrap();
    }
    let bytes = out.into_inner().unwrap();
    let mut layer = scratch.layer(&scratch.tree("empty", &[]));
    layer.diff_id = casque_format::digest::Digest::of(&bytes);
    layer.size = bytes.len() as u64;
    layer.path = scratch.path("hostile-layer");
    fs::write(&layer.path, bytes).unwrap();
    Archive::open(&scratch.archive(&[layer])).unwrap()
}

#[test]
fn links_never_lead_out_of_the_root() {
    use tar::EntryType::{Link, Regular, Symlink};
    let scratch = Scratch::new();
    let outside = scratch.tree("outside", &[("secret", "s")]);
    let target = outside.to_str().unwrap();
    let secret = outside.join("secret");
    let archive = hostile(
        &scratch,
        &[
            ("absolute", Symlink, target),
            ("absolute/one", Regular, "1"),
            ("relative", Symlink, "../outside"),
            ("relative/two", Regular, "2"),
            ("relative/.wh.secret", Regular, ""),
            ("secret", Symlink, secret.to_str().unwrap()),
            ("secret", Regular, "replaced"),
        ],
    );
    let root = scratch.tree("unpacked", &[]);
    unpack(&archive, &root).unwrap();
    assert_eq!(fs::read_to_string(&secret).unwrap(), "s");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    let inside = target.trim_start_matches('/');
    assert_eq!(fs::read_to_string(root.join(inside).join("one")).unwrap(), "1");
    assert_eq!(fs::read_to_string(root.join("outside/two")).unwrap(), "2");
    assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "replaced");

    let archive = hostile(&scratch, &[("d", Symlink, target), ("stolen", Link, "d/secret")]);
    let error = unpack(&archive, &scratch.tree("again", &[])).unwrap_err();
    assert!(matches!(error, UnpackError::Apply { .. }), "there is no such file inside: {error:?}");
}

#[test]
fn a_directory_that_becomes_a_link_out_takes_its_time_along() {
    use tar::EntryType::{Directory, Symlink};
    let scratch = Scratch::new();
    let outside = scratch.tree("outside", &[("inner/", "")]);
    let time = || fs::metadata(outside.join("inner")).unwrap().modified().unwrap();
    let before = time();
    let target = outside.to_str().unwrap();
    let entries = [("d", Directory, ""), ("d/inner", Directory, ""), ("d", Symlink, target)];
    unpack(&hostile(&scratch, &entries), &scratch.tree("unpacked", &[])).unwrap();
    assert_eq!(time(), before);
}

#[test]
fn names_that_lead_out_are_refused() {
    use tar::EntryType::{Link, Regular};
    let scratch = Scratch::new();
    for (name, kind, target, shown) in [
        ("../escaped", Regular, "", "../escaped"),
        ("a/../../escaped", Regular, "", "a/../../escaped"),
        ("link", Link, "../outside", "../outside"),
        (".wh...", Regular, "", ".wh..."),
    ] {
        let archive = hostile(&scratch, &[(name, kind, target)]);
        let root = scratch.tree("unpacked", &[]);
        let error = message(&unpack(&archive, &root).unwrap_err());
        assert!(error.ends_with(&format!(": the name `{shown}` leads out of the image")), "{error}");
        assert_eq!(list(&root), "");
        assert!(!scratch.path("escaped").exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_damaged_archive_is_an_error_or_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let scratch = Scratch::new();
        let root = scratch.tree("root", &[("a/b", "content"), ("a/link", "-> b"), ("c/", "")]);
        let path = scratch.archive(&[scratch.layer(&root)]);
        let mut bytes = fs::read(&path).unwrap();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        fs::write(&path, bytes).unwrap();
        if let Ok(archive) = Archive::open(&path) {
            let _ = archive.tree();
            let target = scratch.tree("unpacked", &[]);
            if archive.verify().is_ok() && !archive.layers().is_empty() {
                unpack(&archive, &target).unwrap();
                prop_assert_eq!(list(&target), list(&root));
            } else {
                let _ = unpack(&archive, &target);
            }
        }
    }
}
