//! What is suggested for a step, made from a stage in a directory.

use std::path::Path;

use insta::assert_snapshot;

use super::{Suggestion, Suggestions, of_step};
use crate::lock::Lockfile;
use crate::manifest::Manifest;

const LOCK: &str = r#"version = 1

[[archive]]
name = "bookworm"
url = "http://mirror.example.org/debian"
suite = "bookworm"
components = ["main"]
date = 0
release = "1111111111111111111111111111111111111111111111111111111111111111"
key = ""

[[step]]
layer = "deploy"
inputs = "3333333333333333333333333333333333333333333333333333333333333333"

[[step.fetch]]
url = "http://mirror.example.org/debian/pool/main/n/nginx/nginx-light_1%2b1_all.deb"
size = 1500000
sha256 = "4444444444444444444444444444444444444444444444444444444444444444"

[[step.fetch]]
url = "http://mirror.example.org/debian/pool/main/n/nginx/nginx-common_1_all.deb"
size = 500000
sha256 = "4444444444444444444444444444444444444444444444444444444444444444"

[[step.fetch]]
url = "https://repo.example.com/pool/shop_1_all.deb"
size = 1
sha256 = "4444444444444444444444444444444444444444444444444444444444444444"

[[step.fetch]]
url = "https://files.example.org/typing_extensions-4.1-py3-none-any.whl"
size = 2000000
sha256 = "5555555555555555555555555555555555555555555555555555555555555555"
"#;

const MANIFEST: &str = "[image]\nname = \"a/b\"\nversion = \"1\"\ncommand = \"b\"\n[base]\ndistribution = \"debian\"\n\
    suite = \"bookworm\"\n[[layer]]\nname = \"deploy\"\nrun = \"true\"\nnetwork = true\n";

const PINNED: &str =
    "typing-extensions==4.1 --hash=sha256:5555555555555555555555555555555555555555555555555555555555555555\n";

fn stanza(name: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n")
}

/// A project, the stage below, and what the step left.
struct Left {
    place: tempfile::TempDir,
}

impl Left {
    fn new() -> Self {
        let left = Self { place: tempfile::tempdir().unwrap() };
        left.write("project/casque.toml", MANIFEST);
        left.write("below/var/lib/dpkg/status", &stanza("libc6"));
        left
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.place.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn suggestion(&self) -> (Suggestion, Manifest) {
        let at = |name: &str| self.place.path().join(name);
        fs_err::create_dir_all(at("own")).unwrap();
        let manifest = Manifest::read(&at("project")).unwrap();
        let lock: Lockfile = toml::from_str(LOCK).unwrap();
        let below = [at("nothing"), at("below")];
        let own: &Path = &at("own");
        (of_step(&manifest, &lock, &lock.steps()[0], own, &below).unwrap(), manifest)
    }

    fn text(&self) -> String {
        let (suggestion, manifest) = self.suggestion();
        Suggestions::new(vec![suggestion]).as_text(&manifest)
    }
}

#[test]
fn what_a_step_asked_apt_for_is_a_layer_and_what_that_needs_is_not_named() {
    let left = Left::new();
    let status = ["libc6", "nginx-light", "nginx-common", "shop"].map(stanza).concat();
    left.write("own/var/lib/dpkg/status", &status);
    left.write(
        "own/var/lib/apt/extended_states",
        "Package: nginx-common\nArchitecture: all\nAuto-Installed: 1\n\n",
    );
    assert_snapshot!(left.text(), @r#"
    # To paste before the layer `deploy`, which then finds all of it present.

    # 3 packages, 2.0 MB: what the step asks apt for, and what that needs.
    [[layer]]
    name = "packages"
    packages = ["nginx-light"]

    # From archives that the manifest does not name, so a layer needs a `[[base.archive]]` first:
    # shop
    "#);
}

#[test]
fn an_environment_is_a_layer_of_the_project_s_requirements_where_these_have_hashes() {
    let left = Left::new();
    left.write("own/opt/shop/venv/pyvenv.cfg", "");
    for name in ["typing_extensions-4.1", "pip-23.0"] {
        left.write(&format!("own/opt/shop/venv/lib/python3.11/site-packages/{name}.dist-info/RECORD"), "");
    }
    assert_snapshot!(left.text(), @r#"
    # To paste before the layer `deploy`, which then finds all of it present.

    # 1 distribution, 2.0 MB: what the step installs into `/opt/shop/venv`. No file of the project says that with hashes; this one would, as
    # `requirements-shop.lock`, and the step should install from it too:
    #   typing-extensions==4.1 --hash=sha256:5555555555555555555555555555555555555555555555555555555555555555
    [[layer]]
    name = "python-shop"
    python = { venv = "/opt/shop/venv", requirements = "requirements-shop.lock" }
    "#);
    left.write("project/requirements.lock", PINNED);
    assert_snapshot!(left.text(), @r#"
    # To paste before the layer `deploy`, which then finds all of it present.

    # 1 distribution, 2.0 MB: what the step installs into `/opt/shop/venv`, which is what `requirements.lock` says.
    [[layer]]
    name = "python-shop"
    python = { venv = "/opt/shop/venv", requirements = "requirements.lock" }
    "#);
    // Another version is another set.
    left.write("project/requirements.lock", &PINNED.replace("4.1", "4.2"));
    assert_eq!(left.suggestion().0.python[0].requirements, None);
    left.write("own/opt/shop/venv/lib/python3.11/site-packages/ours-1.dist-info/RECORD", "");
    assert_snapshot!(left.text(), @r"
    # To paste before the layer `deploy`, which then finds all of it present.

    # 2 distributions, 2.0 MB: what the step installs into `/opt/shop/venv`. A layer cannot hold it, because these came as no wheel:
    # ours 1
    # Build wheels of them, have them in an index, and pin all with `pip-compile --generate-hashes`.
    ");
}

#[test]
fn a_step_that_installs_nothing_has_nothing_to_gain() {
    assert_eq!(Left::new().text(), "# No step installs what a layer before it could hold.\n");
}
