//! The forms an image is written in, and what is not written again.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use casque_image::archive::{ArchiveError, Compression, Image, Older, Prepared, Written};
use casque_image::layer::LayerFile;
use casque_image::read::{Archive, ReadError};
use casque_image::unpack::unpack;
use fs_err as fs;

use crate::scratch::{Scratch, image, list};

/// An image of two layers and its next version, whose upper layer differs.
struct Versions {
    scratch: Scratch,
    one: Image,
    two: Image,
}

impl Versions {
    fn new() -> Self {
        let scratch = Scratch::new();
        let lower = scratch.tree("lower", &[("lib/a", &"library ".repeat(20_000)), ("etc/b", "b")]);
        let lower = (scratch.layer(&lower), lower);
        let upper = |content: &str| {
            let upper = scratch.tree(content, &[("lib/a", &"library ".repeat(20_000)), ("etc/b", content)]);
            scratch.diff(&lower.1, &upper).unwrap()
        };
        let one = image(&[lower.0.clone(), upper("one")]);
        let two = image(&[lower.0.clone(), upper("two")]);
        Self { scratch, one, two }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    fn tar(&self, image: &Image, how: Compression, older: Option<&str>, name: &str) -> Written {
        let older = older.map(|older| Older::open(&self.path(older)).unwrap());
        let memory = self.scratch.memory();
        Prepared::new(image, &memory, how, older.as_ref()).unwrap().write_tar(&self.path(name)).unwrap()
    }

    fn directory(&self, image: &Image, how: Compression) -> Result<Written, ArchiveError> {
        let memory = self.scratch.memory();
        Prepared::new(image, &memory, how, None)?.write_directory(&self.path("oci"))
    }

    fn layers(&self, image: &Image) -> Vec<LayerFile> {
        image.layers.iter().map(|layer| layer.file.clone()).collect()
    }

    fn unpacked(&self, archive: &str, to: &str) -> String {
        let archive = Archive::open(&self.path(archive)).unwrap();
        archive.verify().unwrap();
        let root = self.scratch.tree(to, &[]);
        unpack(&archive, &root).unwrap();
        list(&root)
    }
}

/// Every file below a directory, with its inode: a file that was written again has another.
fn inodes(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(inodes(&entry.path()));
        } else {
            found.insert(entry.path(), entry.metadata().unwrap().ino());
        }
    }
    found
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn an_archive_that_is_there_already_is_left_alone_until_somebody_touches_it() {
    let versions = Versions::new();
    let path = versions.path("a.tar");
    let write = |image| versions.tar(image, Compression::None, None, "a.tar").kept;
    assert!(!write(&versions.one), "there was nothing");
    let bytes = fs::read(&path).unwrap();
    let first = inode(&path);
    assert!(write(&versions.one));
    assert_eq!(inode(&path), first);
    assert!(!write(&versions.two), "another image");
    assert!(!write(&versions.one), "and back");
    assert!(write(&versions.one));

    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap()).unwrap();
    assert!(!write(&versions.one), "touched, its time the same");
    fs::copy(&path, versions.path("copy")).unwrap();
    fs::rename(versions.path("copy"), &path).unwrap();
    assert!(!write(&versions.one), "replaced");
    fs::write(&path, "hello").unwrap();
    assert!(!write(&versions.one), "written");
    fs::remove_file(&path).unwrap();
    assert!(!write(&versions.one), "removed");
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_layer_is_read_again_only_when_its_file_was_changed() {
    let versions = Versions::new();
    versions.tar(&versions.one, Compression::None, None, "a.tar");
    let layer = &versions.one.layers[0].file;
    let mut bytes = fs::read(&layer.path).unwrap();
    let last = bytes.len() - 600;
    bytes[last] ^= 1;
    let modified = fs::metadata(&layer.path).unwrap().modified().unwrap();
    fs::write(&layer.path, bytes).unwrap();
    fs::File::options().write(true).open(&layer.path).unwrap().set_modified(modified).unwrap();
    let error = versions.scratch.write(&versions.one, &versions.path("b.tar")).unwrap_err();
    assert!(matches!(error, ArchiveError::DamagedLayer { .. }), "{error}");
    assert!(!versions.path("b.tar").exists());
}

