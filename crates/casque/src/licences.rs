//! Which licences an image is under, from its bill of materials.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use casque_format::spdx::{Document, IMAGE, NOT_KNOWN};
use serde::Serialize;

/// A licence and what is under it, or under it among others.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Licence {
    /// SPDX's identifier, or that of the document.
    licence: String,
    /// What packages call it, when SPDX does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Sorted.
    packages: BTreeSet<String>,
}

/// Returns the licences of what the image contains, those of the most packages first.
pub(crate) fn summary(bill: &Document) -> Vec<Licence> {
    let related = bill.relationships.iter().filter(|one| one.spdx_element_id == IMAGE);
    let contained: BTreeSet<&str> = related
        .filter(|one| one.relationship_type == "CONTAINS")
        .map(|one| one.related_spdx_element.as_str())
        .collect();
    let named: HashMap<&str, &str> = bill
        .has_extracted_licensing_infos
        .iter()
        .map(|licence| (licence.license_id.as_str(), licence.name.as_str()))
        .collect();
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let not_software = |purpose: &str| purpose == "OPERATING-SYSTEM";
    for package in bill.packages.iter().filter(|package| contained.contains(package.id.as_str())) {
        if package.primary_package_purpose.as_deref().is_some_and(not_software) {
            continue;
        }
        for licence in names(&package.license_declared) {
            found.entry(licence).or_default().insert(package.name.clone());
        }
    }
    let licence = |(id, packages): (&str, _)| Licence {
        licence: id.to_owned(),
        name: named.get(id).map(|name| (*name).to_owned()),
        packages,
    };
    let mut licences: Vec<Licence> = found.into_iter().map(licence).collect();
    licences.sort_by_key(|licence| (licence.licence == NOT_KNOWN, std::cmp::Reverse(licence.packages.len())));
    licences
}

/// Returns the licences of an expression, each with its exception.
fn names(expression: &str) -> BTreeSet<&str> {
    let parts = expression.split(" AND ").flat_map(|part| part.split(" OR "));
    parts.map(|part| part.trim_matches(['(', ')', ' '])).collect()
}

impl Licence {
    pub(crate) fn line(&self) -> String {
        let packages: Vec<&str> = self.packages.iter().map(String::as_str).collect();
        let name = match (&self.name, self.licence.as_str()) {
            (Some(name), _) => format!("`{name}`"),
            (None, NOT_KNOWN) => "not known".to_owned(),
            (None, licence) => licence.to_owned(),
        };
        format!("  {name:28}  {:>4}  {}", packages.len(), packages.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use casque_format::spdx::{CreationInfo, ExtractedLicence, Package, Relationship};

    #[test]
    fn each_licence_has_the_packages_that_the_image_contains() {
        let package = |name: &str, licence: &str| Package {
            id: name.to_owned(),
            name: name.to_owned(),
            license_declared: licence.to_owned(),
            ..Package::default()
        };
        let contains = |name: &str| Relationship {
            spdx_element_id: IMAGE.to_owned(),
            relationship_type: "CONTAINS".to_owned(),
            related_spdx_element: name.to_owned(),
        };
        let bill = Document {
            spdx_version: String::new(),
            data_license: String::new(),
            id: String::new(),
            name: String::new(),
            document_namespace: String::new(),
            creation_info: CreationInfo { created: String::new(), creators: vec![] },
            packages: vec![
                package("a", "(GPL-2.0-only OR Artistic-2.0) AND LicenseRef-x"),
                package("b", "GPL-2.0-only"),
                package("c", NOT_KNOWN),
                package("c2", NOT_KNOWN),
                package("source", "MIT"),
            ],
            files: vec![],
            has_extracted_licensing_infos: vec![ExtractedLicence {
                license_id: "LicenseRef-x".to_owned(),
                name: "Odd".to_owned(),
                extracted_text: String::new(),
            }],
            relationships: ["a", "b", "c", "c2"]
                .map(contains)
                .into_iter()
                .chain([Relationship {
                    relationship_type: "GENERATED_FROM".to_owned(),
                    ..contains("source")
                }])
                .collect(),
        };
        let lines: Vec<String> = summary(&bill).iter().map(Licence::line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
          GPL-2.0-only                     2  a b
          Artistic-2.0                     1  a
          `Odd`                            1  a
          not known                        2  c c2
        ");
    }
}
