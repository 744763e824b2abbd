//! Downloads from a small real server.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod fetch;
mod network;
mod resume;
mod server;
mod store;
mod upload;
