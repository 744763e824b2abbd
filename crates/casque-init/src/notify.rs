//! What services say over the socket in `NOTIFY_SOCKET`, as sd_notify(3) describes it.

use std::time::Duration;

/// Longer status lines are cut.
const LONGEST_STATUS: usize = 256;
/// The most a service can ask for at once.
const LONGEST_EXTENSION: Duration = Duration::from_secs(24 * 60 * 60);

/// What one datagram says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notification {
    /// It serves.
    pub(crate) ready: bool,
    /// It has begun to stop by itself.
    pub(crate) stopping: bool,
    /// What it is doing, for people.
    pub(crate) status: Option<String>,
    /// It needs so much more time, from now on.
    pub(crate) extend: Option<Duration>,
    /// It wants another process to be taken for its main one.
    pub(crate) main_pid: Option<String>,
}

impl Notification {
    /// Reads a datagram. Whatever is not known here is none of our business: `RELOADING=1`, `WATCHDOG=1`, `FDSTORE=1`.
    pub(crate) fn parse(datagram: &[u8]) -> Self {
        let text = String::from_utf8_lossy(datagram);
        let mut notification = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "READY" => notification.ready |= value == "1",
                "STOPPING" => notification.stopping |= value == "1",
                "STATUS" => notification.status = Some(one_line(value)),
                "EXTEND_TIMEOUT_USEC" => {
                    let span = value.parse().map(Duration::from_micros).ok();
                    notification.extend = span.map(|span| span.min(LONGEST_EXTENSION));
                }
                "MAINPID" => notification.main_pid = Some(one_line(value)),
                _ => {}
            }
        }
        notification
    }
}

/// Returns the text without what would harm a terminal or a line of the log.
fn one_line(text: &str) -> String {
    text.trim().chars().filter(|character| !character.is_control()).take(LONGEST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn every_word_that_means_something_is_read() {
        let all =
            b"READY=1\nSTATUS=Loading \x1b[31m7 of 9\nEXTEND_TIMEOUT_USEC=1500000\nMAINPID=7\nRELOADING=1\nX";
        assert_eq!(
            Notification::parse(all),
            Notification {
                ready: true,
                stopping: false,
                status: Some("Loading [31m7 of 9".to_owned()),
                extend: Some(Duration::from_millis(1_500)),
                main_pid: Some("7".to_owned()),
            }
        );
        assert!(Notification::parse(b"STOPPING=1").stopping);
    }

    #[test]
    fn what_is_not_exactly_so_says_nothing() {
        for text in ["", "READY", "READY=0", "READY=yes", " READY=1", "EXTEND_TIMEOUT_USEC=-1", "ready=1"] {
            assert_eq!(Notification::parse(text.as_bytes()), Notification::default(), "{text}");
        }
        let huge = format!("EXTEND_TIMEOUT_USEC={}", u64::MAX);
        assert_eq!(Notification::parse(huge.as_bytes()).extend, Some(LONGEST_EXTENSION));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic_or_grow(noise in any::<Vec<u8>>()) {
            let mut datagram = b"STATUS=".to_vec();
            datagram.extend(&noise);
            for text in [&noise, &datagram] {
                let read = Notification::parse(text);
                let status = read.status.unwrap_or_default();
                prop_assert!(status.chars().count() <= LONGEST_STATUS && !status.contains(char::is_control));
            }
        }

        #[test]
        fn noise_around_a_word_does_not_hide_it(before in "[A-Z]{0,9}=[ -~]{0,20}", after in any::<Vec<u8>>()) {
            let mut datagram = format!("{before}\nREADY=1\n").into_bytes();
            datagram.extend(after);
            prop_assert_eq!(Notification::parse(&datagram).ready, true);
        }
    }
}
