//! Where a dialogue with a mail server ended, and what helps.

use std::fmt;

use casque_format::paths;

use super::Server;

/// How far a dialogue came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection.
    Reach,
    /// Authorities that could vouch for it.
    Trust,
    /// Encryption.
    Tls,
    /// The first line.
    Greeting,
    /// What is offered.
    Hello,
    /// User and password.
    LogIn,
    /// Who sends.
    Sender,
    /// Who receives.
    Recipient,
    /// The mail itself.
    Message,
    /// Anywhere: the connection broke, or nobody answers any more.
    Lost,
}

/// Where it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    stage: Stage,
    /// The server's code, if that is what it ended with.
    code: Option<u16>,
    place: String,
    text: String,
}

impl Failure {
    /// Returns one without a code.
    pub fn new(stage: Stage, place: &str, text: String) -> Self {
        Self { stage, code: None, place: place.to_owned(), text }
    }

    /// Adds the server's code.
    pub fn with(self, code: u16) -> Self {
        Self { code: Some(code), ..self }
    }

    /// Says what usually helps.
    pub fn remedy(&self, server: &Server<'_>) -> String {
        let setting = server.setting;
        let has = |word: &str| self.text.contains(word);
        let authority = || {
            let place = paths::AUTHORITIES;
            format!("put the authority that signed the server's certificate, in PEM, into `{place}`")
        };
        match (self.stage, self.code) {
            (Stage::Reach, _) => format!(
                "start it, or let this host reach it: its name and port in `{setting}`, and firewalls on the way; many networks forbid port 25, and a server has 587 or 465 then"
            ),
            (Stage::Tls, Some(_)) => "have whoever runs the server give it a certificate".to_owned(),
            (Stage::Trust, _) => authority(),
            (Stage::Tls, None) if has("UnknownIssuer") => authority(),
            (Stage::Tls, None) if has("not valid for name") => {
                format!("name the server in `{setting}` as its certificate does")
            }
            (Stage::Tls, None) if has("peer certificate") => {
                "have whoever runs the server give it a certificate that is good now".to_owned()
            }
            (Stage::Tls, None) => {
                format!("`smtp://` in `{setting}` for a port that begins without TLS, such as 25 and 587")
            }
            (Stage::Greeting, None) => {
                format!("`smtps://` in `{setting}` for a port that begins with TLS, such as 465")
            }
            (_, Some(421 | 450 | 451 | 452)) => {
                "try again in some minutes: the server is busy, or lets strangers wait at first".to_owned()
            }
            (_, Some(530)) if has("STARTTLS") || has("TLS") => {
                format!("`smtps://` and port 465 in `{setting}`: it wants TLS, and does not offer it here")
            }
            (_, Some(530)) => format!("a user and its password in `{setting}`: the server wants a log-in"),
            (Stage::LogIn, Some(538)) => {
                format!("`smtps://` and port 465 in `{setting}`: it takes passwords by TLS alone")
            }
            (Stage::LogIn, Some(_)) => format!(
                "the right user and password in `{setting}`, with `%XX` for characters such as `@`, `:` and `/`; an account with a second factor needs a password for programs"
            ),
            (Stage::LogIn, None) => {
                "have whoever runs the server allow a log-in by PLAIN or LOGIN".to_owned()
            }
            (Stage::Greeting | Stage::Hello, _) => {
                "have whoever runs the server let this host's address in".to_owned()
            }
            (Stage::Sender, _) => {
                "another sender, by `mail-from` or `--from`, or have the server allow this user to send as it"
                    .to_owned()
            }
            (Stage::Recipient, _) => format!(
                "another recipient, a user in `{setting}` who may send to it, or have the server relay for this host"
            ),
            (Stage::Lost, _) => "try it again; then ask whoever runs the server".to_owned(),
            (Stage::Message, _) => "ask whoever runs the server; its log has this refusal".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, place, text, .. } = self;
        let what = match stage {
            Stage::Reach => "is not reached",
            Stage::Trust => "is reached, but nobody here could vouch for it",
            Stage::Tls => "is reached, but there is no TLS with it",
            Stage::Greeting => "is reached, but does not greet",
            Stage::Hello => "does not say what it offers",
            Stage::LogIn => "refuses the log-in",
            Stage::Sender => "refuses the sender",
            Stage::Recipient => "refuses the recipient",
            Stage::Message => "does not take the mail",
            Stage::Lost => "does not go on",
        };
        write!(formatter, "{place} {what}: {text}")
    }
}
