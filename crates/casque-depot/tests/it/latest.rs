//! `latest` changes while somebody downloads, and nobody gets two releases glued together.

use axum::http::StatusCode;
use casque_depot::records::Grant;

use crate::house::House;

const LATEST: &str = "/backend/docker_backend-latest.tar";

#[tokio::test]
async fn a_download_that_is_resumed_goes_on_with_the_release_it_began_with() {
    let house = House::default();
    house.release("v1", 1, "stable", "1111111111").await;
    assert_eq!(house.get(LATEST, &[]).await.text(), "1111111111");
    house.release("v2", 2, "stable", "2222222222222").await;

    let seen = house.get(LATEST, &[("range", "bytes=4-")]).await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::PARTIAL_CONTENT, "111111"));
    assert_eq!(seen.header("casque-release"), "v1");

    // A customer of whom nothing is known gets no part of anything.
    let other = house.customer("other", Some(Grant::default()));
    let headers = [("authorization", other.as_str()), ("range", "bytes=4-")];
    let seen = house.ask("GET", LATEST, &headers, "").await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, "2222222222222"));

    // On a second host the customer began with the new one: which host resumes cannot be known.
    assert_eq!(house.get(LATEST, &[]).await.text(), "2222222222222");
    let seen = house.get(LATEST, &[("range", "bytes=4-")]).await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, "2222222222222"));

    // Whoever says what they have a part of is answered about that.
    let etag = seen.header("etag").to_owned();
    let seen = house.get(LATEST, &[("range", "bytes=10-"), ("if-range", etag.as_str())]).await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::PARTIAL_CONTENT, "222"));
}

#[tokio::test]
async fn to_look_is_not_to_begin() {
    let house = House::default();
    house.release("v1", 1, "stable", "1111111111").await;
    house.ask("HEAD", LATEST, &[("authorization", house.acme.as_str())], "").await;
    let seen = house.get(LATEST, &[("range", "bytes=4-")]).await;
    assert_eq!(seen.status, StatusCode::OK);
}

#[tokio::test]
async fn what_was_withdrawn_is_not_gone_on_with() {
    let house = House::default();
    house.release("v1", 1, "stable", "1111111111").await;
    house.get(LATEST, &[]).await;
    house.release("v2", 2, "stable", "2222222222222").await;
    house.depot.records().withdraw("backend", "v1", Some("loses data")).unwrap();
    let seen = house.get(LATEST, &[("range", "bytes=4-")]).await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, "2222222222222"));
}
