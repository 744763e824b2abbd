//! What a customer gets.

use axum::http::StatusCode;
use casque_depot::records::Grant;
use casque_format::digest::Digest;

use crate::house::{House, KEY};

const LATEST: &str = "/backend/docker_backend-latest.tar";

#[tokio::test]
async fn every_file_of_a_release_has_its_address() {
    let house = House::default();
    house.release("v1.0", 1, "stable", "first image").await;
    let digest = Digest::of(b"first image");
    for path in [LATEST, "/backend/docker_backend-v1.0.tar", "/backend/stable/docker_backend-latest.tar"] {
        let seen = house.get(path, &[]).await;
        assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, "first image"), "{path}");
        assert_eq!(seen.header("etag"), format!("\"{digest}\""));
        assert_eq!(
            [seen.header("casque-file"), seen.header("casque-release")],
            ["docker_backend-v1.0.tar", "v1.0"]
        );
        assert_eq!([seen.header("content-length"), seen.header("accept-ranges")], ["11", "bytes"]);
        assert_eq!(seen.header("content-type"), "application/x-tar");
        let head = house.ask("HEAD", path, &[("authorization", house.acme.as_str())], "").await;
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (StatusCode::OK, "11", 0));
    }
    let text = async |path: &str| house.get(path, &[]).await.text();
    assert_eq!(
        text("/backend/docker_backend-latest.tar.sha256").await,
        format!("{digest}  docker_backend-latest.tar\n")
    );
    assert_eq!(
        text("/backend/docker_backend-v1.0.tar.sha256").await,
        format!("{digest}  docker_backend-v1.0.tar\n")
    );
    let signature = text("/backend/docker_backend-latest.tar.minisig").await;
    KEY.public().verify(std::io::Cursor::new("first image"), &signature).unwrap();
    let record = text("/backend/release-latest.json").await;
    assert_eq!(record, text("/backend/release-v1.0.json").await);
    let signature = text("/backend/release-latest.json.minisig").await;
    KEY.public().verify(std::io::Cursor::new(record), &signature).unwrap();
    assert_eq!(text("/backend/keys.pub").await, KEY.public().file());
}

#[tokio::test]
async fn a_part_is_served_as_it_is_asked_for() {
    let house = House::default();
    house.release("v1.0", 1, "stable", "0123456789").await;
    let path = "/backend/docker_backend-v1.0.tar";
    let get = async |range: &str| house.get(path, &[("range", range)]).await;
    let seen = get("bytes=3-5").await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::PARTIAL_CONTENT, "345"));
    assert_eq!([seen.header("content-range"), seen.header("content-length")], ["bytes 3-5/10", "3"]);
    let seen = get("bytes=10-").await;
    assert_eq!(
        (seen.status, seen.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10")
    );
    let seen = get("bytes=0-1,4-5").await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, "0123456789"));
    let etag = format!("\"{}\"", Digest::of(b"0123456789"));
    let seen = house.get(path, &[("range", "bytes=8-"), ("if-range", etag.as_str())]).await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::PARTIAL_CONTENT, "89"));
    let seen = house.get(path, &[("range", "bytes=8-"), ("if-range", "\"other\"")]).await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, "0123456789"));
    assert_eq!(house.get(path, &[("if-none-match", etag.as_str())]).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(house.get(path, &[("if-match", "\"other\"")]).await.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_licence_decides_what_is_there() {
    let house = House::default();
    house.release("v1.0", 1, "stable", "one").await;
    house.release("v2.0-rc1", 2, "beta", "two").await;
    house.release("v2.0", 3, "stable", "two!").await;
    let ended = house.customer("ended", Some(Grant { until: Some(1_700_000_000), ..Grant::default() }));
    let narrow =
        Grant { channel: Some("stable".to_owned()), below: Some("2".to_owned()), ..Grant::default() };
    let narrow = house.customer("narrow", Some(narrow));
    let nothing = house.customer("nothing", None);
    let get = async |who: &str, path: &str| {
        let seen = house.ask("GET", path, &[("authorization", who)], "").await;
        (seen.status.as_u16(), seen.text().trim_end().to_owned())
    };
    let answer = |status, text: &str| (status, text.to_owned());
    assert_eq!(get(&ended, LATEST).await, answer(403, "your licence ended on 2023-11-14"));
    assert_eq!(get(&narrow, LATEST).await, answer(200, "one"), "the latest that the licence covers");
    let path = "/backend/docker_backend-v2.0.tar";
    assert_eq!(get(&narrow, path).await, answer(403, "your licence does not cover release `v2.0`"));
    let path = "/backend/beta/docker_backend-latest.tar";
    assert_eq!(get(&narrow, path).await, answer(403, "your licence does not cover channel `beta`"));
    assert_eq!(get(&house.acme, path).await, answer(200, "two"));
    // Whether there is such a product is told to nobody who does not have it.
    let nowhere = answer(404, "there is nothing at this address for you");
    for path in [
        LATEST,
        "/backend/install.sh",
        "/never/file",
        "/other/file",
        "/backend/..%2fdepot.db",
        "/%2e%2e/depot.db",
    ] {
        assert_eq!(get(&nothing, path).await, nowhere, "{path}");
    }
    assert_eq!(get(&house.acme, "/backend/..%2f..%2fdepot.db").await, nowhere);
    assert_eq!(get(&house.acme, "/backend/docker_backend-v9.tar").await, nowhere);
}

#[tokio::test]
async fn the_script_that_installs_is_short_and_names_what_there_is() {
    let house = House::with("address = 'https://get.vendor.example/'");
    house.release("v1.0", 1, "beta", "one").await;
    let seen = house.get("/backend/beta/install.sh", &[]).await;
    let script = seen.text();
    assert!(script.lines().count() <= 40, "{} lines", script.lines().count());
    for line in [
        "url='https://get.vendor.example/backend/beta'",
        "latest='docker_backend-latest.tar'",
        &format!("keys=('{}')", KEY.public().line()),
        "echo 'run it with: docker run vendor/backend'",
    ] {
        assert!(script.lines().any(|there| there == line), "{line}\n{script}");
    }
    assert!(!script.contains('@') || !script.contains("@URL@"));
    assert_eq!(
        house.get("/backend/install.sh", &[]).await.status,
        StatusCode::NOT_FOUND,
        "nothing is stable yet"
    );
}
