//! Records that are taken, and those that are not.

use super::*;

const NOW: u64 = 1_764_000_000;

fn artefact(name: &str, kind: Kind) -> Artefact {
    Artefact { name: name.parse().unwrap(), kind, size: 0, sha256: Digest::of(b""), blobs: Vec::new() }
}

fn release() -> Release {
    Release {
        version: VERSION,
        product: "backend".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        release: "v43.4.4".parse().unwrap(),
        counter: 12,
        created: NOW,
        expires: Some(NOW + 100),
        commit: None,
        artefacts: vec![artefact("docker_backend-v43.4.4.tar", Kind::Image)],
        notes: String::new(),
    }
}

fn check(release: &Release, newest: Option<u64>, now: u64) -> Result<(), String> {
    let product = "backend".parse().unwrap();
    release.check(&Expected { product: &product, newest, now }).map_err(|refused| refused.to_string())
}

#[test]
fn the_bytes_of_a_record_do_not_depend_on_the_order_in_which_it_was_put_together() {
    let mut one = release();
    one.artefacts[0].blobs = vec![Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"a")];
    one.artefacts.push(artefact("docker_backend-v43.4.4.spdx.json", Kind::Sbom));
    let mut other = one.clone();
    other.artefacts.reverse();
    other.artefacts[1].blobs = vec![Digest::of(b"b"), Digest::of(b"a")];
    assert_eq!(one.canonical(), other.canonical());
    let text = String::from_utf8(release().canonical()).unwrap();
    let sha256 = Digest::of(b"");
    assert_eq!(
        text,
        format!(
            "{{\"version\":1,\"product\":\"backend\",\"channel\":\"stable\",\"release\":\"v43.4.4\",\"counter\":12,\
             \"created\":1764000000,\"expires\":1764000100,\"artefacts\":[{{\"name\":\"docker_backend-v43.4.4.tar\",\
             \"kind\":\"image\",\"size\":0,\"sha256\":\"{sha256}\"}}]}}\n"
        )
    );
    assert_eq!(Release::parse(text.as_bytes()), Ok(release()));
}

#[test]
fn a_release_is_taken_once_in_its_time_and_by_its_product() {
    assert_eq!(check(&release(), None, NOW), Ok(()));
    assert_eq!(check(&release(), Some(11), NOW + 99), Ok(()));
    for newest in [12, 13] {
        let words = format!(
            "the release `v43.4.4` has counter 12, and a release with counter {newest} was there before"
        );
        assert_eq!(check(&release(), Some(newest), NOW), Err(words));
    }
    assert_eq!(
        check(&release(), None, NOW + 101),
        Err("the release `v43.4.4` expired 1 seconds ago".to_owned())
    );
    assert_eq!(check(&release(), None, NOW - LEAP), Ok(()), "clocks differ a little");
    assert_eq!(
        check(&release(), None, NOW - LEAP - 1),
        Err("the release `v43.4.4` was made 86401 seconds from now: a clock is wrong".to_owned())
    );
    let other = Release { product: "frontend".parse().unwrap(), ..release() };
    assert_eq!(
        check(&other, None, NOW),
        Err("the release is of product `frontend`, expected `backend`".to_owned())
    );
}

#[test]
fn a_file_is_the_one_that_was_released_or_refused() {
    let artefact = artefact("file", Kind::Other);
    assert_eq!(artefact.check(0, Digest::of(b"")), Ok(()));
    let refused = |size, digest| artefact.check(size, digest).unwrap_err().to_string();
    assert_eq!(refused(1, Digest::of(b"")), "file `file` has size 1, and the release says 0");
    let (found, expected) = (Digest::of(b"x"), Digest::of(b""));
    assert_eq!(
        refused(0, found),
        format!("file `file` has SHA-256 {found}, and the release says {expected}")
    );
}

#[test]
fn records_that_contradict_themselves_or_are_none_are_refused() {
    let refused = |release: &Release| Release::parse(&release.canonical()).unwrap_err().to_string();
    let with = |artefacts| Release { artefacts, ..release() };
    assert_eq!(refused(&with(vec![])), "the release record names no file");
    let twice = vec![artefact("a", Kind::Other), artefact("a", Kind::Image)];
    assert_eq!(refused(&with(twice)), "the release record names file `a` twice");
    assert_eq!(
        refused(&with(vec![artefact("a.minisig", Kind::Signature)])),
        "the release record names file `a.minisig` as a signature, which `NAME.minisig` of a file `NAME` would be"
    );
    assert_eq!(
        refused(&Release { version: 2, ..release() }),
        "the release record has version 2, and this program reads version 1"
    );
    assert!(Release::parse(b"{").unwrap_err().to_string().starts_with("the release record cannot be read: "));
    let long = vec![b' '; LARGEST + 1];
    assert!(Release::parse(&long).unwrap_err().to_string().ends_with("it has more than 4194304 bytes"));
}

#[test]
fn names_cannot_lead_anywhere_else() {
    for text in ["", ".", "..", "../x", "a/b", "-rf", ".hidden", "a b", "a\0", "ä", &"a".repeat(201)] {
        assert!(text.parse::<ArtefactName>().is_err(), "{text}");
        assert!(text.parse::<Product>().is_err() && text.parse::<Channel>().is_err(), "{text}");
        assert!(text.parse::<ReleaseName>().is_err(), "{text}");
    }
    assert_eq!(
        "Backend".parse::<Product>().unwrap_err().to_string(),
        "`Backend` is no name of a product: expected at most 64 lower-case letters, digits, `-` and `_`, beginning with \
         a letter or digit"
    );
}

#[test]
fn latest_takes_the_place_of_the_version() {
    let of = |file: &str, release: &str| file_of_latest(&file.parse().unwrap(), &release.parse().unwrap());
    let docker = Some("docker_backend-latest.tar".to_owned());
    assert_eq!(of("docker_backend-v43.4.4.tar", "v43.4.4"), docker);
    assert_eq!(of("docker_backend-43.4.4.tar", "v43.4.4"), docker);
    assert_eq!(of("backend_43.4.4_amd64.deb", "v43.4.4").as_deref(), Some("backend_latest_amd64.deb"));
    assert_eq!(of("docker_b1-1.tar", "1").as_deref(), Some("docker_b1-latest.tar"));
    assert_eq!(of("readme.txt", "v1"), None);
}
