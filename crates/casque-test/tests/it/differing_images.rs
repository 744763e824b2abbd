//! `casque diff` as a program: what it prints, and how it ends.

use std::collections::BTreeMap;
use std::path::Path;

use casque_format::difference::Difference;
use casque_image::archive::{Compression, Image, ImageLayer, Memory, Prepared};
use casque_image::config::ImageConfig;
use casque_image::layer::{LayerOptions, LayerStore};
use casque_test::{Seen, TestEnv};

/// Writes an image with one file.
fn image(environment: &TestEnv, name: &str, text: &str) {
    let root = format!("{name}.root");
    environment.write(&format!("{root}/etc/motd"), text);
    let store = LayerStore::open(&environment.path("layers")).unwrap();
    let options = LayerOptions { epoch: 0, ..LayerOptions::default() };
    let file = store.write_tree(&environment.path(&root), &options).unwrap();
    let image = Image {
        config: ImageConfig { architecture: "amd64".to_owned(), ..ImageConfig::default() },
        layers: vec![ImageLayer { file, created_by: "test".to_owned() }],
        names: vec![format!("vendor/{name}:v1").parse().unwrap()],
        annotations: BTreeMap::new(),
    };
    let memory = Memory::open(&environment.path("memory")).unwrap();
    let archive = environment.path(&format!("{name}.tar"));
    Prepared::new(&image, &memory, Compression::None, None).unwrap().write_tar(&archive).unwrap();
}

fn two() -> TestEnv {
    let environment = TestEnv::default();
    image(&environment, "one", "one");
    image(&environment, "two", "second");
    environment
}

#[test]
fn images_that_differ_are_no_failure_unless_that_was_asked() {
    let environment = two();
    let seen = environment.run(&["diff", "one.tar", "two.tar"]);
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
    assert!(seen.stdout.contains("    ~ /etc/motd  3 -> 6 bytes"), "{}", seen.stdout);
    assert_eq!(environment.run(&["diff", "--exit-code", "one.tar", "two.tar"]).code, Some(8));
    let same = environment.run(&["diff", "--exit-code", "one.tar", "one.tar"]);
    assert_eq!((same.code, same.stdout.lines().count()), (Some(0), 1));
}

#[test]
fn the_document_is_of_its_version_and_the_form_of_an_image_does_not_matter() {
    let environment = two();
    let unpacked = environment.path("two.oci");
    std::fs::create_dir(&unpacked).unwrap();
    let mut tar = environment.command(Path::new("/usr/bin/tar"));
    assert!(
        tar.arg("-xf").arg(environment.path("two.tar")).arg("-C").arg(&unpacked).status().unwrap().success()
    );
    let of = |new: &str| {
        let seen = environment.run(&["diff", "--json", "one.tar", new]);
        serde_json::from_str::<Difference>(&seen.stdout).unwrap()
    };
    let (archive, directory) = (of("two.tar"), of("two.oci"));
    assert_eq!(archive, directory);
    assert_eq!(archive.version, casque_format::difference::VERSION);
    assert_eq!(archive.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["/etc/motd"]);
}

#[test]
fn what_is_no_image_is_said() {
    let environment = two();
    environment.write("text", "text");
    let Seen { code, stderr, .. } = environment.run(&["diff", "one.tar", "text"]);
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: cannot compare `one.tar` with `text`\n  caused by: "), "{stderr}");
}
