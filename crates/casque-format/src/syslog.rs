//! Logs on their way to the customer's syslog: the buffer in the volume, how far it was sent, and where to.
//!
//! PID 1 writes the buffer and knows no network; the agent sends it and never writes to it.

use serde::{Deserialize, Serialize};

/// The version of [`Cursor`] this code writes.
pub const VERSION: u32 = 1;

/// So many segments the buffer has when it is full; the oldest goes when another is begun.
pub const SEGMENTS: u64 = 8;

/// The buffer: a directory of segments, each a file of [`Record`]s as JSON, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// Absolute path; it is there when PID 1 reads the plan.
    pub directory: String,
    /// Bytes that all segments together may take.
    pub size: u64,
}

/// One line of a service, with its secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counted from 1 over restarts. A number that is missing is a line that could not be written.
    pub number: u64,
    /// When PID 1 read it: RFC 3339 in UTC, with milliseconds.
    pub time: String,
    /// Whose it is; `casque` is PID 1 itself.
    pub service: String,
    /// The line without its end.
    pub line: String,
}

/// Returns the name of the segment whose first record has this number.
pub fn segment_name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// Returns the number of a segment's first record; nothing for other files.
pub fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

/// A place in the buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The number of the first record of its segment.
    pub segment: u64,
    /// Bytes into that.
    pub offset: u64,
    /// The number that the next record has if none is missing; 0 before the first.
    pub next: u64,
    /// Records before it that were removed, or never written, before they could be sent.
    pub lost: u64,
}

/// How far the buffer was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// [`VERSION`].
    pub version: u32,
    /// Everything before it was taken by the receiver's kernel, or over UDP given to the network.
    pub sent: Position,
    /// Everything before it was being given to our own kernel, which goes on sending when the agent is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending: Option<Position>,
}

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A datagram each, RFC 5426.
    Udp,
    /// Counted octets, RFC 6587.
    Tcp,
    /// The same inside of TLS, RFC 5425.
    Tls,
}

impl Transport {
    /// Returns the transport that a URL's scheme means.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "udp" => Some(Self::Udp),
            "tcp" => Some(Self::Tcp),
            "tls" => Some(Self::Tls),
            _ => None,
        }
    }

    /// Returns the port that IANA gave it.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Udp => 514,
            Self::Tcp => 601,
            Self::Tls => 6514,
        }
    }
}

/// Where to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// As the customer gave it, for people.
    pub url: String,
    /// How.
    pub transport: Transport,
    /// Name or address, an IPv6 one without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The number of the facility, 0 to 23.
    pub facility: u8,
    /// Certificates in PEM that alone are trusted; none means those in `trusted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The file with all authorities that services trust.
    pub trusted: String,
}

/// What the sender last found out, for the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// [`Receiver::url`].
    pub receiver: String,
    /// A connection is open; over UDP, nothing was refused.
    pub connected: bool,
    /// Why there is none, or was none the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_named_by_their_first_record_and_sort_by_it() {
        assert_eq!(segment_name(7), "00000000000000000007.jsonl");
        assert!(segment_name(u64::MAX) > segment_name(9));
        assert_eq!(segment_first(&segment_name(u64::MAX)), Some(u64::MAX));
        for other in ["7.jsonl", "00000000000000000007.json", "sent", "x0000000000000000007.jsonl"] {
            assert_eq!(segment_first(other), None, "{other}");
        }
    }
}
