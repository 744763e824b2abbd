//! Tests of casque-depot.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod connections;
mod downloads;
mod fuzz;
mod house;
mod latest;
mod pages;
mod parsers;
mod releases;
mod upkeep;
mod uploads;
