//! The stamp that says whose volume this is.

use std::io;

use casque_format::image::Product;
use casque_format::paths;
use casque_format::stamp::{self, Stamp};
use casque_format::version;
use thiserror::Error;

use crate::root::Root;
use crate::update;
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
    /// Its data are those of a later version.
    #[error(
        "volume `{}` has data of `{product}` {found}, this is {own}; start version {found} or newer, or restore a backup that {own} made",
        paths::DATA
    )]
    NewerData {
        /// Whose data.
        product: String,
        /// The version whose data they are.
        found: String,
        /// The version of this image.
        own: String,
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

/// Returns the stamp of the volume, or nothing for a new one; refuses another product's volume and a newer version's data.
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
    let found = update::version(root, &stamp);
    if version::compare(found, &product.version).is_gt() {
        let (found, own) = (found.to_owned(), product.version.clone());
        return Err(StampError::NewerData { product: stamp.product, found, own });
    }
    Ok(Some(stamp))
}

/// Who uses the volume now.
pub struct User<'a> {
    /// What it is.
    pub product: &'a Product,
    /// The one-shots of this start that run once for each version, sorted.
    pub migrations: Vec<String>,
    /// As which user PID 1 runs.
    pub uid: u32,
}

/// Writes that `user` uses the volume now, keeping the instance of an earlier stamp.
///
/// With migrations to run, the data stay those of the version before until they have ended well.
pub fn write(root: &Root, user: User, earlier: Option<Stamp>) -> Result<(), StampError> {
    let instance = match &earlier {
        Some(stamp) => stamp.instance.clone(),
        None => new_instance().map_err(StampError::Io)?,
    };
    let (product_version, update) = match &earlier {
        Some(stamp) => {
            update::forget_abandoned(root, stamp, &user.product.version).map_err(StampError::Io)?;
            update::begun(root, stamp, &user.product.version, user.migrations)
        }
        None => (user.product.version.clone(), None),
    };
    let product = user.product.name.clone();
    let stamp =
        Stamp { version: stamp::VERSION, product, product_version, instance, uid: Some(user.uid), update };
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

/// Makes the number of an instance.
pub fn new_instance() -> io::Result<String> {
    Ok(format!("{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(name: &str, version: &str) -> Product {
        Product {
            name: name.to_owned(),
            version: version.to_owned(),
            command: "backend".to_owned(),
            counter: None,
        }
    }

    fn root() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        fs_err::create_dir_all(root.join("/data/casque")).unwrap();
        (directory, root)
    }

    fn start(root: &Root, version: &str, migrations: &[&str]) -> Result<Stamp, String> {
        let product = product("a/b", version);
        let earlier = read(root, &product).map_err(|error| error.to_string())?;
        let migrations = migrations.iter().map(|name| (*name).to_owned()).collect();
        write(root, User { product: &product, migrations, uid: 5 }, earlier).unwrap();
        Ok(serde_json::from_slice(&fs_err::read(root.join(paths::STAMP)).unwrap()).unwrap())
    }

    /// What PID 1 does when a migration has ended well.
    fn done(root: &Root, name: &str, version: &str) {
        let text = format!(r#"{{"version":1,"product_version":"{version}"}}"#);
        fs_err::create_dir_all(root.join(paths::ONCE)).unwrap();
        fs_err::write(root.join(&format!("{}/{name}.json", paths::ONCE)), text).unwrap();
    }

    #[test]
    fn the_instance_stays_while_versions_come() {
        let (_directory, root) = root();
        let first = start(&root, "1.9", &[]).unwrap();
        assert_eq!((first.product_version.as_str(), first.instance.len(), first.uid), ("1.9", 32, Some(5)));
        let second = start(&root, "1.10", &[]).unwrap();
        assert_eq!((second.product_version.as_str(), second.instance), ("1.10", first.instance));
    }

    #[test]
    fn data_belong_to_a_version_when_its_migrations_are_done() {
        let (_directory, root) = root();
        start(&root, "1", &["migrate"]).unwrap();
        done(&root, "migrate", "1");
        let begun = start(&root, "2", &["index", "migrate"]).unwrap();
        let update = begun.update.unwrap();
        assert_eq!((begun.product_version.as_str(), update.product_version.as_str()), ("1", "2"));
        done(&root, "index", "2");
        // The second of two has failed, so the version before may still start, and what the first did counts no more.
        let back = start(&root, "1", &["migrate"]).unwrap();
        assert_eq!((back.product_version.as_str(), back.update), ("1", None));
        assert!(!root.join(&format!("{}/index.json", paths::ONCE)).exists());
        assert!(root.join(&format!("{}/migrate.json", paths::ONCE)).exists());
        start(&root, "2", &["index", "migrate"]).unwrap();
        done(&root, "index", "2");
        done(&root, "migrate", "2");
        assert_eq!(
            start(&root, "1", &["migrate"]).unwrap_err(),
            "volume `/data` has data of `a/b` 2, this is 1; start version 2 or newer, or restore a backup that 1 made"
        );
        let settled = start(&root, "2", &["index", "migrate"]).unwrap();
        assert_eq!((settled.product_version.as_str(), settled.update), ("2", None));
    }

    #[test]
    fn without_migrations_the_data_are_a_newer_versions_at_once() {
        let (_directory, root) = root();
        start(&root, "1", &["migrate"]).unwrap();
        start(&root, "2", &[]).unwrap();
        assert!(start(&root, "1", &[]).unwrap_err().starts_with("volume `/data` has data of `a/b` 2, "));
    }

    #[test]
    fn foreign_newer_and_broken_stamps_are_refused() {
        let (_directory, root) = root();
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
