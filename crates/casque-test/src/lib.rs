//! What the tests of whole programs share: an environment of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod environment;

pub use environment::{Seen, TestEnv, program};
