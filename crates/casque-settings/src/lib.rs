//! What a setting's value must look like, and what its description must say; no I/O.
//!
//! Two programs ask: the build judges what the vendor wrote, the agent what the customer gave. Both have to say the same,
//! or a default that the build accepted could keep an instance from starting.

mod expected;
mod schema;
mod value;

pub use expected::expected;
pub use schema::{Mistake, judge};
pub use value::check;
