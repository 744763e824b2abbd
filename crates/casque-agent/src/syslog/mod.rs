//! Logs sent to the customer's syslog: what the settings say, and how it stands.
//!
//! PID 1 writes each line into a buffer in the volume; the serving agent sends what is there and remembers how far. Whether
//! there is a receiver, or an agent, is nothing that PID 1 or a service would notice.

mod buffer;
mod cursor;
mod delivery;
mod flight;
mod link;
mod message;
mod news;
mod notices;
mod send;

use std::io;

use casque_format::image::{DataDirectory, ImagePlan};
use casque_format::paths;
use casque_format::settings::{FACILITIES, SYSLOG_AUTHORITY, SYSLOG_BUFFER, SYSLOG_FACILITY, SYSLOG_URL};
use casque_format::status::Syslog;
use casque_format::syslog::{Buffer, Link, Receiver, Transport};
use fs_err as fs;
use rustix::process::geteuid;

use crate::root::Root;
use crate::settings::Settings;
use crate::tls::authorities;

pub use self::delivery::{Order, Target};
pub use self::message::Header;
pub use self::send::run;

/// What settings that are missing mean; only a vendor's own descriptions leave one out.
const USUAL_ROOM: u64 = 64 << 20;
/// `local0`.
const USUAL_FACILITY: u8 = 16;

/// Returns where lines wait; none while they are sent nowhere.
pub fn room(settings: &Settings) -> Option<Buffer> {
    url(settings)?;
    let size = text(settings, SYSLOG_BUFFER).and_then(|size| size.parse().ok()).unwrap_or(USUAL_ROOM);
    Some(Buffer { directory: paths::SYSLOG_BUFFER.to_owned(), size })
}

/// Returns where logs are sent; `bundle` is the file of authorities where the customer has some of their own.
pub fn receiver(settings: &Settings, bundle: Option<&str>) -> Option<Receiver> {
    let (url, transport, host, port) = url(settings)?;
    let facility = text(settings, SYSLOG_FACILITY)
        .and_then(|name| FACILITIES.iter().position(|known| *known == name))
        .and_then(|number| u8::try_from(number).ok());
    Some(Receiver {
        url: url.to_owned(),
        transport,
        host: host.to_owned(),
        port,
        facility: facility.unwrap_or(USUAL_FACILITY),
        authority: text(settings, SYSLOG_AUTHORITY).map(str::to_owned),
        trusted: bundle.unwrap_or(authorities::OF_THE_IMAGE).to_owned(),
    })
}

/// Connects to the receiver, and sends nothing.
///
/// # Errors
/// Why it is not reached.
pub async fn reach(root: &Root, receiver: &Receiver) -> io::Result<()> {
    link::Link::open(root, receiver).await.map(drop)
}

/// Returns the directories of the buffer: PID 1's, which the agent may read, and the agent's own below it.
pub fn directories(plan: &ImagePlan) -> [DataDirectory; 2] {
    let cursor =
        paths::SYSLOG_CURSOR.rsplit_once('/').map_or(paths::SYSLOG_BUFFER, |(directory, _)| directory);
    let (uid, gid) = (plan.agent.uid, plan.agent.gid);
    [
        DataDirectory { path: paths::SYSLOG_BUFFER.to_owned(), uid: geteuid().as_raw(), gid, mode: 0o750 },
        DataDirectory { path: cursor.to_owned(), uid, gid, mode: 0o700 },
    ]
}

/// Finds out how it stands; what the sender has not said yet counts as not connected.
pub fn status(root: &Root, receiver: &Receiver) -> Syslog {
    let link = fs::read(root.join(paths::SYSLOG_LINK)).ok();
    let link: Option<Link> = link.and_then(|content| serde_json::from_slice(&content).ok());
    let link = link.filter(|link| link.receiver == receiver.url);
    let position = cursor::load(root).unwrap_or(cursor::BEGINNING);
    Syslog {
        receiver: receiver.url.clone(),
        connected: link.as_ref().is_some_and(|link| link.connected),
        waiting_bytes: buffer::waiting(&root.join(paths::SYSLOG_BUFFER), position),
        lost_lines: position.lost,
        last_error: link.and_then(|link| link.last_error),
    }
}

