//! The customer's mail server, spoken to as products do (RFC 5321): `smtp://` takes TLS where it is offered, `smtps://` begins
//! with it, and whoever the URL names logs in.

mod dialogue;
mod failure;
#[cfg(test)]
mod fuzz;

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;

use self::dialogue::{Dialogue, PATIENCE, Reply};
pub use self::failure::Failure;
use self::failure::Stage;
use crate::external::{Target, reach};
use crate::settings::Settings;
use crate::tls::client::Trust;

/// A mail server that a setting names.
pub struct Server<'a> {
    /// The setting.
    pub setting: &'a str,
    /// Its value.
    url: &'a str,
}

/// Returns the mail servers among `settings`.
pub fn servers(settings: &Settings) -> Vec<Server<'_>> {
    let given = settings.iter().filter(|(_, one)| one.setting.names_mail_server());
    given.filter_map(|(name, one)| Some(Server { setting: name, url: one.text()? })).collect()
}

/// A mail to hand over.
pub struct Letter<'a> {
    /// Sender of the envelope.
    pub from: &'a str,
    /// Recipient of the envelope.
    pub to: &'a str,
    /// Header and text, lines ending in CR LF, none beginning with a dot.
    pub message: &'a str,
}

/// Connects, encrypts, logs in and hands over `letter`, if there is one; `tell` gets each line as it passes, without secrets.
/// Returns what came of it.
///
/// # Errors
/// Where it ended, in the server's words.
pub async fn talk(
    server: &Server<'_>,
    trust: &Trust,
    letter: Option<&Letter<'_>>,
    tell: &mut dyn FnMut(&str),
) -> Result<String, Failure> {
    let nowhere = |text: String| Failure::new(Stage::Reach, server.setting, text);
    let target = Target::parse(server.url).map_err(nowhere)?;
    let (host, port) = target.first_host();
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let failed = |stage, text: String| Failure::new(stage, &place, text);
    tell(&format!("* connecting to {place}"));
    let reached = timeout(PATIENCE, reach(host, *port)).await;
    let slow = |_| failed(Stage::Reach, format!("no answer within {} s", PATIENCE.as_secs()));
    let (stream, address) = reached.map_err(slow)?.map_err(|refusal| failed(Stage::Reach, refusal.text))?;
    tell(&format!("* connected to {}", address.ip()));
    let own = stream.local_addr().map_or(address.ip(), |own| own.ip());
    let (user, password) = (target.user.as_str(), target.password.as_deref().unwrap_or_default());
    let secrets = secrets(user, password);
    let mut dialogue = Dialogue::new(Box::new(stream), &place, secrets, tell);
    let mut encrypted = target.scheme == "smtps";
    if encrypted {
        dialogue = dialogue.secured(trust, host).await?;
    }
    dialogue.reply(Stage::Greeting).await?.expect(&[220])?;
    let mut offers = hello(&mut dialogue, own).await?;
    if !encrypted && offers.has("STARTTLS") {
        dialogue.ask(Stage::Tls, "STARTTLS").await?.expect(&[220])?;
        dialogue = dialogue.secured(trust, host).await?;
        encrypted = true;
        offers = hello(&mut dialogue, own).await?;
    }
    if !user.is_empty() {
        if !encrypted {
            dialogue.note("the server offers no TLS, so the password is sent without encryption");
        }
        log_in(&mut dialogue, &offers, user, password).await?;
    }
    let taken = match letter {
        Some(letter) => Some(hand_over(&mut dialogue, letter).await?),
        None => None,
    };
    // Whatever it says to that, all is done.
    let _ = dialogue.ask(Stage::Message, "QUIT").await;
    Ok(match taken {
        Some(reply) => format!("{place} has taken the mail: {}", reply.text()),
        None => {
            let how = if encrypted { "by TLS" } else { "without encryption" };
            let user = if user.is_empty() { "" } else { ", and lets the user in" };
            format!("{place} speaks SMTP {how}{user}")
        }
    })
}

/// Introduces this host by its address, which nobody can take for another name.
async fn hello(dialogue: &mut Dialogue<'_>, own: IpAddr) -> Result<Reply, Failure> {
    let line = match own {
        IpAddr::V4(address) => format!("EHLO [{address}]"),
        IpAddr::V6(address) => format!("EHLO [IPv6:{address}]"),
    };
    dialogue.ask(Stage::Hello, &line).await?.expect(&[250])
}

async fn log_in(
    dialogue: &mut Dialogue<'_>,
    offers: &Reply,
    user: &str,
    password: &str,
) -> Result<(), Failure> {
    let offered = offers.after("AUTH");
    let is_offered =
        |mechanism: &str| offered.split([' ', '=']).any(|word| word.eq_ignore_ascii_case(mechanism));
    if is_offered("PLAIN") {
        let line = format!("AUTH PLAIN {}", plain(user, password));
        dialogue.ask(Stage::LogIn, &line).await?.expect(&[235])?;
    } else if is_offered("LOGIN") {
        dialogue.ask(Stage::LogIn, "AUTH LOGIN").await?.expect(&[334])?;
        dialogue.ask(Stage::LogIn, &STANDARD.encode(user)).await?.expect(&[334])?;
        dialogue.ask(Stage::LogIn, &STANDARD.encode(password)).await?.expect(&[235])?;
    } else {
        let text = match offered.trim() {
            "" => "it offers no log-in".to_owned(),
            others => {
                format!("it offers a log-in by {others} alone, and only PLAIN and LOGIN are tried here")
            }
        };
        return Err(dialogue.failed(Stage::LogIn, text));
    }
    Ok(())
}

async fn hand_over(dialogue: &mut Dialogue<'_>, letter: &Letter<'_>) -> Result<Reply, Failure> {
    dialogue.ask(Stage::Sender, &format!("MAIL FROM:<{}>", letter.from)).await?.expect(&[250])?;
    dialogue.ask(Stage::Recipient, &format!("RCPT TO:<{}>", letter.to)).await?.expect(&[250, 251])?;
    dialogue.ask(Stage::Message, "DATA").await?.expect(&[354])?;
    for line in letter.message.lines() {
        dialogue.say(Stage::Message, line).await?;
    }
    dialogue.ask(Stage::Message, ".").await?.expect(&[250])
}

/// What a log-in by PLAIN sends (RFC 4616).
fn plain(user: &str, password: &str) -> String {
    STANDARD.encode(format!("\0{user}\0{password}"))
}

/// Returns the password in every form that passes the wire, and that a server may repeat.
fn secrets(user: &str, password: &str) -> Vec<String> {
    if password.is_empty() {
        return Vec::new();
    }
    vec![password.to_owned(), STANDARD.encode(password), plain(user, password)]
}
