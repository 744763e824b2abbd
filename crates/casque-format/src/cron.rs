//! Cron expressions, as crontab(5) has them: five fields or a name such as `@daily`. Pure: the time is an argument.

use thiserror::Error;

const DAY: i64 = 86_400;
const MINUTE: i64 = 60;
/// February 29 comes back after at most eight years.
const FARTHEST_DAYS: i64 = 9 * 366;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Names for whole expressions.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The minutes at which something runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The values of one field, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// It begins with `*`.
    any: bool,
}

/// Why something is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// A name that does not exist.
    #[error("it is none of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`")]
    Name,
    /// There are more or less than five fields.
    #[error("it has {0} fields and not the five of minute, hour, day, month and weekday")]
    Fields(usize),
    /// A field that cannot be read.
    #[error("`{text}` is not {kind}, {least} to {most}")]
    Value {
        /// What was given.
        text: String,
        /// Such as `an hour`.
        kind: &'static str,
        /// The smallest value.
        least: u32,
        /// The largest value.
        most: u32,
    },
    /// No day is like that.
    #[error("that day never comes")]
    Never,
}

struct Kind {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

impl Schedule {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let text = match NAMED.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
            Some((_, fields)) => fields,
            None if text.starts_with('@') => return Err(ScheduleError::Name),
            None => text,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(ScheduleError::Fields(fields.len()));
        };
        let kind = |name, least, most| Kind { name, least, most, names: &[] };
        let mut weekdays = field(weekday, &Kind { names: &WEEKDAYS, ..kind("a weekday", 0, 7) })?;
        // Sunday has two numbers.
        weekdays.bits |= weekdays.bits >> 7 & 1;
        let schedule = Self {
            minutes: field(minute, &kind("a minute", 0, 59))?,
            hours: field(hour, &kind("an hour", 0, 23))?,
            days: field(day, &kind("a day", 1, 31))?,
            months: field(month, &Kind { names: &MONTHS, ..kind("a month", 1, 12) })?,
            weekdays,
        };
        schedule.next_after(0).map(|_| schedule).ok_or(ScheduleError::Never)
    }

    /// Returns the first minute after `time` at which it runs. Both are seconds since 1970 of a clock on the wall, which
    /// knows no time zone.
    pub fn next_after(&self, time: i64) -> Option<i64> {
        let first = time.div_euclid(MINUTE) + 1;
        let today = (first * MINUTE).div_euclid(DAY);
        (today..today.saturating_add(FARTHEST_DAYS)).filter(|&day| self.has_day(day)).find_map(|day| {
            let begin = if day == today { (first * MINUTE - day * DAY) / MINUTE } else { 0 };
            let minute = (begin..DAY / MINUTE)
                .find(|minute| self.hours.has(minute / 60) && self.minutes.has(minute % 60))?;
            Some(day * DAY + minute * MINUTE)
        })
    }

    /// As in crontab(5): when both day and weekday are restricted, either will do.
    fn has_day(&self, day: i64) -> bool {
        let (_, month, of_month) = civil(day);
        // 1970 began on a Thursday.
        let weekday = self.weekdays.has((day + 4).rem_euclid(7));
        let of_month = self.days.has(of_month);
        let day = if self.days.any || self.weekdays.any { of_month && weekday } else { of_month || weekday };
        self.months.has(month) && day
    }
}

impl Field {
    fn has(self, value: i64) -> bool {
        (0..64).contains(&value) && self.bits >> value & 1 == 1
    }
}

fn field(text: &str, kind: &Kind) -> Result<Field, ScheduleError> {
    let wrong = || ScheduleError::Value {
        text: text.to_owned(),
        kind: kind.name,
        least: kind.least,
        most: kind.most,
    };
    let mut bits = 0_u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|&step| step > 0).ok_or_else(wrong)?),
            None => (part, 1_usize),
        };
        let value = |text: &str| value(text, kind).ok_or_else(wrong);
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (kind.least, kind.most),
            Some((first, last)) => (value(first)?, value(last)?),
            // `5/10` is from 5 on.
            None if step > 1 => (value(range)?, kind.most),
            None => (value(range)?, value(range)?),
        };
        if first > last {
            return Err(wrong());
        }
        for value in (first..=last).step_by(step) {
            bits |= 1 << value;
        }
    }
    Ok(Field { bits, any: text.starts_with('*') })
}

