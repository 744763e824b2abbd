//! The Python distributions of an image that no Debian package brought, by the metadata that installers leave.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use casque_debian::Stanza;
use casque_format::spdx::{NOT_KNOWN, Package};
use casque_python::PinnedDistribution;

use super::licences::{Extracted, known};
use super::purl::Purl;
use super::root::Root;
use super::{Contents, Download, Related, id, sha256};

/// What classifiers say, and which licence that is; those that name several are not here.
const CLASSIFIERS: [(&str, &str); 19] = [
    ("Apache Software License", "Apache-2.0"),
    ("GNU Affero General Public License v3", "AGPL-3.0-only"),
    ("GNU Affero General Public License v3 or later (AGPLv3+)", "AGPL-3.0-or-later"),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("GNU Lesser General Public License v2 (LGPLv2)", "LGPL-2.0-only"),
    ("GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("Zope Public License", "ZPL-2.1"),
];
/// What authors write in place of an identifier; in lower case.
const NAMES: [(&str, &str); 16] = [
    ("3-clause bsd license", "BSD-3-Clause"),
    ("apache 2.0", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache-2.0 license", "Apache-2.0"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("bsd-3-clause license", "BSD-3-Clause"),
    ("isc license", "ISC"),
    ("mit license", "MIT"),
    ("mozilla public license 2.0 (mpl 2.0)", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("new bsd license", "BSD-3-Clause"),
    ("the mit license", "MIT"),
    ("the mit license (mit)", "MIT"),
];
/// Files that say the licence, when the metadata does not name them.
const LICENCE_FILES: [&str; 6] =
    ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENSE.rst", "LICENCE", "COPYING"];

/// Where distributions came from.
pub(super) struct Origins<'a> {
    /// Those of the lock.
    pub(super) pins: &'a [&'a PinnedDistribution],
    /// What steps took from the network.
    pub(super) downloads: &'a [Download<'a>],
}

impl Origins<'_> {
    /// Returns the wheel that a step downloaded as this distribution.
    fn download(&self, name: &str, version: &str) -> Option<&Download<'_>> {
        self.downloads.iter().find(|download| {
            let mut parts = download.file().strip_suffix(".whl").unwrap_or_default().split('-');
            parts.next().is_some_and(|found| normalised(found) == name) && parts.next() == Some(version)
        })
    }
}

/// Adds the distributions whose metadata is at `places`, relative to the root.
pub(super) fn add(
    root: &Root,
    places: &BTreeSet<PathBuf>,
    origins: &Origins<'_>,
    extracted: &mut Extracted,
    contents: &mut Contents,
) -> io::Result<()> {
    let mut found: BTreeMap<String, (Package, BTreeSet<String>)> = BTreeMap::new();
    let mut needs = Vec::new();
    for place in places {
        let Some(text) = root.text(&place.to_string_lossy())? else { continue };
        let Some(metadata) = Stanza::first(&text) else { continue };
        let (Some(name), Some(version)) = (metadata.get("Name"), metadata.get("Version")) else { continue };
        let directory = place.parent().unwrap_or(Path::new(""));
        let site = format!("/{}", directory.parent().unwrap_or(Path::new("")).display());
        let name = normalised(name);
        let id = id("pypi", &format!("{name}-{version}"));
        let licence = declared(root, directory, &name, &metadata, extracted)?;
        let pin = origins.pins.iter().find(|pin| normalised(&pin.name) == name && pin.version == version);
        let mut package = describe(&id, &name, version, &metadata, pin.copied(), licence);
        if let (None, Some(download)) = (pin, origins.download(&name, version)) {
            package.download_location = download.url.to_owned();
            package.checksums = vec![sha256(&download.sha256)];
            package.package_file_name = Some(download.file().to_owned());
        }
        if let (None, Some(path)) = (pin, of_the_project(root, directory)?) {
            package.comment = Some(format!("the vendor's own: {path}"));
        }
        found.entry(id.clone()).or_insert_with(|| (package, BTreeSet::new())).1.insert(site.clone());
        needs.push((id, site, needed(&metadata)));
    }
    for (id, site, needed) in &needs {
        // In the same environment: another one may hold another version.
        let here = needs.iter().filter(|(_, other, _)| other == site);
        for (other, ..) in here.filter(|(other, ..)| needed.contains(found[other].0.name.as_str())) {
            contents.relate(id, Related::DependsOn, other);
        }
    }
    for (mut package, sites) in found.into_values() {
        let sites: Vec<String> = sites.into_iter().collect();
        package.source_info = Some(format!("installed in {}", sites.join(", ")));
        contents.put(package);
    }
    Ok(())
}

/// Returns where in the project a distribution was, by what its installer left (PEP 610).
fn of_the_project(root: &Root, directory: &Path) -> io::Result<Option<String>> {
    let text = root.text(&directory.join("direct_url.json").to_string_lossy())?.unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let path = document["url"].as_str().and_then(|url| url.strip_prefix("file://"));
    Ok(path.map(str::to_owned))
}

/// Returns what a distribution needs in any case: what only an extra needs is left out.
fn needed(metadata: &Stanza<'_>) -> BTreeSet<String> {
    let values = metadata.fields().filter(|(name, _)| name.eq_ignore_ascii_case("Requires-Dist"));
    let values = values.map(|(_, value)| value).filter(|value| !value.contains("extra =="));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    values.map(|value| normalised(&value[..value.find(|c| !is_name(c)).unwrap_or(value.len())])).collect()
}

