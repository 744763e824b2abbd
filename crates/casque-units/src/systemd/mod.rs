//! systemd's unit files.
//!
//! | in the unit | becomes |
//! | --- | --- |
//! | `Type=simple`, `exec`, `idle`, `dbus` | a service that runs at once |
//! | `Type=oneshot` | a one-shot; of several `ExecStart=` all but the last run before it |
//! | `Type=notify` | a service that is ready when it says so |
//! | `Type=forking` | [`crate::Startup`], see [`crate::Translated::in_foreground`] |
//! | `User`, `Group`, `WorkingDirectory`, `Environment`, `EnvironmentFile`, `UMask` | the same |
//! | `Restart=` | always, on failure or never; left out, always, as nothing else in an image would restart it |
//! | `KillSignal`, `TimeoutStopSec`, `TimeoutStartSec`, `RestartSec` | the same, where given |
//! | `RuntimeDirectory=`, `StateDirectory=`, `CacheDirectory=`, `LogsDirectory=` | directories made before each start, with the mode given |
//! | `LimitNOFILE=` and the other limits of setrlimit(2) | the hard limit |
//! | `Nice=`, `OOMScoreAdjust=` | the same |
//! | `KillMode=control-group`, its default | the stop signal goes to the whole group |
//! | a timer's one `OnCalendar=` | a schedule of the service that it starts |
//! | everything else | a note that says how much it matters |

mod environment;
mod places;
mod rest;
mod span;
mod specifiers;
#[cfg(test)]
mod tests;
mod timer;
mod translate;
mod unit;
mod words;

pub use environment::parse_environment_file;
pub use places::{UNIT_DIRECTORIES, drop_in_directories, file_names};
pub use timer::Timer;
pub use unit::{EnvironmentFile, Install, Unit};
