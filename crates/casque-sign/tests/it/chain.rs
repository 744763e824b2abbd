//! A chain of keys, and what is refused.

use std::io::Cursor;

use casque_sign::{KeyRing, Passphrase, PublicKey, SecretKey, SignError, rotate};

fn key() -> SecretKey {
    SecretKey::generate(&Passphrase::new("secret")).unwrap().0
}

#[test]
fn whoever_trusts_the_first_key_follows_the_chain_to_the_last() {
    let (first, second, third) = (key(), key(), key());
    let to_second = rotate(&first, &second.public()).unwrap();
    let to_third = rotate(&second, &third.public()).unwrap();
    let signature = third.sign(&b"release"[..], "for customers").unwrap();

    let mut ring = KeyRing::new([first.public()]);
    let refused = ring.verify(Cursor::new("release"), &signature).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the signature is by key {}, which is not among those trusted: {}", third.id(), first.id())
    );
    let refused = ring.follow(&third.public().file(), &to_third).unwrap_err();
    assert!(matches!(refused, SignError::UnknownKey { .. }), "a link of the chain is missing: {refused}");

    assert_eq!(ring.follow(&second.public().file(), &to_second).unwrap(), second.id());
    assert_eq!(ring.follow(&third.public().file(), &to_third).unwrap(), third.id());
    assert_eq!(ring.verify(Cursor::new("release"), &signature).unwrap().key, third.id());
    assert_eq!(ring.ids(), [first.id(), second.id(), third.id()]);
}

#[test]
fn a_key_that_was_signed_for_something_else_is_not_followed() {
    let (first, second) = (key(), key());
    let signature = first.sign(second.public().file().as_bytes(), "a file of the release").unwrap();
    let refused = KeyRing::new([first.public()]).follow(&second.public().file(), &signature).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the signature by key {} is not for a new key, but for `a file of the release`", first.id())
    );
}

#[test]
fn a_key_of_another_algorithm_is_none() {
    let line = key().public().line();
    let refused = PublicKey::parse(&line.replacen("RW", "Rn", 1)).unwrap_err();
    assert_eq!(refused.to_string(), "this is no public key: it is of an algorithm other than Ed25519");
}

#[test]
fn a_key_is_followed_whatever_became_of_the_comment_in_its_file() {
    let (first, second) = (key(), key());
    let link = rotate(&first, &second.public()).unwrap();
    let file = format!("untrusted comment: ours since spring\n{}\n", second.public().line());
    assert_eq!(KeyRing::new([first.public()]).follow(&file, &link).unwrap(), second.id());
}

#[test]
fn another_key_in_the_place_of_the_new_one_is_refused() {
    let (first, second, other) = (key(), key(), key());
    let link = rotate(&first, &second.public()).unwrap();
    let refused = KeyRing::new([first.public()]).follow(&other.public().file(), &link).unwrap_err();
    assert!(matches!(refused, SignError::Mismatch { .. }), "{refused}");
}

#[test]
fn a_change_of_the_content_or_of_the_trusted_comment_is_seen() {
    let key = key();
    let signature = key.sign(&b"release"[..], "version 1").unwrap();
    let verify =
        |content: &'static str, signature: &str| key.public().verify(Cursor::new(content), signature);
    assert_eq!(verify("release", &signature).unwrap().trusted_comment, "version 1");
    for (content, signature) in
        [("releasf", signature.clone()), ("release", signature.replace("version 1", "version 2"))]
    {
        let refused = verify(content, &signature).unwrap_err();
        assert!(matches!(refused, SignError::Mismatch { .. }), "{refused}");
    }
    assert!(matches!(key.sign(&b""[..], "two\nlines"), Err(SignError::Comment)));
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let (key, file) = SecretKey::generate(&Passphrase::new("correct horse")).unwrap();
    let refused = SecretKey::open(&file, &Passphrase::new("wrong horse")).unwrap_err();
    assert!(matches!(refused, SignError::WrongPassphrase), "{refused}");
    assert_eq!(SecretKey::open(&file, &Passphrase::new("correct horse\n")).unwrap().id(), key.id());
}

#[test]
fn no_secret_shows_in_what_is_printed() {
    let passphrase = Passphrase::new("correct horse");
    let (key, _) = SecretKey::generate(&passphrase).unwrap();
    assert_eq!(format!("{passphrase:?} {key:?}"), format!("Passphrase(...) SecretKey({})", key.id()));
    assert!(matches!(SecretKey::generate(&Passphrase::new("\n")), Err(SignError::PassphraseEmpty)));
}