fn normalised(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

fn describe(
    id: &str,
    name: &str,
    version: &str,
    metadata: &Stanza<'_>,
    pin: Option<&PinnedDistribution>,
    licence: String,
) -> Package {
    let purl = Purl { kind: "pypi", namespace: "", name, version, qualifiers: &[] };
    let first = |field: &str| metadata.get(field)?.lines().next().map(str::to_owned);
    Package {
        id: id.to_owned(),
        package_file_name: pin.map(|pin| pin.filename.clone()),
        supplier: first("Author")
            .filter(|author| !author.is_empty())
            .map(|author| format!("Person: {}", author.replace(['(', ')'], " ").trim())),
        download_location: pin.map_or(NOT_KNOWN.to_owned(), |pin| pin.url.clone()),
        checksums: pin.map(|pin| sha256(&pin.sha256)).into_iter().collect(),
        homepage: first("Home-page").filter(|address| address.starts_with("http")),
        license_declared: licence,
        summary: first("Summary").filter(|summary| !summary.is_empty()),
        external_refs: vec![purl.reference()],
        ..super::package(name, Some(version))
    }
}

/// Returns the licence as the metadata has it: an expression, a name, or a classifier; else the words beside it.
fn declared(
    root: &Root,
    directory: &Path,
    name: &str,
    metadata: &Stanza<'_>,
    extracted: &mut Extracted,
) -> io::Result<String> {
    if let Some(expression) = metadata.get("License-Expression")
        && let Ok(Some(canonical)) = spdx::Expression::canonicalize(expression)
            .map(|canonical| Some(canonical.unwrap_or_else(|| expression.to_owned())))
        && spdx::Expression::parse(&canonical).is_ok()
    {
        return Ok(canonical);
    }
    let written = metadata.get("License").filter(|text| !["", "UNKNOWN"].contains(text));
    if let Some(id) = written.and_then(named) {
        return Ok(id);
    }
    let classifiers = metadata.fields().filter(|(field, _)| field.eq_ignore_ascii_case("Classifier"));
    let classified: BTreeSet<&str> =
        classifiers.filter_map(|(_, value)| value.strip_prefix("License :: OSI Approved :: ")).collect();
    let ids: Option<BTreeSet<&str>> = classified
        .iter()
        .map(|text| CLASSIFIERS.iter().find(|(name, _)| name == text).map(|(_, id)| *id))
        .collect();
    // Several classifiers may mean a choice or not, so only one decides.
    if let Some(ids) = ids
        && ids.len() == 1
    {
        return Ok(ids.into_iter().collect());
    }
    let shown = written.map(|text| text.lines().next().unwrap_or_default());
    let shown = shown.filter(|line| line.len() <= 60).or(classified.first().copied());
    let called = shown.map_or_else(|| format!("licence of {name}"), str::to_owned);
    if let Some(words) = words(root, directory, metadata)? {
        return Ok(extracted.keep(&called, words.trim()));
    }
    Ok(match written.or(classified.first().copied()) {
        Some(text) => extracted.keep(&called, text),
        None => NOT_KNOWN.to_owned(),
    })
}

/// Returns the licence that a text is the name of.
fn named(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let called = NAMES.iter().find(|(name, _)| *name == lower).map(|(_, id)| (*id).to_owned());
    called.or_else(|| known(text))
}

fn words(root: &Root, directory: &Path, metadata: &Stanza<'_>) -> io::Result<Option<String>> {
    let fields = metadata.fields().filter(|(field, _)| field.eq_ignore_ascii_case("License-File"));
    for file in fields.map(|(_, file)| file).chain(LICENCE_FILES) {
        for place in [directory.join("licenses").join(file), directory.join(file)] {
            if let Some(text) = root.text(&place.to_string_lossy())? {
                return Ok(Some(text));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licence(metadata: &str, file: Option<&str>) -> (String, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        if let Some(text) = file {
            fs_err::write(directory.path().join("LICENSE"), text).unwrap();
        }
        let root = Root::open(directory.path()).unwrap();
        let mut extracted = Extracted::default();
        let stanza = Stanza::first(metadata).unwrap();
        let found = declared(&root, Path::new(""), "p", &stanza, &mut extracted).unwrap();
        let kept = extracted.into_sorted();
        (found, kept.into_iter().map(|one| format!("{}: {}", one.name, one.extracted_text)).collect())
    }

    #[test]
    fn licences_are_found_where_distributions_say_them() {
        let expected = [
            ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", "MIT OR Apache-2.0"),
            ("License: BSD-3-Clause\n", "BSD-3-Clause"),
            ("License: Apache License 2.0\n", "Apache-2.0"),
            ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n", "MIT"),
            ("Name: p\n", "NOASSERTION"),
        ];
        for (metadata, expression) in expected {
            assert_eq!(licence(metadata, None), (expression.to_owned(), vec![]), "{metadata}");
        }
    }

    #[test]
    fn what_has_no_identifier_keeps_its_words() {
        let classifier = "Classifier: License :: OSI Approved :: BSD License\n";
        let (id, kept) = licence(classifier, Some("Redistribution\n"));
        assert!(id.starts_with("LicenseRef-BSD-License-"), "{id}");
        assert_eq!(kept, ["BSD License: Redistribution"]);
        assert_eq!(licence("License: Mine alone\n", None).1, ["Mine alone: Mine alone"]);
        let both = format!("{classifier}Classifier: License :: OSI Approved :: MIT License\n");
        assert!(licence(&both, None).0.starts_with("LicenseRef-"));
    }

    #[test]
    fn what_only_an_extra_needs_is_no_dependency() {
        let metadata = "Requires-Dist: Vine_x>=5 ; python_version >= '3.8'\n\
            Requires-Dist: pymongo ; extra == 'mongodb'\n";
        let needed = needed(&Stanza::first(metadata).unwrap());
        assert_eq!(needed.into_iter().collect::<Vec<_>>(), ["vine-x"]);
    }
}
