//! The `Authorization` header: a customer with a password, or an upload with a token.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// More than any header of ours has.
const LONGEST: usize = 1024;

/// What somebody shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Of a customer.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// Of an upload.
    Token(String),
}

impl Credentials {
    /// Reads a header; none when it is of no form that we know.
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > LONGEST {
            return None;
        }
        let (scheme, rest) = header.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Some(Self::Token(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => write!(f, "Basic({user})"),
            Self::Token(_) => f.write_str("Token(...)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_read_and_show_no_secret() {
        let basic = Credentials::parse("Basic dXNlcjpwYXNzOndvcmQ=").unwrap();
        assert_eq!(basic, Credentials::Basic { user: "user".to_owned(), password: "pass:word".to_owned() });
        let token = Credentials::parse("bearer abc").unwrap();
        assert_eq!(token, Credentials::Token("abc".to_owned()));
        assert_eq!(format!("{basic:?} {token:?}"), "Basic(user) Token(...)");
        for other in [
            "",
            "Basic",
            "Basic !",
            "Basic dXNlcg==",
            "Basic /w==",
            "Digest a",
            "Bearer ",
            &"Bearer a".repeat(200),
        ] {
            assert_eq!(Credentials::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(header in "(?i:basic |bearer )?\\PC{0,80}") {
            let _ = Credentials::parse(&header);
        }

        #[test]
        fn what_curl_sends_is_what_it_was_given(user in "[^:\\x00]{0,20}", password in "\\PC{0,40}") {
            let header = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(Credentials::parse(&header), Some(Credentials::Basic { user, password }));
        }
    }
}
