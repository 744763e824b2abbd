//! User names and passwords of addresses. They live here and nowhere else: the addresses that are shown, pinned and
//! put into images are plain ones.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use url::Url;

/// What a request shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// A user name with its password.
    Password { user: String, password: String },
    /// A token, RFC 6750's.
    Token(String),
}

impl Login {
    /// Returns the value of an `Authorization` header.
    pub(crate) fn header(&self) -> String {
        match self {
            Self::Password { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
            Self::Token(token) => format!("Bearer {token}"),
        }
    }

    pub(crate) fn of(url: &Url) -> Option<Self> {
        let password = url.password().unwrap_or_default();
        let given = !url.username().is_empty() || !password.is_empty();
        given.then(|| Self::Password { user: decoded(url.username()), password: decoded(password) })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// Where a login is used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// None means `https` alone: who does not ask for it shall not have a password sent in the clear.
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    /// A directory, which begins and ends in `/`.
    path: String,
}

/// The logins that this place has for others.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    entries: Vec<(Place, Login)>,
}

/// A file of logins that cannot be used. What it says is never part of the message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotCredentials {
    /// A word that this kind of file does not have.
    #[error("line {line}: expected `machine`, `login` or `password`")]
    Word {
        /// Counted from 1.
        line: usize,
    },
    /// A word is there without what belongs to it.
    #[error("line {line}: `{word}` has nothing after it")]
    Nothing {
        /// Counted from 1.
        line: usize,
        /// The word.
        word: &'static str,
    },
    /// A login or a password before the first `machine`.
    #[error("line {line}: `{word}` before any `machine`")]
    NoMachine {
        /// Counted from 1.
        line: usize,
        /// The word.
        word: &'static str,
    },
    /// A machine that is no host with an optional scheme, port and path.
    #[error("line {line}: what follows `machine` is not `HOST`, `HOST:PORT/PATH` or `http://HOST`")]
    Machine {
        /// Counted from 1.
        line: usize,
    },
}

impl Credentials {
    /// Reads the form of apt_auth.conf(5), which is that of netrc(5) with more exact machines.
    ///
    /// # Errors
    /// A word that does not belong there, or lacks what it needs.
    pub fn parse(text: &str) -> Result<Self, NotCredentials> {
        let lines =
            text.lines().zip(1..).map(|(text, line)| (text.split('#').next().unwrap_or_default(), line));
        let mut words = lines.flat_map(|(text, line)| text.split_whitespace().map(move |word| (word, line)));
        let mut entries: Vec<(Place, Login)> = Vec::new();
        while let Some((word, line)) = words.next() {
            let word = match word {
                "machine" => "machine",
                "login" => "login",
                "password" => "password",
                _ => return Err(NotCredentials::Word { line }),
            };
            let (value, _) = words.next().ok_or(NotCredentials::Nothing { line, word })?;
            if word == "machine" {
                let place = Place::parse(value).ok_or(NotCredentials::Machine { line })?;
                entries.push((place, Login::Password { user: String::new(), password: String::new() }));
                continue;
            }
            let Some((_, Login::Password { user, password })) = entries.last_mut() else {
                return Err(NotCredentials::NoMachine { line, word });
            };
            value.clone_into(if word == "login" { user } else { password });
        }
        Ok(Self { entries })
    }

    /// Takes the login out of an address, keeps it for what is below that address, and returns the address without it.
    /// What is no address stays as it is; whoever uses it will say so.
    pub fn take(&mut self, address: &str) -> String {
        let Ok(url) = Url::parse(address) else { return address.to_owned() };
        let (Some(login), Some(host)) = (Login::of(&url), url.host_str()) else { return address.to_owned() };
        let path = format!("{}/", url.path().trim_end_matches('/'));
        let scheme = Some(url.scheme().to_owned());
        // What an address says itself goes before what a file says about its host.
        self.entries.insert(0, (Place { scheme, host: host.to_owned(), port: url.port(), path }, login));
        plain(address)
    }

    /// Shows a token to what is below an address.
    ///
    /// # Errors
    /// The address is none of a host that speaks HTTP.
    pub fn give_token(&mut self, address: &str, token: &str) -> Result<(), crate::FetchError> {
        let place = Url::parse(address).ok().and_then(|url| {
            let path = format!("{}/", url.path().trim_end_matches('/'));
            let host = url.host_str()?.to_owned();
            let scheme = url.scheme().to_owned();
            let fits = matches!(url.scheme(), "http" | "https");
            fits.then_some(Place { scheme: Some(scheme), host, port: url.port(), path })
        });
        let place = place.ok_or_else(|| crate::FetchError::Url { url: plain(address) })?;
        self.entries.insert(0, (place, Login::Token(token.to_owned())));
        Ok(())
    }

