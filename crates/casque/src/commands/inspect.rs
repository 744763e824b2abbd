//! `casque inspect`: what is in an image, without an engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use casque_format::archive::{ArchiveRecord, RECORD, SIGNATURE};
use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::spdx::Document;
use casque_image::archive::Compression;
use casque_image::read::{Archive, ReadError};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::licences::{self, Licence};
use crate::ui::megabytes;

/// The version of what `--json` prints.
const VERSION: u32 = 1;

/// More than any run plan or dpkg database has.
const LARGEST: u64 = 256 << 20;

/// Show layers, packages, settings and services of an image
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An image archive, or a directory in OCI layout
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Contents {
    version: u32,
    names: Vec<String>,
    image_id: String,
    labels: BTreeMap<String, String>,
    /// The image that it starts from; none without a bill of materials that names one.
    base: Option<Base>,
    layers: Vec<Layer>,
    /// Of a thin archive: those that the layers which are there tell of.
    packages: Vec<Package>,
    /// Whether the archive has a signature inside, which is not verified here.
    signed: Option<Sealed>,
    /// By licence; empty without a bill of materials.
    licences: Vec<Licence>,
    /// None when casque did not build the image, or a thin archive leaves it out.
    plan: Option<ImagePlan>,
}

/// What an archive says of itself, by whom.
#[derive(Serialize)]
struct Sealed {
    /// None when the signature cannot be read.
    key: Option<String>,
    image: String,
    tag: String,
    counter: Option<u64>,
    expires: Option<u64>,
}

#[derive(Serialize)]
struct Base {
    /// As the manifest had it.
    name: String,
    image_id: String,
}

#[derive(Serialize)]
struct Layer {
    created_by: String,
    diff_id: String,
    /// The digest of its bytes as they are in the archive.
    blob: String,
    size: u64,
    /// `gzip` or `zstd`; none means plain.
    compression: Option<&'static str>,
    /// Whoever loads the archive has it.
    left_out: bool,
}

#[derive(Serialize)]
struct Package {
    name: String,
    version: String,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let contents = read(&arguments.image).map_err(|error| unreadable(&arguments.image, &error))?;
    if arguments.json {
        context.ui.line(&serde_json::to_string_pretty(&contents).expect("contents are plain data"));
    } else {
        contents.lines().iter().for_each(|line| context.ui.line(line));
    }
    Ok(())
}

/// Says why an image cannot be looked into.
pub(crate) fn unreadable(image: &Path, error: &ReadError) -> Failure {
    let what = format!("cannot inspect `{}`", image.display());
    let code = if error.is_damage() { ExitCode::Trust } else { ExitCode::Manifest };
    Failure::new(what, error).judged(code, None)
}

fn read(path: &Path) -> Result<Contents, ReadError> {
    let archive = Archive::open(path)?;
    let tree = archive.tree_of_present()?;
    let status = tree.read(Path::new("var/lib/dpkg/status"), LARGEST)?.unwrap_or_default();
    let bill = tree.read(Path::new(paths::BILL.trim_start_matches('/')), LARGEST)?;
    let bill: Option<Document> = bill.and_then(|text| serde_json::from_slice(&text).ok());
    let plan = tree.read(Path::new(paths::IMAGE_PLAN.trim_start_matches('/')), LARGEST)?;
    let layer = |layer: &casque_image::read::ReadLayer| Layer {
        created_by: layer.created_by.clone().unwrap_or_default(),
        diff_id: layer.diff_id.oci(),
        blob: layer.blob.oci(),
        size: layer.size,
        compression: match layer.compression {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        },
        left_out: layer.left_out,
    };
    Ok(Contents {
        version: VERSION,
        labels: archive.config().labels.clone(),
        base: bill.as_ref().and_then(Document::base).map(|base| Base {
            name: base.name.clone(),
            image_id: base.version_info.clone().unwrap_or_default(),
        }),
        names: archive.names().to_vec(),
        image_id: archive.image_id().oci(),
        layers: archive.layers().iter().map(layer).collect(),
        signed: sealed(&archive)?,
        packages: packages(&String::from_utf8_lossy(&status)),
        licences: bill.as_ref().map(licences::summary).unwrap_or_default(),
        plan: plan.and_then(|text| serde_json::from_slice(&text).ok()),
    })
}

