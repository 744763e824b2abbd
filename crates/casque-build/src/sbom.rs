//! The bill of materials: what is in an image, where it came from and under which licences, as SPDX 2.3.
//!
//! It is made from the finished root filesystem: dpkg's own record, the metadata of Python distributions, the files
//! that stages wrote. The lock says where things were had and what they hash to, so nothing is hashed twice.

mod base;
mod copyright;
mod debian;
mod files;
mod licences;
mod purl;
mod python;
mod root;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use casque_debian::Pin;
use casque_format::digest::Digest;
use casque_format::paths;
use casque_format::spdx::{
    Checksum, CreationInfo, DOCUMENT, Document, File, IMAGE, NOT_KNOWN, Package, Relationship,
};
use casque_python::PinnedDistribution;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) use base::Base;
use debian::Distribution;
use licences::Extracted;
use root::Root;

/// What a bill of materials is made from.
pub(crate) struct Facts<'a> {
    /// The image's name and tag.
    pub(crate) reference: &'a str,
    /// The product's version.
    pub(crate) version: &'a str,
    /// Seconds since 1970.
    pub(crate) epoch: u64,
    /// The finished root filesystem.
    pub(crate) root: &'a Path,
    /// The image that the product starts from.
    pub(crate) base: Option<&'a Base>,
    /// Every package of the lock.
    pub(crate) pins: &'a [Pin],
    /// Every distribution of the lock.
    pub(crate) distributions: Vec<&'a PinnedDistribution>,
    /// Lowest first.
    pub(crate) stages: Vec<Written<'a>>,
}

/// What one stage did to the root filesystem.
pub(crate) struct Written<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// What it changed.
    pub(crate) tree: &'a Path,
    /// Its files are the vendor's own.
    pub(crate) vendor: bool,
    /// What made it, for people; of a step also whether it had a network.
    pub(crate) comment: String,
    /// What it took from the network, as far as that is known.
    pub(crate) downloads: Vec<Download<'a>>,
}

/// A file that a step took from the network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Download<'a> {
    pub(crate) url: &'a str,
    pub(crate) size: u64,
    pub(crate) sha256: Digest,
}

impl Download<'_> {
    /// Returns the name of the file, without what was asked of the server beyond that.
    fn file(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// Describes it: an image is made from it and need not contain it.
    fn package(&self) -> Package {
        let name = Digest::of(format!("{} {}", self.url, self.sha256).as_bytes()).to_string();
        Package {
            id: format!("SPDXRef-download-{}", &name[..16]),
            package_file_name: Some(self.file().to_owned()),
            download_location: self.url.to_owned(),
            checksums: vec![sha256(&self.sha256)],
            comment: Some(format!("{} bytes", self.size)),
            ..package(self.file(), None)
        }
    }
}

/// What one element is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Related {
    Describes,
    Contains,
    DependsOn,
    GeneratedFrom,
}

/// What a document lists.
#[derive(Debug, Default)]
struct Contents {
    packages: BTreeMap<String, Package>,
    files: BTreeMap<String, File>,
    relationships: BTreeSet<Relationship>,
}

impl Contents {
    /// Adds a package that is in the image.
    fn put(&mut self, package: Package) {
        self.relate(IMAGE, Related::Contains, &package.id);
        self.mention(package);
    }

    /// Adds a package that is not in the image itself.
    fn mention(&mut self, package: Package) {
        self.packages.insert(package.id.clone(), package);
    }

    fn relate(&mut self, one: &str, related: Related, other: &str) {
        let kind = match related {
            Related::Describes => "DESCRIBES",
            Related::Contains => "CONTAINS",
            Related::DependsOn => "DEPENDS_ON",
            Related::GeneratedFrom => "GENERATED_FROM",
        };
        self.relationships.insert(Relationship {
            spdx_element_id: one.to_owned(),
            relationship_type: kind.to_owned(),
            related_spdx_element: other.to_owned(),
        });
    }

    /// Adds a package that consists of these files of the image.
    fn put_files(&mut self, root: &Path, package: Package, paths: &[PathBuf]) -> io::Result<()> {
        let files = files::describe(root, paths)?;
        let code = files::verification_code(&files);
        for file in &files {
            self.relate(&package.id, Related::Contains, &file.id);
        }
        self.files.extend(files.into_iter().map(|file| (file.id.clone(), file)));
        self.put(Package { files_analyzed: true, package_verification_code: Some(code), ..package });
        Ok(())
    }
}

