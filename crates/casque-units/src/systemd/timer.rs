//! Timer units: what `OnCalendar=` says, as a cron expression.

use super::unit::Unit;
use crate::{Note, UnitError};

/// When a timer runs what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The unit that it starts.
    pub unit: String,
    /// A cron expression.
    pub schedule: String,
    /// What could not be carried over.
    pub notes: Vec<Note>,
}

/// Words for whole expressions (systemd.time(7)).
const WORDS: [(&str, &str); 9] = [
    ("minutely", "* * * * *"),
    ("hourly", "0 * * * *"),
    ("daily", "0 0 * * *"),
    ("weekly", "0 0 * * mon"),
    ("monthly", "0 0 1 * *"),
    ("quarterly", "0 0 1 1,4,7,10 *"),
    ("semiannually", "0 0 1 1,7 *"),
    ("yearly", "0 0 1 1 *"),
    ("annually", "0 0 1 1 *"),
];

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Unit {
    /// Reads a timer unit.
    ///
    /// # Errors
    /// One that a cron expression cannot say.
    pub fn timer(&self) -> Result<Timer, UnitError> {
        let refused = |problem: String| UnitError::Timer { unit: self.name.clone(), problem };
        let calendars = self.values("Timer", "OnCalendar");
        let [calendar] = calendars[..] else {
            let count = calendars.len();
            return Err(refused(format!(
                "it has {count} times `OnCalendar=`, and one is what a schedule can say"
            )));
        };
        let schedule =
            cron(calendar).map_err(|problem| refused(format!("`OnCalendar={calendar}` {problem}")))?;
        let stem = self.name.strip_suffix(".timer").unwrap_or(&self.name);
        let unit = self.value("Timer", "Unit").map_or_else(|| format!("{stem}.service"), str::to_owned);
        let notes = self.keys().filter(|(section, _)| *section == "Timer").filter_map(|(_, key)| {
            let value = self.value("Timer", key)?;
            let subject = format!("{key}={value}");
            match key {
                "OnCalendar" | "Unit" => None,
                "Persistent" if value == "true" || value == "yes" => {
                    Some(Note::lost(subject, "a run that was missed is not made up for"))
                }
                "Persistent" | "AccuracySec" | "WakeSystem" | "RemainAfterElapse" => {
                    Some(Note::moot(subject, "it runs at its minute"))
                }
                _ => Some(Note::simply_lost(subject)),
            }
        });
        Ok(Timer { schedule, unit, notes: notes.collect() })
    }
}

/// Turns `Mon..Fri *-*-* 03:30:00` into `30 3 * * mon-fri`, or says what of it cron cannot.
fn cron(calendar: &str) -> Result<String, &'static str> {
    let lower = calendar.to_ascii_lowercase();
    if let Some((_, cron)) = WORDS.iter().find(|(word, _)| *word == lower) {
        return Ok((*cron).to_owned());
    }
    let (mut weekday, mut date, mut time) = ("*".to_owned(), None, None);
    for part in lower.split_ascii_whitespace() {
        if part.starts_with(|first: char| first.is_ascii_alphabetic()) {
            weekday = weekdays(part)?;
        } else if part.contains(':') && time.is_none() {
            time = Some(part);
        } else if part.contains('-') && date.is_none() {
            date = Some(part);
        } else {
            return Err("has a part that is neither weekday, date nor time");
        }
    }
    let (month, day) = match date.map(|date| date.split('-').collect::<Vec<_>>()).as_deref() {
        None => ("*".to_owned(), "*".to_owned()),
        Some(["*", month, day] | [month, day]) => (field(month, true)?, field(day, true)?),
        Some(_) => return Err("names a year, which a schedule cannot"),
    };
    let (hour, minute) = match time.map(|time| time.split(':').collect::<Vec<_>>()).as_deref() {
        None => ("0".to_owned(), "0".to_owned()),
        Some([hour, minute] | [hour, minute, "00" | "0"]) => (field(hour, false)?, field(minute, false)?),
        Some(_) => return Err("names a second, and a schedule knows minutes"),
    };
    if day != "*" && weekday != "*" {
        return Err("wants a weekday and a day of the month at once, of which cron takes either");
    }
    Ok(format!("{minute} {hour} {day} {month} {weekday}"))
}

