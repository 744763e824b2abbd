//! The real archive, and apt's opinion about it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod apt;
mod draw;
mod exceptions;
mod fuzz;
mod resolve;
mod same_as_apt;
