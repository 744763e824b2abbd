//! One file per command: its arguments, and what it does.

pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod fetch;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod release;
pub(crate) mod run;
pub(crate) mod sbom;
pub(crate) mod sign;
pub(crate) mod stop;
pub(crate) mod verify;
