//! Small images compared: each list of a difference has something in it, and a second look at one image has nothing.

use std::path::{Path, PathBuf};

use casque_format::difference::{Aspect, Change, Difference, How, Item, Owner, Step};
use casque_image::archive::{Compression, Image, ImageLayer, Memory, Older, Prepared};
use casque_image::config::ImageConfig;
use casque_image::diff::all_candidates;
use casque_image::layer::{Diff, LayerFile, LayerOptions, LayerStore};
use fs_err as fs;
use serde_json::json;
use tempfile::TempDir;

use super::*;

const PLACE: &str = "opt/app/lib/python3.11/site-packages";

/// An image of two layers: a base that every image here has, and what a test puts on top.
struct Scratch {
    directory: TempDir,
    store: LayerStore,
}

impl Scratch {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = LayerStore::open(&directory.path().join("layers")).unwrap();
        Self { directory, store }
    }

    fn base(&self) -> (PathBuf, LayerFile) {
        let root = self.directory.path().join("base");
        if !root.exists() {
            put(&root, "usr/bin/tool", "tool 1");
            put(&root, "usr/lib/stays", "stays");
            put(&root, "etc/gone", "gone");
            fs::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        }
        let layer = self.store.write_tree(&root, &options()).unwrap();
        (root, layer)
    }

    fn image(&self, name: &str, config: ImageConfig, change: impl FnOnce(&Path)) -> PathBuf {
        self.written(name, config, Compression::None, None, change)
    }

    fn written(
        &self,
        name: &str,
        config: ImageConfig,
        compression: Compression,
        older: Option<&Path>,
        change: impl FnOnce(&Path),
    ) -> PathBuf {
        let (base, lowest) = self.base();
        let root = self.directory.path().join(name);
        copy(&base, &root);
        change(&root);
        let candidates = all_candidates(&base, &root).unwrap();
        let diff = Diff { lower: &base, upper: &root, candidates };
        let upper = self.store.write_diff(&diff, &options()).unwrap();
        let layers = [Some(lowest), upper].into_iter().flatten();
        let layer = |file| ImageLayer { file, created_by: "test".to_owned() };
        let image = Image {
            config: ImageConfig { architecture: "amd64".to_owned(), ..config },
            layers: layers.map(layer).collect(),
            names: vec!["vendor/tool:v1".parse().unwrap()],
            annotations: std::collections::BTreeMap::new(),
        };
        let path = self.directory.path().join(format!("{name}.tar"));
        let memory = Memory::open(&self.directory.path().join("memory")).unwrap();
        let older = older.map(|older| Older::open(older).unwrap());
        Prepared::new(&image, &memory, compression, older.as_ref()).unwrap().write_tar(&path).unwrap();
        path
    }
}

fn options() -> LayerOptions {
    LayerOptions { epoch: 1_700_000_000, ..LayerOptions::default() }
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&path);
    fs::write(&path, text).unwrap();
    // The same time whenever a test runs: times are compared too.
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.file().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("--archive").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

fn plan(root: &Path, plan: &Value) {
    put(root, "usr/lib/casque/plan.json", &plan.to_string());
}

/// Everything that is text about one side, left out of what a test compares.
fn files(difference: &Difference) -> Vec<(String, How, Vec<Aspect>, Option<Owner>)> {
    let described =
        difference.files.iter().filter(|file| file.new.as_ref().is_none_or(|new| new.kind != "directory"));
    described.map(|file| (file.path.clone(), file.how, file.what.clone(), file.owner.clone())).collect()
}

fn item(name: &str, how: How, changes: &[(&str, Option<&str>, Option<&str>)]) -> Item {
    let change = |(what, old, new): &(&str, Option<&str>, Option<&str>)| Change {
        what: (*what).to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
    };
    let changes = changes.iter().map(change).collect();
    Item { name: name.to_owned(), how, was: None, description: None, changes }
}

