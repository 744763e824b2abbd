//! The download host: releases for customers with a licence, uploads from the vendor's builds, and who fetched what.
//!
//! It knows nothing of what is in an image: a release is a signed record and the files that this names.

pub mod access;
pub mod address;
mod answer;
pub mod app;
mod audit;
pub mod bill;
mod builds;
mod choice;
pub mod config;
mod download;
pub mod error;
mod file_body;
mod health;
mod incoming;
mod install;
mod line;
mod metrics;
mod pages;
mod publish;
pub mod range;
pub mod records;
pub mod serve;
pub mod storage;
mod tls;
pub mod upkeep;
mod upload;
