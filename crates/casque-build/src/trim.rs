//! What packages bring that a container has no reader for: left out by rules that dpkg itself follows.
//!
//! The rules are a file of dpkg's own configuration in the image. So the unpacker, apt in a vendor's step and apt in a
//! customer's container leave out the same, and nothing is unpacked first to be removed later.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Where the rules are in the image.
pub(crate) const RULES: &str = "etc/dpkg/dpkg.cfg.d/casque";

/// Something of packages that is to stay: an entry of `[image] keep`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Keep {
    /// Everything.
    All,
    /// `/usr/share/doc`, of which the copyright files stay in any case.
    Doc,
    /// Manual pages.
    Man,
    /// GNU info.
    Info,
    /// Translations of messages: all of them, or one language.
    Locale(Option<String>),
    /// A file or directory that a package brings.
    Path(String),
}

const EXPECTED: &str = "`all`, `doc`, `man`, `info`, `locale`, `locale:LANGUAGE` or an absolute path";

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let language = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_@".contains(c))
        };
        let clean = |path: &str| {
            !path.trim_matches('/').is_empty()
                && !path.split('/').any(|part| part == ".." || part == ".")
                && !path.contains(|c: char| c.is_whitespace() || "\"*?[\\".contains(c))
        };
        match text.as_str() {
            "all" => Ok(Self::All),
            "doc" => Ok(Self::Doc),
            "man" => Ok(Self::Man),
            "info" => Ok(Self::Info),
            "locale" => Ok(Self::Locale(None)),
            _ => match (text.strip_prefix("locale:"), text.starts_with('/')) {
                (Some(name), _) if language(name) => Ok(Self::Locale(Some(name.to_owned()))),
                (None, true) if clean(&text) => Ok(Self::Path(text.trim_end_matches('/').to_owned())),
                _ => Err(format!("`{text}` is not something to keep, which is {EXPECTED}")),
            },
        }
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::All => "all".to_owned(),
            Keep::Doc => "doc".to_owned(),
            Keep::Man => "man".to_owned(),
            Keep::Info => "info".to_owned(),
            Keep::Locale(None) => "locale".to_owned(),
            Keep::Locale(Some(language)) => format!("locale:{language}"),
            Keep::Path(path) => path,
        }
    }
}

/// Returns the rules as dpkg reads them; empty when nothing is left out.
///
/// Directories of manual pages stay, for `update-alternatives` makes links in them.
pub(crate) fn rules(keep: &[Keep]) -> String {
    let keep: BTreeSet<&Keep> = keep.iter().collect();
    if keep.contains(&Keep::All) {
        return String::new();
    }
    let mut lines = vec!["# Written by casque: what `[image] keep` does not name.".to_owned()];
    let mut exclude = |kept: Keep, patterns: &[&str]| {
        if !keep.contains(&kept) {
            lines.extend(patterns.iter().map(|pattern| format!("path-exclude={pattern}")));
        }
    };
    exclude(Keep::Doc, &["/usr/share/doc/*", "/usr/share/doc-base/*", "/usr/share/gtk-doc/*"]);
    exclude(Keep::Man, &["/usr/share/man/*/*", "/usr/share/man/[!m]*"]);
    exclude(Keep::Info, &["/usr/share/info/*"]);
    exclude(Keep::Locale(None), &["/usr/share/locale/*", "/usr/share/help/*"]);
    // Of use to those who make packages or report bugs in them.
    lines.extend(["lintian", "linda", "bug"].map(|name| format!("path-exclude=/usr/share/{name}/*")));
    let mut include = |pattern: String| lines.push(format!("path-include={pattern}"));
    // Licences ask for these to come along.
    for name in ["copyright", "NOTICE*", "LICENSE*"] {
        include(format!("/usr/share/doc/*/{name}"));
    }
    include("/usr/share/locale/locale.alias".to_owned());
    for language in std::iter::once("en").chain(keep.iter().filter_map(|keep| language(keep))) {
        include(format!("/usr/share/locale/{language}/*"));
        include(format!("/usr/share/locale/{language}_*"));
    }
    for path in keep.iter().filter_map(|keep| if let Keep::Path(path) = keep { Some(path) } else { None }) {
        include(path.clone());
        include(format!("{path}/*"));
    }
    lines.join("\n") + "\n"
}

fn language(keep: &Keep) -> Option<&str> {
    if let Keep::Locale(Some(language)) = keep { Some(language) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Keep, String> {
        Keep::try_from(text.to_owned())
    }

    #[test]
    fn what_is_kept_is_not_excluded_and_copyright_files_always_stay() {
        insta::assert_snapshot!(rules(&[]), @r"
        # Written by casque: what `[image] keep` does not name.
        path-exclude=/usr/share/doc/*
        path-exclude=/usr/share/doc-base/*
        path-exclude=/usr/share/gtk-doc/*
        path-exclude=/usr/share/man/*/*
        path-exclude=/usr/share/man/[!m]*
        path-exclude=/usr/share/info/*
        path-exclude=/usr/share/locale/*
        path-exclude=/usr/share/help/*
        path-exclude=/usr/share/lintian/*
        path-exclude=/usr/share/linda/*
        path-exclude=/usr/share/bug/*
        path-include=/usr/share/doc/*/copyright
        path-include=/usr/share/doc/*/NOTICE*
        path-include=/usr/share/doc/*/LICENSE*
        path-include=/usr/share/locale/locale.alias
        path-include=/usr/share/locale/en/*
        path-include=/usr/share/locale/en_*
        ");
        let keep =
            ["man", "info", "doc", "locale:de", "/usr/share/bug/nginx/"].map(|text| parse(text).unwrap());
        insta::assert_snapshot!(rules(&keep), @r"
        # Written by casque: what `[image] keep` does not name.
        path-exclude=/usr/share/locale/*
        path-exclude=/usr/share/help/*
        path-exclude=/usr/share/lintian/*
        path-exclude=/usr/share/linda/*
        path-exclude=/usr/share/bug/*
        path-include=/usr/share/doc/*/copyright
        path-include=/usr/share/doc/*/NOTICE*
        path-include=/usr/share/doc/*/LICENSE*
        path-include=/usr/share/locale/locale.alias
        path-include=/usr/share/locale/en/*
        path-include=/usr/share/locale/en_*
        path-include=/usr/share/locale/de/*
        path-include=/usr/share/locale/de_*
        path-include=/usr/share/bug/nginx
        path-include=/usr/share/bug/nginx/*
        ");
        assert_eq!(rules(&[Keep::Doc, Keep::All]), "");
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_what_can() {
        assert_eq!(
            parse("docs").unwrap_err(),
            "`docs` is not something to keep, which is `all`, `doc`, `man`, `info`, `locale`, `locale:LANGUAGE` or an \
             absolute path"
        );
        for text in ["", "/", "/a/../b", "/a b", "/usr/*", "locale:", "locale:d/e"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["all", "doc", "man", "info", "locale", "locale:pt_BR", "/usr/share/doc/nginx"] {
            assert_eq!(String::from(parse(text).unwrap()), text);
        }
    }
}
