//! `casque docs`: the customer's handbook out of an archive.

use std::collections::BTreeMap;

use casque_format::paths;
use casque_image::archive::{Compression, Image, ImageLayer, Memory, Prepared};
use casque_image::config::ImageConfig;
use casque_image::layer::{LayerOptions, LayerStore};
use casque_test::TestEnv;
use insta::assert_snapshot;
use serde_json::{Value, json};

/// Writes an archive whose only file is this.
fn archive(environment: &TestEnv, path: &str, content: &str, name: &str) {
    environment.write(&format!("root{path}"), content);
    let store = LayerStore::open(&environment.path("layers")).unwrap();
    let options = LayerOptions { epoch: 0, ..LayerOptions::default() };
    let file = store.write_tree(&environment.path("root"), &options).unwrap();
    let image = Image {
        config: ImageConfig { architecture: "amd64".to_owned(), ..ImageConfig::default() },
        layers: vec![ImageLayer { file, created_by: "plan".to_owned() }],
        names: vec!["vendor/notes:v1".parse().unwrap()],
        annotations: BTreeMap::new(),
    };
    let memory = Memory::open(&environment.path("memory")).unwrap();
    let prepared = Prepared::new(&image, &memory, Compression::None, None).unwrap();
    prepared.write_tar(&environment.path(name)).unwrap();
}

fn plan() -> Value {
    json!({
        "version": 1, "expose": [80], "env_prefix": "", "templates": [], "data": [], "services": {},
        "product": {"name": "vendor/notes", "version": "1.4.0", "command": "notes"},
        "reference": "vendor/notes:v1.4.0", "stop_budget_ms": 9000, "status_path": "/status",
        "agent": {"name": "agent", "uid": 910, "gid": 911, "home": "/"},
        "settings": {"workers": {"type": "integer", "description": "Processes.", "default": 2}},
    })
}

#[test]
fn the_handbook_of_an_archive_is_printed_or_written() {
    let environment = TestEnv::default();
    archive(&environment, paths::IMAGE_PLAN, &plan().to_string(), "notes.tar");
    let seen = |arguments: &[&str]| {
        let output = environment.casque(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let read = |name: &str| std::fs::read_to_string(environment.path(name)).unwrap();
    let text = seen(&["docs", "notes.tar"]);
    assert!(
        text.starts_with("# vendor/notes 1.4.0\n\nOne container image: `vendor/notes:v1.4.0`."),
        "{text}"
    );
    assert!(text.contains("\n| `workers` | `WORKERS` |"), "{text}");
    assert_eq!(seen(&["docs", "--format", "markdown", "--output", "notes.md", "notes.tar"]), "");
    assert_eq!(read("notes.md"), text);
    assert_eq!(seen(&["docs", "--format", "html", "--output", "notes.html", "notes.tar"]), "");
    assert_eq!(read("notes.html"), seen(&["docs", "--format", "html", "notes.tar"]));
    assert!(read("notes.html").starts_with("<!DOCTYPE html>\n"));
    let blocks: Vec<Value> = serde_json::from_str(&seen(&["docs", "--blocks", "notes.tar"])).unwrap();
    assert_eq!(
        blocks[0],
        json!({
            "name": "download", "section": "Install",
            "commands": "curl --fail -u USER:PASSWORD https://HOST/notes/docker_notes-v1.4.0.tar -o notes.tar\n",
        })
    );
    assert_eq!(blocks.len(), text.matches("\n```sh ").count());
}

#[test]
fn an_image_without_a_plan_has_no_handbook() {
    let environment = TestEnv::default();
    archive(&environment, "/etc/hostname", "notes", "other.tar");
    assert_snapshot!(environment.run(&["docs", "other.tar"]).to_string(), @r"
    error: cannot write the handbook of `other.tar`
      caused by: it has no `/usr/lib/casque/plan.json`
    hint: only images that `casque build` made have one, and a thin archive may leave it out
    exit code 2
    ");
    archive(&environment, paths::IMAGE_PLAN, "{}", "broken.tar");
    assert_snapshot!(environment.run(&["docs", "broken.tar"]).to_string(), @r"
    error: cannot write the handbook of `broken.tar`
      caused by: missing field `version` at line 1 column 2
    exit code 2
    ");
    archive(&environment, paths::IMAGE_PLAN, &plan().to_string(), "notes.tar");
    let seen = environment.run(&["docs", "--output", "none/notes.md", "notes.tar"]).to_string();
    assert!(seen.starts_with("error: cannot write `none/notes.md`\n  caused by: "), "{seen}");
}