#[test]
fn an_image_does_not_differ_from_itself() {
    let scratch = Scratch::new();
    let one = scratch.image("one", ImageConfig::default(), |root| put(root, "etc/new", "new"));
    let found = difference(&one, &one).unwrap();
    assert!(found.is_none());
    assert_eq!((found.download, found.files, found.packages), (0, vec![], vec![]));
}

#[test]
fn files_are_compared_by_content_mode_owner_and_presence() {
    let scratch = Scratch::new();
    let old = scratch.image("old", ImageConfig::default(), |root| {
        put(root, "opt/same", "same");
        put(root, "opt/length", "aaaa");
        put(root, "opt/mode", "mode");
        put(root, "opt/dropped", "dropped");
        fs::os::unix::fs::symlink("a", root.join("opt/link")).unwrap();
    });
    let new = scratch.image("new", ImageConfig::default(), |root| {
        put(root, "opt/same", "same");
        put(root, "opt/length", "bbbb");
        put(root, "opt/mode", "mode");
        fs::set_permissions(root.join("opt/mode"), std::os::unix::fs::PermissionsExt::from_mode(0o4755))
            .unwrap();
        fs::os::unix::fs::symlink("b", root.join("opt/link")).unwrap();
        put(root, "usr/bin/tool", "tool two");
        put(root, "opt/again", "once more");
        fs::hard_link(root.join("opt/again"), root.join("opt/twice")).unwrap();
        fs::remove_file(root.join("etc/gone")).unwrap();
    });
    let found = difference(&old, &new).unwrap();
    let none = Vec::new;
    let expected = [
        ("/etc/gone", How::Removed, none()),
        ("/opt/again", How::Added, none()),
        ("/opt/dropped", How::Removed, none()),
        ("/opt/length", How::Changed, vec![Aspect::Content]),
        ("/opt/link", How::Changed, vec![Aspect::Content]),
        ("/opt/mode", How::Changed, vec![Aspect::Mode]),
        ("/opt/twice", How::Added, none()),
        ("/usr/bin/tool", How::Changed, vec![Aspect::Content]),
    ];
    let expected = expected.map(|(path, how, what)| (path.to_owned(), how, what, None));
    let is_time_of_link = |aspect: &Aspect| *aspect != Aspect::Time;
    let mut files = files(&found);
    files.iter_mut().for_each(|file| file.2.retain(is_time_of_link));
    assert_eq!(files, expected);
    let shared: Vec<bool> = found.layers.iter().map(|layer| layer.shared).collect();
    assert_eq!(shared, [true, false]);
    assert_eq!(found.download, found.layers[1].size);
}

#[test]
fn packages_have_versions_and_own_files_wherever_bin_leads() {
    let scratch = Scratch::new();
    let status = |packages: &[(&str, &str)]| -> String {
        let stanza = |(name, version): &(&str, &str)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
            )
        };
        packages.iter().map(stanza).collect()
    };
    let old = scratch.image("old", ImageConfig::default(), |root| {
        put(root, "var/lib/dpkg/status", &status(&[("tool", "1.9-1"), ("down", "1:1"), ("old", "3")]));
        put(root, "var/lib/dpkg/info/tool:amd64.list", "/.\n/bin\n/bin/tool\n");
    });
    let new = scratch.image("new", ImageConfig::default(), |root| {
        let foreign = "Package: wine\nStatus: install ok installed\nArchitecture: i386\nVersion: 8\n";
        let gone = "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n";
        let text = status(&[("tool", "1.10-1"), ("down", "2")]) + gone + foreign;
        put(root, "var/lib/dpkg/status", &text);
        put(root, "var/lib/dpkg/info/tool:amd64.list", "/.\n/bin\n/bin/tool\n");
        put(root, "usr/bin/tool", "tool 1.10");
    });
    let found = difference(&old, &new).unwrap();
    let packages: Vec<_> =
        found.packages.iter().map(|package| (package.name.as_str(), package.how)).collect();
    let expected = [
        ("down", Step::Downgraded),
        ("old", Step::Removed),
        ("tool", Step::Upgraded),
        ("wine:i386", Step::Added),
    ];
    assert_eq!(packages, expected);
    let tool = found.files.iter().find(|file| file.path == "/usr/bin/tool").unwrap();
    assert_eq!(tool.owner, Some(Owner::Debian("tool".to_owned())));
}

