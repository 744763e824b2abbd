//! Tests of whole programs, as their users start them, and of the repository as a whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_archive;
mod bad_manifest;
mod container;
mod dependencies;
mod differing_images;
mod docs;
mod documents;
mod foreign_base;
mod forms;
mod full_disk;
mod further_archives;
mod init;
mod logins;
mod offline;
mod repository;
mod run;
mod signed_archive;
mod signing;
mod tampered_archive;
mod tidy;
mod verified;
