//! Tests of casque-sign.

mod chain;
mod minisign;
mod parsers;