#[test]
fn compressed_layers_make_another_archive_of_the_same_image() {
    let versions = Versions::new();
    let plain = versions.tar(&versions.one, Compression::None, None, "plain.tar");
    let listing = versions.unpacked("plain.tar", "from-plain");
    for (how, name, media_type) in [
        (Compression::Gzip, "gzip.tar", "application/vnd.oci.image.layer.v1.tar+gzip"),
        (Compression::Zstd, "zstd.tar", "application/vnd.oci.image.layer.v1.tar+zstd"),
    ] {
        let written = versions.tar(&versions.one, how, None, name);
        assert_eq!(written.image_id, plain.image_id);
        assert_ne!(written.manifest, plain.manifest);
        assert!(written.size < plain.size / 10, "{} of {}", written.size, plain.size);
        assert_eq!(versions.unpacked(name, &format!("from-{name}")), listing);
        let archive = Archive::open(&versions.path(name)).unwrap();
        for (layer, original) in archive.layers().iter().zip(versions.layers(&versions.one)) {
            assert_eq!((layer.diff_id, layer.compression), (original.diff_id, how));
            assert_ne!(layer.blob, original.diff_id);
        }
        let text = fs::read(versions.path(name)).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(text.matches(media_type).count(), 2);
        // Docker reads this one, and finds the compressed blobs.
        let layers = archive.layers().iter().map(|layer| format!("\"blobs/sha256/{}\"", layer.blob));
        let layers: Vec<String> = layers.collect();
        assert!(text.contains(&format!("\"Layers\":[{}]", layers.join(","))));
        // Made anew from nothing, they are the same bytes.
        let again = Scratch::new();
        let path = again.path("again.tar");
        Prepared::new(&versions.one, &again.memory(), how, None).unwrap().write_tar(&path).unwrap();
        assert!(fs::read(path).unwrap() == fs::read(versions.path(name)).unwrap());
    }
}

#[test]
fn a_layer_is_compressed_once() {
    let versions = Versions::new();
    versions.tar(&versions.one, Compression::Zstd, None, "a.tar");
    let compressed = |suffix: &str| {
        let files = inodes(&versions.path("memory")).into_iter();
        files.filter(|(path, _)| path.to_string_lossy().ends_with(suffix)).collect::<BTreeMap<_, _>>()
    };
    let before: BTreeMap<_, _> = compressed(".zst")
        .into_iter()
        .filter(|(path, _)| !path.to_string_lossy().contains("known"))
        .collect();
    assert_eq!(before.len(), 2);
    versions.tar(&versions.two, Compression::Zstd, None, "b.tar");
    let after = compressed(".zst");
    assert!(before.iter().all(|(path, inode)| after.get(path) == Some(inode)));
    // Whoever writes into the cache's copy has it made again.
    for path in before.keys() {
        fs::write(path, "rubbish").unwrap();
    }
    versions.tar(&versions.one, Compression::Zstd, None, "c.tar");
    assert!(fs::read(versions.path("a.tar")).unwrap() == fs::read(versions.path("c.tar")).unwrap());
}

#[test]
fn of_a_directory_only_what_changed_is_written() {
    let versions = Versions::new();
    let path = versions.path("oci");
    assert!(!versions.directory(&versions.one, Compression::None).unwrap().kept);
    let first = inodes(&path);
    assert_eq!(first.len(), 6, "two documents, manifest, configuration and two layers: {first:?}");
    assert!(versions.directory(&versions.one, Compression::None).unwrap().kept);
    assert_eq!(inodes(&path), first);
    let archive = Archive::open(&path).unwrap();
    archive.verify().unwrap();
    assert_eq!(archive.names(), ["docker.io/vendor/tool:v1", "docker.io/vendor/tool:latest"]);

    let written = versions.directory(&versions.two, Compression::None).unwrap();
    assert!(!written.kept);
    let second = inodes(&path);
    assert_eq!(second.len(), 6, "what the version before had is gone: {second:?}");
    let kept: Vec<_> = first.iter().filter(|(path, inode)| second.get(*path) == Some(inode)).collect();
    let layer = path.join(format!("blobs/sha256/{}", versions.one.layers[0].file.diff_id));
    let expected = [layer.clone(), path.join("oci-layout")];
    assert_eq!(kept.iter().map(|(path, _)| (*path).clone()).collect::<Vec<_>>(), expected);
    assert_eq!(list_of(&versions, "oci", "from-oci"), "two");

    fs::write(&layer, "rubbish").unwrap();
    assert!(!versions.directory(&versions.two, Compression::None).unwrap().kept);
    Archive::open(&path).unwrap().verify().unwrap();
}

