//! The forms an image is written in, as the command line takes and shows them.

use std::collections::BTreeMap;
use std::path::Path;

use casque_image::archive::{Compression, Image, ImageLayer, Memory, Older, Prepared};
use casque_image::config::ImageConfig;
use casque_image::layer::{LayerFile, LayerOptions, LayerStore};
use casque_test::TestEnv;
use insta::assert_snapshot;
use serde_json::Value;

use crate::signed_archive::{Archive, Package};

const MANIFEST: &str = r#"[image]
name = "vendor/notes"
version = "1.4.0"
command = "notes"

[base]
distribution = "debian"
suite = "bookworm"
signed-by = "keys.asc"
"#;

#[test]
fn an_output_that_cannot_be_is_told_before_anything_is_made() {
    let environment = TestEnv::default();
    environment.write("casque.toml", MANIFEST);
    environment.write("keys.asc", "");
    assert_snapshot!(environment.run(&["build", "--output", "oci:"]).to_string(), @r"
    error: invalid value 'oci:' for '--output <FILE|oci:DIR>': `oci:` needs a directory

    For more information, try '--help'.
    exit code 2
    ");
    assert_snapshot!(environment.run(&["build", "--output", "oci:image", "--load"]).to_string(), @r"
    error: cannot build `vendor/notes` 1.4.0
      caused by: engines load a tar, and every `--output` is a directory
    hint: give `--output FILE` as well
    exit code 2
    ");
    let mut made = environment.files("").into_iter().filter(|file| !file.starts_with("cache/"));
    assert!(made.all(|file| file == "casque.toml" || file == "keys.asc"));
}

#[test]
fn what_a_thin_archive_is_made_against_has_to_be_an_image() {
    let environment = TestEnv::default();
    environment.write("casque.toml", MANIFEST);
    let archive = Archive::new(vec![Package::new("apt", "1")]);
    archive.write_key(&environment, "keys.asc");
    let see = |arguments: &[&str]| {
        let mut casque = environment.casque(arguments);
        environment.see(casque.env("CASQUE_MIRROR", archive.mirror())).to_string()
    };
    see(&["lock"]);
    environment.write("letter.tar", "hello");
    assert_snapshot!(see(&["build", "--thin-against", "missing.tar"]), @r"
    error: cannot build `vendor/notes` 1.4.0
      caused by: cannot make a thin archive against `missing.tar`
      caused by: failed to open file `missing.tar`: No such file or directory (os error 2)
    hint: name the archive, or the directory in OCI layout, that was loaded before
    exit code 2
    ");
    assert_snapshot!(see(&["build", "--thin-against", "letter.tar"]), @r"
    error: cannot build `vendor/notes` 1.4.0
      caused by: cannot make a thin archive against `letter.tar`
      caused by: `letter.tar` is no image archive, or only a part of one
      caused by: unexpected end of file
    hint: name the archive, or the directory in OCI layout, that was loaded before
    exit code 2
    ");
}

/// A layer with one file.
fn layer(environment: &TestEnv, name: &str, content: &str) -> LayerFile {
    environment.write(&format!("{name}/etc/{name}"), content);
    let store = LayerStore::open(&environment.path("layers")).unwrap();
    store.write_tree(&environment.path(name), &LayerOptions { epoch: 0, ..LayerOptions::default() }).unwrap()
}

fn write(environment: &TestEnv, layers: &[&LayerFile], how: Compression, older: Option<&str>, name: &str) {
    let layer = |(number, file): (usize, &&LayerFile)| ImageLayer {
        file: (*file).clone(),
        created_by: format!("step {number}"),
    };
    let image = Image {
        config: ImageConfig {
            architecture: "amd64".to_owned(),
            labels: BTreeMap::from([("org.opencontainers.image.title".to_owned(), "Notes".to_owned())]),
            ..ImageConfig::default()
        },
        layers: layers.iter().enumerate().map(layer).collect(),
        names: vec!["vendor/notes:v1".parse().unwrap()],
        annotations: BTreeMap::new(),
    };
    let older = older.map(|older| Older::open(&environment.path(older)).unwrap());
    let memory = Memory::open(&environment.path("memory")).unwrap();
    let prepared = Prepared::new(&image, &memory, how, older.as_ref()).unwrap();
    prepared.write_tar(&environment.path(name)).unwrap();
}

/// Replaces what depends on who runs the test, digests, and blanks at the ends of lines.
fn without_digests(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        let taken = end.max(first.len_utf8());
        shown += if end >= 12 { "DIGEST" } else { &rest[..taken] };
        rest = &rest[taken..];
    }
    shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn inspect_says_which_layers_are_compressed_and_which_are_left_out() {
    let environment = TestEnv::default();
    let lower = layer(&environment, "lower", &"lower ".repeat(10_000));
    let upper = layer(&environment, "upper", &"upper ".repeat(50_000));
    write(&environment, &[&lower], Compression::None, None, "older.tar");
    write(&environment, &[&lower, &upper], Compression::Gzip, Some("older.tar"), "thin.tar");
    let seen = environment.run(&["inspect", "thin.tar"]).to_string();
    assert_snapshot!(without_digests(&seen), @r"
    stdout: vendor/notes:v1  sha256:DIGEST
    stdout:
    stdout: thin: 1 of 2 layers, 0.1 MB, are not here; it loads where they are
    stdout: layers: 2
    stdout:   DIGEST     0.1 MB  not here  step 0
    stdout:   DIGEST     0.0 MB  gzip  step 1
    stdout:
    stdout: labels: 1
    stdout:   org.opencontainers.image.title = Notes
    stdout:
    stdout: packages: 0
    exit code 0
    ");

    let seen = environment.run(&["inspect", "--json", "thin.tar"]);
    let contents: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(contents["version"], 1);
    assert_eq!(contents["labels"]["org.opencontainers.image.title"], "Notes");
    let [lower_shown, upper_shown] = &contents["layers"].as_array().unwrap()[..] else {
        panic!("{contents}")
    };
    assert_eq!((&lower_shown["left_out"], &lower_shown["compression"]), (&true.into(), &Value::Null));
    assert_eq!(lower_shown["blob"], lower.diff_id.oci());
    assert_eq!((&upper_shown["left_out"], &upper_shown["compression"]), (&false.into(), &"gzip".into()));
    assert_eq!(upper_shown["diff_id"], upper.diff_id.oci());
    assert_ne!(upper_shown["blob"], upper_shown["diff_id"]);

    let seen = environment.run(&["run", "thin.tar"]).to_string();
    assert_snapshot!(seen, @r"
    unpacking vendor/notes:v1
    error: cannot run `thin.tar`
      caused by: archive `thin.tar` is thin: 1 of its layers are not in it
    exit code 1
    ");
    cut(&environment.path("thin.tar"), &environment.path("cut.tar"));
    let seen = environment.run(&["inspect", "cut.tar"]).to_string();
    assert_snapshot!(without_digests(&seen), @r"
    error: cannot inspect `cut.tar`
      caused by: archive `cut.tar` is cut off inside `blobs/sha256/DIGEST`
    exit code 3
    ");
}

/// Leaves out the last bytes of a file: a download that ended early.
fn cut(path: &Path, to: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(to, &bytes[..bytes.len() - 1536]).unwrap();
}
