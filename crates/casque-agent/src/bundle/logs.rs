//! The ends of log files, newest first, as many as there is room for.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use casque_format::bundle::Missing;
use casque_format::paths;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;

use super::collect::{Collector, Part};
use crate::root::Root;

/// Of one file: some twenty thousand lines.
const ONE: u64 = 2 << 20;
/// Of all files.
const ALL: u64 = 24 << 20;

struct Found {
    name: String,
    path: PathBuf,
    size: u64,
    changed: i64,
}

/// Returns a collector of them.
pub fn collector(root: &Root) -> Collector {
    let directory = root.join(paths::LOGS);
    Box::new(move |give| {
        let mut left = ALL;
        let files = match files(&directory) {
            Ok(files) => files,
            Err(reason) => return give(Err(Missing { name: "logs".to_owned(), reason })),
        };
        for found in files {
            let name = format!("logs/{}", found.name);
            let wanted = ONE.min(found.size);
            if left < wanted {
                let reason = format!("{} MiB of newer log files are there", ALL >> 20);
                give(Err(Missing { name, reason }));
                continue;
            }
            let part = end(&found.path, wanted).map(|(content, truncated)| {
                left = left.saturating_sub(u64::try_from(content.len()).unwrap_or(u64::MAX));
                Part { name: name.clone(), about: "the end of a log file", content, truncated }
            });
            give(part.map_err(|error| Missing { name, reason: error.to_string() }));
        }
    })
}

/// Returns every file, the one that was written last first.
fn files(directory: &Path) -> Result<Vec<Found>, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let facts = entry.metadata().map_err(|error| error.to_string())?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if facts.is_file() {
            files.push(Found { name, path, size: facts.len(), changed: facts.mtime() });
        }
    }
    files.retain(|file| file.size > 0);
    files.sort_by(|one, other| (other.changed, &one.name).cmp(&(one.changed, &other.name)));
    Ok(files)
}

/// Returns the last whole lines of a file, at most so many bytes, and whether something is before them.
fn end(path: &Path, limit: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut options = fs::OpenOptions::new();
    // What was a file a moment ago must not be waited for.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits()).unwrap_or(0);
    let mut file = options.read(true).custom_flags(flags).open(path)?;
    let size = file.metadata()?.len();
    let skipped = size.saturating_sub(limit);
    file.seek(SeekFrom::Start(skipped))?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    if skipped > 0 {
        // Half a line may begin with half a secret.
        let line = content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| at + 1);
        content.drain(..line);
    }
    Ok((content, skipped > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_file_the_last_whole_lines_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.log");
        fs::write(&path, "first line\nsecond\nthird\n").unwrap();
        let text = |limit| {
            let (content, truncated) = end(&path, limit).unwrap();
            (String::from_utf8(content).unwrap(), truncated)
        };
        assert_eq!(text(100), ("first line\nsecond\nthird\n".to_owned(), false));
        assert_eq!(text(15), ("second\nthird\n".to_owned(), true));
        assert_eq!(text(4), (String::new(), true));
    }

    #[test]
    fn the_newest_come_first_and_what_there_is_no_room_for_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        let logs = root.join(paths::LOGS);
        fs::create_dir_all(logs.join("directory")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", logs.join("link.log")).unwrap();
        for number in 0..14_u64 {
            let path = logs.join(format!("{number:02}.log"));
            fs::write(&path, "0123456789abcde\n".repeat(200_000)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + number);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        let (mut sizes, mut missing) = (Vec::new(), Vec::new());
        collector(&root)(&mut |part| match part {
            Ok(part) => sizes.push((part.name, part.content.len(), part.truncated)),
            Err(one) => missing.push(one),
        });
        assert_eq!(sizes[0], ("logs/13.log".to_owned(), (2 << 20) - 16, true));
        assert!(sizes.iter().map(|(_, size, _)| size).sum::<usize>() <= 24 << 20);
        let last = Missing {
            name: "logs/00.log".to_owned(),
            reason: "24 MiB of newer log files are there".to_owned(),
        };
        assert_eq!(missing.last(), Some(&last));
    }
}