#[test]
fn a_directory_is_adopted_without_being_believed() {
    let versions = Versions::new();
    versions.directory(&versions.one, Compression::None).unwrap();
    let first = inodes(&versions.path("oci"));
    // Another machine's cache knows nothing of it.
    fs::remove_dir_all(versions.path("memory")).unwrap();
    assert!(versions.directory(&versions.one, Compression::None).unwrap().kept);
    assert_eq!(inodes(&versions.path("oci")), first);
    fs::remove_dir_all(versions.path("memory")).unwrap();
    let layer = versions.path(&format!("oci/blobs/sha256/{}", versions.one.layers[0].file.diff_id));
    let mut bytes = fs::read(&layer).unwrap();
    bytes[700] ^= 1;
    fs::write(&layer, bytes).unwrap();
    assert!(!versions.directory(&versions.one, Compression::None).unwrap().kept);
    Archive::open(&versions.path("oci")).unwrap().verify().unwrap();
}

/// Returns what a version left in `etc/b`.
fn list_of(versions: &Versions, archive: &str, to: &str) -> String {
    versions.unpacked(archive, to);
    fs::read_to_string(versions.path(to).join("etc/b")).unwrap()
}

#[test]
fn a_directory_of_something_else_is_refused_and_stays_as_it_is() {
    let versions = Versions::new();
    let oci = versions.scratch.tree("oci", &[("letter.txt", "dear")]);
    let refused = || versions.directory(&versions.one, Compression::None).unwrap_err().to_string();
    let not_a_layout = format!("`{}` is there and is no directory in OCI layout", oci.display());
    assert_eq!(refused(), not_a_layout);
    assert_eq!(inodes(&oci).len(), 1);
    fs::remove_dir_all(&oci).unwrap();
    fs::write(&oci, "a file").unwrap();
    assert_eq!(refused(), not_a_layout);
    fs::remove_file(&oci).unwrap();
    versions.scratch.tree("oci", &[("oci-layout", "{}"), ("index.json", "no JSON")]);
    assert_eq!(refused(), not_a_layout);
    let index = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:00","annotations":{"io.containerd.image.name":"docker.io/other/tool:v1"}}]}"#;
    fs::write(oci.join("index.json"), index).unwrap();
    let other = format!("directory `{}` holds another image, `docker.io/other/tool:v1`", oci.display());
    assert_eq!(refused(), other);
    // One that a first build began, and an earlier version under another tag.
    fs::remove_file(oci.join("index.json")).unwrap();
    versions.directory(&versions.one, Compression::None).unwrap();
    let mut next = versions.two.clone();
    next.names = vec!["vendor/tool:v2".parse().unwrap()];
    versions.directory(&next, Compression::None).unwrap();
}

