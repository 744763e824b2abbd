//! Images to start from, as the command line takes, locks and refuses them.

use std::path::Path;

use casque_image::archive::{Compression, Image, ImageLayer, Memory, Prepared};
use casque_image::config::ImageConfig;
use casque_image::layer::{LayerOptions, LayerStore};
use casque_test::TestEnv;
use insta::assert_snapshot;

const HEAD: &str = "[image]\nname = \"vendor/notes\"\nversion = \"1.4.0\"\ncommand = \"notes\"\n\n";

/// Writes an image with these files into the directory `base`, and into `base.tar`.
fn base(environment: &TestEnv, architecture: &str, files: &[(&str, &str)]) {
    for (path, content) in files {
        environment.write(&format!("root/{path}"), content);
    }
    let store = LayerStore::open(&environment.path("layers")).unwrap();
    let file = store.write_tree(&environment.path("root"), &LayerOptions::default()).unwrap();
    let image = Image {
        config: ImageConfig { architecture: architecture.to_owned(), ..ImageConfig::default() },
        layers: vec![ImageLayer { file, created_by: "test".to_owned() }],
        names: vec!["vendor/base:1".parse().unwrap()],
        annotations: std::collections::BTreeMap::new(),
    };
    let memory = Memory::open(&environment.path("memory")).unwrap();
    let directory = environment.path("base");
    drop(std::fs::remove_dir_all(&directory));
    let prepared = Prepared::new(&image, &memory, Compression::Gzip, None).unwrap();
    prepared.write_directory(&directory).unwrap();
    prepared.write_tar(&environment.path("base.tar")).unwrap();
    std::fs::remove_dir_all(environment.path("root")).unwrap();
}

fn check(environment: &TestEnv, rest: &str) -> String {
    environment.write("casque.toml", format!("{HEAD}{rest}"));
    environment.run(&["check"]).to_string()
}

const ALPINE: &[(&str, &str)] = &[("etc/os-release", "ID=alpine\nVERSION_ID=3.20\n"), ("bin/sh", "")];