fn sealed(archive: &Archive) -> Result<Option<Sealed>, ReadError> {
    let Some(record) = archive.document(RECORD)? else { return Ok(None) };
    let Ok(record) = ArchiveRecord::parse(&record) else { return Ok(None) };
    let signature = archive.document(SIGNATURE)?.and_then(|text| String::from_utf8(text).ok());
    let key = signature.and_then(|text| casque_sign::signer(&text).ok());
    Ok(Some(Sealed {
        key: key.map(|key| key.to_string()),
        image: record.image,
        tag: record.tag,
        counter: record.counter,
        expires: record.expires,
    }))
}

/// Returns the installed packages of dpkg's database, sorted by name.
fn packages(status: &str) -> Vec<Package> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let mut packages: Vec<Package> = status
        .split("\n\n")
        .filter(|stanza| field(stanza, "Status:").is_some_and(|status| status.ends_with(" installed")))
        .filter_map(|stanza| {
            Some(Package { name: field(stanza, "Package:")?, version: field(stanza, "Version:")? })
        })
        .collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    packages
}

impl Contents {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}  {}", self.names.join(" "), self.image_id), String::new()];
        let left_out: Vec<&Layer> = self.layers.iter().filter(|layer| layer.left_out).collect();
        if !left_out.is_empty() {
            let bytes = left_out.iter().map(|layer| layer.size).sum();
            lines.push(format!(
                "thin: {} of {} layers, {}, are not here; it loads where they are",
                left_out.len(),
                self.layers.len(),
                megabytes(bytes)
            ));
        }
        if let Some(signed) = &self.signed {
            let counter = signed.counter.map(|counter| format!(", counter {counter}")).unwrap_or_default();
            let key = signed.key.as_deref().map(|key| format!(", by key {key}")).unwrap_or_default();
            lines.push(format!(
                "signed: {}:{}{counter}{key}; `casque verify --archive` verifies it",
                signed.image, signed.tag
            ));
            lines.push(String::new());
        }
        if let Some(base) = &self.base {
            lines.extend([format!("base: {}  {}", base.name, base.image_id), String::new()]);
        }
        lines.push(format!("layers: {}", self.layers.len()));
        for layer in &self.layers {
            let digest = layer.diff_id.trim_start_matches("sha256:");
            let left_out = if layer.left_out { "not here  " } else { "" };
            let compression = layer.compression.map(|name| format!("{name}  ")).unwrap_or_default();
            let size = megabytes(layer.size);
            lines.push(format!("  {digest:.12}  {size:>9}  {left_out}{compression}{}", layer.created_by));
        }
        if !self.labels.is_empty() {
            lines.extend([String::new(), format!("labels: {}", self.labels.len())]);
            lines.extend(self.labels.iter().map(|(name, value)| format!("  {name} = {value}")));
        }
        if let Some(plan) = &self.plan {
            lines.extend([String::new(), format!("services: {}", plan.services.len())]);
            for (name, service) in &plan.services {
                let user = service.service.user.as_ref().map_or("root", |user| &user.name);
                lines.push(format!("  {name:16}  {user:10}  {}", service.service.command.join(" ")));
            }
            lines.extend([String::new(), format!("settings: {}", plan.settings.len())]);
            for (name, setting) in &plan.settings {
                lines.push(format!("  {name:24}  {}", setting.description));
            }
        }
        if !self.licences.is_empty() {
            lines.extend([String::new(), format!("licences: {}", self.licences.len())]);
            lines.extend(self.licences.iter().map(Licence::line));
        }
        lines.extend([String::new(), format!("packages: {}", self.packages.len())]);
        lines.extend(self.packages.iter().map(|package| format!("  {} {}", package.name, package.version)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_that_dpkg_calls_installed() {
        let status = "Package: b\nStatus: install ok installed\nVersion: 2\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: a\nStatus: install ok installed\nVersion: 1:1-1\n";
        let found: Vec<_> =
            packages(status).into_iter().map(|package| (package.name, package.version)).collect();
        assert_eq!(found, [("a".to_owned(), "1:1-1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    }
}
