//! Whatever happens to a single byte of a backup, nobody takes it for whole.

use std::io::Cursor;

use casque_format::backup::{Header, VERSION};
use casque_format::stamp::Stamp;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::env::Environment;
use crate::root::Root;

pub fn header() -> Header {
    Header {
        version: VERSION,
        stamp: Stamp {
            version: 1,
            product: "a/b".to_owned(),
            product_version: "1".to_owned(),
            instance: "i".to_owned(),
            uid: Some(0),
            update: None,
        },
        product_version: "1".to_owned(),
        made: 0,
        logs: false,
        entries: 3,
        bytes: 8,
        room: 0,
        secrets: vec!["admin".to_owned()],
    }
}

/// A backup of a small volume.
fn made(lock: Lock, content: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path().to_owned());
    fs_err::create_dir_all(root.join("/data/db")).unwrap();
    fs_err::write(root.join("/data/db/one"), content).unwrap();
    fs_err::write(root.join("/data/two"), "2").unwrap();
    let locked = lock.lock(Vec::new()).unwrap();
    let (locked, _) =
        write(&root, Contents { logs: false }, &header(), locked, || Ok(()), &mut |_| {}).unwrap();
    match locked {
        keys::Locked::Plain(bytes) => bytes,
        keys::Locked::Age(writer) => writer.finish().unwrap(),
    }
}

pub fn read(bytes: &[u8], identity: Option<&std::path::Path>) -> Result<Header, Trouble> {
    let keys = Keys::of(identity, None, &Environment::default()).unwrap();
    let input = keys.open(Cursor::new(bytes.to_vec()))?;
    Backup::open(input)?.read(None, &mut |_| {})
}

#[test]
fn no_byte_of_a_backup_can_be_another_or_missing() {
    let whole = made(Lock::None, b"content");
    assert_eq!(read(&whole, None).unwrap(), header());
    for at in 0..whole.len() {
        let error = read(&whole[..at], None).unwrap_err();
        assert!(matches!(error, Trouble::Unusable(_)), "{at}: {error}");
        for bit in [0, 3, 7] {
            let mut other = whole.clone();
            other[at] ^= 1 << bit;
            let error = read(&other, None).unwrap_err();
            assert!(matches!(error, Trouble::Unusable(_)), "{at} {bit}: {error}");
        }
    }
    let mut longer = whole;
    longer.push(0);
    assert!(matches!(read(&longer, None).unwrap_err(), Trouble::Unusable(Unusable::Damaged(_))));
}

#[test]
fn neither_can_one_of_an_encrypted_backup() {
    use age::secrecy::ExposeSecret;
    let identity = age::x25519::Identity::generate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.txt");
    fs_err::write(&file, format!("# a key\n{}\n", identity.to_string().expose_secret())).unwrap();
    let whole = made(Lock::Recipients(vec![identity.to_public()]), b"content");
    assert_eq!(read(&whole, Some(&file)).unwrap(), header());
    for at in 0..whole.len() {
        assert!(read(&whole[..at], Some(&file)).is_err(), "{at}");
        let mut other = whole.clone();
        other[at] ^= 4;
        assert!(read(&other, Some(&file)).is_err(), "{at}");
    }
    let secret = b"content";
    assert!(!whole.windows(secret.len()).any(|window| window == secret));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_written_is_read_and_nothing_else(
        content in proptest::collection::vec(any::<u8>(), 0..200_000), at in any::<proptest::sample::Index>(), flip in 1..=255_u8,
    ) {
        let whole = made(Lock::None, &content);
        prop_assert_eq!(read(&whole, None).unwrap(), header());
        let mut other = whole.clone();
        let at = at.index(whole.len());
        other[at] ^= flip;
        prop_assert!(read(&other, None).is_err());
        prop_assert!(read(&whole[..at], None).is_err());
    }
}

/// A backup with this as its tar, all digests of the whole right.
pub fn forged_by(tar: &[u8]) -> Vec<u8> {
    let mut digested = frames::Digested::new(Vec::new());
    frames::write_header(&header(), &mut digested).unwrap();
    let mut encoder = zstd::stream::write::Encoder::new(digested, 1).unwrap();
    io::Write::write_all(&mut encoder, tar).unwrap();
    let (trailer, mut bytes) = encoder.finish().unwrap().trailer();
    frames::write_trailer(&trailer, &mut bytes).unwrap();
    bytes
}

/// A backup whose tar is one that this program would not write.
fn forged(entries: &[(&str, tar::EntryType, &str)]) -> Trouble {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, kind, target) in entries {
        let mut head = tar::Header::new_gnu();
        head.set_size(0);
        head.set_mode(0o755);
        head.set_entry_type(*kind);
        // What the library refuses to write itself.
        head.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        head.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        head.set_uid(0);
        head.set_gid(0);
        head.set_mtime(0);
        head.set_cksum();
        tar.append(&head, io::empty()).unwrap();
    }
    let bytes = forged_by(&tar.into_inner().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join("outside")).unwrap();
    fs_err::create_dir(directory.path().join("new")).unwrap();
    let mut stage = Stage::new(&directory.path().join("new"), Owners::Mine).unwrap();
    let backup = Backup::open(Cursor::new(bytes)).unwrap();
    let trouble = backup.read(Some(&mut stage), &mut |_| {}).unwrap_err();
    assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0);
    trouble
}

#[test]
fn nothing_in_a_forged_backup_leads_out_of_the_volume() {
    use tar::EntryType::{Char, Directory, Link, Regular, Symlink};
    for path in ["data/../x", "/etc/x", "x", "data", "data/./../../x"] {
        let said = forged(&[(path, Regular, "")]).to_string();
        assert!(said.contains("is not in the volume"), "{path}: {said}");
    }
    let said = forged(&[("data/a", Symlink, "../../outside"), ("data/a/x", Regular, "")]).to_string();
    assert!(said.contains("`a/x` comes before its directory"), "{said}");
    let said = forged(&[("data/a", Link, "data/../../outside/x")]).to_string();
    assert!(said.contains("is not in the volume"), "{said}");
    let link = [("data/a", Symlink, "../../outside"), ("data/b", Link, "data/a/x")];
    assert!(matches!(forged(&link), Trouble::File { what: "open", .. }));
    let said = forged(&[("data/d", Directory, ""), ("data/null", Char, "")]).to_string();
    assert!(said.contains("is of a kind that no backup has"), "{said}");
    let said = forged(&[("data/d", Regular, "")]).to_string();
    assert!(said.contains("the digests of its last files are missing"), "{said}");
    let said = forged(&[("SHA256SUMS.0001", Regular, "")]).to_string();
    assert!(said.contains("it has digests of no file"), "{said}");
}
