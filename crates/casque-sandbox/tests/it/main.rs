//! Sandboxes for real. These tests need root, as sandboxes do: without it they fail and say so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod environment;
mod lifetime;
mod mounts;
mod network;
mod spec;
mod user;
