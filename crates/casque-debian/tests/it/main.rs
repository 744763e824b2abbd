//! The real archive, and apt's opinion about it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod resolve;
