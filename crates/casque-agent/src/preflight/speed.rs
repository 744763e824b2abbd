//! How fast the volume is, by what databases do on it: small writes, each synced.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use casque_format::paths;
use casque_format::preflight::Check;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;

use crate::root::Root;

/// What a database writes for one small change.
const SMALL: usize = 4 << 10;
/// What it writes at once when it tidies up.
const LARGE: usize = 512 << 10;
/// All that is written of each.
const MOST_SMALL: u32 = 128;
const MOST_LARGE: u32 = 7;
/// Each of the two ends after so long.
const LONGEST: Duration = Duration::from_secs(1);
/// A disk that turns has a hundred or more, in a second.
const SLOW: f64 = 50.0;

/// Writes a file that nobody else sees and that is gone before this returns.
pub fn check(root: &Root) -> Check {
    match measured(root) {
        Ok((small, large)) => judged(small, large),
        Err(_) => Check::not_checked("disk-speed", "the volume cannot be written"),
    }
}

/// Judges writes of each kind in a second.
fn judged(small: f64, large: f64) -> Check {
    let megabytes = large * LARGE as f64 / f64::from(1 << 20);
    let fact = format!("{small:.0} synced writes in a second, {megabytes:.0} MiB/s at once");
    if small >= SLOW {
        return Check::ok("disk-speed", fact);
    }
    Check::warning("disk-speed", fact)
        .so("everything that stores something waits for the disk")
        .remedy("a volume on a disk of this machine, best without turning parts")
}

fn measured(root: &Root) -> io::Result<(f64, f64)> {
    let path = root.join(&format!("{}/.speed.{:016x}", paths::DATA, getrandom::u64()?));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok((rate(&mut file, SMALL, MOST_SMALL)?, rate(&mut file, LARGE, MOST_LARGE)?))
}

fn rate(file: &mut fs::File, size: usize, most: u32) -> io::Result<f64> {
    let block = vec![0x5a; size];
    let (begin, mut count) = (Instant::now(), 0);
    while count < most && begin.elapsed() < LONGEST {
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64().max(1e-9))
}

#[cfg(test)]
mod tests {
    use casque_format::preflight::Verdict;

    use super::*;

    #[test]
    fn a_slow_disk_is_warned_of() {
        assert_eq!(
            judged(50.0, 4.0),
            Check::ok("disk-speed", "50 synced writes in a second, 2 MiB/s at once")
        );
        assert_eq!(judged(49.4, 4.0).verdict, Verdict::Warning);
    }

    #[test]
    fn what_was_written_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        assert_eq!(check(&root).verdict, Verdict::NotChecked);
        fs::create_dir(root.join(paths::DATA)).unwrap();
        assert!(check(&root).fact.contains(" synced writes in a second, "));
        assert_eq!(fs::read_dir(root.join(paths::DATA)).unwrap().count(), 0);
    }
}
