//! Tests of casque-sign.
#![expect(clippy::unwrap_used, reason = "clippy knows the tests here, not what they share")]

mod archive;
mod chain;
mod minisign;
mod parsers;