#[test]
fn a_thin_archive_leaves_out_what_both_begin_with_and_nothing_else() {
    let versions = Versions::new();
    versions.tar(&versions.one, Compression::None, None, "one.tar");
    let whole = versions.tar(&versions.two, Compression::None, None, "two.tar");
    let thin = versions.tar(&versions.two, Compression::None, Some("one.tar"), "thin.tar");
    let lower = &versions.two.layers[0].file;
    assert_eq!((thin.left_out, thin.saved), (1, lower.size));
    assert_eq!((thin.image_id, thin.manifest), (whole.image_id, whole.manifest));
    assert!(thin.size < whole.size - lower.size, "{} of {}", thin.size, whole.size);

    let text = fs::read(versions.path("thin.tar")).unwrap();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(text.matches("io.containerd.image.name").count(), 1, "Podman wants one image to choose from");
    let archive = Archive::open(&versions.path("thin.tar")).unwrap();
    archive.verify().unwrap();
    let layers: Vec<_> =
        archive.layers().iter().map(|layer| (layer.diff_id, layer.size, layer.left_out)).collect();
    let upper = &versions.two.layers[1].file;
    assert_eq!(layers, [(lower.diff_id, lower.size, true), (upper.diff_id, upper.size, false)]);
    let present = archive.tree_of_present().unwrap();
    assert_eq!(present.read(Path::new("etc/b"), 10).unwrap().as_deref(), Some(&b"two"[..]));
    let expected =
        format!("archive `{}` is thin: 1 of its layers are not in it", versions.path("thin.tar").display());
    assert_eq!(archive.tree().unwrap_err().to_string(), expected);
    let error = unpack(&archive, &versions.scratch.tree("unpacked", &[])).unwrap_err();
    assert_eq!(error.to_string(), expected);

    // A thin one tells of its layers as well as a whole one.
    let next = versions.tar(&versions.two, Compression::None, Some("thin.tar"), "next.tar");
    assert_eq!(next.left_out, 2);
    assert!(Archive::open(&versions.path("next.tar")).unwrap().layers().iter().all(|layer| layer.left_out));
}

#[test]
fn a_layer_above_one_that_differs_is_not_left_out() {
    // An engine knows a layer by all that is below it, so it does not have this one.
    let Versions { scratch, one, two } = Versions::new();
    let top = scratch.layer(&scratch.tree("top", &[("top", "top")]));
    let with_top = |below: &Image| {
        let files = below.layers.iter().map(|layer| layer.file.clone());
        image(&files.chain([top.clone()]).collect::<Vec<_>>())
    };
    let versions = Versions { one: with_top(&one), two: with_top(&two), scratch };
    versions.tar(&versions.one, Compression::None, None, "one.tar");
    versions.tar(&versions.two, Compression::None, Some("one.tar"), "thin.tar");
    let archive = Archive::open(&versions.path("thin.tar")).unwrap();
    archive.verify().unwrap();
    let layers: Vec<_> = archive.layers().iter().map(|layer| (layer.blob, layer.left_out)).collect();
    let [lower, two, top] = &versions.layers(&versions.two)[..] else { panic!("three layers") };
    assert_eq!(layers, [(lower.diff_id, true), (two.diff_id, false), (top.diff_id, false)]);
}

#[test]
fn a_thin_archive_names_the_blobs_that_were_loaded() {
    let versions = Versions::new();
    versions.tar(&versions.one, Compression::Gzip, None, "one.tar");
    let loaded = Archive::open(&versions.path("one.tar")).unwrap().layers()[0].clone();
    versions.tar(&versions.two, Compression::Zstd, Some("one.tar"), "thin.tar");
    let thin = Archive::open(&versions.path("thin.tar")).unwrap();
    let [lower, upper] = thin.layers() else { panic!("{thin:?}") };
    assert_eq!((lower.blob, lower.size, lower.compression), (loaded.blob, loaded.size, Compression::Gzip));
    assert_eq!((upper.left_out, upper.compression), (false, Compression::Zstd));
}

#[test]
fn an_archive_without_a_common_layer_is_refused_to_be_thin() {
    let versions = Versions::new();
    let other = versions.scratch.layer(&versions.scratch.tree("other", &[("x", "x")]));
    versions.tar(&image(&[other]), Compression::None, None, "other.tar");
    let older = Older::open(&versions.path("other.tar")).unwrap();
    let memory = versions.scratch.memory();
    let error = Prepared::new(&versions.one, &memory, Compression::None, Some(&older)).unwrap_err();
    let expected =
        format!("`{}` has no layer that this image begins with", versions.path("other.tar").display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_layer_that_is_missing_without_being_left_out_is_damage() {
    let versions = Versions::new();
    versions.directory(&versions.one, Compression::None).unwrap();
    let layer = format!("blobs/sha256/{}", versions.one.layers[0].file.diff_id);
    fs::remove_file(versions.path("oci").join(&layer)).unwrap();
    let error = Archive::open(&versions.path("oci")).unwrap_err();
    assert!(matches!(&error, ReadError::Missing { member, .. } if *member == layer), "{error}");
}
