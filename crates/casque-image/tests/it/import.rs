//! Images of others: their layers taken over as they are, and what cannot be taken.

use std::path::{Path, PathBuf};

use casque_format::digest::Digest;
use casque_image::archive::{Compression, Prepared};
use casque_image::layer::LayerStore;
use casque_image::read::Archive;
use fs_err as fs;
use serde_json::{Value, json};

use crate::scratch::{Scratch, image};

/// Writes an image of one layer into a directory, compressed like this.
fn directory(scratch: &Scratch, how: Compression) -> (PathBuf, Vec<u8>) {
    let layer = scratch.layer(&scratch.tree("root", &[("a", "the true content"), ("d/b", "-> ../a")]));
    let path = scratch.path("oci");
    let image = image(std::slice::from_ref(&layer));
    Prepared::new(&image, &scratch.memory(), how, None).unwrap().write_directory(&path).unwrap();
    (path, fs::read(layer.path).unwrap())
}

fn other_store(scratch: &Scratch) -> LayerStore {
    LayerStore::open(&scratch.path("other")).unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Changes the manifest that the index names, whose digest is then another.
fn change_manifest(directory: &Path, change: impl FnOnce(&mut Value)) {
    let mut index = read(&directory.join("index.json"));
    let blob = |digest: &str| directory.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let mut manifest = read(&blob(index["manifests"][0]["digest"].as_str().unwrap()));
    change(&mut manifest);
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes).oci();
    fs::write(blob(&digest), &bytes).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        entry["digest"] = json!(digest);
        entry["size"] = json!(bytes.len());
    }
    fs::write(directory.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}

fn change_index(directory: &Path, change: impl FnOnce(&mut Vec<Value>)) {
    let mut index = read(&directory.join("index.json"));
    change(index["manifests"].as_array_mut().unwrap());
    fs::write(directory.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}

#[test]
fn a_layer_is_taken_over_byte_for_byte_however_it_is_compressed() {
    for how in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let scratch = Scratch::new();
        let (path, plain) = directory(&scratch, how);
        let archive = Archive::open(&path).unwrap();
        let [layer] = archive.layers() else { panic!("{how:?}") };
        assert_eq!(layer.compression, how);
        let taken = other_store(&scratch).import(&archive, layer).unwrap();
        assert_eq!((taken.diff_id, taken.size), (layer.diff_id, plain.len() as u64));
        assert_eq!(fs::read(taken.path).unwrap(), plain, "{how:?}");
    }
}

#[test]
fn a_layer_that_is_not_what_its_digests_say_is_not_taken_over() {
    for how in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let scratch = Scratch::new();
        let (path, _) = directory(&scratch, how);
        let archive = Archive::open(&path).unwrap();
        let layer = &archive.layers()[0];
        let blob = path.join(format!("blobs/sha256/{}", layer.blob));
        let mut bytes = fs::read(&blob).unwrap();
        // Behind the end of what a decoder reads as well.
        bytes.push(0);
        fs::write(&blob, bytes).unwrap();
        let archive = Archive::open(&path).unwrap();
        let error = other_store(&scratch).import(&archive, &archive.layers()[0]).unwrap_err();
        assert!(error.to_string().ends_with("its content has not the digest that was recorded"), "{error}");
        assert_eq!(fs::read_dir(scratch.path("other/sha256")).unwrap().count(), 0);
    }
}

#[test]
fn of_an_index_for_several_machines_ours_is_taken_and_without_it_the_others_are_named() {
    let scratch = Scratch::new();
    let (path, _) = directory(&scratch, Compression::Gzip);
    let id = Archive::open(&path).unwrap().image_id();
    let other = |os: &str, architecture: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
            "digest": Digest::of(architecture.as_bytes()).oci(),
            "platform": { "os": os, "architecture": architecture },
        })
    };
    change_index(&path, |images| {
        images[0]["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        images.push(other("linux", "arm64"));
        images.push(other("unknown", "unknown"));
    });
    assert_eq!(Archive::open(&path).unwrap().image_id(), id);
    change_index(&path, |images| {
        images.retain(|image| image["platform"]["architecture"] != "amd64");
        images.push(other("windows", "amd64"));
    });
    assert_eq!(
        Archive::open(&path).unwrap_err().to_string(),
        format!(
            "archive `{}` holds images for linux/arm64, windows/amd64 only, and none for linux/amd64",
            path.display()
        )
    );
}

#[test]
fn layers_that_are_no_tar_or_are_encrypted_are_refused_by_their_type() {
    let scratch = Scratch::new();
    let (path, _) = directory(&scratch, Compression::Gzip);
    let layer = Archive::open(&path).unwrap().layers()[0].diff_id.oci();
    for (media_type, why) in [
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "which only whoever has its key can read"),
        ("application/vnd.example.disk", "and only tars, plain or compressed with gzip or zstd, can be read"),
    ] {
        change_manifest(&path, |manifest| manifest["layers"][0]["mediaType"] = json!(media_type));
        assert_eq!(
            Archive::open(&path).unwrap_err().to_string(),
            format!("layer `{layer}` in archive `{}` is of the type `{media_type}`, {why}", path.display())
        );
    }
    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    change_manifest(&path, |manifest| manifest["layers"][0]["mediaType"] = json!(docker));
    Archive::open(&path).unwrap();
}
