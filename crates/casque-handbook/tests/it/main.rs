//! The handbook as a customer reads it, out of plans of several products.

mod handbook;
mod page;
mod product;
