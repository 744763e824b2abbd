//! Whatever comes as a record or a path: an answer, never a panic.

use casque_format::digest::Digest;
use casque_format::release::{Artefact, Kind, Release, VERSION, file_of_latest};
use proptest::prelude::*;

fn release() -> Release {
    let (name, kind) = ("docker_backend-v1.tar".parse().unwrap(), Kind::Image);
    Release {
        version: VERSION,
        product: "backend".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        release: "v1".parse().unwrap(),
        counter: 1,
        created: 1,
        expires: None,
        commit: None,
        artefacts: vec![Artefact {
            name,
            kind,
            size: 1,
            sha256: Digest::of(b"x"),
            blobs: vec![Digest::of(b"y")],
        }],
        notes: "new".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_record_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Release::parse(&bytes);
    }

    #[test]
    fn a_changed_record_is_refused_or_as_safe_as_any(place in 0usize..400, with in any::<u8>(), cut in 0usize..400) {
        let mut bytes = release().canonical();
        let length = bytes.len();
        bytes[place % length] = with;
        bytes.truncate(length - cut % length);
        if let Ok(release) = Release::parse(&bytes) {
            for artefact in &release.artefacts {
                prop_assert!(!artefact.name.as_str().contains('/') && !artefact.name.as_str().starts_with('.'));
            }
            prop_assert_eq!(Release::parse(&release.canonical()), Ok(release));
        }
    }

    #[test]
    fn the_name_with_latest_is_a_name_too(file in "[a-z0-9][a-z0-9_]{0,8}[-_]v?[0-9.]{1,6}[0-9](\\.tar)?", release in "v?[0-9][0-9.]{0,5}") {
        let (file, release) = (file.parse().unwrap(), release.parse().unwrap());
        if let Some(latest) = file_of_latest(&file, &release) {
            prop_assert!(latest.contains("latest"));
            prop_assert!(latest.parse::<casque_format::release::ArtefactName>().is_ok());
        }
    }
}
