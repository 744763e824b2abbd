//! The time of day: without a network nobody knows it, but some times it cannot be.

use std::os::unix::fs::MetadataExt as _;

use casque_format::cron::minute;
use casque_format::paths;
use casque_format::preflight::Check;
use fs_err as fs;

use crate::root::Root;

/// Two machines that use a volume one after the other may differ by so many seconds.
const TOLERATED: i64 = 60;

/// Compares `now`, seconds since 1970, with when the image was made and when the volume was last started on.
pub fn check(root: &Root, now: i64) -> Check {
    let written = |path| fs::symlink_metadata(root.join(path)).ok().map(|metadata| metadata.mtime());
    let past = [
        (written(paths::IMAGE_PLAN), "this image was made"),
        (written(paths::LOCK), "this volume was last started on"),
    ];
    let mut past = past.into_iter().filter_map(|(time, what)| Some((time?, what)));
    let fact = format!("it is {} UTC", minute(now));
    match past.find(|(time, _)| now < time - TOLERATED) {
        Some((time, what)) => Check::warning("clock", format!("{fact}, before {what} ({})", minute(time)))
            .so("certificates are not valid yet, and log-ins, schedules and logs have wrong times")
            .remedy("set the clock of the host, and have a time service keep it"),
        None => Check::ok("clock", fact),
    }
}
