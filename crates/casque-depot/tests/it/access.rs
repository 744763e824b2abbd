//! Who gets in.

use axum::http::StatusCode;
use casque_depot::access::passwords;
use casque_depot::records::{Accounts, Query, Records};

use crate::house::{House, basic};

const PATH: &str = "/backend/docker_backend-latest.tar";

async fn status(house: &House, header: &str) -> u16 {
    house.ask("GET", PATH, &[("authorization", header)], "").await.status.as_u16()
}

#[tokio::test]
async fn only_the_right_password_of_an_enabled_customer_gets_in() {
    let house = House::default();
    house.release("v1", 1, "stable", "image").await;
    assert_eq!(status(&house, &house.acme).await, 200);
    let seen = house.ask("GET", PATH, &[], "").await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert_eq!(seen.header("www-authenticate"), "Basic realm=\"downloads\", charset=\"UTF-8\"");
    for wrong in
        [basic("acme", "wrong").as_str(), &basic("nobody", "secret"), "Basic !", "Digest a", &house.token]
    {
        assert_eq!(status(&house, wrong).await, 401, "{wrong}");
    }
    // What was changed holds at once, whatever was remembered.
    let records = house.depot.records();
    records.set_disabled(Accounts::Customers, "acme", true).unwrap();
    assert_eq!(status(&house, &house.acme).await, 403);
    records.set_disabled(Accounts::Customers, "acme", false).unwrap();
    assert_eq!(status(&house, &house.acme).await, 200);
    records.set_hash(Accounts::Customers, "acme", &passwords::hash("another").unwrap()).unwrap();
    assert_eq!(status(&house, &house.acme).await, 401);
    assert_eq!(status(&house, &basic("acme", "another")).await, 200);
}

#[tokio::test]
async fn whoever_guesses_is_asked_to_wait_and_customers_known_to_be_right_are_not() {
    let house = House::default();
    house.release("v1", 1, "stable", "image").await;
    assert_eq!(status(&house, &house.acme).await, 200);
    let mut answers = Vec::new();
    for _ in 0..61 {
        answers.push(status(&house, &basic("acme", "guess")).await);
    }
    assert_eq!((answers[59], answers[60]), (401, 429));
    let seen = house.ask("GET", PATH, &[("authorization", basic("new", "guess").as_str())], "").await;
    let wait: u64 = seen.header("retry-after").parse().unwrap();
    assert!(seen.status == StatusCode::TOO_MANY_REQUESTS && (1..=60).contains(&wait), "{wait}");
    assert_eq!(status(&house, &house.acme).await, 200);
}

#[tokio::test]
async fn a_token_uploads_for_its_product_alone() {
    let house = House::default();
    let digest = "0".repeat(64);
    let ask = async |product: &str, header: &str| {
        let path = format!("/api/v1/{product}/blobs/{digest}");
        house.ask("HEAD", &path, &[("authorization", header)], "").await.status.as_u16()
    };
    assert_eq!(ask("backend", &house.token).await, 200);
    assert_eq!(ask("other", &house.token).await, 403);
    assert_eq!(ask("backend", "Bearer wrong").await, 401);
    assert_eq!(ask("backend", &house.acme).await, 401, "a customer uploads nothing");
    house.depot.records().revoke_token("build").unwrap();
    assert_eq!(ask("backend", &house.token).await, 401);
}

#[tokio::test]
async fn everything_is_written_down() {
    let house = House::default();
    house.release("v1", 1, "stable", "image").await;
    house.get("/backend/docker_backend-latest.tar", &[("range", "bytes=1-3")]).await;
    house.ask("GET", PATH, &[("authorization", basic("acme", "wrong").as_str())], "").await;
    house.ask("HEAD", PATH, &[("authorization", house.acme.as_str())], "").await;
    house.get("/backend/docker_backend-v1.tar", &[("range", "bytes=1-3")]).await;
    let House { directory, depot, writer, router, .. } = house;
    drop((depot, router));
    writer.finish();
    let records = Records::open(&directory.path().join("data")).unwrap();
    let entries = records.audit(&Query { actor: Some("acme".to_owned()), ..Query::default() }).unwrap();
    let lines: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry.action.as_str(), entry.file.as_str(), entry.release.as_str(), entry.status, entry.bytes)
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("download", "docker_backend-v1.tar", "v1", 200, 5),
            ("refused", PATH, "", 401, 0),
            ("download", "docker_backend-v1.tar", "v1", 206, 3),
        ]
    );
    assert!(entries.iter().all(|entry| entry.complete));
    let uploads =
        records.audit(&Query { actor: Some("token:build".to_owned()), ..Query::default() }).unwrap();
    let actions: Vec<_> = uploads.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["upload", "upload", "publish"]);
}
