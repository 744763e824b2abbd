//! Signatures made here, good and bad.

use casque_fuzz::fuzz;
use pgp::composed::{
    ArmorOptions, KeyType, SecretKeyParamsBuilder, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::packet::{KeyFlags, SignatureConfig, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Duration as KeyDuration, KeyDetails, Password, SignedUser, SigningKey, Tag, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::release::{Release, ReleaseError};

const YEAR: u32 = 365 * 24 * 3600;
const CREATED: u32 = 1_600_000_000;
const SIGNED: u32 = CREATED + YEAR;

const RELEASE: &str = "\
Origin: Debian
Label: Debian
Suite: oldstable
Codename: bookworm
Date: Mon, 13 Sep 2021 12:26:40 UTC
Valid-Until: Mon, 20 Sep 2021 12:26:40 UTC
Acquire-By-Hash: yes
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages
- a line that had to be escaped
";

fn now() -> OffsetDateTime {
    from_timestamp(u64::from(SIGNED) + 3600)
}

fn secret(seed: u64) -> SignedSecretKey {
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_certify(true)
        .created_at(Timestamp::from_secs(CREATED))
        .primary_user_id("Archive <archive@example.org>".to_owned())
        .subkey(
            SubkeyParamsBuilder::default()
                .key_type(KeyType::Ed25519Legacy)
                .can_sign(true)
                .created_at(Timestamp::from_secs(CREATED))
                .build()
                .unwrap(),
        )
        .build()
        .unwrap()
        .generate(StdRng::seed_from_u64(seed))
        .unwrap()
}

fn config(
    key: &impl SigningKey,
    kind: SignatureType,
    made: u32,
    more: Vec<SubpacketData>,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    let own = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(made)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ];
    config.hashed_subpackets =
        own.into_iter().chain(more).map(|data| Subpacket::regular(data).unwrap()).collect();
    config
}

/// Returns a certificate of `secret` with one self-signature, which says `more`, and without subkeys.
fn certificate(secret: &SignedSecretKey, more: Vec<SubpacketData>) -> SignedPublicKey {
    let key = &secret.primary_key;
    let id = secret.details.users[0].id.clone();
    let signature = config(key, SignatureType::CertPositive, CREATED, more)
        .sign_certification(key, key.public_key(), &Password::empty(), Tag::UserId, &id)
        .unwrap();
    let users = vec![SignedUser::new(id, vec![signature])];
    SignedPublicKey::new(
        key.public_key().clone(),
        SignedKeyDetails::new(vec![], vec![], users, vec![]),
        vec![],
    )
}

fn keyring(certificates: &[SignedPublicKey]) -> Keyring {
    let mut keyring = Keyring::default();
    for certificate in certificates {
        keyring.add(&certificate.to_bytes().unwrap());
    }
    keyring
}

fn signing() -> SubpacketData {
    flags(true)
}

fn flags(sign: bool) -> SubpacketData {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(sign);
    SubpacketData::KeyFlags(flags)
}

fn sign(text: &str, key: &impl SigningKey) -> String {
    sign_with(text, key, config(key, SignatureType::Text, SIGNED, vec![]))
}

fn sign_with(text: &str, key: &impl SigningKey, config: SignatureConfig) -> String {
    CleartextSignedMessage::new(text, config, key, &Password::empty())
        .unwrap()
        .to_armored_string(ArmorOptions::default())
        .unwrap()
}

fn refusal(signed: &str, keyring: &Keyring) -> String {
    verify_clear_signed(signed.as_bytes(), keyring, now()).unwrap_err().to_string()
}

#[test]
fn text_signed_by_an_accepted_key_is_handed_on_as_it_was() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let signed = sign(RELEASE, &secret.primary_key);
    let verified = verify_clear_signed(signed.as_bytes(), &keyring, now()).unwrap();
    assert_eq!(verified.text.trim_end(), RELEASE.trim_end());
    assert_eq!(verified.key, secret.primary_key.fingerprint().to_string());
}

#[test]
fn what_stands_around_signed_text_is_not_handed_on() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let signed = sign(RELEASE, &secret.primary_key);
    for around in [format!("Origin: Evil\n\n{signed}"), format!("{signed}\nOrigin: Evil\n")] {
        match verify_clear_signed(around.as_bytes(), &keyring, now()) {
            Ok(verified) => assert_eq!(verified.text.trim_end(), RELEASE.trim_end()),
            Err(error) => assert!(matches!(error, VerifyError::NotSigned { .. }), "{error}"),
        }
    }
}

