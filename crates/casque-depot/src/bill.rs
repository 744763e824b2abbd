//! What differs between the bills of materials of two releases: packages that came, went, or have another version.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read as _};
use std::sync::{Arc, Mutex, PoisonError};

use casque_format::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::storage::Storage;

/// More bytes than any bill of materials has.
const LARGEST: u64 = 256 << 20;
/// Differences that are remembered.
const MOST: usize = 64;

/// Which packages differ, each list sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Those that only the new one has.
    pub added: Vec<Change>,
    /// Those that both have, in other versions.
    pub changed: Vec<Change>,
    /// Those that only the old one has.
    pub removed: Vec<Change>,
    /// How many are the same.
    pub same: usize,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of package, such as `deb` or `pypi`; empty when the document does not say.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The versions before.
    pub old: String,
    /// The versions now.
    pub new: String,
}

/// The packages of a bill, by kind and name; one may be there in several versions.
type Packages = BTreeMap<(String, String), BTreeSet<String>>;

/// The part of an SPDX 2.3 document that is read here.
#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    relationships: Vec<Relationship>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: Option<String>,
    #[serde(default)]
    external_refs: Vec<Reference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    reference_type: String,
    reference_locator: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: String,
    related_spdx_element: String,
}

/// Reads the packages of a document: those that what it describes contains, or all where it does not say. The product's own parts, which
/// have the product's version, are no news and are left out.
fn packages(document: &Document) -> Packages {
    let related = |kind: &str| {
        let kind = kind.to_owned();
        document.relationships.iter().filter(move |one| one.relationship_type == kind)
    };
    let described: BTreeSet<&str> =
        related("DESCRIBES").map(|one| one.related_spdx_element.as_str()).collect();
    let contained: BTreeSet<&str> = related("CONTAINS")
        .filter(|one| described.contains(one.spdx_element_id.as_str()))
        .map(|one| one.related_spdx_element.as_str())
        .collect();
    let whole = document.packages.iter().filter(|package| described.contains(package.id.as_str()));
    let own: Vec<(String, Option<&str>)> =
        whole.map(|package| (format!("{}/", package.name), package.version_info.as_deref())).collect();
    let is_own = |package: &Package| {
        let version = package.version_info.as_deref();
        own.iter().any(|(name, of)| package.name.starts_with(name.as_str()) && *of == version)
    };
    let mut found = Packages::new();
    for package in &document.packages {
        let inside = contained.is_empty() || contained.contains(package.id.as_str());
        if !inside || described.contains(package.id.as_str()) || is_own(package) {
            continue;
        }
        let purl = package.external_refs.iter().find(|found| found.reference_type == "purl");
        let kind = purl.and_then(|found| found.reference_locator.strip_prefix("pkg:")?.split('/').next());
        let key = (kind.unwrap_or_default().to_owned(), package.name.clone());
        found.entry(key).or_default().insert(package.version_info.clone().unwrap_or_default());
    }
    found
}

/// Compares the bills of two releases.
fn compare(old: &Packages, new: &Packages) -> Difference {
    let mut difference = Difference::default();
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in names {
        let versions = |of: &Packages| {
            let versions = of.get(key).map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
            versions.unwrap_or_default().join(", ")
        };
        let (kind, name) = key.clone();
        let change = Change { kind, name, old: versions(old), new: versions(new) };
        match (old.get(key), new.get(key)) {
            (before, now) if before == now => difference.same += 1,
            (None, _) => difference.added.push(change),
            (_, None) => difference.removed.push(change),
            _ => difference.changed.push(change),
        }
    }
    difference
}

/// Differences that were asked for: two files never change, so neither does what differs between them.
#[derive(Debug, Default)]
pub(crate) struct Differences(Mutex<BTreeMap<(Digest, Digest), Remembered>>);

/// A difference, or that one of the two bills cannot be read.
type Remembered = Option<Arc<Difference>>;

impl Differences {
    /// Returns what differs between two stored bills; none when one of them cannot be read. One is made at a time, so that many
    /// who ask cost what one does.
    pub(crate) fn between(&self, storage: &Storage, old: Digest, new: Digest) -> Remembered {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(difference) = known.get(&(old, new)) {
            return difference.clone();
        }
        let difference = read(storage, old).and_then(|old| {
            let new = read(storage, new)?;
            Some(Arc::new(compare(&old, &new)))
        });
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((old, new), difference.clone());
        difference
    }
}

fn read(storage: &Storage, digest: Digest) -> Option<Packages> {
    let file = storage.read(digest).inspect_err(|error| {
        tracing::error!(%error, "cannot read a bill of materials");
    });
    let document = serde_json::from_reader(BufReader::new(file.ok()?.take(LARGEST)));
    let document: Document = document
        .inspect_err(|error| tracing::warn!(%digest, %error, "a bill of materials is no SPDX document"))
        .ok()?;
    Some(packages(&document))
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(image: &str, packages_of: &[(&str, &str, &str)]) -> Packages {
        let mut document = serde_json::json!({
            "packages": [
                {"SPDXID": "image", "name": "v/p", "versionInfo": image},
                {"SPDXID": "layer", "name": "v/p/deploy", "versionInfo": image},
                {"SPDXID": "source", "name": "x", "versionInfo": image},
            ],
            "relationships": [
                {"spdxElementId": "document", "relationshipType": "DESCRIBES", "relatedSpdxElement": "image"},
                {"spdxElementId": "image", "relationshipType": "CONTAINS", "relatedSpdxElement": "layer"},
            ],
        });
        for (index, (kind, name, version)) in packages_of.iter().enumerate() {
            let purl = format!("pkg:{kind}/{name}@{version}");
            document["packages"].as_array_mut().unwrap().push(serde_json::json!({
                "SPDXID": index.to_string(), "name": name, "versionInfo": version,
                "externalRefs": [{"referenceType": "purl", "referenceLocator": purl}],
            }));
            document["relationships"].as_array_mut().unwrap().push(serde_json::json!(
                {"spdxElementId": "image", "relationshipType": "CONTAINS", "relatedSpdxElement": index.to_string()}
            ));
        }
        packages(&serde_json::from_value(document).unwrap())
    }

    #[test]
    fn packages_that_came_went_or_have_another_version_are_told_apart() {
        let old =
            bill("v1", &[("deb", "a", "1"), ("deb", "b", "1"), ("pypi", "a", "1"), ("deb", "gone", "1")]);
        let new =
            bill("v2", &[("deb", "a", "1"), ("deb", "b", "2"), ("pypi", "a", "1"), ("pypi", "new", "3")]);
        let change = |kind: &str, name: &str, old: &str, new: &str| Change {
            kind: kind.to_owned(),
            name: name.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        };
        let expected = Difference {
            added: vec![change("pypi", "new", "", "3")],
            changed: vec![change("deb", "b", "1", "2")],
            removed: vec![change("deb", "gone", "1", "")],
            same: 2,
        };
        assert_eq!(compare(&old, &new), expected);
    }

    #[test]
    fn a_document_that_says_nothing_of_what_contains_what_is_taken_whole() {
        let document = r#"{"packages": [{"SPDXID": "a", "name": "a", "versionInfo": "1"}, {"SPDXID": "b", "name": "b"}]}"#;
        let found = packages(&serde_json::from_str(document).unwrap());
        assert_eq!(found.into_keys().map(|(_, name)| name).collect::<Vec<_>>(), ["a", "b"]);
    }
}
