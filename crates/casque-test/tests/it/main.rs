//! Tests of whole programs, as their users start them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod container;
mod run;
