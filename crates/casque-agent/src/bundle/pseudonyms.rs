//! Names that stand for secrets: the same for the same value, and of no help to whoever guesses one.

use std::io;
use std::os::unix::fs::MetadataExt;

use casque_format::bundle::Scope;
use casque_format::paths;
use fs_err as fs;
use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::root::Root;
use crate::write::{self, Access};

const LENGTH: usize = 32;
/// So many bytes of the digest are shown.
const SHOWN: usize = 4;

/// Makes them.
pub struct Pseudonyms {
    key: Key,
    /// Where they are the same.
    pub scope: Scope,
}

impl Pseudonyms {
    /// Takes the key of the volume, and makes it if it `may_write`; else one that is forgotten.
    ///
    /// # Errors
    /// No chance to be had.
    pub fn of_volume(root: &Root, may_write: bool) -> io::Result<Self> {
        let mut fresh = [0; LENGTH];
        getrandom::fill(&mut fresh)?;
        let path = root.join(paths::PSEUDONYMS);
        if may_write {
            // Where it cannot be kept, the scope says so.
            let directory = path.parent().and_then(|directory| fs::metadata(directory).ok());
            let _ = directory.map(|owner| {
                // A bundle made by root is not the last one of a volume that is another user's.
                write::create(&path, &fresh, Access::handed_to(owner.uid(), owner.gid(), 0o600))
            });
        }
        let kept = fs::read(&path).ok().filter(|key| key.len() == LENGTH);
        let scope = if kept.is_some() { Scope::Volume } else { Scope::Bundle };
        Ok(Self { key: Key::new(HMAC_SHA256, kept.as_deref().unwrap_or(&fresh)), scope })
    }

    /// Returns the name of a value, such as `secret-smtp-url-1a2b3c4d`.
    pub fn of(&self, name: Option<&str>, value: &[u8]) -> String {
        let digest = sign(&self.key, value);
        let shown: String = digest.as_ref().iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
        match name {
            Some(name) => format!("secret-{name}-{shown}"),
            None => format!("secret-{shown}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_value_keeps_its_name_as_long_as_the_volume_keeps_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        let make = |may_write| Pseudonyms::of_volume(&root, may_write).unwrap();
        let (one, other) = (make(true), make(true));
        assert_eq!((one.scope, other.scope), (Scope::Bundle, Scope::Bundle));
        assert_ne!(
            one.of(Some("a"), b"value"),
            other.of(Some("a"), b"value"),
            "a key of its own, where there is no volume"
        );
        fs::create_dir_all(root.join("/data/casque")).unwrap();
        assert_eq!(make(false).scope, Scope::Bundle);
        assert!(!root.join(paths::PSEUDONYMS).exists());
        let (one, other) = (make(true), make(false));
        assert_eq!((one.scope, other.scope), (Scope::Volume, Scope::Volume));
        assert_eq!(one.of(Some("a"), b"value"), other.of(Some("a"), b"value"));
        assert_ne!(one.of(Some("a"), b"value"), one.of(Some("a"), b"valuf"));
        let (name, of) = (one.of(Some("smtp-url"), b"value"), one.of(Some("a"), b"value"));
        assert_eq!(name.strip_prefix("secret-smtp-url-"), of.strip_prefix("secret-a-"));
        let mode = fs::metadata(root.join(paths::PSEUDONYMS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        fs::write(root.join(paths::PSEUDONYMS), "short").unwrap();
        assert_eq!(make(true).scope, Scope::Bundle);
    }
}
