//! Tests of the proxy as its clients see it: over sockets, with a server that stands in for the internet.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod internet;
mod record;
mod tunnel;
