//! Which tag is released when.

use super::*;

const RULE: Watch =
    Watch { every: Duration::from_secs(60), retries: 2, retry_after: Duration::from_secs(300) };

fn order(tag: &str, commit: &str) -> Order {
    Order { release: tag.parse().unwrap(), commit: commit.to_owned(), channel: "stable".parse().unwrap() }
}

#[test]
fn what_was_there_before_is_left_alone_and_what_is_new_is_released_in_order() {
    let old = [order("v1", "a"), order("v2", "b")];
    let mut seen = Seen::first(&old);
    assert_eq!(seen.next(&old, 0), Next::Wait(None));
    let now = [&old[..], &[order("v3", "c"), order("v4", "d")]].concat();
    assert_eq!(seen.next(&now, 0), Next::Release(2));
    seen.tags.insert("v3".to_owned(), Fate::Released { commit: "c".to_owned() });
    assert_eq!(seen.next(&now, 0), Next::Release(3));
}

#[test]
fn a_release_that_fails_is_tried_again_later_and_later_and_then_given_up() {
    let tags = [order("v1", "a")];
    let mut seen = Seen::first(&[]);
    assert_eq!(seen.failed(&tags[0], &RULE, 1000), Some(300));
    assert_eq!(seen.next(&tags, 1000), Next::Wait(Some(1300)));
    assert_eq!(seen.next(&tags, 1300), Next::Release(0));
    assert_eq!(seen.failed(&tags[0], &RULE, 1300), Some(600));
    assert_eq!(seen.failed(&tags[0], &RULE, 1900), None);
    assert_eq!(seen.next(&tags, u64::MAX), Next::Wait(None));
    let moved = [order("v1", "b")];
    assert_eq!(seen.next(&moved, 2000), Next::Release(0), "it was moved to where it may work");
    assert_eq!(seen.failed(&moved[0], &RULE, 2000), Some(300), "and is counted anew");
}

#[test]
fn one_that_failed_holds_no_other_up() {
    let tags = [order("v1", "a"), order("v2", "b")];
    let mut seen = Seen::first(&[]);
    seen.failed(&tags[0], &RULE, 1000);
    assert_eq!(seen.next(&tags, 1000), Next::Release(1));
}

#[test]
fn a_tag_that_moves_after_its_release_is_told_and_not_released() {
    let mut seen = Seen::first(&[]);
    seen.tags.insert("v1".to_owned(), Fate::Released { commit: "a".to_owned() });
    let tags = [order("v1", "b")];
    assert_eq!(seen.next(&tags, 0), Next::Wait(None));
    assert_eq!(seen.moved(&tags).collect::<Vec<_>>(), [&tags[0]]);
    assert_eq!(seen.moved(&[order("v1", "a")]).count(), 0);
}

#[test]
fn what_was_seen_survives_its_file() {
    let mut seen = Seen::first(&[order("v0", "z")]);
    seen.failed(&order("v1", "a"), &RULE, 1000);
    seen.tags.insert("v2".to_owned(), Fate::Released { commit: "b".to_owned() });
    let text = serde_json::to_string(&seen).unwrap();
    assert_eq!(
        text,
        r#"{"version":1,"tags":{"v0":{"fate":"left-alone"},"v1":{"fate":"failed","commit":"a","times":1,"again_at":1300},"v2":{"fate":"released","commit":"b"}}}"#
    );
    assert_eq!(serde_json::from_str::<Seen>(&text).unwrap(), seen);
}
