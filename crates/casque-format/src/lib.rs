//! The files and messages that the casque programs exchange; no I/O.
//!
//! | type | written by | read by | where |
//! | --- | --- | --- | --- |
//! | [`image::ImagePlan`] | `casque build` | `casque-agent`, `casque inspect` | [`paths::IMAGE_PLAN`] |
//! | [`run::RunPlan`] | `casque-agent prepare` | `casque-init` | [`paths::RUN_PLAN`] |
//! | [`run::AgentConfig`] | `casque-agent prepare` | `casque-agent serve` | [`paths::AGENT_CONFIG`] |
//! | [`control`] | both ends | PID 1, the agent, the customer's command | [`paths::CONTROL_SOCKET`] |
//! | [`syslog::Record`] | `casque-init` | `casque-agent serve` | [`paths::SYSLOG_BUFFER`] |
//! | [`syslog::Cursor`] | `casque-agent serve` | `casque-agent serve` | [`paths::SYSLOG_CURSOR`] |
//! | [`stamp::Stamp`] | `casque-agent prepare` | `casque-agent prepare` | [`paths::STAMP`] |
//! | [`backup::Header`] | `backend backup` | `backend restore` | the backup |
//! | [`bundle::Manifest`] | `backend support-bundle` | the vendor's support | the bundle |
//! | [`shim::Report`] | `casque-shim` | `casque build` | the step's state directory |
//! | [`status::Status`] | `casque-agent serve` | the customer's monitor | `GET /status` |
//! | [`spdx::Document`] | `casque build` | `casque inspect`, scanners | [`paths::BILL`] |
//! | [`difference::Difference`] | `casque diff --json` | whoever writes release notes | stdout |
//! | [`signing::Signing`] | `casque keygen`, `sign`, `verify` | the vendor's programs | stdout |
//! | `archive::ArchiveRecord` | `casque release`, `casque sign --archive` | the customer's command, `casque verify --archive` | a signed archive |
//! | `release::Release` | `casque release` | `casque-depot`, customers | the depot |
//! | `releasing::Told` | `casque release --json` | CI | stdout |
//! | [`preflight::Preflight`] | `backend preflight --json` | whoever sets up a host | stdout |
//! | [`doctor::Examination`] | `casque doctor --json` | whoever sets up a machine | stdout |

#[cfg(feature = "release")]
pub mod archive;
pub mod backup;
pub mod bundle;
pub mod capacity;
pub mod control;
pub mod cron;
pub mod difference;
#[cfg(feature = "digest")]
pub mod digest;
pub mod doctor;
#[cfg(feature = "forms")]
pub mod forms;
pub mod image;
pub mod marks;
pub mod once;
pub mod paths;
pub mod preflight;
#[cfg(feature = "release")]
pub mod release;
#[cfg(feature = "release")]
pub mod releasing;
pub mod run;
pub mod settings;
pub mod shim;
#[cfg(feature = "release")]
mod signed;
pub mod signing;
pub mod spdx;
pub mod stamp;
pub mod status;
pub mod syslog;
pub mod version;
