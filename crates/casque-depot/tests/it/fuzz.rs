//! What a depot reads of what it is sent: which part, which release. Whatever it is, it is read or refused.

use casque_depot::range::{Part, part};
use casque_format::release::{ArtefactName, Release};
use casque_fuzz::fuzz;

#[test]
fn a_part_is_inside_the_file_whatever_is_asked() {
    fuzz("ranges", &[b"bytes=0-9", b"bytes=-5", b"bytes=7-", b"bytes=0-1,3-4"], |data| {
        let text = String::from_utf8_lossy(data);
        for size in [0, 1, 10, u64::MAX] {
            if let Part::Bytes { start, length } = part(Some(&text), None, "\"x\"", size) {
                assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    });
}

#[test]
fn a_record_is_read_or_refused_and_names_no_other_place() {
    let record = br#"{"version":1,"product":"backend","channel":"stable","release":"v1","counter":1,"created":1,"expires":2,"commit":"a","artefacts":[{"name":"docker_backend-v1.tar","kind":"image","size":1,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","blobs":[]}],"notes":"new"}"#;
    assert!(Release::parse(record).is_ok());
    fuzz("records", &[record], |data| {
        let Ok(release) = Release::parse(data) else { return };
        for artefact in &release.artefacts {
            let name = artefact.name.as_str();
            assert!(!name.contains('/') && !name.starts_with('.') && name.parse::<ArtefactName>().is_ok());
        }
        assert_eq!(Release::parse(&release.canonical()), Ok(release));
    });
}
