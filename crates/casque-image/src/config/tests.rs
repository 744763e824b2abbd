//! Which texts are names of images.

use super::*;

fn name(text: &str) -> Result<ImageName, String> {
    text.parse().map_err(|error: NotAnImageName| error.to_string())
}

#[test]
fn a_name_has_a_full_and_a_familiar_form() {
    for (text, full, familiar) in [
        ("vendor/backend:v43.4.4", "docker.io/vendor/backend:v43.4.4", "vendor/backend:v43.4.4"),
        ("backend", "docker.io/library/backend:latest", "backend:latest"),
        ("localhost:5000/a/b__c:x", "localhost:5000/a/b__c:x", "localhost:5000/a/b__c:x"),
        (
            "get.vendor.example/back-end",
            "get.vendor.example/back-end:latest",
            "get.vendor.example/back-end:latest",
        ),
    ] {
        let name = name(text).unwrap();
        assert_eq!((name.full().as_str(), name.familiar().as_str()), (full, familiar));
        assert_eq!(name, full.parse().unwrap());
    }
}

#[test]
fn a_text_that_engines_would_refuse_is_refused_with_its_rule() {
    let part = "its parts are lower-case letters and digits, with `.`, `_`, `__` or `-` between them";
    let tag = "a tag is at most 128 letters, digits, `_`, `.` and `-`, and begins with no `.` or `-`";
    let host = "what comes before the first `/` is no host name";
    for (text, rule) in [
        ("Vendor/backend", part),
        ("", part),
        ("vendor/", part),
        ("vendor/-backend", part),
        ("vendor/a___b", part),
        ("vendor/a.-b", part),
        ("vendor/backend:", tag),
        ("vendor/backend:v 1", tag),
        ("vendor/backend:.1", tag),
        ("-x.example/backend", host),
    ] {
        assert_eq!(name(text), Err(format!("`{text}` does not name an image: {rule}")));
    }
    let long = format!("vendor/{}", "x".repeat(250));
    assert_eq!(
        name(&long),
        Err(format!("`{long}` does not name an image: it is longer than 255 characters"))
    );
}
