//! `mail-test`: one mail through the product's own mail server, and every line of how it was handed over.

use casque_format::image::Product;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::runtime::Builder;

use crate::error::Error;
use crate::settings::{Settings, Sources};
use crate::smtp::{self, Letter, Server};
use crate::tls::authorities;
use crate::ui;

/// The setting for the sender of mails, where a product has one.
const MAIL_FROM: &str = "mail-from";
/// RFC 5321, section 4.5.3.1.3.
const LONGEST_ADDRESS: usize = 254;

/// What is sent.
pub struct Order<'a> {
    /// To whom.
    pub address: &'a str,
    /// By whom; none leaves that to the settings.
    pub from: Option<&'a str>,
    /// Which setting names the server, where there are several.
    pub setting: Option<&'a str>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Sends it, telling each line; returns what came of it.
pub fn run(sources: &Sources, product: &Product, order: &Order) -> Result<String, Error> {
    let settings = sources.resolve().map_err(Error::Settings)?;
    let to = checked(order.address)?;
    let usual = settings.get(MAIL_FROM).and_then(|one| one.text()).filter(|text| is_address(text));
    let from = match order.from {
        Some(from) => checked(from)?,
        None => usual.unwrap_or(to),
    };
    let server = server(&settings, order.setting)?;
    let trust = authorities::trust(sources.root, &mut Vec::new());
    let message = message(product, from, to, order.now);
    let letter = Letter { from, to, message: &message };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::NoMail(format!("nobody can be connected to: {error}")))?;
    let mut tell = |line: &str| {
        ui::stream(&format!("{line}\n"));
    };
    let talk = runtime.block_on(smtp::talk(&server, &trust, Some(&letter), &mut tell));
    let what = talk
        .map_err(|failure| Error::Mail { remedy: failure.remedy(&server), failure: failure.to_string() })?;
    Ok(format!("{what}\n"))
}

fn server<'a>(settings: &'a Settings, wanted: Option<&str>) -> Result<Server<'a>, Error> {
    let known = settings.iter().filter(|(_, one)| one.setting.names_mail_server());
    let known: Vec<String> = known.map(|(name, _)| format!("`{name}`")).collect();
    let mut servers = smtp::servers(settings);
    servers.retain(|server| wanted.is_none_or(|wanted| wanted == server.setting));
    match (known.len(), servers.len()) {
        (0, _) => Err(Error::NoMail("this product has no setting for a mail server".to_owned())),
        (_, 0) => Err(Error::NoMail(format!("no mail server is given by {}", known.join(" or ")))),
        (_, 1) => Ok(servers.remove(0)),
        _ => Err(Error::NoMail(format!(
            "there are several mail servers: say `--setting` and one of {}",
            known.join(", ")
        ))),
    }
}

fn checked(address: &str) -> Result<&str, Error> {
    if is_address(address) { Ok(address) } else { Err(Error::NoAddress(address.escape_debug().to_string())) }
}

/// Says whether a text can stand between `<` and `>` of an envelope; the server judges the rest.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>');
    parts && plain && text.len() <= LONGEST_ADDRESS
}

/// Returns header and text.
fn message(product: &Product, from: &str, to: &str, now: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let date = time.format(&Rfc2822).unwrap_or_default();
    let Product { name, version, command, .. } = product;
    [
        format!("Date: {date}"),
        format!("From: <{from}>"),
        format!("To: <{to}>"),
        format!("Subject: Test of {name} {version}"),
        format!("Message-ID: <{now}.test@{command}.invalid>"),
        String::new(),
        format!("Whoever looks after {name} {version} has sent this by `{command} mail-test`."),
    ]
    .map(|line| format!("{line}\r\n"))
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_say_more_than_one_thing() {
        for right in ["a@b", "a.b+c@d.example", "\"a@b\"@c.example"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in
            ["", "a", "@b", "a@", "a b@c", "a@b>", "<a@b", "a@b\r\nRCPT TO:<c@d", "ä@b", &"a".repeat(300)]
        {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
