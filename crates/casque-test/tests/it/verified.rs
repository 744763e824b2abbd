//! The archive of the next release: signed inside by `casque sign`, verified by the command in the installed image and by
//! `casque verify`.

use std::process::Stdio;

use casque_image::archive::{Compression, Image, ImageLayer, Memory, Older, Prepared};
use casque_image::config::ImageConfig;
use casque_image::layer::{LayerOptions, LayerStore};
use casque_test::{Seen, TestEnv, program};
use serde_json::json;

/// An environment with the key `vendor`, and one of somebody else.
fn with_keys() -> TestEnv {
    let environment = TestEnv::default();
    environment.write("passphrase", "correct horse\n");
    for name in ["vendor", "other"] {
        ok(&environment.run(&["keygen", name, "--passphrase-file", "passphrase"]));
    }
    environment
}

fn ok(seen: &Seen) {
    assert_eq!(seen.code, Some(0), "{seen}");
}

/// Writes the archive of a version, and one without the layer that all versions have.
fn archive(environment: &TestEnv, name: &str, version: &str) {
    let store = LayerStore::open(&environment.path("layers")).unwrap();
    let layer = |content: &str| {
        environment.write("root/file", content);
        store.write_tree(&environment.path("root"), &LayerOptions::default()).unwrap()
    };
    let layers = [layer("the same"), layer(version)];
    let label = ("org.opencontainers.image.version".to_owned(), version.to_owned());
    let image = Image {
        config: ImageConfig {
            architecture: "amd64".to_owned(),
            labels: [label].into(),
            ..ImageConfig::default()
        },
        layers: layers.map(|file| ImageLayer { file, created_by: "test".to_owned() }).to_vec(),
        names: vec![format!("{name}:v{version}").parse().unwrap(), format!("{name}:latest").parse().unwrap()],
        annotations: std::collections::BTreeMap::new(),
    };
    let memory = Memory::open(&environment.path("memory")).unwrap();
    let path = environment.path(&format!("v{version}.tar"));
    Prepared::new(&image, &memory, Compression::None, None).unwrap().write_tar(&path).unwrap();
    if version == "2" {
        let older = Older::open(&environment.path("v1.tar")).unwrap();
        let thin = Prepared::new(&image, &memory, Compression::None, Some(&older)).unwrap();
        thin.write_tar(&environment.path("thin.tar")).unwrap();
    }
}

/// Signs an archive inside.
fn sign(environment: &TestEnv, archive: &str, key: &str, more: &[&str]) {
    let words = ["sign", "--archive", archive, "--key", key, "--passphrase-file", "passphrase"];
    ok(&environment.run(&[&words[..], more].concat()));
}

/// Makes the installed image: its plan, as a build would write it.
fn install(environment: &TestEnv, version: &str, counter: Option<u64>, keys: &[&str]) {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| {
            let file = std::fs::read_to_string(environment.path(key)).unwrap();
            file.lines().nth(1).unwrap().to_owned()
        })
        .collect();
    let mut plan = json!({
        "version": 1,
        "product": {"name": "vendor/backend", "version": version, "command": "backend"},
        "reference": format!("vendor/backend:v{version}"),
        "expose": [], "env_prefix": "", "services": {}, "settings": {}, "templates": [], "data": [],
        "agent": {"name": "agent", "uid": 910, "gid": 911, "home": "/"},
        "stop_budget_ms": 9000, "status_path": "/status", "verify_keys": keys,
    });
    if let Some(counter) = counter {
        plan["product"]["counter"] = counter.into();
    }
    environment.write("installed/usr/lib/casque/plan.json", plan.to_string());
}

/// What the installed image says of an archive, the numbers of keys cut out.
fn verify(environment: &TestEnv, archive: &str, words: &[&str]) -> String {
    let input = std::fs::File::open(environment.path(archive)).unwrap();
    let mut command = environment.command(&program("casque-agent"));
    command.arg("--root").arg(environment.path("installed")).arg("verify").args(words);
    masked(environment, &environment.see(command.stdin(Stdio::from(input))).to_string())
}

fn masked(environment: &TestEnv, text: &str) -> String {
    let number = |key: &str| {
        let file = std::fs::read_to_string(environment.path(key)).ok()?;
        Some(file.lines().next()?.rsplit(' ').next()?.to_owned())
    };
    let keys = [("vendor.pub", "VENDOR"), ("other.pub", "OTHER"), ("new.pub", "NEW")];
    let mut text = text.to_owned();
    for (number, name) in keys.iter().filter_map(|(key, name)| Some((number(key)?, name))) {
        text = text.replace(&number, name);
    }
    text
}