    /// Returns the login for an address.
    pub(crate) fn of(&self, url: &Url) -> Option<&Login> {
        self.entries.iter().find(|(place, _)| place.covers(url)).map(|(_, login)| login)
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_owned()), rest),
            None => (None, text),
        };
        let url = Url::parse(&format!("{}://{rest}", scheme.as_deref().unwrap_or("https"))).ok()?;
        let fits = matches!(url.scheme(), "http" | "https") && Login::of(&url).is_none();
        let path = format!("{}/", url.path().trim_end_matches('/'));
        fits.then_some(Self { scheme, host: url.host_str()?.to_owned(), port: url.port(), path })
    }

    fn covers(&self, url: &Url) -> bool {
        url.scheme() == self.scheme.as_deref().unwrap_or("https")
            && url.host_str() == Some(&self.host)
            && url.port() == self.port
            && format!("{}/", url.path()).starts_with(&self.path)
    }
}

/// Returns an address without user name and password, also one that is not well formed.
pub(crate) fn plain(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}{}", &rest[host..])
}

/// Undoes `%40` and its like.
fn decoded(text: &str) -> String {
    let form = format!("x={}", text.replace('+', "%2B"));
    let pair = url::form_urlencoded::parse(form.as_bytes()).next();
    pair.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(credentials: &Credentials, url: &str) -> Option<String> {
        match credentials.of(&Url::parse(url).unwrap())? {
            Login::Password { user, password } => Some(format!("{user}:{password}")),
            Login::Token(_) => None,
        }
    }

    #[test]
    fn a_login_is_for_its_machine_scheme_port_and_directory_alone() {
        let text = "# ours\nmachine a.example/debian login one password p#1\n\
                    machine http://a.example:8080\n  login two\n  password p2\n machine b.example login three";
        let all = Credentials::parse(&text.replace("p#1", "p1")).unwrap();
        let of = |url| login(&all, url);
        assert_eq!(of("https://a.example/debian/dists/x").as_deref(), Some("one:p1"));
        assert_eq!(of("https://a.example/debian").as_deref(), Some("one:p1"));
        assert_eq!(of("https://a.example/debian-security/x"), None);
        assert_eq!(of("http://a.example/debian/x"), None, "no password in the clear unless asked for");
        assert_eq!(of("http://a.example:8080/any").as_deref(), Some("two:p2"));
        assert_eq!(of("https://a.example:8080/any"), None);
        assert_eq!(of("https://b.example/").as_deref(), Some("three:"));
        assert_eq!(of("https://evil-b.example/"), None);
    }

    #[test]
    fn a_login_in_an_address_is_taken_out_of_it() {
        let mut all = Credentials::default();
        assert_eq!(all.take("http://us%40er:p%2Fw+d@a.example:81/x/"), "http://a.example:81/x/");
        assert_eq!(login(&all, "http://a.example:81/x/y").as_deref(), Some("us@er:p/w+d"));
        assert_eq!(login(&all, "http://a.example:81/z"), None);
        assert_eq!(all.take("https://a.example/x"), "https://a.example/x");
        assert_eq!(all.take("not an address"), "not an address");
        assert!(!format!("{all:?}").contains("er"), "{all:?}");
    }

    #[test]
    fn a_token_is_shown_below_its_address_alone() {
        let mut all = Credentials::default();
        all.give_token("http://depot.example:81/here", "secret").unwrap();
        let shown = |url| all.of(&Url::parse(url).unwrap()).map(Login::header);
        assert_eq!(shown("http://depot.example:81/here/api").as_deref(), Some("Bearer secret"));
        assert_eq!(shown("http://depot.example:81/api"), None);
        assert_eq!(shown("http://depot.example/here/api"), None);
        assert!(!format!("{all:?}").contains("secret"), "{all:?}");
        assert!(Credentials::default().give_token("ftp://depot.example", "secret").is_err());
    }

    #[test]
    fn nothing_of_a_login_is_left_in_an_address_however_it_is_written() {
        for (address, expected) in [
            ("http://u:p@h/x@y", "http://h/x@y"),
            ("http://u:p@q@h", "http://h"),
            ("u:p@h:3128", "h:3128"),
            ("http://h/", "http://h/"),
        ] {
            assert_eq!(plain(address), expected);
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused_without_saying_what_it_holds() {
        for (text, expected) in [
            ("machine a login u\npassword", "line 2: `password` has nothing after it"),
            ("\nsecret", "line 2: expected `machine`, `login` or `password`"),
            ("login secret", "line 1: `login` before any `machine`"),
            (
                "machine ftp://secret",
                "line 1: what follows `machine` is not `HOST`, `HOST:PORT/PATH` or `http://HOST`",
            ),
        ] {
            assert_eq!(Credentials::parse(text).unwrap_err().to_string(), expected);
        }
    }
}
