//! The handbook as a customer reads it, out of plans of several products.
#![expect(clippy::unwrap_used, reason = "this is all test, also outside of the functions marked as such")]

mod handbook;
mod page;
mod product;
