//! The real program on a root of its own.
#![expect(clippy::unwrap_used, reason = "this is all test, also outside of the functions marked as such")]

mod backup;
mod external;
mod filters;
mod instance;
mod live;
mod mail_test;
mod preflight;
mod prepare;
mod serve;
mod settings;
mod support_bundle;
mod syslog;
mod tls;
mod words;
