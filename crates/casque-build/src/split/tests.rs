//! On small trees: whose is what, and that the parts add up.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use casque_image::archive::{Compression, Image, ImageLayer, Memory, Prepared};
use casque_image::config::ImageConfig;
use casque_image::diff::{all_candidates, differences};
use casque_image::layer::{Diff, LayerOptions, LayerStore};
use casque_image::listing;
use casque_image::read::Archive;
use casque_image::unpack::unpack;
use fs_err as fs;
use tempfile::TempDir;

use super::*;
use crate::layers::{self, Part};
use crate::stage::StageLayer;

const SITE: &str = "opt/v/lib/python3.11/site-packages";

/// A root filesystem before and after a stage, and the layers that say the difference.
struct Stage {
    directory: TempDir,
    store: LayerStore,
}

impl Stage {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for name in ["before", "after"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let store = LayerStore::open(&directory.path().join("layers")).unwrap();
        Self { directory, store }
    }

    fn put(&self, path: &str, content: &str) {
        for tree in ["before", "after"] {
            if path.starts_with(tree) {
                let path = self.directory.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.directory.path().join(path), PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Says that `package` is installed and brought `files` of these contents.
    fn package(&self, package: &str, version: &str, files: &[(&str, &str)]) {
        let status = self.directory.path().join("after/var/lib/dpkg/status");
        let mut text = fs::read_to_string(&status).unwrap_or_default();
        text += &format!(
            "Package: {package}\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\n"
        );
        self.put("after/var/lib/dpkg/status", &text);
        let info = |suffix: &str| format!("after/var/lib/dpkg/info/{package}.{suffix}");
        let list: String = files.iter().map(|(path, _)| format!("/{path}\n")).collect();
        self.put(&info("list"), &format!("/.\n{list}"));
        let sums = files.iter().map(|(path, content)| {
            let sum = <md5::Md5 as md5::Digest>::digest(content.as_bytes());
            let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{sum}  {path}\n")
        });
        self.put(&info("md5sums"), &sums.collect::<String>());
        for (path, content) in files {
            self.put(&format!("after/{path}"), content);
        }
    }

    fn wheel(&self, name: &str, files: &[(&str, &str)]) {
        let hash = |content: &str| {
            let digest = Digest::of(content.as_bytes());
            base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, digest.as_bytes())
        };
        let mut record = String::new();
        for (path, content) in files {
            self.put(&format!("after/{SITE}/{path}"), content);
            record += &format!("{path},sha256={},{}\n", hash(content), content.len());
        }
        record += &format!("{name}-1.dist-info/RECORD,,\n");
        self.put(&format!("after/{SITE}/{name}-1.dist-info/RECORD"), &record);
    }

    fn changes(&self) -> Vec<Change> {
        let [lower, upper] = ["before", "after"].map(|name| self.directory.path().join(name));
        let candidates = all_candidates(&lower, &upper).unwrap();
        differences(&Diff { lower: &lower, upper: &upper, candidates }, &LayerOptions::default()).unwrap()
    }

    fn layers(&self, groups: usize) -> Vec<StageLayer> {
        let root = self.directory.path().join("after");
        let mut split = split(&root, &self.changes()).unwrap();
        let mut parts = layers::of_owners("s", &mut split, groups);
        assert!(split.owners.is_empty());
        parts.push(Part::state("s", "", split.state));
        let options = LayerOptions { epoch: 1_700_000_000, ..LayerOptions::default() };
        layers::write(&self.store, &root, parts, &options).unwrap()
    }

    fn listed(&self) -> BTreeMap<String, String> {
        let list = |layer: &StageLayer| {
            let file = self.store.get(&layer.diff_id).unwrap().unwrap();
            (layer.name.clone(), listing::of_layer(File::open(file.path).unwrap()).unwrap())
        };
        self.layers(2).iter().map(list).collect()
    }

    /// Stacks the layers on what was before, as an engine does.
    fn stacked(&self, layers: &[StageLayer]) -> String {
        let lower = self.store.write_tree(&self.directory.path().join("before"), &LayerOptions::default());
        let above = layers.iter().map(|layer| self.store.get(&layer.diff_id).unwrap().unwrap());
        let files = std::iter::once(lower.unwrap()).chain(above);
        let image = Image {
            config: ImageConfig { architecture: "amd64".to_owned(), ..ImageConfig::default() },
            layers: files.map(|file| ImageLayer { file, created_by: String::new() }).collect(),
            names: vec!["a:b".parse().unwrap()],
            annotations: BTreeMap::new(),
        };
        let path = self.directory.path().join("image.tar");
        let memory = Memory::open(&self.directory.path().join("memory")).unwrap();
        Prepared::new(&image, &memory, Compression::None, None).unwrap().write_tar(&path).unwrap();
        let root = TempDir::new_in(self.directory.path()).unwrap();
        unpack(&Archive::open(&path).unwrap(), root.path()).unwrap();
        listing::of_tree(root.path(), &LayerOptions::default()).unwrap()
    }

    fn tree(&self) -> String {
        listing::of_tree(&self.directory.path().join("after"), &LayerOptions::default()).unwrap()
    }
}

fn names(listing: &str) -> Vec<&str> {
    listing.lines().map(|line| line.rsplit(' ').next().unwrap()).collect()
}

fn busy() -> Stage {
    let stage = Stage::new();
    for (path, content) in [("etc/motd", "hi"), ("etc/gone", "x"), ("usr/share/kept", "k")] {
        stage.put(&format!("before/{path}"), content);
    }
    stage.put("after/etc/motd", "ho");
    // A directory that this stage does not change, and a package's layer makes up.
    for tree in ["before", "after"] {
        stage.put(&format!("{tree}/usr/bin/old"), "o");
        stage.mode(&format!("{tree}/usr/bin"), 0o711);
    }
    stage.put("after/usr/share/kept", "k");
    stage.package("tool", "1", &[("usr/bin/tool", "t"), ("usr/share/tool/x", "x"), ("usr/lib/changed", "c")]);
    stage.package("python3-y", "1", &[("usr/lib/python3/y.py", "y")]);
    stage.put("after/usr/lib/changed", "by a script");
    stage.put("after/usr/lib/python3/__pycache__/y.cpython-311.pyc", "compiled");
    stage.put("after/var/log/tool/empty", "");
    stage.mode("after/var/log/tool", 0o750);
    stage.mode("after/usr/share/tool", 0o2775);
    stage.wheel("flask", &[("flask/a.py", "a"), ("flask/b.py", "b"), ("../../../bin/flask", "#!")]);
    stage.put(&format!("after/{SITE}/flask/b.py"), "patched");
    for name in ["a", "b"] {
        stage.put(&format!("after/{SITE}/flask/__pycache__/{name}.cpython-311.pyc"), name);
    }
    stage
}

#[test]
fn the_layers_of_a_stage_add_up_to_its_tree() {
    let stage = busy();
    for groups in [1, 2, 5] {
        let layers = stage.layers(groups);
        assert!(layers.len() > 2);
        assert_eq!(stage.stacked(&layers), stage.tree(), "with {groups} groups");
    }
}

#[test]
fn what_something_changed_is_state_and_so_is_what_was_compiled_from_it() {
    let stage = busy();
    let split = split(&stage.directory.path().join("after"), &stage.changes()).unwrap();
    let of = |owner: &str| -> Vec<String> {
        split.owners[owner].files.keys().map(|path| path.display().to_string()).collect()
    };
    let info = "var/lib/dpkg/info";
    assert_eq!(split.owners.keys().collect::<Vec<_>>(), ["python3-y", "python:flask", "tool"]);
    assert_eq!(
        of("tool"),
        ["usr/bin/tool", "usr/share/tool/x", &format!("{info}/tool.list"), &format!("{info}/tool.md5sums")]
    );
    assert_eq!(
        of("python:flask"),
        [
            "opt/v/bin/flask",
            &format!("{SITE}/flask/__pycache__/a.cpython-311.pyc"),
            &format!("{SITE}/flask/a.py"),
            &format!("{SITE}/flask-1.dist-info/RECORD"),
        ]
    );
    let generated: Vec<&PathBuf> = split.generated.files.keys().collect();
    assert_eq!(generated, [Path::new("usr/lib/python3/__pycache__/y.cpython-311.pyc")]);
    let listed = stage.listed();
    let state = names(&listed["s"]);
    for path in ["usr/lib/changed", "usr/share/tool", "var/log/tool", "etc/gone", "var/lib/dpkg/status"] {
        assert!(state.contains(&path), "{path} is not in {state:#?}");
    }
    assert!(!state.contains(&"usr/share/tool/x"));
}

#[test]
fn the_layer_of_a_package_does_not_change_when_another_package_or_the_stage_below_does() {
    let owners = |stage: &Stage| -> BTreeMap<String, Digest> {
        let layers = stage.layers(8).into_iter().filter(|layer| layer.name != "s");
        layers.map(|layer| (layer.created_by, layer.diff_id)).collect()
    };
    let before = owners(&busy());
    let other = busy();
    other.put("before/usr/share/x", "");
    other.mode("before/usr/share", 0o700);
    other.mode("after/usr/share", 0o711);
    // dpkg's records have the time of the build.
    let record = other.directory.path().join("after/var/lib/dpkg/info/tool.list");
    let record = File::options().write(true).open(record).unwrap();
    record.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    other.package("newcomer", "3", &[("usr/share/tool/new", "z"), ("usr/bin/new", "z")]);
    let after = owners(&other);
    for (owner, digest) in &before {
        assert_eq!(after.get(owner), Some(digest), "{owner}");
    }
    assert_eq!(after.len(), before.len() + 1);
}
