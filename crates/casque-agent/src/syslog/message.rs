//! A line as a syslog message, RFC 5424, and framed for a stream, RFC 6587 section 3.4.1.

use casque_format::syslog::{Receiver, Record, Transport};

/// What every receiver of a stream should take, RFC 5425 section 4.3.1; longer ones are cut or split by some.
const LONGEST: usize = 8192;
/// The same for a datagram, RFC 5426 section 3.2.
const LONGEST_DATAGRAM: usize = 2048;
/// Ends a line that is too long, as in the log itself.
const CUT: &str = " [cut]";
const BOM: &str = "\u{feff}";
/// PID 1's own lines.
const OWN: &str = "casque";
/// Names of structured data that IANA does not know end in the number of an enterprise; this one is for all who have none,
/// RFC 5612.
const DATA: &str = "casque@32473";

/// RFC 5424 section 6.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Warning = 4,
    Notice = 5,
    Informational = 6,
}

/// What all messages have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    facility: u8,
    host: String,
    data: String,
    transport: Transport,
}

impl Header {
    /// Returns the header of one product on one host.
    pub fn new(receiver: &Receiver, host: &str, product: &str, version: &str, instance: &str) -> Self {
        let value = |text: &str| {
            let escaped = |character: char| matches!(character, '"' | '\\' | ']').then_some('\\');
            text.chars().flat_map(|one| escaped(one).into_iter().chain([one])).collect::<String>()
        };
        let (product, version, instance) = (value(product), value(version), value(instance));
        Self {
            facility: receiver.facility,
            host: word(host, 255),
            data: format!("{DATA} product=\"{product}\" version=\"{version}\" instance=\"{instance}\""),
            transport: receiver.transport,
        }
    }

    /// Returns a line of a service, ready to be written to the receiver.
    pub fn line(&self, record: &Record) -> Vec<u8> {
        // Both streams of a service share a pipe, so that their order is kept: nobody knows which one a line came from.
        let severity = if record.service == OWN { Severity::Notice } else { Severity::Informational };
        self.framed(severity, record, &record.line)
    }

    /// Returns the message in the place of `count` lines before `record` that are not there any more.
    pub fn lost(&self, count: u64, record: &Record) -> Vec<u8> {
        let own = Record { service: OWN.to_owned(), number: record.number - 1, ..record.clone() };
        let text = format!(
            "{count} lines are missing here: they had no room in the buffer (`syslog-buffer`) until the receiver took them"
        );
        self.framed(Severity::Warning, &own, &text)
    }

    fn framed(&self, severity: Severity, record: &Record, line: &str) -> Vec<u8> {
        let priority = u32::from(self.facility) * 8 + severity as u32;
        let (host, name, data) = (&self.host, word(&record.service, 48), &self.data);
        let (time, number) = (&record.time, record.number);
        let mut message = format!("<{priority}>1 {time} {host} {name} - - [{data} number=\"{number}\"] ");
        if !line.is_ascii() {
            message += BOM;
        }
        let most = if self.transport == Transport::Udp { LONGEST_DATAGRAM } else { LONGEST };
        if message.len() + line.len() > most {
            let room = most.saturating_sub(message.len() + CUT.len());
            message += &line[..floor(line, room)];
            message += CUT;
        } else {
            message += line;
        }
        match self.transport {
            Transport::Udp => message.into_bytes(),
            Transport::Tcp | Transport::Tls => format!("{} {message}", message.len()).into_bytes(),
        }
    }
}

/// Returns the greatest place up to `index` where a character begins.
fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

/// Returns a text as a word of the header: printable ASCII, not too long, not empty.
fn word(text: &str, most: usize) -> String {
    let plain = |character: char| if character.is_ascii_graphic() { character } else { '?' };
    let word: String = text.chars().map(plain).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn header(transport: Transport) -> Header {
        let receiver = Receiver {
            url: String::new(),
            transport,
            host: String::new(),
            port: 1,
            facility: 16,
            authority: None,
            trusted: String::new(),
        };
        Header::new(&receiver, "host 1", "vendor/\"a]\\b", "43.4.4", "7f")
    }

    fn record(service: &str, line: &str) -> Record {
        Record {
            number: 9,
            time: "2023-11-14T22:13:20.123Z".to_owned(),
            service: service.to_owned(),
            line: line.to_owned(),
        }
    }

    fn text(transport: Transport, service: &str, line: &str) -> String {
        String::from_utf8(header(transport).line(&record(service, line))).unwrap()
    }

    const COMMON: &str =
        r#"[casque@32473 product="vendor/\"a\]\\b" version="43.4.4" instance="7f" number="9"]"#;

    #[test]
    fn a_line_is_a_message_with_everything_that_rfc_5424_has_a_place_for() {
        assert_eq!(
            text(Transport::Udp, "web", "GET / 200"),
            format!("<134>1 2023-11-14T22:13:20.123Z host?1 web - - {COMMON} GET / 200")
        );
        assert!(text(Transport::Udp, "casque", "`web` is ready").starts_with("<133>1 "));
        assert!(text(Transport::Udp, "", "x").contains(" host?1 - - - ["));
        let own = String::from_utf8(header(Transport::Udp).lost(5, &record("web", "x"))).unwrap();
        assert!(own.starts_with("<132>1 2023-11-14T22:13:20.123Z host?1 casque - - ["), "{own}");
        assert!(own.contains(r#"number="8"] 5 lines are missing here"#), "{own}");
    }

    #[test]
    fn only_what_is_beyond_ascii_begins_with_a_byte_order_mark() {
        assert!(text(Transport::Tcp, "web", "plain").ends_with("] plain"));
        assert!(text(Transport::Tcp, "web", "grün").ends_with("] \u{feff}grün"));
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_marked() {
        for (transport, most) in [(Transport::Udp, 2048), (Transport::Tcp, 8192)] {
            let made = text(transport, "web", &"ä".repeat(most));
            let message = made.split_once('<').unwrap().1;
            assert!((most - 2..=most).contains(&(message.len() + 1)), "{}", message.len());
            assert!(made.ends_with("ä [cut]"));
        }
    }

    /// Takes the first frame off a stream as a receiver does.
    fn unframed(stream: &[u8]) -> (&[u8], &[u8]) {
        let blank = stream.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&stream[..blank]).unwrap().parse().unwrap();
        stream[blank + 1..].split_at(length)
    }

    proptest! {
        #[test]
        fn frames_are_found_again_whatever_lines_hold(lines in proptest::collection::vec(any::<String>(), 1..8)) {
            let header = header(Transport::Tls);
            let stream: Vec<u8> = lines.iter().flat_map(|line| header.line(&record("web", line))).collect();
            let mut rest = stream.as_slice();
            for line in &lines {
                let (message, after) = unframed(rest);
                rest = after;
                let text = std::str::from_utf8(message).unwrap();
                let body = text.split_once(&format!("{COMMON} ")).unwrap().1;
                let body = if line.is_ascii() { body } else { body.strip_prefix(BOM).unwrap() };
                proptest::prop_assert_eq!(body, line);
            }
            proptest::prop_assert!(rest.is_empty());
        }
    }
}
