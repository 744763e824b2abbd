//! The bytes of a tar, header by header.

use std::collections::BTreeMap;

use super::*;

fn node(kind: Kind) -> Node {
    Node { kind, mode: 0o640, uid: 1000, gid: 33, mtime: 1_700_000_000, xattrs: BTreeMap::new() }
}

fn one(path: &str, node: &Node, content: &[u8]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    writer.append(Path::new(path), node, &mut &content[..]).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_small_file_is_one_header_its_content_and_the_end_mark() {
    let bytes = one("etc/motd", &node(Kind::File { size: 2 }), b"hi");
    assert_eq!(bytes.len(), 4 * BLOCK);
    let header = &bytes[..BLOCK];
    assert_eq!(&header[..9], b"etc/motd\0");
    assert_eq!(&header[100..108], b"0000640\0");
    assert_eq!(&header[108..116], b"0001750\0");
    assert_eq!(&header[124..136], b"00000000002\0");
    assert_eq!(&header[156..157], b"0");
    assert_eq!(&header[257..265], b"ustar\x0000");
    assert!(header[265..329].iter().all(|byte| *byte == 0), "no user or group names");
    assert_eq!(&bytes[BLOCK..BLOCK + 3], b"hi\0");
}

#[test]
fn a_content_shorter_than_its_size_is_refused() {
    let mut writer = TarWriter::new(Vec::new());
    let error = writer.append(Path::new("a"), &node(Kind::File { size: 3 }), &mut &b"hi"[..]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_size_beyond_eight_gibibytes_goes_into_a_pax_record() {
    let size = LARGEST_SIZE + 1;
    let huge = node(Kind::File { size });
    let path = Path::new("huge");
    let header = Header { path, node: &huge, type_flag: b'0', link: None, size, device: (0, 0) };
    assert_eq!(header.pax_records(b"huge"), b"19 size=8589934592\n".as_slice());
}

#[test]
fn a_pax_length_counts_its_own_digits() {
    for length in 0..1200 {
        let mut record = Vec::new();
        pax_record(&mut record, b"path", &vec![b'x'; length]);
        let stated = record.split(|byte| *byte == b' ').next().unwrap();
        assert_eq!(String::from_utf8_lossy(stated), record.len().to_string());
    }
}