/// Flips one bit of the first place that has these bytes.
fn flip(environment: &TestEnv, archive: &str, bytes: &[u8], to: &str) {
    let mut content = std::fs::read(environment.path(archive)).unwrap();
    let at = content.windows(bytes.len()).position(|window| window == bytes).unwrap();
    content[at] ^= 1;
    environment.write(to, content);
}

fn refusal(seen: &str) -> (&str, &str) {
    let (said, code) = seen.rsplit_once("\nexit code ").unwrap();
    (said.strip_prefix("error: ").unwrap_or(said), code)
}

#[test]
fn the_installed_image_verifies_the_next_archive() {
    let environment = with_keys();
    archive(&environment, "vendor/backend", "1");
    archive(&environment, "vendor/backend", "2");
    install(&environment, "1", Some(6), &["vendor.pub"]);
    sign(&environment, "v2.tar", "vendor.key", &["--counter", "7", "--channel", "stable"]);
    let seen = verify(&environment, "v2.tar", &[]);
    let made = seen.lines().nth(2).unwrap().to_owned();
    assert!(made.starts_with("stdout: made 20") && made.ends_with(" UTC, does not expire"), "{made}");
    let size = std::fs::metadata(environment.path("v2.tar")).unwrap().len();
    let bytes: u64 = seen.split(" files, ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(bytes > 4000 && bytes < size, "{bytes} of {size}");
    assert_eq!(
        seen,
        format!(
            "stdout: vendor/backend:v2\nstdout: signed by key VENDOR\n{made}\n\
             stdout: released after `vendor/backend:v1`: counter 7 after 6\n\
             stdout: 7 files, {bytes} bytes: each is what was signed, and there is nothing else\nexit code 0"
        )
    );
    let seen = verify(&environment, "v2.tar", &["--json"]);
    let json: serde_json::Value =
        serde_json::from_str(seen.strip_prefix("stdout: ").unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(
        [
            &json["version"],
            &json["tag"],
            &json["counter"],
            &json["channel"],
            &json["installed"]["counter"],
            &json["compared"]
        ],
        [&json!(1), &json!("v2"), &json!(7), &json!("stable"), &json!(6), &json!("counter")]
    );
    // A thin archive has fewer files, and all of them are signed.
    sign(&environment, "thin.tar", "vendor.key", &["--counter", "7"]);
    let seen = verify(&environment, "thin.tar", &[]);
    assert!(seen.contains("stdout: 6 files, ") && seen.ends_with("exit code 0"), "{seen}");
    // Signed again it has one record, the newer.
    sign(&environment, "v2.tar", "vendor.key", &["--counter", "9"]);
    assert!(verify(&environment, "v2.tar", &[]).contains("counter 9 after 6"));
    let seen = environment.run(&["inspect", "v2.tar"]).to_string();
    let signed = "stdout: signed: vendor/backend:v2, counter 9, by key VENDOR; `casque verify --archive` verifies it\n";
    assert!(masked(&environment, &seen).contains(signed), "{seen}");
}

#[test]
fn what_was_done_to_an_archive_is_one_line_with_a_remedy() {
    let environment = with_keys();
    archive(&environment, "vendor/backend", "1");
    install(&environment, "1", Some(6), &["vendor.pub"]);
    let remedy = "; do not load it; download it again, and ask the vendor if that does not help";
    let said = |archive: &str| {
        let seen = verify(&environment, archive, &[]);
        let (said, code) = refusal(&seen);
        assert_eq!((code, said.lines().count()), ("65", 1), "{said}");
        said.to_owned()
    };
    assert_eq!(
        said("v1.tar"),
        "the archive is not signed: it begins with `oci-layout`, and a signed one with `release.json`; \
         do not load it; ask the vendor for a signed one"
    );
    sign(&environment, "v1.tar", "vendor.key", &["--counter", "6"]);
    flip(&environment, "v1.tar", b"the same", "blob.tar");
    let blob = said("blob.tar");
    assert!(blob.starts_with("`blobs/sha256/"), "{blob}");
    assert!(blob.ends_with(&format!("` is not what was signed: its SHA-256 differs{remedy}")), "{blob}");
    flip(&environment, "v1.tar", b"[{\"Config\"", "manifest.tar");
    assert_eq!(
        said("manifest.tar"),
        format!("`manifest.json` is not what was signed: its SHA-256 differs{remedy}")
    );
    flip(&environment, "v1.tar", b"6,\"created\"", "record.tar");
    assert_eq!(
        said("record.tar"),
        format!(
            "the signature of the archive, `release.json.minisig`, does not hold: the signature by key VENDOR does not \
             fit: the content, its trusted comment or the signature was changed{remedy}"
        )
    );
    let whole = std::fs::read(environment.path("v1.tar")).unwrap();
    environment.write("cut.tar", &whole[..whole.len() - 2000]);
    let cut = said("cut.tar");
    assert!(
        cut.starts_with(&format!("the archive is cut off after {} bytes, ", whole.len() - 2000)),
        "{cut}"
    );
    assert!(cut.ends_with("; download it again; `curl -C -` goes on where it ended"), "{cut}");
    environment.write("more.tar", [&whole[..], b"x"].concat());
    assert_eq!(
        said("more.tar"),
        format!("something comes after the end of the archive, at byte {}{remedy}", whole.len())
    );
}

#[test]
fn who_signed_when_and_what_decides() {
    let environment = with_keys();
    archive(&environment, "vendor/backend", "1");
    archive(&environment, "vendor/backend", "2");
    let said = |archive: &str| {
        let seen = verify(&environment, archive, &[]);
        let (said, code) = refusal(&seen);
        assert_eq!(code, "65", "{said}");
        said.to_owned()
    };
    install(&environment, "2", Some(7), &["vendor.pub"]);
    sign(&environment, "v2.tar", "other.key", &["--counter", "8"]);
    assert_eq!(
        said("v2.tar"),
        "the signature of the archive, `release.json.minisig`, does not hold: the signature is by key OTHER, which is \
         not among those trusted: VENDOR; do not load it; ask the vendor whether their key has changed"
    );
    let newer =
        "; take a newer release; whoever wants this one back verifies it with `casque verify --archive`";
    sign(&environment, "v1.tar", "vendor.key", &["--counter", "6"]);
    assert_eq!(
        said("v1.tar"),
        format!("release `v1` has counter 6, and what is installed has 7: it was released before{newer}")
    );
    sign(&environment, "v1.tar", "vendor.key", &["--counter", "7"]);
    assert_eq!(
        said("v1.tar"),
        format!("release `v1` has counter 7, and so has `v2`, which is installed{newer}")
    );
    sign(&environment, "v2.tar", "vendor.key", &["--expires-after", "0s"]);
    let expired = said("v2.tar");
    assert!(
        expired.starts_with("release `v2` expired ")
            && expired.contains(" seconds ago; take a newer release, or set"),
        "{expired}"
    );
    // Without a counter in the archive nobody could tell; without one in the image versions are compared, and that is said.
    sign(&environment, "v2.tar", "vendor.key", &[]);
    assert_eq!(said("v2.tar"), format!("release `v2` has no counter, expected one of at least 7{newer}"));
    install(&environment, "2", None, &["vendor.pub"]);
    let seen = verify(&environment, "v2.tar", &[]);
    assert!(
        seen.contains("of the version of `vendor/backend:v2`; there are no two counters to compare\n"),
        "{seen}"
    );
    install(&environment, "3", None, &["vendor.pub"]);
    assert_eq!(
        said("v2.tar"),
        format!("release `v2` is of version 2, and what is installed is of 3: it is older{newer}")
    );
    // A later release of a lower version is no replay.
    install(&environment, "3", Some(7), &["vendor.pub"]);
    sign(&environment, "v2.tar", "vendor.key", &["--counter", "8"]);
    let seen = verify(&environment, "v2.tar", &[]);
    let warning = "warning: version 2 is lower than the installed 3: it will not start on data of that one";
    assert!(seen.contains(warning) && seen.ends_with("exit code 0"), "{seen}");
    archive(&environment, "vendor/frontend", "4");
    sign(&environment, "v4.tar", "vendor.key", &["--counter", "9"]);
    assert_eq!(
        said("v4.tar"),
        "the archive is of image `vendor/frontend`, expected `vendor/backend`; take the archive of this product"
    );
}

#[test]
fn an_archive_brings_the_keys_that_follow_the_one_in_the_image() {
    let environment = with_keys();
    let rotate = ["keygen", "new", "--rotate-from", "vendor.key", "--old-passphrase-file", "passphrase"];
    ok(&environment.run(&[&rotate[..], &["--passphrase-file", "passphrase"]].concat()));
    archive(&environment, "vendor/backend", "1");
    install(&environment, "1", None, &["vendor.pub"]);
    sign(&environment, "v1.tar", "new.key", &["--follow", "new.pub"]);
    let seen = verify(&environment, "v1.tar", &[]);
    assert!(seen.contains("signed by key NEW\n") && seen.ends_with("exit code 0"), "{seen}");
    // An image that has both keys takes archives of either.
    install(&environment, "1", None, &["vendor.pub", "new.pub"]);
    sign(&environment, "v1.tar", "new.key", &[]);
    assert!(verify(&environment, "v1.tar", &[]).ends_with("exit code 0"));
    install(&environment, "1", None, &["vendor.pub"]);
    assert!(
        verify(&environment, "v1.tar", &[]).contains("by key NEW, which is not among those trusted: VENDOR")
    );
    let words = ["sign", "--archive", "v1.tar", "--key", "other.key", "--passphrase-file", "passphrase"];
    let seen = environment.run(&[&words[..], &["--follow", "new.pub"]].concat());
    assert_eq!(
        masked(&environment, &seen.to_string()),
        "error: cannot sign `v1.tar`\n  caused by: the last key to follow is NEW, and key OTHER signs\n\
         hint: name the public keys from the one after the customers' to the one that signs\nexit code 2"
    );
}

#[test]
fn without_a_key_or_without_an_archive_nothing_is_verified() {
    let environment = with_keys();
    environment.write("nothing", "");
    install(&environment, "1", None, &["vendor.pub"]);
    assert_eq!(
        verify(&environment, "nothing", &[]),
        "error: there is no archive: nothing came; give it on stdin: `docker run --rm -i IMAGE verify < next.tar`\n\
         exit code 64"
    );
    install(&environment, "1", None, &[]);
    assert_eq!(
        verify(&environment, "nothing", &[]),
        "error: this image has no key to verify an archive with; use `casque verify --archive` and the vendor's public \
         key\nexit code 78"
    );
}

#[test]
fn casque_verifies_an_archive_with_a_public_key() {
    let environment = with_keys();
    archive(&environment, "vendor/backend", "1");
    let run = |more: &[&str]| {
        let words = ["verify", "--archive", "v1.tar", "--key", "vendor.pub"];
        masked(&environment, &environment.run(&[&words[..], more].concat()).to_string())
    };
    assert_eq!(
        run(&[]),
        "error: cannot verify `v1.tar`\n  \
         caused by: the archive is not signed: it begins with `oci-layout`, and a signed one with `release.json`\n\
         hint: do not load it; ask the vendor for a signed one\nexit code 3"
    );
    let seen = environment.run(&[
        "sign",
        "--archive",
        "v1.tar",
        "--output",
        "signed.tar",
        "--key",
        "vendor.key",
        "--passphrase-file",
        "passphrase",
        "--counter",
        "6",
    ]);
    assert_eq!(
        masked(&environment, &seen.to_string()),
        "stdout: signed by key VENDOR: signed.tar, vendor/backend:v1\nexit code 0"
    );
    assert!(run(&[]).contains("the archive is not signed"), "the other file is left as it was");
    std::fs::rename(environment.path("signed.tar"), environment.path("v1.tar")).unwrap();
    let seen = run(&["--counter", "6", "--image", "vendor/backend"]);
    assert!(
        seen.starts_with(
            "stdout: `v1.tar` is `vendor/backend:v1`, signed by key VENDOR\nstdout: counter 6; 7 files, "
        ),
        "{seen}"
    );
    assert!(run(&["--counter", "7"]).contains("has counter 6, and what is installed has 7"));
    assert!(run(&["--image", "vendor/x"]).contains("is of image `vendor/backend`, expected `vendor/x`"));
    let json: serde_json::Value = serde_json::from_str(
        &environment.run(&["verify", "--archive", "v1.tar", "--key", "vendor.pub", "--json"]).stdout,
    )
    .unwrap();
    assert_eq!((&json["version"], &json["archive"]["tag"]), (&json!(1), &json!("v1")));
    // What cannot be signed as a whole is not signed at all.
    environment.write("text", "hello");
    let seen = environment.run(&[
        "sign",
        "--archive",
        "text",
        "--key",
        "vendor.key",
        "--passphrase-file",
        "passphrase",
    ]);
    assert!(
        seen.code == Some(2) && seen.stderr.contains("`text` is no image archive, or only a part of one"),
        "{seen}"
    );
    assert_eq!(std::fs::read(environment.path("text")).unwrap(), b"hello");
}
