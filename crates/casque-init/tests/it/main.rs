//! The real program with small real services.
#![expect(clippy::unwrap_used, reason = "clippy knows the tests here, not what they share")]

mod behaviour;
mod behaviours;
mod cleanup;
mod container;
mod control;
mod crash;
mod failures;
mod log;
mod maintenance;
mod migrations;
mod old_host;
mod prepare;
mod process;
mod ready;
mod sockets;
mod stop;
mod units;
mod volume;
