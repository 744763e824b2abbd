//! The day of the build in what a step left: the second time is minutes later, and what has only a day is then the same.

use std::io::{self, Read};
use std::path::Path;

use casque_image::listing::Entry;
use casque_image::node::Kind;
use time::OffsetDateTime;
use time::format_description::{BorrowedFormatItem, parse_borrowed};

use super::compare::all_entries;
use super::{Aspect, Finding, Place};
use crate::cache::Cache;
use crate::error::BuildError;
use crate::stage::Stage;

/// Longer files are no texts that somebody wrote a date into.
const LONGEST: u64 = 1 << 20;
/// How days are written.
const FORMS: [&str; 9] = [
    "[year]-[month]-[day]",
    "[year]/[month]/[day]",
    "[year][month][day]",
    "[day].[month].[year]",
    "[month]/[day]/[year]",
    "[day]/[month repr:short]/[year]",
    "[day padding:none] [month repr:short] [year]",
    "[month repr:short] [day padding:space] [year]",
    "[month repr:long] [day padding:none], [year]",
];
const SECONDS_OF_A_DAY: i64 = 86_400;

/// Returns the files of a stage that hold today's date.
pub(super) fn findings(
    cache: &Cache,
    stage: &Stage,
    epoch: u64,
    now: OffsetDateTime,
) -> Result<Vec<Finding>, BuildError> {
    let today = now.unix_timestamp().div_euclid(SECONDS_OF_A_DAY);
    // What is dated by the archives is dated today as well then.
    if today.unsigned_abs() == epoch / SECONDS_OF_A_DAY.unsigned_abs() {
        return Ok(Vec::new());
    }
    let days = written(now);
    let mut findings = Vec::new();
    for (path, entry) in all_entries(cache, stage)? {
        let Entry::Node(node, _) = entry else { continue };
        if !matches!(node.kind, Kind::File { size } if size <= LONGEST) {
            continue;
        }
        let text = read(&stage.trees[0].join(&path)).map_err(BuildError::Cache)?;
        let Some(place) = text.and_then(|text| place(&text, &days)) else { continue };
        let reason = Some(
            "it holds the day of this build; take it from `SOURCE_DATE_EPOCH`, or leave it out".to_owned(),
        );
        let path = format!("/{}", path.display());
        findings.push(Finding { path, what: vec![Aspect::Day], first: Some(place), reason });
    }
    Ok(findings)
}

fn written(now: OffsetDateTime) -> Vec<String> {
    let format = |form: &&str| -> Option<String> {
        let items: Vec<BorrowedFormatItem<'_>> = parse_borrowed::<2>(form).ok()?;
        now.format(&items).ok()
    };
    FORMS.iter().filter_map(format).collect()
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    fs_err::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}

fn place(text: &str, days: &[String]) -> Option<Place> {
    let holds = |line: &str| days.iter().any(|day| alone(line, day));
    let (index, line) = text.lines().enumerate().find(|(_, line)| holds(line))?;
    let line: String = line.chars().take(160).collect();
    Some(Place::Text { line: index + 1, here: line.clone(), elsewhere: line })
}

/// Tells whether a day is in a line and no part of a longer number.
fn alone(line: &str, day: &str) -> bool {
    line.match_indices(day).any(|(at, _)| {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        !digit(line[..at].chars().next_back()) && !digit(line[at + day.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_found_in_every_usual_form_and_no_other_number_is() {
        let now = OffsetDateTime::from_unix_timestamp(1_796_000_000).unwrap();
        let days = written(now);
        assert_eq!(
            days,
            [
                "2026-11-30",
                "2026/11/30",
                "20261130",
                "30.11.2026",
                "11/30/2026",
                "30/Nov/2026",
                "30 Nov 2026",
                "Nov 30 2026",
                "November 30, 2026"
            ]
        );
        let found = |text: &str| place(text, &days).is_some();
        assert!(found("# app\nbuilt: 2026-11-30\n") && found("20261130"));
        assert!(!found("2026-11-29\nid=9202611301\n"));
        assert!(!found("id=920261130") && !found("id=202611301"));
    }
}