#[test]
fn an_armoured_keyring_with_several_blocks_is_read_whole() {
    let (first, second) = (secret(1), secret(2));
    let armour =
        |secret| certificate(secret, vec![signing()]).to_armored_string(ArmorOptions::default()).unwrap();
    let mut keyring = Keyring::default();
    keyring.add(format!("A comment.\n{}\n{}", armour(&first), armour(&second)).as_bytes());
    assert_eq!(keyring.fingerprints().len(), 2);
    let signed = sign(RELEASE, &second.primary_key);
    assert!(verify_clear_signed(signed.as_bytes(), &keyring, now()).is_ok());
}

#[test]
fn changed_text_is_refused() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let signed = sign(RELEASE, &secret.primary_key).replace("oldstable", "stable");
    let key = secret.primary_key.fingerprint();
    assert_eq!(refusal(&signed, &keyring), format!("the signature of key `{key}` does not match the text"));
}

#[test]
fn a_stranger_is_named_and_so_are_the_accepted_keys() {
    let (ours, stranger) = (secret(1), secret(2));
    let keyring = keyring(&[certificate(&ours, vec![signing()])]);
    let (accepted, signer) = (ours.primary_key.fingerprint(), stranger.primary_key.fingerprint());
    assert_eq!(
        refusal(&sign(RELEASE, &stranger.primary_key), &keyring),
        format!("signed by `{signer}`, accepted are `{accepted}`")
    );
}

#[test]
fn an_expired_key_is_refused_even_for_what_it_signed_in_its_time() {
    let secret = secret(1);
    let lifetime = SubpacketData::KeyExpirationTime(KeyDuration::from_secs(YEAR + 60));
    let keyring = keyring(&[certificate(&secret, vec![signing(), lifetime])]);
    let key = secret.primary_key.fingerprint();
    assert_eq!(
        refusal(&sign(RELEASE, &secret.primary_key), &keyring),
        format!("key `{key}` expired on 2021-09-13")
    );
}

#[test]
fn the_newest_self_signature_decides_about_expiry() {
    let secret = secret(1);
    let lifetime = SubpacketData::KeyExpirationTime(KeyDuration::from_secs(60));
    let mut renewed = certificate(&secret, vec![signing(), lifetime]);
    let key = &secret.primary_key;
    let id = renewed.details.users[0].id.clone();
    let signature = config(key, SignatureType::CertPositive, CREATED + 30, vec![signing()])
        .sign_certification(key, key.public_key(), &Password::empty(), Tag::UserId, &id)
        .unwrap();
    renewed.details.users[0].signatures.push(signature);
    assert!(verify_clear_signed(sign(RELEASE, key).as_bytes(), &keyring(&[renewed]), now()).is_ok());
}

#[test]
fn a_revoked_key_is_refused() {
    let secret = secret(1);
    let key = &secret.primary_key;
    let mut revoked = certificate(&secret, vec![signing()]);
    let revocation = config(key, SignatureType::KeyRevocation, CREATED + 1, vec![])
        .sign_key(key, &Password::empty(), key.public_key())
        .unwrap();
    revoked.details.revocation_signatures.push(revocation);
    let refused = refusal(&sign(RELEASE, key), &keyring(&[revoked]));
    assert_eq!(refused, format!("key `{}` was revoked", key.fingerprint()));
}

#[test]
fn a_key_that_may_only_certify_is_refused() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![flags(false)])]);
    let refused = refusal(&sign(RELEASE, &secret.primary_key), &keyring);
    assert_eq!(refused, format!("key `{}` may not sign", secret.primary_key.fingerprint()));
}

#[test]
fn a_key_without_a_self_signature_of_its_own_is_refused() {
    let (ours, other) = (secret(1), secret(2));
    let mut unbound = certificate(&ours, vec![signing()]);
    unbound.details = certificate(&other, vec![signing()]).details;
    let refused = refusal(&sign(RELEASE, &ours.primary_key), &keyring(&[unbound]));
    let key = ours.primary_key.fingerprint();
    assert_eq!(refused, format!("key `{key}` is not bound to its owner by a valid signature"));
}

