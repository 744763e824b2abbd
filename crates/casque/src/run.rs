//! Containers without an engine: what `casque run`, `stop`, `exec` and `logs` do.
//!
//! Each container has a directory in the state directory, named like it:
//!
//! | entry | what |
//! | --- | --- |
//! | `lock` | held by the program that supervises the container, as long as it lives |
//! | `state.json` | [`state::State`], written once it runs and once more when it has ended |
//! | `log`, `log.1` | what it wrote, see [`log`] |
//! | `changes`, `work`, `root` | the overlay over the unpacked image |
//! | `data` | its `/data`, unless the user gave a directory |
//!
//! Nothing here is a server: the supervising program is the parent of the container, in the
//! foreground or detached, and everything ends with it.

pub(crate) mod container;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod exec;
pub(crate) mod forward;
pub(crate) mod image;
pub(crate) mod log;
pub(crate) mod name;
pub(crate) mod publish;
pub(crate) mod rootfs;
pub(crate) mod state;
pub(crate) mod stop;
pub(crate) mod user;