#[test]
fn distributions_own_what_their_record_names_and_its_bytecode() {
    let scratch = Scratch::new();
    let image = |name: &str, place: &str, version: &str, text: &str| {
        scratch.image(name, ImageConfig::default(), |root| {
            let information = format!("{place}/Flask_Login-{version}.dist-info");
            let metadata =
                format!("Metadata-Version: 2.1\nName: Flask_Login\nVersion: {version}\n\nVersion: text\n");
            put(root, &format!("{information}/METADATA"), &metadata);
            let record = "flask_login.py,sha256=x,1\n../../../bin/login,,\n\"a,b.py\",,\n";
            put(root, &format!("{information}/RECORD"), record);
            for file in [
                "flask_login.py",
                "__pycache__/flask_login.cpython-311.pyc",
                "../../../bin/login",
                "a,b.py",
                "own.py",
            ] {
                put(root, &format!("{place}/{file}"), text);
            }
        })
    };
    let (old, new) = (image("old", PLACE, "0.9", "1"), image("new", PLACE, "0.10", "2"));
    let found = difference(&old, &new).unwrap();
    let [package] = &found.python[..] else { panic!("{:?}", found.python) };
    assert_eq!((package.name.as_str(), package.how), ("flask-login", Step::Upgraded));
    assert_eq!(package.place.as_deref(), Some(format!("/{PLACE}").as_str()));
    let changed = found
        .files
        .iter()
        .filter(|file| file.how == How::Changed && file.old.as_ref().unwrap().kind == "file");
    let owners: Vec<_> =
        changed.map(|file| (file.path.rsplit('/').next().unwrap(), file.owner.is_some())).collect();
    let expected = [
        ("login", true),
        ("flask_login.cpython-311.pyc", true),
        ("a,b.py", true),
        ("flask_login.py", true),
        ("own.py", false),
    ];
    assert_eq!(owners, expected);

    let moved = image("moved", "srv/app/lib/python3.11/site-packages", "0.10", "2");
    assert_eq!(difference(&new, &moved).unwrap().python, [], "the one environment there is has moved");
}

