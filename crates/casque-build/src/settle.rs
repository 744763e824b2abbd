//! Times inside of files that a stage changed, which no layer could settle from outside: none is later than the epoch.
//!
//! `SOURCE_DATE_EPOCH` settles them for whoever has it in its environment; services, `sudo` and imports do not.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use casque_image::diff::Change;
use fs_err::{File, OpenOptions};

const SECONDS_OF_A_DAY: u64 = 86_400;
/// Where passwords were last changed, as a number of days (shadow(5)).
const SHADOW: &str = "etc/shadow";
/// A compiled file's head: a number of the version, flags, and the source's time and size (PEP 552).
const HEAD: usize = 16;

/// Settles the times in what changed below `root`.
pub(crate) fn settle(root: &Path, changes: &[Change], epoch: u64) -> io::Result<()> {
    for change in changes {
        let Change::Present(path) = change else { continue };
        let full = root.join(path);
        let is_file = || full.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        if path == Path::new(SHADOW) && is_file() {
            settle_shadow(&full, epoch / SECONDS_OF_A_DAY)?;
        } else if path.extension().is_some_and(|extension| extension == "pyc") && is_file() {
            settle_bytecode(&full, epoch)?;
        }
    }
    Ok(())
}

fn settle_shadow(path: &Path, today: u64) -> io::Result<()> {
    let text = fs_err::read_to_string(path)?;
    let settled: String = text
        .split_inclusive('\n')
        .map(|line| {
            let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
            if let Some(changed) = fields.get_mut(2)
                && changed.parse::<u64>().is_ok_and(|changed| changed > today)
            {
                *changed = today.to_string();
            }
            fields.join(":")
        })
        .collect();
    // In its place: whose it is and who may read it stay as they are.
    if settled == text { Ok(()) } else { fs_err::write(path, settled) }
}

/// Has bytecode that knows its source by its time know it by the time which the layer gives the source.
fn settle_bytecode(path: &Path, epoch: u64) -> io::Result<()> {
    let mut head = [0; HEAD];
    let mut file = File::open(path)?;
    match file.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        read => read?,
    }
    let field = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // Flags other than 0 mean that it knows its source by a hash.
    let Some(source) = source(path).filter(|_| field(4) == 0) else { return Ok(()) };
    let Ok(metadata) = source.symlink_metadata() else { return Ok(()) };
    let time = u64::try_from(metadata.mtime()).unwrap_or_default();
    // One of another source is stale, and stays so.
    let is_its = metadata.is_file() && u64::from(field(8)) == time & u64::from(u32::MAX);
    if !is_its || time <= epoch {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(8))?;
    file.write_all(&(epoch & u64::from(u32::MAX)).to_le_bytes()[..4])
}

/// Returns the source of `a/__pycache__/b.cpython-311.pyc`.
fn source(path: &Path) -> Option<PathBuf> {
    let directory = path.parent().filter(|parent| parent.ends_with("__pycache__"))?.parent()?;
    let name = path.file_name()?.to_str()?.strip_suffix(".pyc")?;
    let (module, _) = name.split_once(".cpython-")?;
    Some(directory.join(format!("{module}.py")))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const EPOCH: u64 = 20_000 * SECONDS_OF_A_DAY + 77;

    fn settled(root: &Path, path: &str) -> Vec<u8> {
        settle(root, &[Change::Present(path.into()), Change::Removed("gone".into())], EPOCH).unwrap();
        fs_err::read(root.join(path)).unwrap()
    }

    #[test]
    fn a_password_was_changed_no_later_than_the_epoch() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("etc/shadow");
        fs_err::create_dir(root.path().join("etc")).unwrap();
        fs_err::write(&path, "root:*:19000:0:99999:7:::\nweb:!:20784::::::\nodd:!\nnone:!:::::::").unwrap();
        fs_err::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let expected = "root:*:19000:0:99999:7:::\nweb:!:20000::::::\nodd:!\nnone:!:::::::";
        assert_eq!(String::from_utf8(settled(root.path(), "etc/shadow")).unwrap(), expected);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn bytecode_knows_its_source_by_the_time_that_the_layer_gives_it() {
        let compiled = |flags: u8, time: u64| {
            let time = u32::try_from(time).unwrap().to_le_bytes();
            [&[1, 2, 3, 4, flags, 0, 0, 0], &time[..], &[9, 0, 0, 0], b"code"].concat()
        };
        let after = |source_time: u64, bytecode: Vec<u8>| {
            let root = tempfile::tempdir().unwrap();
            fs_err::create_dir_all(root.path().join("app/__pycache__")).unwrap();
            let source = File::create(root.path().join("app/main.py")).unwrap();
            source.file().set_modified(UNIX_EPOCH + Duration::from_secs(source_time)).unwrap();
            let path = "app/__pycache__/main.cpython-311.pyc";
            fs_err::write(root.path().join(path), bytecode).unwrap();
            settled(root.path(), path)
        };
        let late = EPOCH + 1_000;
        assert_eq!(after(late, compiled(0, late)), compiled(0, EPOCH), "the layer's time");
        assert_eq!(after(late, compiled(1, late)), compiled(1, late), "a hash is no time");
        assert_eq!(after(late, compiled(0, late + 1)), compiled(0, late + 1), "of another source");
        assert_eq!(after(EPOCH - 9, compiled(0, EPOCH - 9)), compiled(0, EPOCH - 9), "old enough");
        assert_eq!(after(late, b"short".to_vec()), b"short");
    }
}
