//! `casque cache`: what the build cache holds, and removing from it.

use std::time::{Duration, SystemTime};

use casque_build::{BuildError, Cache, Prune, Usage};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::Failure;
use crate::ui::megabytes;

const DAY: u64 = 86_400;
/// What `prune` keeps when it is not told.
const KEPT: Duration = Duration::from_secs(30 * DAY);

/// Show what the build cache holds, or remove from it
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    Prune(PruneArguments),
}

/// Remove what was not used for a while; waits until no build uses the cache
#[derive(Debug, Args)]
struct PruneArguments {
    /// Remove what was last used before this time, such as 30d or 12h [default: 30d, unless another rule is given]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Option<Duration>,

    /// Remove what was used longest ago until this much is left, such as 10GB or 500MB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// Remove everything, downloads included
    #[arg(long, conflicts_with_all = ["older_than", "max_size"])]
    all: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let directory = context.cache_directory();
    match &arguments.action {
        Some(Action::Prune(prune)) => {
            let what = format!("cannot prune the cache `{}`", directory.display());
            let failed = |error: BuildError| Failure::new(&what, &error);
            if Cache::in_use(directory).map_err(failed)? {
                context.ui.note("waiting for a build that uses the cache");
            }
            let cache = Cache::open_alone(directory).map_err(failed)?;
            let pruned = cache.prune(&prune.rules(context.now)).map_err(failed)?;
            context.ui.line(&match prune.json {
                true => serde_json::to_string(&pruned).expect("a result is plain data"),
                false => format!("{} entries removed, {}", pruned.entries, megabytes(pruned.bytes)),
            });
        }
        None => {
            let what = format!("cannot read the cache `{}`", directory.display());
            let failed = |error: BuildError| Failure::new(&what, &error);
            let usage = context.cache().and_then(|cache| cache.usage()).map_err(failed)?;
            context.ui.line(&match arguments.json {
                true => serde_json::to_string(&usage).expect("a result is plain data"),
                false => table(&usage, context.now),
            });
        }
    }
    Ok(())
}

impl PruneArguments {
    fn rules(&self, now: SystemTime) -> Prune {
        let unnamed = self.older_than.is_none() && self.max_size.is_none() && !self.all;
        let older = self.older_than.or(unnamed.then_some(KEPT));
        Prune { before: older.and_then(|age| now.checked_sub(age)), most_bytes: self.max_size, all: self.all }
    }
}

fn table(usage: &Usage, now: SystemTime) -> String {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut text = format!("{}: {}\n", usage.directory.display(), megabytes(usage.bytes));
    for kind in &usage.kinds {
        let used = match kind.last_used.map(|used| now.saturating_sub(used)) {
            None => String::new(),
            Some(age) if age < DAY => ", used today".to_owned(),
            Some(age) => format!(", used {} days ago", age / DAY),
        };
        text += &format!("{:<10} {:>6} {:>12}{used}\n", kind.kind, kind.entries, megabytes(kind.bytes));
    }
    text.trim_end().to_owned()
}

/// Reads a time with its unit, such as `30d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("d", DAY), ("h", 3600), ("m", 60), ("s", 1)];
    let seconds = number(text, &units).ok_or("expected a number and d, h, m or s, such as 30d")?;
    Ok(Duration::from_secs(seconds))
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("", 1)];
    number(text, &units).ok_or_else(|| "expected a number and GB, MB or kB, such as 10GB".to_owned())
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    digits.trim_end().parse::<u64>().ok()?.checked_mul(*unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use casque_build::KindUsage;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * DAY)));
        assert_eq!(duration("12h"), Ok(Duration::from_secs(12 * 3600)));
        assert!(duration("30").is_err() && duration("d").is_err() && duration("-1d").is_err());
        assert_eq!([size("10GB"), size("5 MB"), size("12")], [Ok(10_000_000_000), Ok(5_000_000), Ok(12)]);
        assert!(size("10TB").is_err());
    }

    #[test]
    fn without_a_rule_a_month_is_kept_and_with_one_nothing_else_is_removed() {
        let now = SystemTime::UNIX_EPOCH + 2 * KEPT;
        let arguments = |older_than, max_size, all| PruneArguments { older_than, max_size, all, json: false };
        let month = SystemTime::UNIX_EPOCH + KEPT;
        assert_eq!(
            arguments(None, None, false).rules(now),
            Prune { before: Some(month), ..Prune::default() }
        );
        assert_eq!(
            arguments(None, Some(1), false).rules(now),
            Prune { most_bytes: Some(1), ..Prune::default() }
        );
        assert_eq!(arguments(None, None, true).rules(now), Prune { all: true, ..Prune::default() });
    }

    #[test]
    fn the_table_says_how_much_there_is_of_what_and_when_it_was_used() {
        let kind = |kind, entries, bytes, last_used| KindUsage { kind, entries, bytes, last_used };
        let usage = Usage {
            directory: "/cache".into(),
            bytes: 1_734_000_000,
            kinds: vec![
                kind("downloads", 177, 234_000_000, Some(3 * DAY)),
                kind("stages", 7, 1_500_000_000, Some(5 * DAY)),
                kind("steps", 0, 0, None),
            ],
        };
        assert_eq!(
            table(&usage, SystemTime::UNIX_EPOCH + Duration::from_secs(5 * DAY + 7)),
            "/cache: 1734.0 MB\n\
             downloads     177     234.0 MB, used 2 days ago\n\
             stages          7    1500.0 MB, used today\n\
             steps           0       0.0 MB"
        );
    }
}