fn value(text: &str, kind: &Kind) -> Option<u32> {
    if let Some(place) = kind.names.iter().position(|name| text.eq_ignore_ascii_case(name)) {
        return u32::try_from(place).ok().map(|place| place + kind.least);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value| digits && (kind.least..=kind.most).contains(value))
}

/// Returns year, month and day of a day counted from 1970 on, by the calendar of 400 years that begin in March.
fn civil(day: i64) -> (i64, i64, i64) {
    let since = day + 719_468;
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

/// Returns a minute for people, such as `2026-11-28 03:00`.
pub fn minute(time: i64) -> String {
    let (year, month, day) = civil(time.div_euclid(DAY));
    let minute = time.rem_euclid(DAY) / MINUTE;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27 10:15, a Friday.
    const NOW: i64 = 1_795_774_500;

    fn next(text: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(text).unwrap();
        let mut time = NOW;
        let mut times = Vec::new();
        for _ in 0..count {
            time = schedule.next_after(time).unwrap();
            times.push(minute(time));
        }
        times
    }

    #[test]
    fn minutes_come_in_their_order() {
        assert_eq!(minute(NOW), "2026-11-27 10:15");
        assert_eq!(next("15 10 * * *", 1), ["2026-11-28 10:15"]);
        assert_eq!(next("*/20 * * * *", 3), ["2026-11-27 10:20", "2026-11-27 10:40", "2026-11-27 11:00"]);
        assert_eq!(next("50/5 23 * * *", 2), ["2026-11-27 23:50", "2026-11-27 23:55"]);
        assert_eq!(
            next("5,10-12/2 0 1 jan *", 3),
            ["2027-01-01 00:05", "2027-01-01 00:10", "2027-01-01 00:12"]
        );
        assert_eq!(next("@weekly", 2), ["2026-11-29 00:00", "2026-12-06 00:00"]);
        assert_eq!(next("@Hourly", 1), ["2026-11-27 11:00"]);
    }

    #[test]
    fn days_and_weekdays_are_those_of_the_calendar() {
        assert_eq!(next("0 3 * * mon-fri", 2), ["2026-11-30 03:00", "2026-12-01 03:00"]);
        assert_eq!(next("0 3 29 feb *", 2), ["2028-02-29 03:00", "2032-02-29 03:00"]);
        assert_eq!(next("0 3 31 * *", 2), ["2026-12-31 03:00", "2027-01-31 03:00"]);
        assert_eq!(next("0 3 * * 7", 1), next("0 3 * * 0", 1));
    }

    #[test]
    fn of_a_day_and_a_weekday_either_will_do() {
        assert_eq!(next("0 3 1 * sun", 3), ["2026-11-29 03:00", "2026-12-01 03:00", "2026-12-06 03:00"]);
        assert_eq!(next("0 3 */2 * sun", 1), ["2026-11-29 03:00"]);
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        let refused = |text: &str| Schedule::parse(text).unwrap_err().to_string();
        assert_eq!(refused("61 * * * *"), "`61` is not a minute, 0 to 59");
        assert_eq!(refused("0 5-3 * * *"), "`5-3` is not an hour, 0 to 23");
        assert_eq!(refused("0 0 0 * *"), "`0` is not a day, 1 to 31");
        assert_eq!(refused("0 0 * foo *"), "`foo` is not a month, 1 to 12");
        assert_eq!(refused("*/0 * * * *"), "`*/0` is not a minute, 0 to 59");
        assert_eq!(refused("+5 * * * *"), "`+5` is not a minute, 0 to 59");
        assert_eq!(
            refused("* * * *"),
            "it has 4 fields and not the five of minute, hour, day, month and weekday"
        );
        assert_eq!(refused("@reboot"), "it is none of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`");
        assert_eq!(refused("0 0 31 feb *"), "that day never comes");
    }
}
