//! Trees made into layers and images, and back, on real temporary directories.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod archive;
mod damage;
mod diff;
mod import;
mod layer;
mod members;
mod output;
mod scratch;
mod unpack;
