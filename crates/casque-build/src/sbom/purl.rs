//! Package URLs: the names under which scanners look for vulnerabilities.

use casque_format::spdx::ExternalRef;

/// A package as scanners know it; empty parts are left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purl<'a> {
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Sorted by name.
    pub(super) qualifiers: &'a [(&'a str, String)],
}

impl Purl<'_> {
    pub(super) fn reference(&self) -> ExternalRef {
        ExternalRef {
            reference_category: "PACKAGE-MANAGER".to_owned(),
            reference_type: "purl".to_owned(),
            reference_locator: self.text(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("pkg:{}/", self.kind);
        if !self.namespace.is_empty() {
            text += &format!("{}/", encoded(self.namespace));
        }
        text += &format!("{}@{}", encoded(self.name), encoded(self.version));
        let qualifiers = self.qualifiers.iter().filter(|(_, value)| !value.is_empty());
        let qualifiers: Vec<_> =
            qualifiers.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if !qualifiers.is_empty() {
            text += &format!("?{}", qualifiers.join("&"));
        }
        text
    }
}

/// Returns `text` as one part of a package URL: a colon may stay, everything else that is reserved may not.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(byte.into());
            }
            _ => out += &format!("%{byte:02X}"),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_encoded_and_what_is_empty_left_out() {
        let qualifiers = [("arch", "amd64".to_owned()), ("upstream", String::new())];
        let purl = Purl {
            kind: "deb",
            namespace: "debian",
            name: "libstdc++6",
            version: "1:12.2.0-14+deb12u1~x",
            qualifiers: &qualifiers,
        };
        assert_eq!(purl.text(), "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64");
        let purl = Purl { kind: "pypi", namespace: "", name: "a", version: "1", qualifiers: &[] };
        assert_eq!(purl.text(), "pkg:pypi/a@1");
    }
}
