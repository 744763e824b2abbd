//! How processes end, and what that means for PID 1's own exit code.

use std::fmt;
use std::time::Duration;

use casque_format::run;

use crate::signal;

/// PID 1's exit code when something inside PID 1 went wrong.
pub(crate) const INTERNAL: i32 = 1;
/// PID 1's exit code when the settings, or the way the container is run, do not allow a start.
pub(crate) const SETTINGS: i32 = 100;
/// PID 1's exit code when a critical service was not ready in time.
pub(crate) const START_TIMEOUT: i32 = 101;
/// PID 1's exit code when the volume is refused.
pub(crate) const VOLUME: i32 = 102;
/// PID 1's exit code when a critical service ran and did not serve.
pub(crate) const UNHEALTHY: i32 = 103;

/// How a service's main process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// Killed by the kernel, for the container had no memory left.
    OutOfMemory,
    /// With 0 and soon, while these processes that it started went on: it is no longer in the foreground.
    Background(Vec<String>),
    /// Its program never ran.
    NotStarted(StartError),
    /// It ended well, and that could not be written down, so it would run again.
    NotRecorded(String),
}

/// Why a program never ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartError {
    /// What could not be done and why.
    pub(crate) text: String,
    /// The exit code a shell would report.
    pub(crate) code: i32,
    /// Trying again would end the same way.
    pub(crate) permanent: bool,
}

impl Exit {
    /// Returns PID 1's exit code when this exit ends the container.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Code(code) => *code,
            Self::Signal(number) => 128 + number,
            Self::OutOfMemory => 128 + libc::SIGKILL,
            Self::Background(_) => 0,
            Self::NotStarted(error) => error.code,
            Self::NotRecorded(_) => 1,
        }
    }
}

impl Exit {
    /// Returns what a post-stop command learns of this exit; `told` says that we had the service end.
    pub(crate) fn variables(&self, told: bool) -> Vec<(&'static str, String)> {
        let reason = match self {
            _ if told => "stopped",
            Self::OutOfMemory => "out-of-memory",
            Self::Background(_) => "background",
            Self::Signal(_) => "killed",
            Self::Code(_) | Self::NotStarted(_) | Self::NotRecorded(_) => "exited",
        };
        let signal = match self {
            Self::Signal(number) => Some(*number),
            Self::OutOfMemory => Some(libc::SIGKILL),
            _ => None,
        };
        let how = match signal {
            Some(number) => (run::EXIT_SIGNAL, signal::name(number).trim_start_matches("SIG").to_owned()),
            None => (run::EXIT_CODE, self.code().to_string()),
        };
        vec![(run::EXIT_REASON, reason.to_owned()), how]
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(number) => write!(f, "killed by {}", signal::name(*number)),
            Self::OutOfMemory => f.write_str("killed by SIGKILL, out of memory"),
            Self::Background(left) => write!(
                f,
                "exited with 0 and left {} running in the background; run it in the foreground, where it can \
                 be watched",
                left.join(", ")
            ),
            Self::NotStarted(error) => write!(f, "could not start: {}", error.text),
            Self::NotRecorded(problem) => write!(f, "exited with 0, but {problem}"),
        }
    }
}

/// Why a run of a service counts as a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its main process ended.
    Exit(Exit),
    /// It was not ready in time.
    StartTimeout {
        /// The time it had.
        limit: Duration,
        /// What the last probe said.
        probe: Option<String>,
    },
    /// Its health checks failed too often.
    Unhealthy {
        /// So many in a row.
        failures: u32,
        /// What the last one said.
        reason: String,
    },
    /// A service that it requires has failed for good.
    Needs {
        /// That service.
        name: String,
        /// The code that its failure means.
        code: i32,
    },
}

impl Cause {
    /// Returns PID 1's exit code when this failure ends the container; never 0.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Exit(exit) => exit.code().max(1),
            Self::StartTimeout { .. } => START_TIMEOUT,
            Self::Unhealthy { .. } => UNHEALTHY,
            Self::Needs { code, .. } => *code,
        }
    }

    /// Says whether another start would end the same way.
    pub(crate) fn is_hopeless(&self) -> bool {
        match self {
            Self::Exit(Exit::NotStarted(error)) => error.permanent,
            Self::Exit(Exit::Background(_)) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(exit) => exit.fmt(f),
            Self::Unhealthy { failures: 1, reason } => write!(f, "a health check failed ({reason})"),
            Self::Unhealthy { failures, reason } => {
                write!(f, "{failures} health checks in a row failed ({reason})")
            }
            Self::Needs { name, .. } => write!(f, "it cannot be without `{name}`, which has failed"),
            Self::StartTimeout { limit, probe } => {
                write!(f, "not ready within {}", Span(*limit))?;
                match probe {
                    Some(reason) => write!(f, " ({reason})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A time span for people.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0..1000 => write!(f, "{millis} ms"),
            _ if millis.is_multiple_of(1000) => write!(f, "{} s", millis / 1000),
            _ => write!(f, "{}.{} s", millis / 1000, millis % 1000 / 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critical_failure_never_ends_the_container_with_success() {
        assert_eq!(Cause::Exit(Exit::Code(0)).code(), 1);
        assert_eq!(Cause::Exit(Exit::Code(3)).code(), 3);
        assert_eq!(Cause::Exit(Exit::Signal(9)).code(), 137);
        assert_eq!(Cause::Exit(Exit::OutOfMemory).code(), 137);
        assert_eq!(Cause::Exit(Exit::Background(Vec::new())).code(), 1);
        assert_eq!(Cause::StartTimeout { limit: Duration::ZERO, probe: None }.code(), 101);
    }

    #[test]
    fn what_comes_after_a_service_learns_how_it_ended() {
        let all = |exit: Exit, told| {
            let pairs = exit.variables(told).into_iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(" ")
        };
        for (exit, expected) in [
            (Exit::Code(3), "CASQUE_EXIT_REASON=exited CASQUE_EXIT_CODE=3"),
            (Exit::Signal(11), "CASQUE_EXIT_REASON=killed CASQUE_EXIT_SIGNAL=SEGV"),
            (Exit::OutOfMemory, "CASQUE_EXIT_REASON=out-of-memory CASQUE_EXIT_SIGNAL=KILL"),
            (Exit::Background(Vec::new()), "CASQUE_EXIT_REASON=background CASQUE_EXIT_CODE=0"),
        ] {
            assert_eq!(all(exit, false), expected);
        }
        assert_eq!(all(Exit::Signal(15), true), "CASQUE_EXIT_REASON=stopped CASQUE_EXIT_SIGNAL=TERM");
    }

    #[test]
    fn causes_read_well() {
        let cause = Cause::StartTimeout {
            limit: Duration::from_millis(2500),
            probe: Some("connection refused".to_owned()),
        };
        assert_eq!(cause.to_string(), "not ready within 2.5 s (connection refused)");
        assert_eq!(Cause::Exit(Exit::Signal(9)).to_string(), "killed by SIGKILL");
        assert_eq!(Cause::Exit(Exit::OutOfMemory).to_string(), "killed by SIGKILL, out of memory");
        assert_eq!(Span(Duration::from_millis(500)).to_string(), "500 ms");
        assert_eq!(Span(Duration::from_secs(30)).to_string(), "30 s");
    }
}
