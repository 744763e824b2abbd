//! `casque stop`: the ordered end of a container.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::commands::run::{exit_code, failure};
use crate::context::Context;
use crate::error::Failure;
use crate::run::name::Name;
use crate::run::state::Home;
use crate::run::stop;

/// Stop a container in order, and end with its code
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Kill it after this time, such as 10s or 500ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    timeout: Duration,

    /// The container
    #[arg(value_name = "NAME")]
    name: Name,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<ExitCode, Failure> {
    let name = &arguments.name;
    let stopped = Home::new(&context.environment.state)
        .and_then(|home| home.known(name))
        .and_then(|place| stop::stop(&place, arguments.timeout))
        .map_err(|error| failure(format!("cannot stop `{name}`"), &error))?;
    if stopped.killed {
        context.ui.note(&format!("{name}: killed, it did not end within {:?}", arguments.timeout));
    }
    Ok(exit_code(stopped.code))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 10s or 500ms".to_owned();
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match &text[digits.len()..] {
        "" | "s" => Ok(Duration::from_secs(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(parse_time("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_time("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "10h", "-1s", "1.5s", "99999999999999999999"] {
            assert_eq!(parse_time(text), Err("expected a time such as 10s or 500ms".to_owned()), "{text}");
        }
    }
}
