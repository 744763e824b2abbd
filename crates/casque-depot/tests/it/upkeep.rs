//! What is removed, and what is not; what is damaged, and the copy of the records.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use casque_depot::records::{Accounts, Records};
use casque_depot::upkeep::{Swept, sweep, verify};
use casque_format::digest::Digest;
use http_body::Body as _;
use tower::ServiceExt as _;

use crate::house::{House, clock};

/// Long after everything in these tests was written.
fn later() -> std::time::SystemTime {
    std::time::SystemTime::now() + Duration::from_secs(30 * 86_400)
}

#[tokio::test]
async fn a_download_goes_on_while_its_file_is_removed() {
    let house = House::default();
    let image = "x".repeat(500_000);
    house.release("v1", 1, "stable", &image).await;
    house.release("v2", 2, "stable", "two").await;
    let request =
        Request::builder().uri("/backend/docker_backend-v1.tar").header("authorization", house.acme.as_str());
    let response = house.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    let mut next = async || {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await?;
        Some(frame.unwrap().into_data().unwrap().len())
    };
    let mut received = next().await.unwrap();
    let records = house.depot.records();
    assert_eq!(records.prune("backend", "stable", 1).unwrap(), ["v1"]);
    let swept = sweep(records, house.depot.storage(), later()).unwrap();
    assert_eq!(swept.files, 2, "the image and its signature: {swept:?}");
    assert!(house.depot.storage().read(Digest::of(image.as_bytes())).is_err());
    while let Some(length) = next().await {
        received += length;
    }
    assert_eq!(received, image.len());
}

#[tokio::test]
async fn only_what_nothing_needs_is_swept() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    let orphan = house.upload(b"of no release").await;
    house.patch(Digest::of(b"incomplete"), 0, 10, "inc").await;
    let (records, storage) = (house.depot.records(), house.depot.storage());
    assert_eq!(sweep(records, storage, clock()).unwrap(), Swept::default(), "it may yet be used");
    let swept = sweep(records, storage, later()).unwrap();
    assert_eq!(swept, Swept { partial_uploads: 1, files: 1, bytes: 13 });
    assert!(storage.read(orphan).is_err());
    assert_eq!(house.get("/backend/docker_backend-latest.tar", &[]).await.text(), "one");
}

#[tokio::test]
async fn the_newest_release_is_never_pruned_away_for_its_counter_refuses_older_ones() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    house.release("v2", 2, "beta", "two").await;
    house.release("v3", 3, "stable", "three").await;
    let records = house.depot.records();
    assert_eq!(records.beyond("backend", "stable", 1).unwrap(), ["v1"]);
    assert_eq!(records.releases("backend").unwrap().len(), 3, "it was only shown");
    assert_eq!(records.prune("backend", "stable", 1).unwrap(), ["v1"]);
    let left: Vec<_> =
        records.releases("backend").unwrap().into_iter().map(|release| release.release).collect();
    assert_eq!(left, ["v3", "v2"]);
    assert_eq!(records.newest_counter("backend").unwrap(), Some(3));
}

#[tokio::test]
async fn a_change_waits_for_another_that_is_being_written() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    house.release("v2", 2, "stable", "two").await;
    let records = house.depot.records();
    let another = records.again().unwrap();
    another.execute_batch("BEGIN IMMEDIATE; UPDATE products SET title = 'Another'").unwrap();
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        scope.spawn(move || tell.send(records.prune("backend", "stable", 1)));
        let early = told.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "it ended while another was writing: {early:?}");
        another.execute_batch("COMMIT").unwrap();
        assert_eq!(told.recv().unwrap().unwrap(), ["v1"]);
    });
}

#[tokio::test]
async fn damage_is_found_by_reading_everything_again() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    let (records, storage) = (house.depot.records(), house.depot.storage());
    let whole = verify(records, storage).unwrap();
    assert!(
        whole.files == 2 && whole.records && whole.missing.is_empty() && whole.damaged.is_empty(),
        "{whole:?}"
    );
    let digest = Digest::of(b"one");
    let name = digest.to_string();
    let path = house.directory.path().join("data/blobs").join(&name[..2]).join(&name);
    std::fs::write(&path, "0ne").unwrap();
    assert_eq!(verify(records, storage).unwrap().damaged, [digest]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(verify(records, storage).unwrap().missing, [digest]);
}

#[tokio::test]
async fn the_copy_of_the_records_is_whole_while_they_are_in_use() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    let copy = house.directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    house.depot.records().backup(&copy.join("depot.db")).unwrap();
    house.release("v2", 2, "stable", "two").await;
    assert_eq!(std::fs::read_dir(&copy).unwrap().count(), 1, "one file");
    let records = Records::open(&copy).unwrap();
    assert!(records.is_whole().unwrap());
    assert_eq!(records.releases("backend").unwrap().len(), 1);
    assert_eq!(records.customers().unwrap()[0].name, "acme");
}

#[tokio::test]
async fn records_of_the_first_version_get_what_the_second_has_more() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    let old = house.depot.records().again().unwrap();
    old.execute_batch("DROP TABLE staff; PRAGMA user_version = 1").unwrap();
    let records = Records::open(&house.directory.path().join("data")).unwrap();
    records.add_account(Accounts::Staff, "anna", "hash", 0).unwrap();
    assert_eq!(records.staff().unwrap()[0].name, "anna");
    assert_eq!(records.releases("backend").unwrap().len(), 1, "and what was there is there");
    old.execute_batch("PRAGMA user_version = 3").unwrap();
    let error = Records::open(&house.directory.path().join("data")).err().unwrap();
    assert_eq!(error.to_string(), "the records are of version 3, and this program knows version 2");
}
