//! What is found and what is masked.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use casque_fetch::Store;
use casque_format::digest::Digest;
use casque_image::diff::{Change, all_candidates};
use casque_replay::Fetch;
use tempfile::TempDir;

use super::*;

/// Every byte of it is changed by one of the encodings.
const VALUE: &str = "t0p/\"se cret\"+käse?>";

fn secrets(value: &str) -> Secrets {
    Secrets::new(BTreeMap::from([("token".to_owned(), value.as_bytes().to_vec())])).unwrap()
}

fn layer(text: &str) -> LayerStep {
    toml::from_str(&format!("name = \"deploy\"\nrun = \"true\"\n{text}")).unwrap()
}

/// Returns what is said of a tree with these files.
fn left(value: &str, files: &[(&str, &[u8])]) -> String {
    let (root, nothing) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (path, content) in files {
        let path = root.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
    let paths = all_candidates(nothing.path(), root.path()).unwrap();
    let changes: Vec<Change> = paths.into_iter().map(Change::Present).collect();
    match secrets(value).are_not_left("deploy", root.path(), &changes, "{}") {
        Ok(()) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_secret_is_found_in_every_form_whatever_is_around_it() {
    let wrapped = |text: &str| {
        let encoded = BASE64_STANDARD.encode(text);
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(8).map(|line| std::str::from_utf8(line).unwrap()).collect();
        lines.join("\n  ")
    };
    let big = [vec![b'x'; (1 << 20) - 7], VALUE.as_bytes().to_vec(), vec![b'y'; 99]].concat();
    let files = [
        ("a/plain", format!("token={VALUE}\n").into_bytes()),
        ("b/url", b"https://h/?t=t0p%2F%22se%20cret%22%2Bk%C3%A4se%3F%3E&x".to_vec()),
        ("c/url-lower", b"t0p%2f%22se%20cret%22%2bk%c3%a4se%3f%3e".to_vec()),
        ("d/json", b"{\"t\": \"t0p/\\\"se cret\\\"+k\xc3\xa4se?>\"}".to_vec()),
        ("e/0", BASE64_STANDARD.encode(format!("{VALUE}\n")).into_bytes()),
        ("e/1", BASE64_STANDARD.encode(format!("1{VALUE}.")).into_bytes()),
        ("e/2", BASE64_URL_SAFE.encode(format!("u:{VALUE}..")).into_bytes()),
        ("e/wrapped", wrapped(&format!("user:{VALUE}")).into_bytes()),
        ("f/big", big),
        ("g/clean", b"token=t0p/\n\"se cret\"\n".to_vec()),
    ];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (*path, content.as_slice())).collect();
    insta::assert_snapshot!(left(VALUE, &files), @r"
    layer `deploy` leaves a secret in the image:
    `token` in `/a/plain`
    `token` in `/b/url` (URL-encoded)
    `token` in `/c/url-lower` (URL-encoded)
    `token` in `/d/json` (quoted)
    `token` in `/e/0` (base64)
    `token` in `/e/1` (base64)
    `token` in `/e/2` (base64)
    `token` in `/e/wrapped` (base64)
    `token` in `/f/big`
    ");
    assert_eq!(left(VALUE, &files[9..]), "nothing");
}

#[test]
fn names_and_links_are_looked_at_too_and_the_message_masks_them() {
    let files: [(&str, &[u8]); 1] = [("srv/opensesame1/file", b"")];
    insta::assert_snapshot!(left("opensesame1\n", &files), @r"
    layer `deploy` leaves a secret in the image:
    `token` in `/srv/***`
    `token` in `/srv/***/file`
    ");
    let root = TempDir::new().unwrap();
    std::os::unix::fs::symlink("/x?opensesame1", root.path().join("link")).unwrap();
    let changes = [Change::Present("link".into())];
    let error = secrets("opensesame1").are_not_left("a", root.path(), &changes, "").unwrap_err();
    assert_eq!(error.to_string(), "layer `a` leaves a secret in the image:\n`token` in `/link`");
    let error = secrets("opensesame1").are_not_left("a", root.path(), &[], "[opensesame1]").unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer `a` leaves a secret in the image:\n`token` in what it told the service managers"
    );
    assert_eq!(error.class(), crate::ErrorClass::Step);
    assert!(error.hint().unwrap().starts_with("have the step remove it before it ends"));
}

#[test]
fn addresses_and_bodies_with_a_secret_are_not_recorded() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let fetch = |url: &str, body: &str| -> Fetch {
        let digest = store.insert_bytes(body.as_bytes()).unwrap();
        toml::from_str(&format!("url = \"{url}\"\nsha256 = \"{digest}\"\nsize = {}\n", body.len())).unwrap()
    };
    let fetches = [
        fetch("https://h/?t=opensesame1", "one"),
        fetch("https://h/a", "is opensesame1"),
        fetch("https://h/b", "three"),
    ];
    let error = secrets("opensesame1").are_not_recorded("deploy", &fetches, &store).unwrap_err();
    insta::assert_snapshot!(error, @r"
    layer `deploy`: what its step downloads holds a secret:
    `token` in GET https://h/?t=***
    `token` in GET https://h/a
    ");
    assert!(error.hint().unwrap().starts_with("send it in a header such as `Authorization`"));
    let kept = ["one", "is opensesame1", "three"].map(|body| store.contains(&Digest::of(body.as_bytes())));
    assert_eq!(kept, [false, false, true]);
    secrets("opensesame1").are_not_recorded("deploy", &fetches[2..], &store).unwrap();
}

#[test]
fn every_form_is_masked_and_each_line_of_a_key() {
    let given = secrets(VALUE);
    assert_eq!(given.mask(&format!("a {VALUE} b")), "a *** b");
    assert_eq!(given.mask("?t=t0p%2F%22se%20cret%22%2Bk%C3%A4se%3F%3E"), "?t=***");
    let masked = given.mask(&BASE64_STANDARD.encode(format!("user:{VALUE}")));
    assert!(masked.starts_with("dXNlcj") && masked.contains("***") && masked.len() < 15, "{masked}");
    let key = secrets("-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----\n");
    assert_eq!(key.mask("abcdefghijkl"), "***");
    assert_eq!(key.mask("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    assert_eq!(format!("{key:?}"), "{\"token\"}");
}

#[test]
fn what_is_missing_or_too_short_is_said_with_the_remedy() {
    let short = Secrets::new(BTreeMap::from([("pin".to_owned(), b"1234567\n".to_vec())])).unwrap_err();
    insta::assert_snapshot!(short, @"the secret `pin` has 7 bytes, and 8 are the least that can be searched for");
    assert_eq!(short.hint(), "use a longer one; what is shorter is no secret");
    let layers = [layer("secrets = [{ id = \"vault\" }]")];
    let missing = secrets("opensesame1").suffice(&layers).unwrap_err();
    insta::assert_snapshot!(missing, @"layer `deploy` needs the secret `vault`, which was not given");
    assert_eq!(
        missing.hint(),
        "give it with `--secret id=vault,src=FILE` or `--secret id=vault,env=VARIABLE`"
    );
    assert_eq!(secrets("opensesame1").unused(&layers).collect::<Vec<_>>(), ["token"]);
}

#[test]
fn a_variable_has_the_value_as_a_shell_would_take_it_from_the_file() {
    let with = layer("secrets = [{ id = \"token\", variable = \"TOKEN\" }]");
    let variables = secrets("opensesame1\n").variables(&with).unwrap();
    assert_eq!(variables, [("TOKEN".to_owned(), "opensesame1".to_owned())]);
    let error = secrets("open\0sesame1").variables(&with).unwrap_err();
    insta::assert_snapshot!(
        error,
        @"the secret `token` cannot be the variable `TOKEN` of layer `deploy`, for it is not text"
    );
    assert_eq!(error.hint(), "give it as a file, with `to`");
}
