//! What is found, wherever a text is cut, and what stands there instead.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use super::*;

/// Every byte of it is changed by one of the encodings.
const VALUE: &str = "t0p/\"se cret\"+käse?>";

fn secret(name: &str, value: &str) -> Secret {
    Secret { name: name.to_owned(), value: value.as_bytes().to_vec() }
}

/// Gives a byte at a time.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

fn texts() -> Vec<(Form, String)> {
    let wrapped = |text: &str| {
        let encoded = BASE64_STANDARD.encode(text);
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(8).map(|line| std::str::from_utf8(line).unwrap()).collect();
        lines.join("\n  ")
    };
    vec![
        (Form::Plain, format!("token={VALUE}\n")),
        (Form::Url, "https://h/?t=t0p%2F%22se%20cret%22%2Bk%C3%A4se%3F%3E&x".to_owned()),
        (Form::Url, "t0p%2f%22se+cret%22%2bk%c3%a4se%3f%3e".to_owned()),
        (Form::Json, "{\"t\": \"t0p/\\\"se cret\\\"+käse?>\"}".to_owned()),
        (Form::Json, "t0p/\\\"se cret\\\"+k\\u00e4se?>".to_owned()),
        (Form::Base64, BASE64_STANDARD.encode(VALUE)),
        (Form::Base64, BASE64_STANDARD.encode(format!("1{VALUE}."))),
        (Form::Base64, BASE64_URL_SAFE.encode(format!("u:{VALUE}.."))),
        (Form::Base64, wrapped(&format!("user:{VALUE}"))),
    ]
}

#[test]
fn a_secret_is_found_in_every_form_wherever_a_stream_is_cut() {
    let secrets = [secret("other", "something else"), secret("token", VALUE)];
    let search = Search::new(&secrets);
    for (form, text) in texts() {
        assert_eq!(search.in_bytes(text.as_bytes()), Some(("token", form)), "{text}");
        let slowly = search.in_stream(|| Ok(Slowly(text.as_bytes()))).unwrap();
        assert_eq!(slowly, Some(("token", form)), "{text}");
    }
    let big = [vec![b'x'; (1 << 20) - 7], VALUE.as_bytes().to_vec(), vec![b'y'; 99]].concat();
    assert_eq!(search.in_bytes(&big), Some(("token", Form::Plain)));
    assert_eq!(search.in_bytes(b"token=t0p/\n\"se cret\"\n"), None);
    assert_eq!(Search::new(&[secret("empty", "\n")]).in_bytes(b"\n"), None);
}

#[test]
fn every_form_is_replaced_and_what_is_around_it_stays() {
    let secrets = [secret("token", VALUE)];
    let (search, replacer) = (Search::new(&secrets), Replacer::new(&secrets));
    for (_, text) in texts() {
        let text = format!("before {text} after");
        let replaced = String::from_utf8(replacer.replace(text.as_bytes(), |_| "***")).unwrap();
        assert!(replaced.starts_with("before ") && replaced.ends_with(" after"), "{replaced}");
        assert_eq!(replaced.matches("***").count(), 1, "{replaced}");
        assert_eq!(search.in_bytes(replaced.as_bytes()), None, "{replaced}");
    }
}

#[test]
fn of_secrets_that_overlap_nothing_is_left() {
    let secrets = [secret("a", "abcd"), secret("b", "abcdefgh"), secret("c", "ghij")];
    let replacer = Replacer::new(&secrets);
    let replaced = |text: &str| {
        let names = |index: usize| format!("<{}>", secrets[index].name);
        String::from_utf8(replacer.replace(text.as_bytes(), names)).unwrap()
    };
    assert_eq!(replaced("abcdefgh abcdefg"), "<b> <a>efg");
    assert_eq!(replaced("abcdghij"), "<a><c>");
    let encoded = BASE64_STANDARD.encode("u:abcdefgh:ghij\n");
    let spread: String = encoded.chars().flat_map(|digit| [digit, '\n']).collect();
    // Digits that other bytes decide in part are left.
    assert_eq!(replaced(&spread), "d\nT\np\n<b>\nD\np\n<c>\nC\ng\n=\n=\n");
    let whole = format!("before{}behind", BASE64_STANDARD.encode("ghijkl"));
    let secrets = [secret("inner", "ghijkl"), secret("outer", &whole)];
    let replaced = Replacer::new(&secrets)
        .replace(format!("<{whole}>").as_bytes(), |secret| secrets[secret].name.clone());
    assert_eq!(String::from_utf8(replaced).unwrap(), "<outer>");
}

proptest::proptest! {
    #[test]
    fn nothing_is_found_where_everything_was_replaced(
        values in proptest::collection::vec("[ab]{4,7}", 1..4), text in "[abc \n]{0,60}",
    ) {
        let secrets: Vec<Secret> = values.iter().map(|value| secret("x", value)).collect();
        let replaced = Replacer::new(&secrets).replace(text.as_bytes(), |_| "***");
        proptest::prop_assert_eq!(Search::new(&secrets).in_bytes(&replaced), None);
    }
}
