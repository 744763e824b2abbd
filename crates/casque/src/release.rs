//! From a tag to the depot: a clean checkout, the project's own commands, what they made, signed and uploaded.
//!
//! Every step leaves something whole behind before the next begins, and looks first whether it is there. So a run that was
//! killed is run again, and ends where it would have ended. `docs/release.md` is what the vendor reads.

mod build;
pub(crate) mod config;
mod depot;
pub(crate) mod error;
mod git;
pub(crate) mod guard;
mod notes;
mod record;
pub(crate) mod steps;
mod teller;
pub(crate) mod token;
pub(crate) mod watch;
mod work;
