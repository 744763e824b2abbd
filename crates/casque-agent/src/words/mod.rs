//! What the customer types after `docker exec NAME`, one file per word.

pub mod backup;
pub mod events;
pub mod exec_as;
pub mod external;
pub mod health;
pub mod logs;
pub mod mail_test;
pub mod preflight;
pub mod program;
pub mod reload;
pub mod restore;
pub mod service;
pub mod settings;
pub mod status;
pub mod support_bundle;
pub mod verify;