#[test]
fn a_subkey_signs_only_when_it_is_bound_in_both_directions() {
    let secret = secret(1);
    let subkey = &secret.secret_subkeys[0];
    let signed = sign(RELEASE, &subkey.key);
    let with = |signatures| {
        let mut whole = certificate(&secret, vec![signing()]);
        whole.public_subkeys.push(SignedPublicSubKey::new(subkey.key.public_key().clone(), signatures));
        keyring(&[whole])
    };
    assert!(verify_clear_signed(signed.as_bytes(), &with(subkey.signatures.clone()), now()).is_ok());

    let bind = |kind, more| {
        config(&secret.primary_key, kind, CREATED + 1, more)
            .sign_subkey_binding(
                &secret.primary_key,
                secret.primary_key.public_key(),
                &Password::empty(),
                subkey.key.public_key(),
            )
            .unwrap()
    };
    let key = subkey.key.fingerprint();
    let one_way = bind(SignatureType::SubkeyBinding, vec![signing()]);
    assert_eq!(
        refusal(&signed, &with(vec![one_way])),
        format!("key `{key}` is not bound to its owner by a valid signature")
    );
    let revoked = vec![subkey.signatures[0].clone(), bind(SignatureType::SubkeyRevocation, vec![])];
    assert_eq!(refusal(&signed, &with(revoked)), format!("key `{key}` was revoked"));
}

#[test]
fn signatures_have_a_time_of_their_own() {
    let secret = secret(1);
    let key = &secret.primary_key;
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let fingerprint = key.fingerprint();
    let lifetime = SubpacketData::SignatureExpirationTime(KeyDuration::from_secs(60));
    let over = sign_with(RELEASE, key, config(key, SignatureType::Text, SIGNED, vec![lifetime]));
    assert_eq!(refusal(&over, &keyring), format!("the signature of key `{fingerprint}` has expired"));
    let early = sign_with(RELEASE, key, config(key, SignatureType::Text, SIGNED + YEAR, vec![]));
    assert_eq!(
        refusal(&early, &keyring),
        format!("the signature of key `{fingerprint}` was made in the future")
    );
}

#[test]
fn unsigned_text_is_refused() {
    assert!(refusal(RELEASE, &Keyring::default()).starts_with("it is not signed text: "));
}

#[test]
fn metadata_is_good_until_its_time_is_over() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let text = RELEASE.replace("- a line that had to be escaped\n", "");
    let signed = sign(&text, &secret.primary_key);
    let release = Release::verify(signed.as_bytes(), &keyring, now()).unwrap();
    assert_eq!((release.codename.as_str(), release.by_hash), ("bookworm", true));
    assert!(release.indexes.contains_key("main/binary-amd64/Packages"));

    let week = Duration::days(8);
    let late = Release::verify(signed.as_bytes(), &keyring, now() + week).unwrap_err();
    assert_eq!(late.to_string(), "the archive's metadata expired on 2021-09-20 12:26:40 UTC");
    let fresh = text.replace("13 Sep 2021", "15 Sep 2021");
    let early = Release::verify(sign(&fresh, &secret.primary_key).as_bytes(), &keyring, now()).unwrap_err();
    assert!(matches!(early, ReleaseError::Future { .. }), "{early}");
}

/// Signs `text` apart from it.
fn detached(text: &str, key: &impl SigningKey, hash: HashAlgorithm) -> DetachedSignature {
    let mut config = config(key, SignatureType::Binary, SIGNED, vec![]);
    config.hash_alg = hash;
    DetachedSignature::new(config.sign(key, &Password::empty(), text.as_bytes()).unwrap())
}

#[test]
fn signatures_in_a_file_of_their_own_are_read_armoured_and_not() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let signature = detached(RELEASE, &secret.primary_key, HashAlgorithm::Sha256);
    let armoured = signature.to_armored_bytes(ArmorOptions::default()).unwrap();
    for signatures in [signature.to_bytes().unwrap(), armoured] {
        let verified = verify_detached(RELEASE.as_bytes(), &signatures, &keyring, now()).unwrap();
        assert_eq!(verified.text, RELEASE);
        let other = verify_detached(b"Origin: Debian\n", &signatures, &keyring, now()).unwrap_err();
        let key = secret.primary_key.fingerprint();
        assert_eq!(other.to_string(), format!("the signature of key `{key}` does not match the text"));
    }
    let none = verify_detached(RELEASE.as_bytes(), b"-----BEGIN nothing", &keyring, now()).unwrap_err();
    assert!(matches!(none, VerifyError::NotSigned { .. }), "{none}");
}

