//! Files come in pieces, and only whole ones are there.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use casque_format::digest::Digest;

use crate::house::House;

async fn offset(house: &House, digest: Digest) -> String {
    let path = format!("/api/v1/backend/blobs/{digest}");
    let seen = house.ask("HEAD", &path, &[("authorization", house.token.as_str())], "").await;
    assert_eq!(seen.status, StatusCode::OK);
    seen.header("upload-offset").to_owned()
}

/// A body that ends with an error, as that of a broken line does.
fn broken(piece: &'static [u8]) -> Body {
    struct Broken(Option<&'static [u8]>);
    impl http_body::Body for Broken {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            let next = self.0.take().map(|piece| http_body::Frame::data(Bytes::from_static(piece)));
            std::task::Poll::Ready(Some(next.ok_or_else(|| std::io::ErrorKind::ConnectionReset.into())))
        }
    }
    Body::new(Broken(Some(piece)))
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_was() {
    let house = House::default();
    let content = b"a file in pieces";
    let digest = Digest::of(content);
    assert_eq!(offset(&house, digest).await, "0");
    let seen = house.patch(digest, 0, content.len(), broken(b"a file")).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert_eq!(offset(&house, digest).await, "6");
    let seen = house.patch(digest, 0, content.len(), content.to_vec()).await;
    assert_eq!((seen.status, seen.header("upload-offset")), (StatusCode::CONFLICT, "6"));
    let seen = house.patch(digest, 6, content.len(), &b" in"[..]).await;
    assert_eq!((seen.status, seen.header("upload-offset")), (StatusCode::ACCEPTED, "9"));
    let seen = house.patch(digest, 9, content.len(), &b" pieces"[..]).await;
    assert_eq!((seen.status, seen.header("upload-offset")), (StatusCode::CREATED, "16"));
    assert_eq!(offset(&house, digest).await, "16");
    let seen = house.patch(digest, 0, content.len(), "anything").await;
    assert_eq!(seen.status, StatusCode::OK, "it is there already");
    assert_eq!(house.depot.storage().rehash(digest).unwrap(), digest);
}

#[tokio::test]
async fn what_is_not_what_it_is_said_to_be_is_gone() {
    let house = House::default();
    let digest = Digest::of(b"right");
    let seen = house.patch(digest, 0, 5, "wrong").await;
    assert_eq!(seen.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        seen.text(),
        format!("what was uploaded as {digest} has SHA-256 {}; upload it again\n", Digest::of(b"wrong"))
    );
    assert_eq!(offset(&house, digest).await, "0");
    let seen = house.patch(digest, 0, 5, "right and more").await;
    assert_eq!((seen.status, offset(&house, digest).await.as_str()), (StatusCode::BAD_REQUEST, "0"));
    assert!(house.depot.storage().read(digest).is_err());
}

#[tokio::test]
async fn an_upload_of_another_length_is_begun_anew() {
    let house = House::default();
    let digest = Digest::of(b"short");
    house.patch(digest, 0, 100, "far too long").await;
    let seen = house.patch(digest, 12, 5, "").await;
    assert_eq!((seen.status, seen.header("upload-offset")), (StatusCode::CONFLICT, "0"));
    assert_eq!(house.patch(digest, 0, 5, "short").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn wrong_headers_and_too_big_files_are_refused_before_a_byte_is_read() {
    let house = House::with("largest-file = 10");
    let digest = Digest::of(b"x");
    assert_eq!(house.patch(digest, 0, 11, broken(b"")).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let path = format!("/api/v1/backend/blobs/{digest}");
    for value in ["", "-1", "+1", "0x1", "99999999999999999999"] {
        let headers =
            [("authorization", house.token.as_str()), ("upload-offset", value), ("upload-length", "1")];
        let seen = house.ask("PATCH", &path, &headers, broken(b"")).await;
        assert_eq!(seen.text(), "the header `upload-offset` has to be a number\n", "{value}");
    }
    let path = "/api/v1/backend/blobs/..%2f..%2fdepot.db";
    let seen = house.ask("HEAD", path, &[("authorization", house.token.as_str())], "").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_full_disk_takes_nothing_more() {
    let (digest, full) = (Digest::of(b"x"), House::with("keep-free = 9223372036854775807"));
    assert_eq!(full.patch(digest, 0, 1, "x").await.status, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(offset(&full, digest).await, "0");
}

#[tokio::test]
async fn that_another_product_has_a_file_is_not_told() {
    let house = House::default();
    let digest = house.upload(b"secret of backend").await;
    house.depot.records().add_token("theirs", "token-of-other", "other", 0).unwrap();
    let path = format!("/api/v1/other/blobs/{digest}");
    let seen = house.ask("HEAD", &path, &[("authorization", "Bearer token-of-other")], "").await;
    assert_eq!(seen.header("upload-offset"), "0");
}