#[test]
fn plans_are_compared_by_name_and_value() {
    let scratch = Scratch::new();
    let before = json!({
        "version": 1, "expose": [80], "stop_budget_ms": 9000,
        "settings": {
            "workers": {"type": "integer", "description": "How many.", "default": "4"},
            "mail": {"type": "url", "description": "Where mail goes."},
            "token": {"type": "password", "description": "A token.", "default": "hunter2"},
        },
        "services": {"web": {"service": {"command": ["web"], "stop": {"signal": "TERM"}}}},
        "data": [{"path": "/data/db", "uid": 0}],
        "templates": [],
    });
    let mut after = before.clone();
    after["settings"]["workers"]["default"] = json!("8");
    after["settings"]["token"]["default"] = json!("hunter3");
    let mail = after["settings"].as_object_mut().unwrap().remove("mail").unwrap();
    after["settings"]["smtp"] = mail;
    after["services"]["web"]["service"]["command"] = json!(["web", "--fast"]);
    after["services"]["web"]["service"]["stop"]["signal"] = json!("QUIT");
    after["data"] = json!([{"path": "/data/db", "uid": 7}, {"path": "/data/new", "uid": 0}]);
    after["stop_budget_ms"] = json!(8000);
    let old = scratch
        .image("old", ImageConfig { ports: vec![80], ..ImageConfig::default() }, |root| plan(root, &before));
    let new = scratch
        .image("new", ImageConfig { ports: vec![81], ..ImageConfig::default() }, |root| plan(root, &after));
    let found = difference(&old, &new).unwrap();

    let described = |mut item: Item, text: &str| {
        item.description = Some(text.to_owned());
        item
    };
    let mut renamed = described(item("smtp", How::Renamed, &[]), "Where mail goes.");
    renamed.was = Some("mail".to_owned());
    let token = item("token", How::Changed, &[("default", Some("(secret)"), Some("(secret)"))]);
    let workers = item("workers", How::Changed, &[("default", Some("4"), Some("8"))]);
    assert_eq!(found.settings, [renamed, described(token, "A token."), described(workers, "How many.")]);
    let changes = [
        ("command", Some(r#"["web"]"#), Some(r#"["web","--fast"]"#)),
        ("stop.signal", Some("TERM"), Some("QUIT")),
    ];
    assert_eq!(found.services, [item("web", How::Changed, &changes)]);
    assert_eq!(found.ports, [item("80", How::Removed, &[]), item("81", How::Added, &[])]);
    let data = [
        item("/data/db", How::Changed, &[("uid", Some("0"), Some("7"))]),
        item("/data/new", How::Added, &[("uid", None, Some("0"))]),
    ];
    assert_eq!(found.data, data);
    assert_eq!(
        found.product,
        item("", How::Changed, &[("stop_budget_ms", Some("9000"), Some("8000"))]).changes
    );
}

#[test]
fn accounts_and_the_configuration_are_compared_without_passwords() {
    let scratch = Scratch::new();
    let old = scratch.image("old", ImageConfig::default(), |root| {
        put(root, "etc/passwd", "root:old:0:0:root:/root:/bin/sh\nweb:x:100:100::/srv:/bin/sh\n");
        put(root, "etc/group", "web:x:100:\n");
    });
    let config = ImageConfig { command: vec!["go".to_owned()], created: 9, ..ImageConfig::default() };
    let new = scratch.image("new", config, |root| {
        put(root, "etc/passwd", "root:new:0:0:root:/root:/bin/sh\nweb:x:101:100::/srv:/bin/sh\n");
        put(root, "etc/group", "web:x:100:root\n");
    });
    let found = difference(&old, &new).unwrap();
    assert_eq!(found.users, [item("web", How::Changed, &[("uid", Some("100"), Some("101"))])]);
    assert_eq!(found.groups, [item("web", How::Changed, &[("members", Some(""), Some("root"))])]);
    assert_eq!(found.image, item("", How::Changed, &[("command", Some("[]"), Some(r#"["go"]"#))]).changes);
    assert_eq!((found.old.created, found.new.created), (0, 9));
}

#[test]
fn a_thin_archive_borrows_the_layers_of_the_other_and_compression_does_not_matter() {
    let scratch = Scratch::new();
    let old = scratch.image("old", ImageConfig::default(), |root| put(root, "opt/old", "old"));
    let change = |root: &Path| {
        put(root, "opt/new", "new");
        put(root, "usr/lib/stays", "goes.");
    };
    let whole = scratch.image("whole", ImageConfig::default(), change);
    let packed = scratch.written("packed", ImageConfig::default(), Compression::Zstd, None, change);
    let thin = scratch.written("thin", ImageConfig::default(), Compression::None, Some(&old), change);
    let expected = difference(&old, &whole).unwrap();
    assert_eq!(files(&expected).len(), 3);
    let found = difference(&old, &thin).unwrap();
    assert_eq!((found.new.unread_layers, &found.files), (0, &expected.files));
    let compressed = difference(&old, &packed).unwrap();
    assert_eq!(compressed.files, expected.files);
    let shared = |found: &Difference| found.layers.iter().map(|layer| layer.shared).collect::<Vec<_>>();
    assert_eq!((shared(&compressed), shared(&expected)), (vec![true, false], vec![true, false]));
    // Without the archive it is thin against, what is missing is said.
    let alone = difference(&thin, &thin).unwrap();
    assert_eq!((alone.old.unread_layers, alone.new.unread_layers), (1, 1));
}
