//! Whatever comes as a key or a signature: an answer, never a panic.

use std::io::Cursor;
use std::sync::LazyLock;

use casque_sign::{Passphrase, PublicKey, SecretKey};
use proptest::prelude::*;

static SIGNED: LazyLock<(PublicKey, String, String)> = LazyLock::new(|| {
    let (key, file) = SecretKey::generate(&Passphrase::new("secret")).unwrap();
    let signature = key.sign(&b"release"[..], "comment").unwrap();
    (key.public(), file, signature)
});

fn verifies(signature: &str) -> bool {
    SIGNED.0.verify(Cursor::new("release"), signature).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,300}", lines in prop::collection::vec("[A-Za-z0-9+/=: ]{0,120}", 0..6)) {
        for text in [text, lines.join("\n")] {
            prop_assert!(!verifies(&text));
            let _ = PublicKey::parse(&text);
            let _ = SecretKey::open(&text, &Passphrase::new("secret"));
        }
    }

    #[test]
    fn one_changed_character_of_a_signed_part_is_refused(place in 0usize..400, with in "[A-Za-z0-9+/=]") {
        let (_, _, good) = &*SIGNED;
        // What comes before is the untrusted comment.
        let start = good.find('\n').unwrap() + 1;
        let place = start + place % (good.trim_end().len() - start);
        let mut changed = good.clone();
        prop_assume!(good.is_char_boundary(place) && good.is_char_boundary(place + 1));
        changed.replace_range(place..=place, &with);
        prop_assert!(changed == *good || !verifies(&changed), "{changed}");
    }

    #[test]
    fn a_cut_key_or_signature_is_refused(cut in 0usize..400) {
        let (public, secret, signature) = &*SIGNED;
        let cut_of = |text: &str| text[..cut.min(text.trim_end().len() - 1)].to_owned();
        prop_assert!(!verifies(&cut_of(signature)));
        prop_assert!(PublicKey::parse(&cut_of(&public.file())).is_err());
        prop_assert!(SecretKey::open(&cut_of(secret), &Passphrase::new("secret")).is_err());
    }
}
