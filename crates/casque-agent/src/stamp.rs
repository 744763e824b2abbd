//! The stamp that says whose volume this is.

use std::io;

use casque_format::image::Product;
use casque_format::paths;
use casque_format::stamp::{self, Stamp};
use thiserror::Error;

use crate::root::Root;
use crate::write::{self, Access};

/// Why the volume is refused.
#[derive(Debug, Error)]
pub enum StampError {
    /// It belongs to something else.
    #[error(
        "volume `{}` belongs to `{found}` {version}, this is `{expected}`; start with a volume of its own",
        paths::DATA
    )]
    OtherProduct {
        /// Whose it is.
        found: String,
        /// The version that last wrote it.
        version: String,
        /// What this image is.
        expected: String,
    },
    /// A stamp that cannot be understood; what wrote it may be newer.
    #[error("cannot understand the stamp `{path}` of the volume: {0}", path = paths::STAMP)]
    Unreadable(serde_json::Error),
    /// A stamp of a newer format.
    #[error("the stamp `{path}` has version {0}, this image knows version {known}", path = paths::STAMP, known = stamp::VERSION)]
    Newer(u32),
    /// It cannot be read or written; the source names the path.
    #[error("cannot use the stamp of the volume: {0}")]
    Io(io::Error),
}

/// Returns the stamp of the volume, or nothing for a new one; refuses another product's volume.
pub fn read(root: &Root, product: &Product) -> Result<Option<Stamp>, StampError> {
    let content = match fs_err::read(root.join(paths::STAMP)) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StampError::Io(error)),
    };
    let stamp: Stamp = serde_json::from_slice(&content).map_err(StampError::Unreadable)?;
    if stamp.version > stamp::VERSION {
        return Err(StampError::Newer(stamp.version));
    }
    if stamp.product != product.name {
        return Err(StampError::OtherProduct {
            found: stamp.product,
            version: stamp.product_version,
            expected: product.name.clone(),
        });
    }
    Ok(Some(stamp))
}

/// Writes that `product` uses the volume now, keeping the instance of an earlier stamp.
pub fn write(root: &Root, product: &Product, earlier: Option<Stamp>) -> Result<(), StampError> {
    let instance = match &earlier {
        Some(stamp) => stamp.instance.clone(),
        None => new_instance().map_err(StampError::Io)?,
    };
    let stamp = Stamp {
        version: stamp::VERSION,
        product: product.name.clone(),
        product_version: product.version.clone(),
        instance,
    };
    if earlier.as_ref() == Some(&stamp) {
        return Ok(());
    }
    let mut content = serde_json::to_vec_pretty(&stamp).map_err(StampError::Unreadable)?;
    content.push(b'\n');
    let (path, access) = (root.join(paths::STAMP), Access { mode: 0o644, owner: None });
    // Of two first starts at the same time one makes the instance, and the other leaves it alone.
    let written = match earlier {
        Some(_) => write::replace(&path, &content, access),
        None => write::create(&path, &content, access).map(|_| ()),
    };
    written.map_err(StampError::Io)
}

fn new_instance() -> io::Result<String> {
    Ok(format!("{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(name: &str, version: &str) -> Product {
        Product { name: name.to_owned(), version: version.to_owned(), command: "backend".to_owned() }
    }

    #[test]
    fn the_instance_stays_while_versions_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        fs_err::create_dir_all(root.join("/data/casque")).unwrap();
        assert_eq!(read(&root, &product("a/b", "1")).unwrap(), None);
        write(&root, &product("a/b", "1"), None).unwrap();
        let first = read(&root, &product("a/b", "2")).unwrap().unwrap();
        assert_eq!((first.product_version.as_str(), first.instance.len()), ("1", 32));
        write(&root, &product("a/b", "2"), Some(first.clone())).unwrap();
        let second = read(&root, &product("a/b", "2")).unwrap().unwrap();
        assert_eq!((second.product_version.as_str(), second.instance), ("2", first.instance));
    }

    #[test]
    fn foreign_newer_and_broken_stamps_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        fs_err::create_dir_all(root.join("/data/casque")).unwrap();
        let refused = |content: &str| {
            fs_err::write(root.join(paths::STAMP), content).unwrap();
            read(&root, &product("a/b", "1")).unwrap_err().to_string()
        };
        assert_eq!(
            refused(r#"{"version":1,"product":"c/d","product_version":"3","instance":"x"}"#),
            "volume `/data` belongs to `c/d` 3, this is `a/b`; start with a volume of its own"
        );
        assert_eq!(
            refused(r#"{"version":2,"product":"a/b","product_version":"3","instance":"x"}"#),
            "the stamp `/data/casque/stamp.json` has version 2, this image knows version 1"
        );
        assert!(
            refused("{").starts_with("cannot understand the stamp `/data/casque/stamp.json` of the volume: ")
        );
    }
}
