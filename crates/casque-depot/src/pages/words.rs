//! Numbers and times as people read them.

use time::OffsetDateTime;
use time::macros::format_description;

/// Returns a number of bytes in the largest unit of which there is one.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    }
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    // What would be rounded up to a thousand is one of the next.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// Returns the day of a time in seconds since 1970, UTC.
pub(crate) fn day(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at).map_or_else(|_| at.to_string(), |time| time.date().to_string())
}

/// Returns a time with its minute.
pub(crate) fn minute(at: i64) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = OffsetDateTime::from_unix_timestamp(at).ok().and_then(|time| time.format(form).ok());
    time.unwrap_or_else(|| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_after_the_point_and_the_unit_that_fits() {
        let pairs = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (999_950, "1.0 MB"),
            (1_550_000_000, "1.6 GB"),
            (5_000_000_000_000_000, "5000.0 TB"),
        ];
        for (bytes, text) in pairs {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_days_and_minutes_of_utc() {
        assert_eq!(
            (day(86_399), minute(1_764_000_059)),
            ("1970-01-01".to_owned(), "2025-11-24 16:00 UTC".to_owned())
        );
        assert_eq!(day(i64::MAX), i64::MAX.to_string());
    }
}