#[test]
fn a_base_says_what_it_is_or_where_it_is_and_nothing_else() {
    let environment = TestEnv::default();
    assert_snapshot!(check(&environment, "[base]\nsuite = \"bookworm\"\n"), @r"
    error: cannot accept `.`
      caused by: ./casque.toml:6: `base` is a table without `distribution`, expected `distribution` and `suite`, or `from` for an image to start from
    exit code 2
    ");
    assert_snapshot!(check(&environment, "[base]\nfrom = \"debian:bookworm\"\n"), @r"
    error: cannot accept `.`
      caused by: ./casque.toml:7: `base.from` is `debian:bookworm`, expected `oci:DIR` or `docker-archive:FILE`
    exit code 2
    ");
    assert_snapshot!(check(&environment, "[base]\nfrom = \"docker-archive:base.tar\"\n"), @r"
    error: cannot accept `.`
      caused by: ./casque.toml:7: there is no `./base.tar`
    hint: paths start from the manifest's directory
    exit code 2
    ");
    environment.write("base.tar", "hello");
    assert_snapshot!(check(&environment, "[base]\nfrom = \"docker-archive:base.tar\"\n"), @r"
    error: cannot accept `.`
      caused by: cannot start from `docker-archive:base.tar`
      caused by: `./base.tar` is no image archive, or only a part of one
      caused by: unexpected end of file
    hint: make it with `docker save --output FILE NAME` or `skopeo copy docker-daemon:NAME:TAG oci:DIR`; what `docker export` writes is no image
    exit code 2
    ");
    base(&environment, "arm64", ALPINE);
    assert_snapshot!(check(&environment, "[base]\nfrom = \"oci:base\"\n"), @r"
    error: cannot accept `.`
      caused by: cannot start from `oci:base`
      caused by: archive `./base` holds images for linux/arm64 only, and none for linux/amd64
    hint: take the image for that machine: `skopeo copy --override-arch amd64`
    exit code 2
    ");
    assert_snapshot!(check(&environment, "[base]\nfrom = \"docker-archive:base.tar\"\n"), @r"
    error: cannot accept `.`
      caused by: cannot start from `docker-archive:base.tar`: it is for linux/arm64, and images are made for linux/amd64
    hint: take the image for that machine: `skopeo copy --override-arch amd64`
    exit code 2
    ");
}

#[test]
fn packages_on_a_base_that_is_not_debians_are_refused_with_the_key_and_the_reason() {
    let environment = TestEnv::default();
    base(&environment, "amd64", ALPINE);
    environment.write("requirements.lock", "");
    let with = |rest: &str| check(&environment, &format!("[base]\nfrom = \"oci:base\"\n{rest}"));
    let layer = |keys: &str| with(&format!("[[layer]]\nname = \"app\"\n{keys}\n"));
    assert_snapshot!(layer("packages = [\"nginx\"]"), @r"
    error: cannot accept `.`
      caused by: layer `app`: `packages` cannot be had on the base `oci:base`: it is `alpine`, and dpkg is not installed there
    hint: install them in `run`, with what the base has for that and `network = true`, or `copy` the files
    exit code 2
    ");
    assert!(
        layer("with-packages = [\"make\"]\nrun = \"make\"").contains("layer `app`: `with-packages` cannot")
    );
    assert_snapshot!(layer("python = { requirements = \"requirements.lock\", venv = \"/opt/app\" }"), @r"
    error: cannot accept `.`
      caused by: layer `app`: `python` cannot be had on the base `oci:base`: it is `alpine`, and dpkg is not installed there
    hint: `copy` an environment that was made elsewhere, let `run` make it, or start from Debian or Ubuntu
    exit code 2
    ");
    assert_snapshot!(with("suite = \"bookworm\""), @r"
    error: cannot accept `.`
      caused by: `base.suite` cannot be had on the base `oci:base`: it is `alpine`, and dpkg is not installed there
    hint: leave it out; it is for bases of Debian and Ubuntu
    exit code 2
    ");
    assert_snapshot!(layer("run = \"true\""), @r"
    stdout: vendor/notes:v1.4.0: 0 services, 14 settings
    exit code 0
    ");
}

#[test]
fn a_base_of_debians_needs_apt_for_what_is_removed_again() {
    let environment = TestEnv::default();
    let status = "Package: dpkg\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n";
    let release = ("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
    base(&environment, "amd64", &[release, ("var/lib/dpkg/status", status)]);
    let layer = "[[layer]]\nname = \"app\"\nwith-packages = [\"make\"]\nrun = \"make\"\n";
    assert_snapshot!(check(&environment, &format!("[base]\nfrom = \"oci:base\"\n{layer}")), @r#"
    error: cannot accept `.`
      caused by: layer `app`: `with-packages` needs `apt`, which the base `oci:base` does not have
    hint: put it there: `[base] packages = ["apt"]`
    exit code 2
    "#);
    let more = format!("[base]\nfrom = \"oci:base\"\npackages = [\"apt\"]\n{layer}");
    assert!(check(&environment, &more).ends_with("exit code 0"));
}

/// Replaces digests and what is left of them.
fn without_digests(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split_inclusive([' ', '"', '\n', ',']) {
        let bare = word.trim_end_matches([' ', '"', '\n', ',']);
        let hex = bare.trim_start_matches("sha256:");
        let is_digest = hex.len() >= 12 && hex.chars().all(|c| c.is_ascii_hexdigit());
        words.push(if is_digest { word.replace(hex, "DIGEST") } else { word.to_owned() });
    }
    words.concat()
}

#[test]
fn a_base_that_changed_is_named_and_locked_again_by_casque_lock_alone() {
    let environment = TestEnv::default();
    base(&environment, "amd64", ALPINE);
    check(&environment, "[base]\nfrom = \"oci:base\"\n");
    assert_snapshot!(without_digests(&environment.run(&["lock"]).to_string()), @r"
    stdout: + oci:base sha256:DIGEST
      reading the base oci:base
    ./casque.lock: 0 packages
    exit code 0
    ");
    assert_snapshot!(without_digests(&environment.run(&["lock"]).to_string()), @r"
    stdout: nothing changed
    ./casque.lock: 0 packages
    exit code 0
    ");
    base(&environment, "amd64", &[("etc/os-release", "ID=alpine\nVERSION_ID=3.21\n")]);
    for arguments in [&["fetch"][..], &["build", "--locked"], &["build"]] {
        let seen = environment.run(arguments);
        let said = without_digests(&seen.stderr);
        let expected = "the base `oci:base` has changed: lock `./casque.lock` has the image DIGEST, and it is DIGEST now\nhint: run `casque lock`\n";
        assert!(said.ends_with(expected), "{arguments:?}: {said}");
        assert_eq!(seen.code, Some(2));
    }
    assert_snapshot!(without_digests(&environment.run(&["lock"]).to_string()), @r"
    stdout: * oci:base sha256:DIGEST -> sha256:DIGEST
      the base `oci:base` has changed: lock `./casque.lock` has the image DIGEST, and it is DIGEST now, so it is made anew
      reading the base oci:base
    ./casque.lock: 0 packages
    exit code 0
    ");
    check(
        &environment,
        "[base]\ndistribution = \"debian\"\nsuite = \"bookworm\"\nsigned-by = \"casque.toml\"\n",
    );
    let seen = environment.run(&["build", "--locked"]);
    assert!(seen.stderr.contains("does not fit the manifest: what the image stands on changed"), "{seen}");
}

#[test]
fn a_damaged_base_is_a_matter_of_trust() {
    let environment = TestEnv::default();
    base(&environment, "amd64", ALPINE);
    let largest = environment.files("base/blobs/sha256").into_iter().max_by_key(|name| {
        let path = environment.path("base/blobs/sha256").join(name);
        // Documents begin with a brace, and the layer does not.
        !std::fs::read(path).unwrap().starts_with(b"{")
    });
    let layer = Path::new("base/blobs/sha256").join(largest.unwrap());
    let mut bytes = std::fs::read(environment.path(layer.to_str().unwrap())).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    environment.write(layer.to_str().unwrap(), bytes);
    let said = check(&environment, "[base]\nfrom = \"oci:base\"\n");
    assert!(said.contains("in archive `./base` is damaged: its content has not the digest"), "{said}");
    assert!(said.ends_with("hint: get it again from where it was made\nexit code 3"), "{said}");
}