/// Returns what an operator must know of it.
pub fn warning(syslog: &Syslog) -> Option<String> {
    let why = syslog.last_error.as_ref().filter(|_| !syslog.connected)?;
    Some(format!("logs do not get to `{}`: {why}; {} bytes wait", syslog.receiver, syslog.waiting_bytes))
}

/// Tells the status how it stands.
fn show(root: &Root, link: &Link) -> io::Result<()> {
    let content = serde_json::to_vec(link)?;
    cursor::replace(&root.join(paths::SYSLOG_LINK), &content)
}

/// Returns the setting's parts; one that is no URL of a receiver counts as none.
fn url(settings: &Settings) -> Option<(&str, Transport, &str, u16)> {
    let url = text(settings, SYSLOG_URL)?;
    let (scheme, place) = url.split_once("://")?;
    let transport = Transport::of_scheme(scheme)?;
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None => transport.usual_port(),
    };
    Some((url, transport, host, port))
}

fn text<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.get(name).and_then(|one| one.text()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Resolved, Text, Value};

    fn settings(given: &[(&str, &str)]) -> Settings {
        let one = |(name, text): &(&str, &str)| {
            let built_in = casque_format::settings::built_in();
            let (_, setting) = built_in.iter().find(|(known, _)| known == name).unwrap().clone();
            let value = Value::Known(Text::new((*text).to_owned()));
            ((*name).to_owned(), Resolved { setting, value, origin: Origin::Default, warnings: Vec::new() })
        };
        given.iter().map(one).collect()
    }

    fn place(url: &str) -> Option<(Transport, String, u16)> {
        receiver(&settings(&[(SYSLOG_URL, url)]), None).map(|one| (one.transport, one.host, one.port))
    }

    #[test]
    fn a_url_says_how_and_where_and_a_port_that_it_leaves_out_is_the_usual() {
        for (url, transport, host, port) in [
            ("udp://logs.example", Transport::Udp, "logs.example", 514),
            ("tcp://10.0.0.1", Transport::Tcp, "10.0.0.1", 601),
            ("tls://logs.example", Transport::Tls, "logs.example", 6514),
            ("tls://[2001:db8::1]:7", Transport::Tls, "2001:db8::1", 7),
            ("tcp://[::1]", Transport::Tcp, "::1", 601),
        ] {
            assert_eq!(place(url), Some((transport, host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn what_is_no_receiver_is_refused_before() {
        let built_in = casque_format::settings::built_in();
        let (_, setting) = built_in.iter().find(|(name, _)| *name == SYSLOG_URL).unwrap();
        for wrong in [
            "http://a",
            "logs.example:514",
            "tcp://a,b",
            "tcp://user@a",
            "tls://a/path",
            "TCP://a",
            "tcp://a:0",
        ] {
            assert_eq!(casque_settings::check(setting, wrong), None, "{wrong}");
        }
        for right in ["udp://a", "tcp://a:601", "tls://[::1]:6514"] {
            assert!(casque_settings::check(setting, right).is_some(), "{right}");
        }
    }

    #[test]
    fn facility_room_and_authority_are_settings_and_nothing_is_kept_for_nobody() {
        assert_eq!((room(&settings(&[])), receiver(&settings(&[]), None)), (None, None));
        let given = [
            (SYSLOG_URL, "tls://a"),
            (SYSLOG_FACILITY, "daemon"),
            (SYSLOG_BUFFER, "1048576"),
            (SYSLOG_AUTHORITY, "PEM"),
        ];
        let given = settings(&given);
        assert_eq!(room(&given).map(|room| room.size), Some(1 << 20));
        let made = receiver(&given, Some("/run/ca.pem")).unwrap();
        assert_eq!(
            (made.facility, made.authority.as_deref(), made.trusted.as_str()),
            (3, Some("PEM"), "/run/ca.pem")
        );
        let built_in = casque_format::settings::built_in();
        let default =
            |name| built_in.iter().find(|(known, _)| *known == name).unwrap().1.default.clone().unwrap();
        assert_eq!(FACILITIES[usize::from(USUAL_FACILITY)], default(SYSLOG_FACILITY));
        assert_eq!(format!("{}M", USUAL_ROOM >> 20), default(SYSLOG_BUFFER));
    }
}
