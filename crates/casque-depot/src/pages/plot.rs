//! Downloads over time as bars. Pure: what was counted goes in, what a template draws comes out.

use serde::Serialize;

use super::words;
use crate::records::Day;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// More bars than this are too thin, and weeks are drawn.
const MOST_BARS: i64 = 100;
/// Height of the drawing, in its own units.
const HEIGHT: f64 = 100.0;

/// A plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Plot {
    /// What one bar is of: `day` or `week`.
    pub(crate) unit: &'static str,
    /// The bars, the oldest first.
    pub(crate) bars: Vec<Bar>,
    /// What the upper end of the scale stands for.
    pub(crate) top: u64,
    /// What its middle stands for; none when it is no whole number.
    pub(crate) middle: Option<u64>,
    /// All downloads.
    pub(crate) total: u64,
    /// All bytes, as people read them.
    pub(crate) size: String,
    /// Where the most were.
    pub(crate) peak: Option<Bar>,
}

/// One bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bar {
    /// Its first day.
    pub(crate) from: String,
    /// How many downloads.
    pub(crate) downloads: u64,
    /// Their bytes, as people read them.
    pub(crate) size: String,
    /// Where it begins from the left; a bar and what is beside it have ten.
    pub(crate) at: usize,
    /// Where it begins from above.
    pub(crate) y: f64,
    /// How high it is.
    pub(crate) height: f64,
}

/// Draws the `length` days that end with `today`, both in days since 1970.
pub(crate) fn plot(days: &[Day], today: i64, length: i64) -> Plot {
    let (unit, step) = if length > MOST_BARS { ("week", 7) } else { ("day", 1) };
    let count = (length + step - 1) / step;
    let first = today + 1 - count * step;
    let sums: Vec<(i64, u64, u64)> = (0..count)
        .map(|index| {
            let from = first + index * step;
            let inside = days.iter().filter(|day| (from..from + step).contains(&day.day));
            let (downloads, bytes) =
                inside.fold((0, 0), |(downloads, bytes), day| (downloads + day.downloads, bytes + day.bytes));
            (from, downloads, bytes)
        })
        .collect();
    let top = round_up(sums.iter().map(|(_, downloads, _)| *downloads).max().unwrap_or(0));
    let bars: Vec<Bar> = sums
        .iter()
        .enumerate()
        .map(|(index, (from, downloads, bytes))| {
            let height = *downloads as f64 / top as f64 * HEIGHT;
            let from = words::day(from * DAY);
            Bar {
                from,
                downloads: *downloads,
                size: words::size(*bytes),
                at: 10 * index,
                y: HEIGHT - height,
                height,
            }
        })
        .collect();
    let most = bars.iter().map(|bar| bar.downloads).max().unwrap_or(0);
    Plot {
        unit,
        top,
        middle: top.is_multiple_of(2).then_some(top / 2),
        total: bars.iter().map(|bar| bar.downloads).sum(),
        size: words::size(sums.iter().map(|(_, _, bytes)| bytes).sum()),
        peak: bars.iter().find(|bar| most > 0 && bar.downloads == most).cloned(),
        bars,
    }
}

/// Returns the next of 1, 2, 4, 5, 8 and 10 times a power of ten.
fn round_up(value: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for step in [1, 2, 4, 5, 8] {
            let candidate = power.saturating_mul(step);
            if candidate >= value {
                return candidate;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_a_bar_and_the_scale_ends_at_a_round_number() {
        let days = [Day { day: 98, downloads: 3, bytes: 1000 }, Day { day: 100, downloads: 7, bytes: 2000 }];
        let plot = plot(&days, 100, 4);
        let bars: Vec<_> =
            plot.bars.iter().map(|bar| (bar.from.as_str(), bar.downloads, bar.height)).collect();
        assert_eq!(
            bars,
            [
                ("1970-04-08", 0, 0.0),
                ("1970-04-09", 3, 37.5),
                ("1970-04-10", 0, 0.0),
                ("1970-04-11", 7, 87.5)
            ]
        );
        assert_eq!((plot.top, plot.middle, plot.total, plot.size.as_str()), (8, Some(4), 10, "3.0 kB"));
        assert_eq!(plot.peak.map(|bar| bar.from).as_deref(), Some("1970-04-11"));
    }

    #[test]
    fn a_year_is_drawn_in_weeks_that_end_today_and_nothing_is_lost() {
        let days: Vec<Day> = (640..=1000).map(|day| Day { day, downloads: 1, bytes: 1 }).collect();
        let plot = plot(&days, 1000, 365);
        assert_eq!((plot.unit, plot.bars.len(), plot.total), ("week", 53, 361));
        assert_eq!(plot.bars.last().map(|bar| bar.downloads), Some(7));
    }

    #[test]
    fn without_downloads_there_is_a_scale_and_no_peak() {
        let plot = plot(&[], 100, 30);
        assert_eq!((plot.top, plot.total, plot.peak), (1, 0, None));
        let steps: Vec<u64> = [1, 2, 3, 6, 9, 11, 45, 81, 999].into_iter().map(round_up).collect();
        assert_eq!(steps, [1, 2, 4, 8, 10, 20, 50, 100, 1000]);
    }
}
