//! What a line looks like on standard output: text for people, or JSON for collectors.

use std::io::Write;
use std::time::Duration;

use casque_format::run::LogFormat;
use memchr::memchr_iter;

/// Adds whole lines of a service to `out`.
pub(super) fn lines(out: &mut Vec<u8>, format: LogFormat, time: Duration, label: &str, block: &[u8]) {
    let mut begin = 0;
    match format {
        LogFormat::Text => {
            let prefix = format!("{label} | ");
            out.reserve(block.len() + block.len() / 4);
            for end in memchr_iter(b'\n', block) {
                out.extend_from_slice(prefix.as_bytes());
                out.extend_from_slice(without_return(&block[begin..end]));
                out.push(b'\n');
                begin = end + 1;
            }
        }
        LogFormat::Json => {
            let prefix = format!(r#"{{"time":"{}","service":{},"line":"#, stamp(time), quoted(label));
            for end in memchr_iter(b'\n', block) {
                out.extend_from_slice(prefix.as_bytes());
                end_with(out, &block[begin..end]);
                begin = end + 1;
            }
        }
    }
}

/// Adds one line of a service as a [`casque_format::syslog::Record`].
pub(super) fn record(out: &mut Vec<u8>, number: u64, stamp: &str, label: &str, line: &[u8]) {
    // Writing to memory does not fail.
    let _ = write!(out, r#"{{"number":{number},"time":"{stamp}","service":{},"line":"#, quoted(label));
    end_with(out, line);
}

/// Adds a line as the last value of a JSON object, and ends that.
fn end_with(out: &mut Vec<u8>, line: &[u8]) {
    let line = without_return(line);
    if line.iter().all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\')) {
        out.push(b'"');
        out.extend_from_slice(line);
        out.extend_from_slice(b"\"}\n");
    } else {
        let _ = writeln!(out, "{}}}", quoted(&String::from_utf8_lossy(line)));
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Returns a time since 1970 as RFC 3339 in UTC, with milliseconds.
pub(crate) fn stamp(time: Duration) -> String {
    let seconds = time.as_secs();
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March end with the leap day, and 400 of them always have as many days.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: LogFormat, block: &[u8]) -> String {
        let mut out = Vec::new();
        lines(&mut out, format, Duration::from_millis(1_700_000_000_123), "web", block);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_labelled() {
        assert_eq!(text(LogFormat::Text, b"one\r\n\ntwo\n"), "web | one\nweb | \nweb | two\n");
    }

    #[test]
    fn json_holds_whatever_a_line_holds() {
        let json = text(LogFormat::Json, b"plain\n\"a\\b\t\xff\xc3\xa4\n");
        let lines: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let line = |line: &str| serde_json::json!({"time": "2023-11-14T22:13:20.123Z", "service": "web", "line": line});
        assert_eq!(lines, [line("plain"), line("\"a\\b\t\u{fffd}ä")]);
    }

    #[test]
    fn stamps_know_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_102_444_800, "2100-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(stamp(Duration::from_secs(seconds)), expected);
        }
    }
}