/// Turns `mon..fri,sun` into `mon-fri,sun`.
fn weekdays(part: &str) -> Result<String, &'static str> {
    let parts = part.split(',').filter(|part| !part.is_empty()).map(|part| match part.split_once("..") {
        None => short(part).map(str::to_owned),
        // Of cron's week Sunday is the first day or the last.
        Some((first, last)) => match (short(first)?, short(last)?) {
            (first, "sun") => Ok(format!("{first}-7")),
            (first, last) => Ok(format!("{first}-{last}")),
        },
    });
    Ok(parts.collect::<Result<Vec<String>, &'static str>>()?.join(","))
}

fn short(name: &str) -> Result<&str, &'static str> {
    let short = name.get(..3).filter(|short| WEEKDAYS.contains(short));
    short.ok_or("has a word that is no weekday")
}

/// Turns `08..18/2` into `8-18/2`; a step alone begins at the first value, which for days and months is 1.
fn field(text: &str, from_one: bool) -> Result<String, &'static str> {
    let number = |text: &str| {
        text.parse::<u32>().map(|number| number.to_string()).map_err(|_| "has a field that is no number")
    };
    let parts = text.split(',').map(|part| -> Result<String, &'static str> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let range = match range.split_once("..") {
            _ if range == "*" => "*".to_owned(),
            Some((first, last)) => format!("{}-{}", number(first)?, number(last)?),
            None => number(range)?,
        };
        match step {
            // `0/15` and `*/15` are one and the same.
            Some(step) if range == "0" && !from_one || range == "1" && from_one => {
                Ok(format!("*/{}", number(step)?))
            }
            Some(step) => Ok(format!("{range}/{}", number(step)?)),
            None => Ok(range),
        }
    });
    Ok(parts.collect::<Result<Vec<String>, &'static str>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use casque_format::cron::Schedule;

    use super::*;
    use crate::supervisor::SourceFile;

    fn timer(text: &str) -> Result<Timer, UnitError> {
        let file = SourceFile { path: "tidy.timer".to_owned(), text: format!("[Timer]\n{text}") };
        Unit::parse("tidy.timer", &[file]).unwrap().timer()
    }

    #[test]
    fn times_of_the_calendar_become_cron_s() {
        for (calendar, expected) in [
            ("daily", "0 0 * * *"),
            ("Weekly", "0 0 * * mon"),
            ("*-*-* 03:30:00", "30 3 * * *"),
            ("Mon..Fri 08:00", "0 8 * * mon-fri"),
            ("Saturday,Sun *-*-* 6:05", "5 6 * * sat,sun"),
            ("Sat..Sun 04:00", "0 4 * * sat-7"),
            ("*:0/15", "*/15 * * * *"),
            ("*-*-01 00/6:10:00", "10 */6 1 * *"),
            ("*-01,07-01", "0 0 1 1,7 *"),
            ("08..18/2:00", "0 8-18/2 * * *"),
        ] {
            let schedule = timer(&format!("OnCalendar={calendar}\n")).unwrap().schedule;
            assert_eq!(schedule, expected, "{calendar}");
            Schedule::parse(&schedule).unwrap_or_else(|error| panic!("{schedule}: {error}"));
        }
    }

    #[test]
    fn a_timer_starts_its_own_service_or_the_one_it_names() {
        let own =
            timer("OnCalendar=daily\nPersistent=true\nRandomizedDelaySec=5m\nAccuracySec=1h\n").unwrap();
        assert_eq!(own.unit, "tidy.service");
        assert_eq!(
            crate::summary(&own.notes).unwrap(),
            "not carried over: `Persistent=true` (a run that was missed is not made up for), `RandomizedDelaySec=5m`"
        );
        assert_eq!(timer("OnCalendar=daily\nUnit=other.service\n").unwrap().unit, "other.service");
    }

    #[test]
    fn what_cron_cannot_say_is_refused_with_the_reason() {
        let refused = |text: &str| timer(text).unwrap_err().to_string();
        assert_eq!(
            refused("OnBootSec=5min\n"),
            "`tidy.timer`: it has 0 times `OnCalendar=`, and one is what a schedule can say"
        );
        assert_eq!(
            refused("OnCalendar=Mon *-*-01\n"),
            "`tidy.timer`: `OnCalendar=Mon *-*-01` wants a weekday and a day of the month at once, of which cron takes either"
        );
        assert!(refused("OnCalendar=2027-*-* 03:00\n").ends_with("names a year, which a schedule cannot"));
        assert!(refused("OnCalendar=*:*:30\n").ends_with("names a second, and a schedule knows minutes"));
        assert!(refused("OnCalendar=someday\n").ends_with("has a word that is no weekday"));
        assert!(refused("OnCalendar=*:x\n").ends_with("has a field that is no number"));
    }
}
