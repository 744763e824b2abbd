//! What a record says of an archive, and what it must not let pass.

use super::*;
use crate::digest::Digest;

fn member(name: &str) -> Member {
    Member { name: name.to_owned(), size: 3, sha256: Digest::of(b"abc") }
}

fn record() -> ArchiveRecord {
    ArchiveRecord {
        version: VERSION,
        image: "vendor/backend".to_owned(),
        tag: "v2.0".to_owned(),
        product_version: "2.0".to_owned(),
        channel: Some("stable".parse().unwrap()),
        counter: Some(7),
        created: 1_000_000,
        expires: Some(2_000_000),
        members: vec![member("manifest.json"), member("blobs/sha256/a")],
    }
}

#[test]
fn a_record_is_one_line_sorted_and_read_again() {
    let sha256 = Digest::of(b"abc");
    let bytes = record().canonical();
    assert_eq!(
        String::from_utf8(bytes.clone()).unwrap(),
        format!(
            "{{\"version\":1,\"image\":\"vendor/backend\",\"tag\":\"v2.0\",\"product_version\":\"2.0\",\
             \"channel\":\"stable\",\"counter\":7,\"created\":1000000,\"expires\":2000000,\"members\":[\
             {{\"name\":\"blobs/sha256/a\",\"size\":3,\"sha256\":\"{sha256}\"}},\
             {{\"name\":\"manifest.json\",\"size\":3,\"sha256\":\"{sha256}\"}}]}}\n"
        )
    );
    let read = ArchiveRecord::parse(&bytes).unwrap();
    assert_eq!(read.canonical(), bytes);
    assert_eq!((read.reference().as_str(), read.size()), ("vendor/backend:v2.0", 6));
}

#[test]
fn a_record_that_contradicts_itself_is_refused() {
    let refused = |members: &[&str]| {
        let members = members.iter().map(|name| member(name)).collect();
        ArchiveRecord::parse(&ArchiveRecord { members, ..record() }.canonical()).unwrap_err().to_string()
    };
    assert_eq!(refused(&[]), "`release.json` names no member");
    assert_eq!(refused(&["a", "a"]), "`release.json` names the member `a`, twice");
    assert_eq!(
        refused(&["release.json.minisig"]),
        "`release.json` names the member `release.json.minisig`, which it cannot cover"
    );
    for name in ["", "/a", "a/", "a//b", "../a", "a/./b", "a b", "a\\b", "ä", &"a".repeat(101)] {
        let expected =
            format!("`release.json` names the member `{name}`, which is no name of a file in an archive");
        assert_eq!(refused(&[name]), expected);
    }
}

#[test]
fn what_cannot_be_read_is_refused_and_a_later_version_first() {
    let refused = |bytes: &[u8]| ArchiveRecord::parse(bytes).unwrap_err().to_string();
    assert_eq!(refused(b"{\"version\":2}"), "`release.json` has version 2, and this program reads version 1");
    assert_eq!(refused(b"{}"), "`release.json` cannot be read: missing field `version` at line 1 column 2");
    assert!(refused(&vec![b' '; LARGEST + 1]).ends_with("it has more than 1048576 bytes"));
}

/// Judges the record of 2.0, counter 7, by what is installed.
fn judge(image: &str, now: u64, installed: (&str, &str, Option<u64>)) -> Result<Verdict, Refused> {
    let (tag, version, counter) = installed;
    let installed = Installed { tag: Some(tag), version: Some(version), counter };
    record().check(&Expected { now, image: Some(image), installed })
}

#[test]
fn counters_decide_where_both_are_known_and_versions_elsewhere() {
    let order = |tag: &str, version: &str, counter| {
        judge("vendor/backend", 1_500_000, (tag, version, counter)).map(|verdict| verdict.order)
    };
    assert_eq!(order("v1.9", "1.9", Some(6)), Ok(Order::LaterByCounter));
    assert_eq!(order("v2.0", "2.0", Some(7)), Ok(Order::SameByCounter));
    assert_eq!(order("v1.9", "1.9", None), Ok(Order::LaterByVersion));
    assert_eq!(order("v2.0", "2.0", None), Ok(Order::SameByVersion));
    let refused = |tag: &str, version: &str, counter| order(tag, version, counter).unwrap_err().to_string();
    assert_eq!(
        refused("v1.9", "1.9", Some(8)),
        "release `v2.0` has counter 7, and what is installed has 8: it was released before"
    );
    assert_eq!(
        refused("v2.1", "2.1", Some(7)),
        "release `v2.0` has counter 7, and so has `v2.1`, which is installed"
    );
    assert_eq!(
        refused("v2.10", "2.10", None),
        "release `v2.0` is of version 2.0, and what is installed is of 2.10: it is older"
    );
}

#[test]
fn a_later_release_of_a_lower_version_is_taken_and_said() {
    let verdict = judge("vendor/backend", 1_500_000, ("v3", "3", Some(6))).unwrap();
    assert_eq!(verdict, Verdict { order: Order::LaterByCounter, lower_version: true });
    let verdict = judge("vendor/backend", 1_500_000, ("v1", "1", Some(6))).unwrap();
    assert_eq!(verdict, Verdict { order: Order::LaterByCounter, lower_version: false });
}

#[test]
fn a_record_without_a_counter_comes_after_none_that_has_one() {
    let uncounted = ArchiveRecord { counter: None, ..record() };
    let check = |version, counter| {
        let installed = Installed { tag: None, version, counter };
        uncounted.check(&Expected { now: 1_500_000, image: None, installed }).map(|verdict| verdict.order)
    };
    assert_eq!(check(Some("1.0"), None), Ok(Order::LaterByVersion));
    assert_eq!(check(None, None), Ok(Order::Unknown));
    // It may have been made before its vendor counted, whatever its version.
    for version in [Some("1.0"), Some("2.0"), Some("3.0"), None] {
        assert_eq!(
            check(version, Some(9)).unwrap_err().to_string(),
            "release `v2.0` has no counter, expected one of at least 9"
        );
    }
}

#[test]
fn another_image_a_wrong_clock_and_what_expired_are_refused() {
    let installed = ("v1", "1", None);
    let refused = |image: &str, now| judge(image, now, installed).unwrap_err().to_string();
    assert_eq!(
        refused("vendor/frontend", 1_500_000),
        "the archive is of image `vendor/backend`, expected `vendor/frontend`"
    );
    assert_eq!(refused("vendor/backend", 2_000_000), "release `v2.0` expired 0 seconds ago");
    assert_eq!(
        refused("vendor/backend", 1_000_000 - 86_401),
        "release `v2.0` was made 86401 seconds from now: a clock is wrong"
    );
    assert!(judge("docker.io/vendor/backend", 1_000_000 - 86_400, installed).is_ok());
    assert!(judge("vendor/backend", 1_999_999, installed).is_ok());
}