#[test]
fn one_good_signature_of_several_is_enough_and_a_bad_one_alone_is_not() {
    let (ours, stranger) = (secret(1), secret(2));
    let keyring = keyring(&[certificate(&ours, vec![signing()])]);
    let bytes = |text, secret: &SignedSecretKey| {
        detached(text, &secret.primary_key, HashAlgorithm::Sha256).to_bytes().unwrap()
    };
    let both = [bytes(RELEASE, &stranger), bytes("another text", &ours), bytes(RELEASE, &ours)].concat();
    assert!(verify_detached(RELEASE.as_bytes(), &both, &keyring, now()).is_ok());
    let neither = [bytes(RELEASE, &stranger), bytes("another text", &ours)].concat();
    let refused = verify_detached(RELEASE.as_bytes(), &neither, &keyring, now()).unwrap_err();
    assert!(matches!(refused, VerifyError::BadSignature { .. }), "{refused}");
}

#[test]
fn a_hash_that_can_be_forged_is_refused() {
    // Keys of newer kinds cannot even make such a signature.
    let secret = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Rsa(2048))
        .can_sign(true)
        .can_certify(true)
        .created_at(Timestamp::from_secs(CREATED))
        .primary_user_id("Archive <archive@example.org>".to_owned())
        .build()
        .unwrap()
        .generate(StdRng::seed_from_u64(1))
        .unwrap();
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let verify = |hash| {
        let signature = detached(RELEASE, &secret.primary_key, hash).to_bytes().unwrap();
        verify_detached(RELEASE.as_bytes(), &signature, &keyring, now()).map_err(|error| error.to_string())
    };
    assert!(verify(HashAlgorithm::Sha256).is_ok());
    let key = secret.primary_key.fingerprint();
    let expected = format!("the signature of key `{key}` uses a hash that is too weak");
    assert_eq!(verify(HashAlgorithm::Sha1), Err(expected));
}

#[test]
fn metadata_is_of_the_suite_that_was_asked_for_and_no_older_than_before() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let text = RELEASE.replace("- a line that had to be escaped\n", "");
    let release = Release::verify(sign(&text, &secret.primary_key).as_bytes(), &keyring, now()).unwrap();
    for suite in ["bookworm", "oldstable", "bookworm/updates"] {
        assert_eq!(release.check_suite(suite), Ok(()), "{suite}");
    }
    assert_eq!(
        release.check_suite("trixie").unwrap_err().to_string(),
        "the archive's metadata is that of `oldstable` or `bookworm`, not of `trixie`"
    );
    assert_eq!(release.check_age(Some(release.date)), Ok(()));
    assert_eq!(release.check_age(None), Ok(()));
    let older = release.check_age(Some(release.date + Duration::seconds(1))).unwrap_err();
    assert_eq!(
        older.to_string(),
        "the archive's metadata is from 2021-09-13 12:26:40 UTC, older than that of the lock, 2021-09-13 12:26:41 UTC"
    );
}

#[test]
fn an_archive_says_itself_how_much_it_is_preferred() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    for (fields, expected) in
        [("", 500), ("NotAutomatic: yes\n", 1), ("NotAutomatic: yes\nButAutomaticUpgrades: yes\n", 100)]
    {
        let text = format!("{fields}{}", RELEASE.replace("- a line that had to be escaped\n", ""));
        let signed = sign(&text, &secret.primary_key);
        let release = Release::verify(signed.as_bytes(), &keyring, now()).unwrap();
        assert_eq!(release.default_priority(), expected);
    }
}

#[test]
fn whatever_stands_where_signed_text_should_is_believed_or_refused() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    let signed = sign(RELEASE, &secret.primary_key);
    let signature = signed.find("-----BEGIN PGP SIGNATURE").unwrap();
    fuzz("InRelease", &[signed.as_bytes()], |data| {
        if let Ok(verified) = verify_clear_signed(data, &keyring, now()) {
            // What is no part of what was signed may change: armour, and blanks at the ends of lines.
            let lines = |text: &str| {
                text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(lines(&verified.text), lines(RELEASE));
        }
    });
    fuzz("Release.gpg", &[&signed.as_bytes()[signature..]], |data| {
        let _ = verify_detached(RELEASE.as_bytes(), data, &keyring, now());
    });
    let certificate = certificate(&secret, vec![signing()]).to_bytes().unwrap();
    fuzz("keyring", &[&certificate], |data| {
        let mut keyring = Keyring::default();
        keyring.add(data);
        let _ = verify_clear_signed(signed.as_bytes(), &keyring, now());
    });
}

#[test]
fn a_release_that_is_signed_is_read_or_refused_whatever_it_says() {
    let secret = secret(1);
    let keyring = keyring(&[certificate(&secret, vec![signing()])]);
    fuzz("Release", &[RELEASE.as_bytes()], |data| {
        let signed = sign(&String::from_utf8_lossy(data), &secret.primary_key);
        let _ = Release::verify(signed.as_bytes(), &keyring, now());
    });
}
