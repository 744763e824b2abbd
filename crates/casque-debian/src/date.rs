//! Dates as archives write them.

use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const ARCHIVE: StaticFormatDescription = format_description!(
    "[weekday repr:short], [day padding:none] [month repr:short] [year] [hour padding:none]:[minute]:[second]"
);
const SNAPSHOT: StaticFormatDescription = format_description!("[year][month][day]T[hour][minute][second]Z");
const READABLE: StaticFormatDescription =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");

/// Parses `Sat, 09 Aug 2025 09:35:36 UTC`.
pub(crate) fn parse(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    let bare = ["UTC", "GMT", "+0000", "Z"].iter().find_map(|zone| text.strip_suffix(zone))?.trim_end();
    // Days below ten are written with and without a leading zero.
    let bare = bare.replacen(", 0", ", ", 1);
    PrimitiveDateTime::parse(&bare, ARCHIVE).ok().map(PrimitiveDateTime::assume_utc)
}

/// Returns the moment so many seconds after the epoch; what is beyond the calendar is its end.
pub(crate) fn from_timestamp(seconds: u64) -> OffsetDateTime {
    let latest = PrimitiveDateTime::MAX.assume_utc();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(latest)
}

/// Returns the form in snapshot addresses, `20250809T093536Z`.
pub(crate) fn snapshot(moment: OffsetDateTime) -> String {
    moment.format(SNAPSHOT).expect("a moment in UTC has all parts of the snapshot form")
}

/// Returns the form for people, `2025-08-09 09:35:36 UTC`.
pub(crate) fn readable(moment: OffsetDateTime) -> String {
    moment.format(READABLE).expect("a moment in UTC has all parts of the readable form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_dates_are_understood() {
        for text in [
            "Sat, 09 Aug 2025 09:35:36 UTC",
            "Sat,  9 Aug 2025 09:35:36 +0000",
            "Sat, 9 Aug 2025 9:35:36 GMT",
        ] {
            assert_eq!(
                parse(&text.replace("  ", " ")).map(snapshot).as_deref(),
                Some("20250809T093536Z"),
                "{text}"
            );
        }
        assert_eq!(parse("Sat, 9 Aug 2025 09:35:36 CET"), None);
        assert_eq!(parse("tomorrow UTC"), None);
    }
}
