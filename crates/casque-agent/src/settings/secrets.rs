//! Secrets made at random once per instance, one file each in the data volume.

use std::io;
use std::path::PathBuf;

use casque_format::paths;
use fs_err as fs;

use super::Text;
use crate::root::Root;
use crate::write::{self, Access};

const LENGTH: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What the volume holds for a setting.
#[derive(Debug)]
pub enum Stored {
    /// Nothing yet.
    Missing,
    /// Its secret.
    Secret(Text),
    /// Perhaps something, but this user may not look.
    Hidden,
}

/// Reads the secret of `setting`.
pub fn read(root: &Root, setting: &str) -> io::Result<Stored> {
    let path = path(root, setting);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::Missing),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Stored::Hidden),
        Err(error) => return Err(error),
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    if text.is_empty() {
        let message = format!("`{}` is empty", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Stored::Secret(Text::new(text.to_owned())))
}

/// Stores `candidate` as the secret of `setting`, or returns the one that another start stored first.
pub fn keep(root: &Root, setting: &str, candidate: &Text) -> io::Result<Text> {
    write::make_directory(&root.join(paths::SECRETS), 0o700)?;
    if write::create(&path(root, setting), candidate.as_str().as_bytes(), Access::PRIVATE)? {
        return Ok(candidate.clone());
    }
    match read(root, setting)? {
        Stored::Secret(text) => Ok(text),
        Stored::Missing | Stored::Hidden => {
            let message = format!("`{}` belongs to another user", path(root, setting).display());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
        }
    }
}

/// Makes a new secret: 32 characters of `A-Za-z0-9`, each equally likely.
pub fn generate() -> io::Result<Text> {
    let mut secret = String::with_capacity(LENGTH);
    let mut bytes = [0; LENGTH];
    while secret.len() < LENGTH {
        getrandom::fill(&mut bytes)?;
        // Bytes past the last whole multiple of the alphabet would favour its beginning.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len());
        let characters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        secret.extend(characters.take(LENGTH - secret.len()));
    }
    Ok(Text::new(secret))
}

fn path(root: &Root, setting: &str) -> PathBuf {
    root.join(paths::SECRETS).join(setting)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_long_plain_and_all_different() {
        let secrets: BTreeSet<_> = (0..100).map(|_| generate().unwrap().as_str().to_owned()).collect();
        assert_eq!(secrets.len(), 100);
        assert!(secrets.iter().all(|secret| secret.len() == 32));
        let used: BTreeSet<_> = secrets.iter().flat_map(|secret| secret.bytes()).collect();
        assert_eq!(used, ALPHABET.iter().copied().collect());
    }

    #[test]
    fn starts_at_the_same_time_agree_on_one_secret() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        let kept: BTreeSet<_> = std::thread::scope(|scope| {
            let start = || keep(&root, "admin", &generate().unwrap()).unwrap().as_str().to_owned();
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(kept.len(), 1);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(root.join(paths::SECRETS)), 0o700);
        assert_eq!(mode(path(&root, "admin")), 0o600);
        assert_eq!(fs::read_dir(root.join(paths::SECRETS)).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_secret_file_is_an_error_not_a_password() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        fs::create_dir_all(root.join(paths::SECRETS)).unwrap();
        fs::write(path(&root, "admin"), "\n").unwrap();
        assert!(
            read(&root, "admin").unwrap_err().to_string().ends_with("/data/casque/secrets/admin` is empty")
        );
    }
}
