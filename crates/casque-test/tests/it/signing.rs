//! `casque keygen`, `sign` and `verify`, with minisign as the judge.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use casque_test::{Seen, TestEnv};

/// An environment with a key `name`.
fn with_key(name: &str) -> TestEnv {
    let environment = TestEnv::default();
    environment.write("passphrase", "correct horse\n");
    let seen = environment.run(&["keygen", name, "--passphrase-file", "passphrase"]);
    assert_eq!(seen.code, Some(0), "{seen}");
    environment
}

/// Returns what was printed, with the numbers of keys replaced in the order they are met.
fn masked(seen: &Seen) -> String {
    let mut text = seen.to_string();
    let words: Vec<String> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/".contains(c)).map(str::to_owned).collect();
    let is_number = |word: &&String| {
        word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    };
    for (index, word) in words.iter().filter(is_number).enumerate() {
        text = text.replace(word.as_str(), &format!("KEY{index}"));
    }
    for word in words.iter().filter(|word| word.len() >= 50 && word.starts_with("RW")) {
        text = text.replace(word.as_str(), "LINE");
    }
    text
}

#[test]
fn a_signed_file_is_verified_by_casque_and_by_minisign() {
    let environment = with_key("vendor");
    let mode = |name: &str| std::fs::metadata(environment.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("vendor.key"), mode("vendor.pub")), (0o600, 0o644));
    environment.write("archive.tar", "content");
    let mut sign =
        environment.casque(&["sign", "archive.tar", "--key", "vendor.key", "--comment", "backend 43.4.4"]);
    let seen = environment.see(sign.env("CASQUE_PASSPHRASE", "correct horse"));
    assert_eq!(masked(&seen), "stdout: signed by key KEY0: archive.tar.minisig\nexit code 0");

    let verify = ["verify", "archive.tar", "--key", "vendor.pub"];
    assert_eq!(
        masked(&environment.run(&verify)),
        "stdout: `archive.tar` is signed by key KEY0\nstdout: trusted comment: backend 43.4.4\nexit code 0"
    );
    let mut minisign = Command::new("minisign");
    minisign.args(["-V", "-p", "vendor.pub", "-m", "archive.tar"]).current_dir(environment.path(""));
    assert!(minisign.output().unwrap().status.success());

    let json: serde_json::Value =
        serde_json::from_str(&environment.run(&[&verify[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!((&json["version"], &json["trusted_comment"]), (&1.into(), &"backend 43.4.4".into()));

    environment.write("archive.tar", "contend");
    assert_eq!(
        masked(&environment.run(&verify)),
        "error: cannot verify `archive.tar`\n  \
         caused by: the signature by key KEY0 does not fit: the content, its trusted comment or the signature was changed\n\
         exit code 3"
    );
}

#[test]
fn a_key_that_follows_another_is_trusted_by_whoever_trusts_that() {
    let environment = with_key("old");
    environment.write("new-passphrase", "battery staple\n");
    let arguments = ["keygen", "new", "--rotate-from", "old.key", "--old-passphrase-file", "passphrase"];
    let seen = environment.run(&[&arguments[..], &["--passphrase-file", "new-passphrase"]].concat());
    assert_eq!(
        masked(&seen),
        "stdout: key KEY0\nstdout: follows key KEY1\nstdout: wrote new.pub\nstdout: wrote new.pub.minisig\n\
         stdout: wrote new.key\nstdout: customers verify with: minisign -V -P LINE -m FILE\nexit code 0"
    );
    environment.write("archive.tar", "content");
    let sign = ["sign", "archive.tar", "--key", "new.key", "--passphrase-file", "new-passphrase"];
    assert_eq!(environment.run(&sign).code, Some(0));
    assert_eq!(
        masked(&environment.run(&["verify", "archive.tar", "--key", "old.pub"])),
        "error: cannot verify `archive.tar`\n  \
         caused by: the signature is by key KEY0, which is not among those trusted: KEY1\n\
         hint: a key that follows a trusted one is named with `--follow NEW.pub`\nexit code 3"
    );
    let seen = environment.run(&["verify", "archive.tar", "--key", "old.pub", "--follow", "new.pub"]);
    assert_eq!(seen.code, Some(0), "{seen}");

    // What the old key signed for another purpose makes no key trusted.
    let sign =
        ["sign", "new.pub", "--key", "old.key", "--passphrase-file", "passphrase", "--comment", "a file"];
    assert_eq!(environment.run(&sign).code, Some(0));
    let seen = environment.run(&["verify", "archive.tar", "--key", "old.pub", "--follow", "new.pub"]);
    assert_eq!(
        masked(&seen),
        "error: cannot verify `archive.tar`: cannot follow to `new.pub`\n  \
         caused by: the signature by key KEY0 is not for a new key, but for `a file`\nexit code 3"
    );
}

#[test]
fn mistakes_with_keys_are_named() {
    let environment = with_key("vendor");
    environment.write("wrong", "wrong\n");
    environment.write("empty", "");
    environment.write("archive.tar", "content");
    let seen = |arguments: &[&str]| masked(&environment.run(arguments));
    assert_eq!(
        seen(&["keygen", "vendor", "--passphrase-file", "passphrase"]),
        "error: cannot make the keys `vendor`\n  caused by: `vendor.key` is there already\n\
         hint: choose another name: a key that is lost cannot be made again\nexit code 2"
    );
    assert_eq!(
        seen(&["keygen", "other", "--passphrase-file", "empty"]),
        "error: cannot make the keys `other`\n  caused by: the passphrase is empty\n\
         hint: a key needs a passphrase of at least one character\nexit code 2"
    );
    assert_eq!(
        seen(&["sign", "archive.tar", "--key", "vendor.key", "--passphrase-file", "wrong"]),
        "error: cannot sign `archive.tar` with `vendor.key`\n  \
         caused by: the passphrase is not that of this secret key\nexit code 2"
    );
    assert_eq!(
        seen(&["verify", "archive.tar", "--key", "vendor.key"]),
        "error: cannot verify `archive.tar` with `vendor.key`\n  \
         caused by: this is no public key: Base64 conversion failed - was an actual public key given?\nexit code 2"
    );
    let left: Vec<_> = environment.files("").into_iter().filter(|file| file.ends_with(".minisig")).collect();
    assert!(left.is_empty() && !environment.path("other.pub").exists(), "{left:?}");
}
