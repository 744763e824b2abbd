//! Names of licences as SPDX expressions; what has no SPDX identifier is kept with its words.

use std::collections::{BTreeMap, BTreeSet};

use casque_format::digest::Digest;
use casque_format::spdx::{ExtractedLicence, NOT_KNOWN};

/// Names that SPDX knows by another one; in lower case.
const SYNONYMS: [(&str, &str); 17] = [
    ("apache-2", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-2", "Artistic-2.0"),
    ("asl-2.0", "Apache-2.0"),
    ("boost", "BSL-1.0"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd-4-clause-uc", "BSD-4-Clause-UC"),
    ("cc0", "CC0-1.0"),
    ("expat", "MIT"),
    ("mpl-2", "MPL-2.0"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("psf", "PSF-2.0"),
    ("psf-2", "PSF-2.0"),
    ("psfl", "PSF-2.0"),
    ("simplified-bsd", "BSD-2-Clause"),
    ("zpl", "ZPL-2.1"),
];

/// Exceptions in the words of Debian's copyright files and SPDX's identifier.
const EXCEPTIONS: [(&str, &str); 8] = [
    ("autoconf", "Autoconf-exception-3.0"),
    ("bison", "Bison-exception-2.2"),
    ("classpath", "Classpath-exception-2.0"),
    ("font", "Font-exception-2.0"),
    ("gcc-runtime", "GCC-exception-3.1"),
    ("libtool", "Libtool-exception"),
    ("linux-syscall-note", "Linux-syscall-note"),
    ("llvm", "LLVM-exception"),
];

/// The licences of one document that SPDX has no identifier for.
#[derive(Debug, Default)]
pub(super) struct Extracted(BTreeMap<String, ExtractedLicence>);

impl Extracted {
    /// Keeps a licence and returns its reference; the same words under the same name are one.
    pub(super) fn keep(&mut self, name: &str, words: &str) -> String {
        let short: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .take(48)
            .collect();
        let digest = Digest::of(format!("{name}\0{words}").as_bytes()).to_string();
        let license_id = format!("LicenseRef-{}-{}", short.trim_matches('-'), &digest[..8]);
        self.0.entry(license_id.clone()).or_insert_with(|| ExtractedLicence {
            license_id: license_id.clone(),
            name: name.to_owned(),
            extracted_text: words.to_owned(),
        });
        license_id
    }

    /// Returns them sorted.
    pub(super) fn into_sorted(self) -> Vec<ExtractedLicence> {
        self.0.into_values().collect()
    }
}

/// Everything that holds at once, as one expression.
#[derive(Debug, Default)]
pub(super) struct All(BTreeSet<String>);

impl All {
    pub(super) fn insert(&mut self, expression: String) {
        self.0.insert(expression);
    }

    pub(super) fn expression(self) -> String {
        let many = self.0.len() > 1;
        let part = |part: String| if many && part.contains(" OR ") { format!("({part})") } else { part };
        let parts: Vec<String> = self.0.into_iter().map(part).collect();
        if parts.is_empty() { NOT_KNOWN.to_owned() } else { parts.join(" AND ") }
    }
}

/// Returns the SPDX form of one licence's name, an exception included.
pub(super) fn known(name: &str) -> Option<String> {
    let lower = name.trim().to_ascii_lowercase();
    if let Some((licence, exception)) = lower.split_once(" with ") {
        let exception =
            exception.trim_start_matches("the ").trim_end_matches('s').trim_end_matches("exception");
        let exception = exception.trim().trim_end_matches('-');
        let (_, mut id) = *EXCEPTIONS.iter().find(|(words, _)| *words == exception)?;
        let licence = known(licence)?;
        if id == "Autoconf-exception-3.0" && !licence.contains("-3.0") {
            id = "Autoconf-exception-2.0";
        }
        return Some(format!("{licence} WITH {id}"));
    }
    if let Some(id) = gnu(&lower) {
        return Some(id);
    }
    if let Ok(at) = SYNONYMS.binary_search_by_key(&lower.as_str(), |(name, _)| name) {
        return Some(SYNONYMS[at].1.to_owned());
    }
    if let Some(base) = lower.strip_suffix('+') {
        return identifier(base).map(|id| format!("{id}+"));
    }
    identifier(&lower).map(str::to_owned)
}

fn identifier(lower: &str) -> Option<&'static str> {
    let mut all = spdx::identifiers::LICENSES.iter();
    all.find(|licence| licence.name.eq_ignore_ascii_case(lower) && licence.name != "NOASSERTION")
        .map(|licence| licence.name)
        .filter(|name| !["NONE"].contains(name))
}

/// GNU's licences, in the forms `gpl-2+`, `gplv2+`, `lgpl-2.1` and `gfdl-niv-1.3+`.
fn gnu(lower: &str) -> Option<String> {
    let families =
        [("gfdl-niv", "GFDL"), ("gfdl", "GFDL"), ("lgpl", "LGPL"), ("agpl", "AGPL"), ("gpl", "GPL")];
    let (prefix, family) = *families.iter().find(|(prefix, _)| lower.starts_with(prefix))?;
    let version = lower[prefix.len()..].trim_start_matches('-').trim_start_matches('v');
    let (version, later) = match version.strip_suffix('+') {
        Some(version) => (version, "or-later"),
        None => (version, "only"),
    };
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let invariants = if prefix == "gfdl-niv" { "no-invariants-" } else { "" };
    let id = format!("{family}-{version}-{invariants}{later}");
    spdx::license_id(&id).filter(|found| found.name == id).map(|_| id)
}

/// Returns the SPDX form of a combination such as `GPL-2+ or Artistic, and Expat`; `one` says what stands for one name.
///
/// None when the text is no such combination but a licence's words.
pub(super) fn combined(text: &str, one: &mut impl FnMut(&str) -> String) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // `, and` binds least (Debian's copyright format 1.0, 7.2), then `or`, then `and`.
    for (separator, word) in [(", and ", " AND "), (", or ", " OR "), (" or ", " OR "), (" and ", " AND ")] {
        let parts = split(&text, separator);
        if parts.len() > 1 {
            let parts: Option<Vec<String>> = parts
                .into_iter()
                .map(|part| {
                    let part = combined(part, one)?;
                    let loose = word == " AND " && part.contains(" OR ");
                    Some(if loose { format!("({part})") } else { part })
                })
                .collect();
            return parts.map(|parts| parts.join(word));
        }
    }
    let name = text.trim_matches(',');
    let with_exception = name.to_ascii_lowercase().contains(" with ") && name.len() < 80;
    let is_name = !name.is_empty() && (!name.contains(' ') || with_exception || known(name).is_some());
    is_name.then(|| one(name))
}

/// Splits at a separator in any case.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let lower = text.to_ascii_lowercase();
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(at) = lower[start..].find(separator) {
        parts.push(&text[start..start + at]);
        start += at + separator.len();
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_copyright_files_become_identifiers() {
        let expected = [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPLv3+", "GPL-3.0-or-later"),
            ("GPL-2.0", "GPL-2.0-only"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("Expat", "MIT"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("Artistic", "Artistic-1.0-Perl"),
            ("AFL-2.1+", "AFL-2.1+"),
            ("GPL-2+ with Autoconf exception", "GPL-2.0-or-later WITH Autoconf-exception-2.0"),
            ("Apache-2.0 with LLVM exceptions", "Apache-2.0 WITH LLVM-exception"),
        ];
        for (name, id) in expected {
            assert_eq!(known(name).as_deref(), Some(id), "{name}");
            assert!(spdx::Expression::parse(id).is_ok(), "{id}");
        }
        for name in ["GPL", "LGPL-7", "public-domain", "GPL-2+ with OpenSSL exception", "NOASSERTION", ""] {
            assert_eq!(known(name), None, "{name}");
        }
    }

    #[test]
    fn synonyms_are_sorted_for_the_search() {
        assert!(SYNONYMS.is_sorted());
    }

    #[test]
    fn combinations_keep_what_binds_first() {
        let of = |text: &str| combined(text, &mut |name| known(name).unwrap_or_else(|| name.to_owned()));
        let expected = [
            ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
            ("GPL-2+ OR Artistic, and Expat", "(GPL-2.0-or-later OR Artistic-1.0-Perl) AND MIT"),
            ("Expat and ISC or Zlib", "MIT AND ISC OR Zlib"),
            ("FTL or Odd", "FTL OR Odd"),
        ];
        for (text, expression) in expected {
            assert_eq!(of(text).as_deref(), Some(expression));
        }
        assert_eq!(of("Permission is granted, free of charge, to anybody or nobody"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn the_same_words_are_kept_once_and_others_under_another_reference() {
        let mut extracted = Extracted::default();
        let one = extracted.keep("public domain", "none");
        assert_eq!(extracted.keep("public domain", "none"), one);
        assert_ne!(extracted.keep("public domain", "other"), one);
        assert!(one.starts_with("LicenseRef-public-domain-"), "{one}");
        assert_eq!(extracted.into_sorted().len(), 2);
    }
}
