//! How much room the volume has.

use casque_format::paths;
use casque_format::status::Volume;
use rustix::fs::statvfs;

use crate::root::Root;

/// Below so many percent an operator is warned: databases stop to write at none.
const LITTLE: u64 = 5;

/// Asks the kernel; nothing is known of a volume that is not there.
pub fn volume(root: &Root) -> Option<Volume> {
    let found = statvfs(root.join(paths::DATA)).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    // Of what is free, `f_bavail` is what services that are not root may use.
    Some(Volume { total_bytes: bytes(found.f_blocks), free_bytes: bytes(found.f_bavail) })
}

/// Returns what an operator must know about the room that is left.
pub fn warning(volume: Volume) -> Option<String> {
    let percent = volume.free_bytes.saturating_mul(100).checked_div(volume.total_bytes)?;
    let megabytes = volume.free_bytes >> 20;
    (percent < LITTLE)
        .then(|| format!("the data volume is almost full: {percent} % or {megabytes} MiB are free"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_is_almost_full_is_warned_of() {
        let volume = |free_bytes| Volume { total_bytes: 1000 << 20, free_bytes };
        assert_eq!(warning(volume(50 << 20)), None);
        let said = "the data volume is almost full: 4 % or 49 MiB are free";
        assert_eq!(warning(volume(49 << 20)).as_deref(), Some(said));
        assert_eq!(warning(Volume { total_bytes: 0, free_bytes: 0 }), None);
    }
}
