//! The volume: present, this product's, writable, free, and with room.

use std::io::Read as _;

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::preflight::Check;
use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::host::Needed;
use super::{amount, helped, refused};
use crate::error::Error;
use crate::prepare::{read_stamp, unusable};
use crate::root::Root;
use crate::{mounts, volume, write};

/// No host name is longer on Linux.
const LONGEST_NAME: u64 = 64;

/// Says what a start would refuse of the volume, and what it would warn of. `running`: it is this container's.
pub fn check(root: &Root, plan: &ImagePlan, running: bool) -> Check {
    let what = mounts::description(root).unwrap_or_else(|| "it".to_owned());
    let read = match read_stamp(root, plan).and_then(|stamp| writable(root, plan).map(|()| stamp)) {
        Ok(read) => read,
        Err(error) => return refused("volume", &error),
    };
    if !running && let Some(user) = user(root) {
        return Check::warning("volume", format!("{what} is used by another container{user}"))
            .so("a start on it is refused until that one has ended")
            .remedy("stop that one first");
    }
    if let Some(warning) = mounts::warning(root) {
        return helped(
            Check::warning("volume", "").so("the product's next container has none of its data"),
            &warning,
        );
    }
    let of = match &read {
        Some(stamp) => format!("has data of {} {}", stamp.product, stamp.product_version),
        None => "is new".to_owned(),
    };
    Check::ok("volume", format!("{what}, can be written and {of}"))
}

/// Writes where a start would, but leaves a volume empty that is.
fn writable(root: &Root, plan: &ImagePlan) -> Result<(), Error> {
    let own = root.join(paths::STAMP).parent().expect("the stamp is in a directory").to_owned();
    let place = if own.is_dir() { own } else { root.join(paths::DATA) };
    write::probe(&place).map_err(|source| unusable(root, plan, paths::DATA, source))
}

/// Returns what another container that holds the lock calls itself.
fn user(root: &Root) -> Option<String> {
    let file = fs::File::open(root.join(paths::LOCK)).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {}
        // Closing the file gives it back.
        Ok(()) | Err(_) => return None,
    }
    let mut name = String::new();
    let _ = file.take(LONGEST_NAME).read_to_string(&mut name);
    Some(if name.trim().is_empty() { String::new() } else { format!(" (`{}`)", name.trim()) })
}

/// Says how much room there is.
pub fn room(root: &Root, needed: &Needed) -> Check {
    let Some(volume) = volume::volume(root) else {
        return Check::not_checked("disk-space", "there is no volume to ask");
    };
    let free = format!("{} of {} are free", amount(volume.free_bytes), amount(volume.total_bytes));
    let consequence = "databases stop to write when none is left";
    let remedy = "a volume with more room";
    if volume::warning(volume).is_some() {
        return Check::warning("disk-space", free).so(consequence).remedy(remedy);
    }
    // Of a volume that is in use nobody knows how much of what it has is asked for here, without a look at every file.
    let is_new = fs::symlink_metadata(root.join(paths::STAMP)).is_err();
    if is_new && volume.free_bytes < needed.disk {
        let fact = format!("{free}, the services need {}", amount(needed.disk));
        return Check::warning("disk-space", fact).so(consequence).remedy(remedy);
    }
    Check::ok("disk-space", free)
}
