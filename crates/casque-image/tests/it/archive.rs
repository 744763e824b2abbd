//! `archive` and `read`: an image as one file, ours or an engine's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use casque_image::config::Healthcheck;
use casque_image::layer::LayerFile;
use casque_image::read::Archive;
use casque_image::unpack::unpack;
use fs_err as fs;
use serde_json::Value;

use crate::scratch::{Scratch, image, list};

fn two_layers(scratch: &Scratch) -> Vec<LayerFile> {
    let lower =
        scratch.tree("lower", &[("etc/a", "old"), ("etc/b", "b"), ("lib", "-> usr/lib"), ("usr/lib/x", "x")]);
    let upper = scratch.tree("upper", &[("etc/a", "new"), ("lib", "-> usr/lib"), ("usr/lib/x", "x")]);
    vec![scratch.layer(&lower), scratch.diff(&lower, &upper).unwrap()]
}

fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

#[test]
fn an_archive_is_docker_archive_and_oci_layout_at_once() {
    let scratch = Scratch::new();
    let layers = two_layers(&scratch);
    let written = scratch.write(&image(&layers), &scratch.path("image.tar")).unwrap();
    let members = members(&scratch.path("image.tar"));
    let blob = |digest: &dyn std::fmt::Display| format!("blobs/sha256/{digest}");
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let (manifest, config) = (blob(&written.manifest), blob(&written.image_id));
    let (first, second) = (blob(&layers[0].diff_id), blob(&layers[1].diff_id));
    assert_eq!(
        names,
        [
            "oci-layout",
            "index.json",
            "manifest.json",
            "blobs/",
            "blobs/sha256/",
            &manifest,
            &config,
            &first,
            &second
        ]
    );
    let contents: BTreeMap<_, _> = members.iter().cloned().collect();
    let json = |name: &str| serde_json::from_slice::<Value>(&contents[name]).unwrap();
    assert_eq!(
        json("manifest.json"),
        serde_json::json!([{
            "Config": config,
            "RepoTags": ["vendor/tool:v1", "vendor/tool:latest"],
            "Layers": [first, second],
        }])
    );
    let index = json("index.json");
    for (number, tag) in ["v1", "latest"].into_iter().enumerate() {
        let descriptor = &index["manifests"][number];
        assert_eq!(descriptor["digest"], written.manifest.oci());
        assert_eq!(descriptor["size"], contents[&manifest].len());
        let annotations = &descriptor["annotations"];
        assert_eq!(annotations["io.containerd.image.name"], format!("docker.io/vendor/tool:{tag}"));
        assert_eq!(annotations["org.opencontainers.image.ref.name"], tag);
    }
    let manifest = json(&manifest);
    assert_eq!(manifest["config"]["digest"], written.image_id.oci());
    assert_eq!(manifest["layers"][1]["digest"], layers[1].diff_id.oci());
    assert_eq!(manifest["layers"][1]["size"], layers[1].size);
    assert_eq!(
        json(&config),
        serde_json::json!({
            "created": "2023-11-14T22:13:20Z",
            "architecture": "amd64",
            "os": "linux",
            "config": {"ExposedPorts": {"80/tcp": {}}, "Entrypoint": ["/bin/tool"]},
            "rootfs": {"type": "layers", "diff_ids": [layers[0].diff_id.oci(), layers[1].diff_id.oci()]},
            "history": [
                {"created": "2023-11-14T22:13:20Z", "created_by": "test"},
                {"created": "2023-11-14T22:13:20Z", "created_by": "test"},
            ],
        })
    );
    assert_eq!(fs::metadata(scratch.path("image.tar")).unwrap().len(), written.size);
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    let scratch = Scratch::new();
    let layers = two_layers(&scratch);
    let one = fs::read(scratch.archive(&layers)).unwrap();
    let other = fs::read(scratch.archive(&layers)).unwrap();
    assert!(one == other);
}

#[test]
fn what_is_written_is_read_again() {
    let scratch = Scratch::new();
    let layers = two_layers(&scratch);
    let mut image = image(&layers);
    let config = &mut image.config;
    config.environment.insert("LANG".to_owned(), "C.UTF-8".to_owned());
    config.labels.insert("a.b".to_owned(), "c".to_owned());
    config.volumes.push("/data".to_owned());
    config.command.push("serve".to_owned());
    config.user = Some("33:33".to_owned());
    config.working_directory = Some("/srv".to_owned());
    config.stop_signal = Some("SIGTERM".to_owned());
    config.healthcheck = Some(Healthcheck {
        command: vec!["backend".to_owned(), "status".to_owned()],
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(5),
        start_period: Duration::from_millis(1500),
        retries: 3,
    });
    let path = scratch.path("image.tar");
    let written = scratch.write(&image, &path).unwrap();
    let archive = Archive::open(&path).unwrap();
    assert_eq!(archive.config(), &image.config);
    assert_eq!(archive.image_id(), written.image_id);
    assert_eq!(archive.names(), ["vendor/tool:v1", "vendor/tool:latest"]);
    let read: Vec<_> = archive.layers().iter().map(|layer| (layer.diff_id, layer.size)).collect();
    assert_eq!(read, [(layers[0].diff_id, layers[0].size), (layers[1].diff_id, layers[1].size)]);
    assert_eq!(archive.layers()[0].created_by.as_deref(), Some("test"));
    archive.verify().unwrap();
}

