//! Debian archives: verify, resolve, download, unpack.
//!
//! [`load_archives`] fetches and checks metadata, [`resolve()`] chooses packages as apt does, [`Pin`] is what a lock file
//! keeps of them. [`unpack()`] puts their files and dpkg's records into a root directory, and [`configure_batches`]
//! says in which order dpkg has to configure them there. Nothing here runs a program or asks for the time.

mod archive;
mod compress;
mod control;
mod date;
mod deb;
mod files;
mod kept;
mod keyring;
mod mention;
mod order;
mod pin;
mod relation;
mod release;
mod resolve;
mod stanza;
mod universe;
mod unpack;
mod verify;
mod version;

pub use archive::{Archive, ArchiveError, ArchiveReason, Snapshot, load_archives};
pub use compress::CompressError;
pub use control::{Control, ControlError, Relations};
pub use deb::{Deb, DebError};
pub use files::{Brought, PackageFiles};
pub use keyring::{Distrust, Keyring, KeyringError};
pub use mention::Mention;
pub use order::{Batch, configure_batches, preinst_order};
pub use pin::{Pin, PinnedArchive};
pub use relation::{Alternatives, NotARelation, Operator, Relation, parse_relations};
pub use release::{Release, ReleaseError};
pub use resolve::{Change, Request, ResolveError, Step, resolve, resolve_on};
pub use stanza::{Stanza, stanzas};
pub use universe::{Package, PackagePin, Preferences, Universe, UniverseError, matches};
pub use unpack::{UnpackError, add_control, forget_left_out, installed_packages, prepare_root, unpack};
pub use verify::{Verified, VerifyError, verify_clear_signed, verify_detached};
pub use version::Version;
