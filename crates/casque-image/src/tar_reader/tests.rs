//! What is written is read again, and foreign tars are read as their writers meant them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::node::{Kind, Node};
use crate::tar_writer::TarWriter;

fn node(kind: Kind) -> Node {
    Node { kind, mode: 0o640, uid: 1000, gid: 33, mtime: 5, xattrs: BTreeMap::new() }
}

fn written(path: &str, node: &Node) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    writer.append(Path::new(path), node, &mut io::empty()).unwrap();
    writer.finish().unwrap()
}

fn only_entry(bytes: &[u8]) -> TarEntry {
    let mut reader = TarReader::new(Stream(bytes));
    let entry = reader.next().unwrap().unwrap();
    assert_eq!(reader.next().unwrap(), None);
    entry
}

fn refusal(bytes: &[u8]) -> String {
    let mut reader = TarReader::new(Stream(bytes));
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => return "no refusal".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

#[test]
fn values_that_overflow_their_fields_come_back_whole() {
    let mut large = node(Kind::File { size: 0 });
    (large.uid, large.gid) = (3_000_000_000, 2_097_152);
    let capability = vec![1, 0, 0, 2, 0, b'\n', 0xff];
    large.xattrs.insert(OsString::from("security.capability"), capability.clone());
    let path = format!("{}/{}", "d".repeat(150), "ä".repeat(100));
    let entry = only_entry(&written(&path, &large));
    assert_eq!(entry.path, path.as_bytes());
    assert_eq!((entry.uid, entry.gid, entry.mode), (3_000_000_000, 2_097_152, 0o640));
    assert_eq!(entry.xattrs, BTreeMap::from([(b"security.capability".to_vec(), capability)]));
}

#[test]
fn what_gnu_tar_writes_is_read() {
    let (path, target) = ("p".repeat(300), "t".repeat(200));
    let mut out = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_uid(1 << 31);
    header.set_size(0);
    out.append_link(&mut header, &path, &target).unwrap();
    let entry = only_entry(&out.into_inner().unwrap());
    assert_eq!((entry.path, entry.link), (path.into_bytes(), target.into_bytes()));
    assert_eq!((entry.type_flag, entry.uid), (b'2', 1 << 31));
}

#[test]
fn a_ustar_prefix_continues_the_name() {
    let mut header = tar::Header::new_ustar();
    let path = format!("{}/{}", "d".repeat(120), "f".repeat(90));
    header.set_path(&path).unwrap();
    header.set_size(0);
    header.set_cksum();
    assert_eq!(only_entry(header.as_bytes()).path, path.as_bytes());
}

#[test]
fn damage_is_described() {
    let bytes = written("a", &node(Kind::Directory));
    let mut changed = bytes.clone();
    changed[0] = b'b';
    assert_eq!(refusal(&changed), "a header's checksum does not match");
    assert_eq!(refusal(&bytes[..100]), "unexpected end of file");
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(1 << 40);
    header.set_cksum();
    assert_eq!(refusal(header.as_bytes()), "an extension header is larger than a mebibyte");
    for (records, expected) in [
        (&b"9 path=x\n"[..], "no refusal"),
        (b"8 path=x\n", "a pax record is malformed"),
        (b"99 path=x\n", "a pax record is malformed"),
        (b"6 path\n", "a pax record is malformed"),
        (b"7 path\n", "a pax record has no `=`"),
        (b"9 uid=xx\n", "a pax number is not decimal"),
        (b"18 uid=4294967296\n", "an owner beyond 32 bits"),
    ] {
        header.set_size(records.len() as u64);
        header.set_cksum();
        let padding = vec![0; 512 - records.len()];
        let all = [header.as_bytes(), records, &padding, &bytes].concat();
        assert_eq!(refusal(&all), expected, "{}", String::from_utf8_lossy(records));
    }
}

#[test]
fn a_content_that_is_cut_off_is_an_error() {
    let mut writer = TarWriter::new(Vec::new());
    writer.append(Path::new("a"), &node(Kind::File { size: 9 }), &mut &b"123456789"[..]).unwrap();
    let bytes = writer.finish().unwrap();
    let mut reader = TarReader::new(Stream(&bytes[..515]));
    reader.next().unwrap();
    let error = io::copy(&mut reader.content(), &mut io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn names_and_links_of_any_length_come_back(
        name in "[^\0/]{1,40}(/[a-z]{1,90}){0,4}",
        target in "[^\0]{1,300}",
        value in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut link = node(Kind::Symlink { target: PathBuf::from(&target) });
        link.xattrs.insert(OsString::from("user.x"), value.clone());
        let entry = only_entry(&written(&name, &link));
        prop_assert_eq!(entry.path, name.into_bytes());
        prop_assert_eq!(entry.link, target.into_bytes());
        prop_assert_eq!(&entry.xattrs[b"user.x".as_slice()], &value);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        refusal(&bytes);
    }
}
