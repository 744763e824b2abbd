//! Downloads that break off and go on.

use casque_fetch::FetchError;

use crate::fetch::{set, wanted};
use crate::server::Answer;

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(|n| n.to_le_bytes()).collect()
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let set = set();
    let content = content();
    let url = set.server.answer("/thing", &[Answer::Range(content.clone(), 300_000)]);
    let summary = set.fetch(&[wanted(&content, &[url])]).unwrap();
    assert_eq!((summary.fetched, summary.bytes), (1, 800_000));
    assert_eq!(set.server.headers("range"), ["range: bytes=300000-", "range: bytes=600000-"]);
}

#[test]
fn a_server_without_ranges_begins_anew() {
    let set = set();
    let content = content();
    let answers = [Answer::Broken(content.clone(), 300_000), Answer::File(content.clone())];
    let url = set.server.answer("/thing", &answers);
    assert_eq!(set.fetch(&[wanted(&content, &[url])]).unwrap().fetched, 1);
    assert_eq!(set.server.headers("range"), ["range: bytes=300000-"]);
}

#[test]
fn a_range_that_cannot_be_had_begins_anew() {
    let set = set();
    let content = content();
    let answers =
        [Answer::Broken(content.clone(), 300_000), Answer::Status(416), Answer::File(content.clone())];
    let url = set.server.answer("/thing", &answers);
    assert_eq!(set.fetch(&[wanted(&content, &[url])]).unwrap().fetched, 1);
}

#[test]
fn a_file_that_changed_between_two_parts_is_had_in_one_piece() {
    let set = set();
    let content = content();
    let other = vec![7; content.len()];
    let answers = [
        Answer::Broken(other, 300_000),
        Answer::Range(content.clone(), content.len()),
        Answer::File(content.clone()),
    ];
    let url = set.server.answer("/thing", &answers);
    assert_eq!(set.fetch(&[wanted(&content, &[url])]).unwrap().fetched, 1);
    assert_eq!(set.server.asked().len(), 3);
}

#[test]
fn a_wrong_file_in_parts_is_refused_in_the_end() {
    let set = set();
    let content = content();
    let url = set.server.answer("/thing", &[Answer::Range(vec![7; content.len()], 500_000)]);
    let refused = set.refusal(wanted(&content, &[url]));
    assert!(matches!(refused, FetchError::Truncated { .. } | FetchError::HashMismatch { .. }), "{refused}");
}
