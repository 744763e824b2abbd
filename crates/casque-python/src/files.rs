//! Which files a distribution installed, by its `RECORD`.

use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use casque_format::digest::Digest;
use fs_err as fs;

use crate::PythonError;
use crate::record::rows;
use crate::requirements::normalised;

/// A distribution that some installer put into an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledDistribution {
    /// Its normalised name.
    pub name: String,
    /// Its files, relative to the root, each with its digest where that is known.
    pub files: Vec<(PathBuf, Option<Digest>)>,
}

impl InstalledDistribution {
    /// Reads the `RECORD` at `path`, relative to `root`; nothing when it is not that of a distribution.
    pub fn read(root: &Path, path: &Path) -> Result<Option<Self>, PythonError> {
        let (Some(information), Some(file)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Some(site) = information.parent() else { return Ok(None) };
        let stem = information.file_name().and_then(|name| name.to_str()?.strip_suffix(".dist-info"));
        let Some((name, _)) = stem.and_then(|stem| stem.rsplit_once('-')) else { return Ok(None) };
        if file != "RECORD" {
            return Ok(None);
        }
        let bytes = fs::read(root.join(path)).map_err(PythonError::Disk)?;
        let text = String::from_utf8_lossy(&bytes);
        let files = rows(&text).filter_map(|(listed, hash)| {
            let digest = hash.strip_prefix("sha256=").and_then(decoded);
            Some((inside(site, &listed)?, digest))
        });
        Ok(Some(Self { name: normalised(name), files: files.collect() }))
    }
}

fn decoded(text: &str) -> Option<Digest> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().ok()
}

/// Returns a listed path relative to the root; nothing for one that leads out of it.
fn inside(site: &Path, listed: &str) -> Option<PathBuf> {
    let mut path = site.to_owned();
    for component in Path::new(listed).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => path.pop().then_some(())?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_record_names_the_files_wherever_they_are() {
        let root = TempDir::new().unwrap();
        let record = Path::new("opt/v/lib/python3.11/site-packages/Fl_Ask-3.1.dist-info/RECORD");
        fs::create_dir_all(root.path().join(record.parent().unwrap())).unwrap();
        let text = "../../../bin/flask,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\
            \"fl,ask.py\",,\n../../../../../../etc/passwd,,\n/etc/shadow,,\n";
        fs::write(root.path().join(record), text).unwrap();
        let read = InstalledDistribution::read(root.path(), record).unwrap().unwrap();
        assert_eq!(read.name, "fl-ask");
        assert_eq!(
            read.files,
            [
                ("opt/v/bin/flask".into(), Some(Digest::of(b""))),
                ("opt/v/lib/python3.11/site-packages/fl,ask.py".into(), None),
            ]
        );
        let other = Path::new("opt/v/RECORD");
        assert_eq!(InstalledDistribution::read(root.path(), other).unwrap(), None);
    }
}