/// Writes the bill of materials of an image: the same facts make the same document.
///
/// # Errors
/// A file of the root filesystem that cannot be read.
pub(crate) fn document(facts: &Facts<'_>) -> io::Result<Document> {
    let root = Root::open(facts.root)?;
    let mut extracted = Extracted::default();
    let mut contents = Contents::default();
    contents.relate(DOCUMENT, Related::Describes, IMAGE);
    let (name, _) = facts.reference.rsplit_once(':').unwrap_or((facts.reference, ""));
    contents.mention(Package {
        id: IMAGE.to_owned(),
        primary_package_purpose: Some("CONTAINER".to_owned()),
        ..package(name, Some(facts.version))
    });
    let release = match root.text("etc/os-release")? {
        Some(release) => Some(release),
        None => root.text("usr/lib/os-release")?,
    };
    let distribution = Distribution::parse(&release.unwrap_or_default());
    if !distribution.id.is_empty() {
        contents.put(Package {
            id: "SPDXRef-OperatingSystem".to_owned(),
            primary_package_purpose: Some("OPERATING-SYSTEM".to_owned()),
            ..package(&distribution.id, Some(&distribution.version))
        });
    }
    let downloads: Vec<Download<'_>> =
        facts.stages.iter().flat_map(|stage| stage.downloads.iter().copied()).collect();
    if let Some(base) = facts.base {
        base.add(&mut contents);
    }
    let origins = debian::Origins { base: facts.base, pins: facts.pins, downloads: &downloads };
    debian::add(&root, &distribution, &origins, &mut extracted, &mut contents)?;
    let stages: Vec<_> = facts.stages.iter().map(|stage| (stage.tree, stage.vendor)).collect();
    let written = files::written(facts.root, &stages)?;
    let origins = python::Origins { pins: &facts.distributions, downloads: &downloads };
    python::add(&root, &written.metadata, &origins, &mut extracted, &mut contents)?;
    for (number, stage) in facts.stages.iter().enumerate().filter(|(_, stage)| stage.vendor) {
        let own = written.own.iter().filter(|(_, last)| **last == number);
        let own: Vec<PathBuf> = own.map(|(path, _)| path.clone()).collect();
        let layer = Package {
            id: id("layer", stage.name),
            comment: Some(stage.comment.clone()),
            ..package(&format!("{name}/{}", stage.name), Some(facts.version))
        };
        for download in &stage.downloads {
            let package = download.package();
            contents.relate(&layer.id, Related::GeneratedFrom, &package.id);
            contents.mention(package);
        }
        match own.is_empty() {
            true => contents.put(layer),
            false => contents.put_files(facts.root, layer, &own)?,
        }
    }
    programs(facts.root, &mut contents)?;
    Ok(finished(facts, contents, extracted))
}

/// Adds casque's own programs.
fn programs(root: &Path, contents: &mut Contents) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let programs = [paths::INIT, paths::AGENT].map(|path| PathBuf::from(path.trim_start_matches('/')));
    let purl = purl::Purl { kind: "generic", namespace: "", name: "casque", version, qualifiers: &[] };
    let package = Package {
        id: "SPDXRef-casque".to_owned(),
        license_declared: "Apache-2.0 OR MIT".to_owned(),
        summary: Some("PID 1 and agent of the image".to_owned()),
        external_refs: vec![purl.reference()],
        ..package("casque", Some(version))
    };
    contents.put_files(root, package, &programs)
}

fn finished(facts: &Facts<'_>, contents: Contents, extracted: Extracted) -> Document {
    let created =
        i64::try_from(facts.epoch).ok().and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok());
    let created = created.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(&Rfc3339);
    let mut document = Document {
        spdx_version: "SPDX-2.3".to_owned(),
        data_license: "CC0-1.0".to_owned(),
        id: DOCUMENT.to_owned(),
        name: facts.reference.to_owned(),
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: created.expect("a date of four digits"),
            creators: vec![format!("Tool: casque-{}", env!("CARGO_PKG_VERSION"))],
        },
        packages: contents.packages.into_values().collect(),
        files: contents.files.into_values().collect(),
        has_extracted_licensing_infos: extracted.into_sorted(),
        relationships: contents.relationships.into_iter().collect(),
    };
    let digest = Digest::of(&serde_json::to_vec(&document).expect("a document is plain data"));
    let name: String = facts
        .reference
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    document.document_namespace = format!("https://spdx.org/spdxdocs/{name}-{digest}");
    document
}

/// Begins the description of a package of which nothing else is known.
fn package(name: &str, version: Option<&str>) -> Package {
    Package {
        name: name.to_owned(),
        version_info: version.map(str::to_owned),
        download_location: NOT_KNOWN.to_owned(),
        license_concluded: NOT_KNOWN.to_owned(),
        license_declared: NOT_KNOWN.to_owned(),
        copyright_text: NOT_KNOWN.to_owned(),
        ..Package::default()
    }
}

/// Returns an identifier for something of a kind: letters, digits, full stops and hyphens are all that SPDX allows.
fn id(kind: &str, name: &str) -> String {
    let allowed: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    match allowed == name {
        true => format!("SPDXRef-{kind}-{name}"),
        // Another name may have lost the same characters.
        false => format!("SPDXRef-{kind}-{allowed}-{}", &Digest::of(name.as_bytes()).to_string()[..8]),
    }
}

fn sha256(digest: &Digest) -> Checksum {
    Checksum { algorithm: "SHA256".to_owned(), checksum_value: digest.to_string() }
}

#[cfg(test)]
mod tests;
