//! Both ways between this crate and the `minisign` of Debian.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use casque_sign::{Passphrase, PublicKey, SecretKey};

const CONTENT: &[u8] = b"the archive of a release\n";

/// Runs the real program; it reads passphrases from its input.
fn minisign(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("minisign")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`minisign` is there: tests/install-needs.sh test");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn minisign_verifies_what_we_sign_and_signs_with_our_key() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(place.path().join(name), content).unwrap();
    let (key, file) = SecretKey::generate(&Passphrase::new("correct horse")).unwrap();
    write("archive", CONTENT);
    write("archive.minisig", key.sign(CONTENT, "product 1.0").unwrap().as_bytes());
    write("key.pub", key.public().file().as_bytes());
    write("key", file.as_bytes());

    let seen = minisign(place.path(), &["-V", "-p", "key.pub", "-m", "archive"], "");
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.status.success() && text.contains("Trusted comment: product 1.0"), "{seen:?}");

    let seen =
        minisign(place.path(), &["-S", "-s", "key", "-m", "archive", "-t", "theirs"], "correct horse\n");
    assert!(seen.status.success(), "{seen:?}");
    let signature = std::fs::read_to_string(place.path().join("archive.minisig")).unwrap();
    let verified = key.public().verify(Cursor::new(CONTENT), &signature).unwrap();
    assert_eq!((verified.key, verified.trusted_comment.as_str()), (key.id(), "theirs"));

    write("archive", b"the archive of another release\n");
    assert!(!minisign(place.path(), &["-V", "-p", "key.pub", "-m", "archive"], "").status.success());
}

#[test]
fn we_verify_what_minisign_signs_and_sign_with_its_key() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("archive"), CONTENT).unwrap();
    let seen = minisign(place.path(), &["-G", "-p", "key.pub", "-s", "key"], "their secret\ntheir secret\n");
    assert!(seen.status.success(), "{seen:?}");
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
    let public = PublicKey::parse(&read("key.pub")).unwrap();
    let seen =
        minisign(place.path(), &["-S", "-s", "key", "-m", "archive", "-t", "theirs"], "their secret\n");
    assert!(seen.status.success(), "{seen:?}");
    let verified = public.verify(Cursor::new(CONTENT), &read("archive.minisig")).unwrap();
    assert_eq!(verified.trusted_comment, "theirs");

    let key = SecretKey::open(&read("key"), &Passphrase::new("their secret\n")).unwrap();
    assert_eq!(key.public(), public);
    std::fs::write(place.path().join("archive.minisig"), key.sign(CONTENT, "ours").unwrap()).unwrap();
    let seen = minisign(place.path(), &["-V", "-p", "key.pub", "-m", "archive", "-q"], "");
    assert!(seen.status.success(), "{seen:?}");
}

#[test]
fn a_signature_that_is_not_over_a_hash_is_refused() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("archive"), CONTENT).unwrap();
    let (key, file) = SecretKey::generate(&Passphrase::new("correct horse")).unwrap();
    std::fs::write(place.path().join("key"), file).unwrap();
    let seen = minisign(place.path(), &["-S", "-l", "-s", "key", "-m", "archive"], "correct horse\n");
    assert!(seen.status.success(), "{seen:?}");
    let signature = std::fs::read_to_string(place.path().join("archive.minisig")).unwrap();
    let refused = key.public().verify(Cursor::new(CONTENT), &signature).unwrap_err();
    assert_eq!(refused.to_string(), "this is no signature: it is of the old form, which is not over a hash");
}

#[test]
fn a_key_that_minisign_left_unprotected_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let seen = minisign(place.path(), &["-G", "-W", "-p", "key.pub", "-s", "key"], "");
    assert!(seen.status.success(), "{seen:?}");
    let file = std::fs::read_to_string(place.path().join("key")).unwrap();
    let refused = SecretKey::open(&file, &Passphrase::new("any")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this is no secret key: it is not protected by a passphrase; `minisign -C` gives it one"
    );
}