#[test]
fn files_are_read_through_links_and_layers() {
    let scratch = Scratch::new();
    let archive = Archive::open(&scratch.archive(&two_layers(&scratch))).unwrap();
    let read = |path: &str| archive.read_file(Path::new(path), 100).unwrap();
    assert_eq!(read("/etc/a").as_deref(), Some(&b"new"[..]));
    assert_eq!(read("lib/x").as_deref(), Some(&b"x"[..]));
    assert_eq!(read("/etc/b"), None, "an upper layer removed it");
    assert_eq!(read("/etc"), None, "a directory is no file");
    let error = archive.read_file(Path::new("/etc/a"), 2).unwrap_err();
    let path = scratch.path("image.tar");
    assert_eq!(error.to_string(), format!("`/etc/a` in archive `{}` is larger than 2 bytes", path.display()));
}

#[test]
fn the_merged_view_has_exactly_what_unpacking_gives() {
    let scratch = Scratch::new();
    let archive = Archive::open(&scratch.archive(&two_layers(&scratch))).unwrap();
    let root = scratch.tree("unpacked", &[]);
    unpack(&archive, &root).unwrap();
    let tree = archive.tree().unwrap();
    let merged: Vec<String> = tree.entries().keys().map(|path| path.display().to_string()).collect();
    let listing = list(&root);
    let unpacked: Vec<&str> =
        listing.lines().map(|line| line.split(" -> ").next().unwrap().rsplit(' ').next().unwrap()).collect();
    assert_eq!(merged, unpacked);
}

/// Repacks an archive of ours the way `docker save` before version 25 lays it out.
fn old_docker(scratch: &Scratch, layers: &[LayerFile]) -> std::path::PathBuf {
    let written = scratch.write(&image(layers), &scratch.path("image.tar")).unwrap();
    let members: BTreeMap<_, _> = members(&scratch.path("image.tar")).into_iter().collect();
    let path = scratch.path("old.tar");
    let mut out = tar::Builder::new(fs::File::create(&path).unwrap());
    let mut put = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, name, content).unwrap();
    };
    let config = format!("{}.json", written.image_id);
    put(&config, &members[&format!("blobs/sha256/{}", written.image_id)]);
    put("one/layer.tar", &fs::read(&layers[0].path).unwrap());
    put("shared/layer.tar", &fs::read(&layers[1].path).unwrap());
    let manifest = serde_json::json!([{
        "Config": config, "RepoTags": null, "Layers": ["one/layer.tar", "two/layer.tar"],
    }]);
    put("manifest.json", manifest.to_string().as_bytes());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    out.append_link(&mut link, "two/layer.tar", "../shared/layer.tar").unwrap();
    out.finish().unwrap();
    path
}

#[test]
fn an_archive_of_an_old_docker_is_read() {
    let scratch = Scratch::new();
    let layers = two_layers(&scratch);
    let archive = Archive::open(&old_docker(&scratch, &layers)).unwrap();
    archive.verify().unwrap();
    assert!(archive.names().is_empty());
    let root = scratch.tree("unpacked", &[]);
    unpack(&archive, &root).unwrap();
    assert_eq!(list(&root), list(&scratch.path("upper")));
}

/// Makes an OCI directory whose layers are compressed.
fn oci_directory(scratch: &Scratch, layers: &[LayerFile]) -> std::path::PathBuf {
    let written = scratch.write(&image(layers), &scratch.path("image.tar")).unwrap();
    let root = scratch.path("oci");
    fs::create_dir_all(root.join("blobs/sha256")).unwrap();
    let put = |content: &[u8]| {
        let digest = casque_format::digest::Digest::of(content);
        fs::write(root.join(format!("blobs/sha256/{digest}")), content).unwrap();
        serde_json::json!({"digest": digest.oci(), "size": content.len()})
    };
    let members: BTreeMap<_, _> = members(&scratch.path("image.tar")).into_iter().collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &fs::read(&layers[0].path).unwrap()).unwrap();
    let gzip = put(&gzip.finish().unwrap());
    let zstd = put(&zstd::encode_all(fs::File::open(&layers[1].path).unwrap(), 1).unwrap());
    let config = put(&members[&format!("blobs/sha256/{}", written.image_id)]);
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [gzip, zstd]});
    let manifest = put(manifest.to_string().as_bytes());
    let mut foreign = manifest.clone();
    foreign["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    foreign["platform"] = serde_json::json!({"architecture": "arm64", "os": "linux"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [foreign, manifest]});
    fs::write(root.join("index.json"), index.to_string()).unwrap();
    root
}

#[test]
fn an_oci_directory_with_compressed_layers_is_read() {
    let scratch = Scratch::new();
    let layers = two_layers(&scratch);
    let archive = Archive::open(&oci_directory(&scratch, &layers)).unwrap();
    archive.verify().unwrap();
    assert_eq!(archive.read_file(Path::new("lib/x"), 10).unwrap().as_deref(), Some(&b"x"[..]));
    let root = scratch.tree("unpacked", &[]);
    unpack(&archive, &root).unwrap();
    assert_eq!(list(&root), list(&scratch.path("upper")));
}
