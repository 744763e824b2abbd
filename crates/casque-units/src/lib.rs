//! Translates systemd units and supervisor programs into casque services.
//!
//! Text in, types out: nothing here reads a file, looks up a user or asks for the environment. Users
//! stay names, because only the root filesystem in question can turn them into numbers.
//!
//! What a tool can say and casque cannot carry over is not an error but one of [`Translated::notes`], which say how
//! much it matters;
//! what would make the service behave wrongly is a [`UnitError`] with a remedy.

mod error;
mod note;
mod signal;
pub mod supervisor;
pub mod systemd;
mod translated;
mod words;

pub use error::UnitError;
pub use note::{Note, Weight, summary};
pub use signal::signal_name;
pub use translated::{Startup, Step, Translated};
