//! The shim as its users meet it: a step in a temporary root, its command a small shell script.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod host;
mod step;
mod supervisorctl;
mod systemctl;
mod test_step;
