//! A proxy for the programs of one build step: it records what they download, and later answers from that record alone.
//!
//! | module | does |
//! | --- | --- |
//! | [`record`] | what is kept of each download: plain data, part of the lock |
//! | `tape` | decides how a request is answered, when recording and when replaying |
//! | `message` | reads requests and writes answers, HTTP/1.1 |
//! | `authority` | vouches for every host to programs that use TLS |
//! | `proxy` | listens, and serves each connection in a thread of its own |
//! | `names` | answers questions for names, for those who do not ask the proxy |
//! | `pages` | makes an index of packages as small as what was taken from it |
//!
//! A program sees the same when it is recorded as when the record is replayed: the headers that are not kept are not
//! passed on, the same question gets the same answer twice, and what is asked for in part or on a condition is answered
//! whole.

mod authority;
#[cfg(test)]
mod fuzz;
mod message;
mod names;
mod pages;
mod proxy;
pub mod record;
mod tape;

pub use authority::{Authority, AuthorityError};
pub use proxy::{Proxy, Sockets};
pub use record::Fetch;
pub use tape::{Login, Preset, Tape, Told};
