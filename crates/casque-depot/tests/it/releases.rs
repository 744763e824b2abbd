//! A release is visible whole or not at all.

use axum::http::StatusCode;
use casque_format::digest::Digest;
use casque_format::release::{Release, Signed};
use casque_sign::{Passphrase, SecretKey};

use crate::house::{House, KEY, NOW};

const LATEST: &str = "/backend/docker_backend-latest.tar";

#[tokio::test]
async fn nothing_shows_until_everything_is_there() {
    let house = House::default();
    let mut release = house.prepared("v1", 1, "stable", "image").await;
    release.artefacts[0].sha256 = Digest::of(b"never uploaded");
    let seen = house.publish(&release).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert_eq!(
        seen.text(),
        "error: cannot publish a release of `backend`\n  \
         caused by: 1 of the release's files are not uploaded, the first of them `docker_backend-v1.tar`\n\
         missing:\n  docker_backend-v1.tar\n"
    );
    assert_eq!(house.get(LATEST, &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.get("/backend/docker_backend-v1.tar.minisig", &[]).await.status, StatusCode::NOT_FOUND);
    house.release("v1", 1, "stable", "image").await;
    assert_eq!(house.get(LATEST, &[]).await.text(), "image");
}

#[tokio::test]
async fn a_release_is_published_once() {
    let house = House::default();
    let release = house.prepared("v1", 1, "stable", "image").await;
    assert_eq!(house.publish(&release).await.status, StatusCode::CREATED);
    assert_eq!(house.publish(&release).await.status, StatusCode::OK, "again the same");
    let other = Release { counter: 2, notes: "other".to_owned(), ..release };
    let seen = house.publish(&other).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert!(seen.text().contains("release `v1` is there already, with other content"), "{}", seen.text());
}

#[tokio::test]
async fn a_counter_that_was_taken_after_it_was_looked_at_is_refused() {
    let house = House::default();
    let one = house.prepared("v1", 1, "stable", "one").await;
    let other = house.prepared("v2", 1, "stable", "other").await;
    // What two uploads at the same time come to, both judged before either is written.
    let publish = |release: &Release| {
        house.depot.records().publish(release, &release.canonical(), "", NOW as i64).map(drop)
    };
    publish(&one).unwrap();
    let error = publish(&other).unwrap_err().to_string();
    assert_eq!(error, "the release `v2` has counter 1, and a release with counter 1 was there before");
    assert_eq!(house.get(LATEST, &[]).await.text(), "one");
}

#[tokio::test]
async fn records_that_cannot_be_believed_are_refused() {
    let house = House::default();
    house.release("v2", 5, "stable", "newer").await;
    let good = house.prepared("v3", 6, "stable", "image").await;
    let refused = async |release: Release, words: &str| {
        let seen = house.publish(&release).await;
        assert_eq!(seen.status, StatusCode::UNPROCESSABLE_ENTITY, "{words}");
        assert!(seen.text().contains(words), "{}", seen.text());
    };
    refused(Release { counter: 5, ..good.clone() }, "a release with counter 5 was there before").await;
    refused(Release { created: NOW + 90_000, ..good.clone() }, "a clock is wrong").await;
    refused(Release { expires: Some(NOW), ..good.clone() }, "expired 0 seconds ago").await;
    let product = "other".parse().unwrap();
    refused(Release { product, ..good.clone() }, "the release is of product `other`, expected `backend`")
        .await;
    let mut own = good.clone();
    own.artefacts.remove(1);
    own.artefacts[0].name = "install.sh".parse().unwrap();
    refused(own, "the release names a file `install.sh`, which is the depot's own").await;
    let mut swapped = good.clone();
    let other = house.upload(b"other").await;
    (swapped.artefacts[0].sha256, swapped.artefacts[0].size) = (other, 5);
    refused(swapped, "the signature `docker_backend-v3.tar.minisig` of the release is not good").await;

    let record = String::from_utf8(good.canonical()).unwrap();
    let signature = KEY.sign(record.as_bytes(), "release").unwrap();
    let submit = async |record: &str, signature: &str, words: &str| {
        let seen = house.submit(record, signature).await;
        assert_eq!(seen.status, StatusCode::UNPROCESSABLE_ENTITY, "{words}");
        assert!(seen.text().contains(words), "{}", seen.text());
    };
    submit(&record.replace("stable", "monthly"), &signature, "does not fit").await;
    submit(&record, "forged", "this is no signature").await;
    let (stranger, _) = SecretKey::generate(&Passphrase::new("stranger")).unwrap();
    let theirs = stranger.sign(record.as_bytes(), "release").unwrap();
    submit(
        &record,
        &theirs,
        &format!("the signature is by key {}, which is not among those trusted", stranger.id()),
    )
    .await;
    let seen =
        house.ask("POST", "/api/v1/backend/releases", &[("authorization", house.token.as_str())], "{}").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    // After all of that the good one is taken, and `latest` was never another.
    assert_eq!(house.get(LATEST, &[]).await.text(), "newer");
    assert_eq!(house.publish(&good).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_release_that_is_withdrawn_says_why_and_latest_is_the_one_before() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    house.release("v2", 2, "stable", "two").await;
    house.depot.records().withdraw("backend", "v2", Some("loses data; take v1")).unwrap();
    let seen = house.get("/backend/docker_backend-v2.tar", &[]).await;
    assert_eq!(
        (seen.status, seen.text().as_str()),
        (StatusCode::GONE, "release `v2` was withdrawn: loses data; take v1\n")
    );
    assert_eq!(house.get("/backend/release-v2.json", &[]).await.status, StatusCode::GONE);
    assert_eq!(house.get(LATEST, &[]).await.text(), "one");
    house.depot.records().withdraw("backend", "v1", Some("too")).unwrap();
    assert_eq!(house.get(LATEST, &[]).await.status, StatusCode::GONE);
    house.depot.records().withdraw("backend", "v2", None).unwrap();
    assert_eq!(house.get(LATEST, &[]).await.text(), "two");
}

#[tokio::test]
async fn a_beta_becomes_stable() {
    let house = House::default();
    house.release("v1", 1, "stable", "one").await;
    house.release("v2", 2, "beta", "two").await;
    assert_eq!(house.get(LATEST, &[]).await.text(), "one");
    house.depot.records().promote("backend", "v2", "stable", 0).unwrap();
    assert_eq!(house.get(LATEST, &[]).await.text(), "two");
    assert_eq!(house.get("/backend/beta/docker_backend-latest.tar", &[]).await.text(), "two");
    let releases = house.depot.records().releases("backend").unwrap();
    assert_eq!(releases[0].channels, ["beta", "stable"]);
}

#[tokio::test]
async fn an_older_release_that_comes_into_a_channel_is_not_its_latest() {
    let house = House::default();
    house.release("v1", 1, "beta", "one").await;
    house.release("v2", 2, "stable", "two").await;
    house.depot.records().promote("backend", "v1", "stable", 9).unwrap();
    assert_eq!(house.get("/backend/stable/docker_backend-v1.tar", &[]).await.text(), "one");
    assert_eq!(house.get(LATEST, &[]).await.text(), "two");
    assert_eq!(house.get("/backend/release-latest.json", &[]).await.header("casque-release"), "v2");
}

#[tokio::test]
async fn a_key_that_follows_a_trusted_one_signs_from_then_on() {
    let house = House::default();
    let (next, _) = SecretKey::generate(&Passphrase::new("next")).unwrap();
    let release = house.prepared("v1", 1, "stable", "image").await;
    let record = String::from_utf8(release.canonical()).unwrap();
    let signature = next.sign(record.as_bytes(), "release").unwrap();
    assert_eq!(house.submit(&record, &signature).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    house.depot.records().add_key("backend", &next.public(), 1).unwrap();
    assert_eq!(house.submit(&record, &signature).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_build_sees_what_was_released_and_may_compare_with_it() {
    let house = House::default();
    house.release("v1", 3, "stable", "an image").await;
    let record = house.prepared("v2", 4, "beta", "another").await;
    assert_eq!(house.publish(&record).await.status, StatusCode::CREATED);
    house.depot.records().withdraw("backend", "v1", Some("loses data")).unwrap();
    let ask = async |path: &str, header: (&str, &str)| {
        let headers = [("authorization", house.token.as_str()), header];
        house.ask("GET", &format!("/api/v1/{path}"), &headers, "").await
    };
    let nothing = ("x-none", "");
    assert_eq!(
        ask("backend/releases", nothing).await.text(),
        r#"{"counter":4,"releases":[{"release":"v2","counter":4,"channels":["beta"]},{"release":"v1","counter":3,"channels":["stable"],"withdrawn":"loses data"}]}"#
    );
    let seen: Signed = serde_json::from_slice(&ask("backend/releases/v2", nothing).await.body).unwrap();
    assert_eq!(seen.record.as_bytes(), record.canonical());
    assert!(KEY.public().verify(std::io::Cursor::new(&seen.record), &seen.signature).is_ok());
    assert_eq!(ask("backend/releases/v3", nothing).await.status, StatusCode::NOT_FOUND);

    let image = format!("backend/blobs/{}", Digest::of(b"an image"));
    assert_eq!(ask(&image, nothing).await.text(), "an image");
    let part = ask(&image, ("range", "bytes=3-")).await;
    assert_eq!((part.status, part.text().as_str()), (StatusCode::PARTIAL_CONTENT, "image"));
    assert_eq!(part.header("content-range"), "bytes 3-7/8");
    let never = format!("backend/blobs/{}", Digest::of(b"never"));
    assert_eq!(ask(&never, nothing).await.status, StatusCode::NOT_FOUND);

    for path in
        ["releases", "releases/v2"].map(str::to_owned).iter().chain([&image["backend/".len()..].to_owned()])
    {
        assert_eq!(ask(&format!("other/{path}"), nothing).await.status, StatusCode::FORBIDDEN, "{path}");
        let acme = [("authorization", house.acme.as_str())];
        let seen = house.ask("GET", &format!("/api/v1/backend/{path}"), &acme, "").await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}
