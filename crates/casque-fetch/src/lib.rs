//! Verified parallel downloads into a content-addressed store, and uploads that go on where they were.
//!
//! [`Network`] talks HTTP, [`Store`] keeps files under their SHA-256 digest, [`fetch_all`] joins the two and
//! [`Network::upload`] is the other direction. Nothing here
//! prints, reads the environment or asks for the time; the program passes all of that in.

mod credentials;
mod error;
mod exchange;
mod fetch;
#[cfg(test)]
mod fuzz;
mod network;
mod proxy;
mod retry;
mod store;
mod upload;

pub use credentials::{Credentials, NotCredentials};
pub use error::FetchError;
pub use exchange::{Answer, Exchange};
pub use fetch::{FetchSummary, Progress, Silent, Wanted, fetch_all};
pub use network::{Network, NetworkSettings};
pub use proxy::Proxies;
pub use store::{Entry, Store};
pub use upload::Upload;
