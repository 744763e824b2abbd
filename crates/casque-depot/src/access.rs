//! Who may do what: credentials, attempts, entitlements.

pub mod attempts;
pub mod authorization;
pub mod entitlement;
pub mod passwords;
pub(crate) mod who;
