//! The image that a product starts from, in its bill of materials.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use casque_debian::{Control, installed_packages};
use casque_format::digest::Digest;
use casque_format::spdx::{BASE, Package};

use super::{Contents, sha256};
use crate::base_image::BaseImage;

/// The image that a product starts from.
pub(crate) struct Base {
    /// As the manifest has it.
    pub(super) name: String,
    /// What engines call its id.
    image: Digest,
    /// Its own names, where it has any.
    names: Vec<String>,
    /// Name, version and architecture of its packages; none where nobody knows what is in it.
    packages: Option<BTreeSet<[String; 3]>>,
}

impl Base {
    /// Describes `image`, which is unpacked at `tree`; dpkg tells what is in it, where it has that.
    pub(crate) fn of(image: &BaseImage, has_dpkg: bool, tree: &Path) -> io::Result<Self> {
        let packages = match has_dpkg {
            true => Some(installed_packages(tree).map_err(io::Error::other)?.iter().map(key).collect()),
            false => None,
        };
        let names = image.archive.names().to_vec();
        Ok(Self { name: image.from.clone(), image: image.image(), names, packages })
    }

    /// Tells whether a package came with it.
    pub(super) fn has(&self, control: &Control) -> bool {
        self.packages.as_ref().is_some_and(|packages| packages.contains(&key(control)))
    }

    /// Adds it, as something of which nothing else is known where it has no packages.
    pub(super) fn add(&self, contents: &mut Contents) {
        let comment = match self.packages {
            Some(_) => "its packages are listed",
            None => "it has no packages of Debian, and what is in it is not listed",
        };
        contents.put(Package {
            id: BASE.to_owned(),
            primary_package_purpose: Some("CONTAINER".to_owned()),
            checksums: vec![sha256(&self.image)],
            source_info: Some("the image that this one starts from, its layers unchanged; the digest is that of its configuration".to_owned()),
            comment: Some(match self.names.is_empty() {
                true => comment.to_owned(),
                false => format!("named {}; {comment}", self.names.join(", ")),
            }),
            ..super::package(&self.name, Some(&self.image.oci()))
        });
    }
}

fn key(control: &Control) -> [String; 3] {
    [control.name.clone(), control.version.to_string(), control.architecture.clone()]
}

#[cfg(test)]
mod tests {
    use casque_debian::Stanza;

    use super::*;

    fn base(packages: Option<BTreeSet<[String; 3]>>) -> Base {
        let names = vec!["vendor/base:1".to_owned()];
        Base { name: "oci:base".to_owned(), image: Digest::of(b"base"), names, packages }
    }

    fn comment(base: &Base) -> String {
        let mut contents = Contents::default();
        base.add(&mut contents);
        let package = contents.packages.remove(BASE).unwrap();
        assert_eq!(package.checksums[0].checksum_value, Digest::of(b"base").to_string());
        package.comment.unwrap()
    }

    #[test]
    fn a_base_without_dpkg_is_something_of_which_nothing_is_known() {
        let text = "Package: a\nVersion: 1\nArchitecture: amd64\n";
        let control = Control::parse(&Stanza::first(text).unwrap()).unwrap();
        let known = base(Some(BTreeSet::from([key(&control)])));
        assert!(known.has(&control));
        assert_eq!(comment(&known), "named vendor/base:1; its packages are listed");
        let opaque = base(None);
        assert!(!opaque.has(&control));
        let expected = "named vendor/base:1; it has no packages of Debian, and what is in it is not listed";
        assert_eq!(comment(&opaque), expected);
    }
}
