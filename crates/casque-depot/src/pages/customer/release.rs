//! One version: its notes, commands to copy, its files, and which packages in it differ from those of the version before.

use std::io::Read as _;

use serde::Serialize;

use super::documentation::DOCS;
use super::versions::{self, Version, Which};
use crate::answer::Answer;
use crate::app::Depot;
use crate::bill::Difference;
use crate::choice::broken;
use crate::error::DepotError;
use crate::install;
use crate::pages::steps::{Known, Step, signer, steps};
use crate::pages::words;
use crate::records::{ProductRecord, ReleaseFile};

/// More than any signature has.
const LONGEST_SIGNATURE: u64 = 16 << 10;

/// What is asked, and by whom.
pub(super) struct Asked {
    pub(super) customer: String,
    pub(super) host: Option<String>,
    pub(super) product: String,
    pub(super) version: Which,
}

#[derive(Debug, Serialize)]
pub(super) struct View {
    customer: String,
    name: String,
    title: String,
    version: Version,
    before: Option<String>,
    steps: Vec<Step>,
    files: Vec<File>,
    bills: Vec<Bill>,
    has_docs: bool,
}

#[derive(Debug, Serialize)]
struct File {
    name: String,
    what: &'static str,
    size: String,
    sha256: String,
    is_signed: bool,
}

/// What is said of one bill of materials.
#[derive(Debug, Serialize)]
struct Bill {
    file: String,
    /// None when there is nothing to compare it with, or one of the two cannot be read.
    difference: Option<Difference>,
    has_before: bool,
}

/// Gathers what the page shows.
pub(super) fn view(depot: &Depot, asked: Asked) -> Result<View, Answer> {
    let Asked { customer, host, product: name, version } = asked;
    let licence = versions::licence(depot, &customer, &name)?;
    let product = depot.records.product(&name).map_err(broken)?.ok_or_else(Answer::not_found)?;
    let (version, before) = versions::find(depot, &name, &licence, &version)?;
    let mut view = View {
        customer,
        name,
        title: product.title.clone(),
        version,
        before: before.map(|before| before.release),
        steps: Vec::new(),
        files: Vec::new(),
        bills: Vec::new(),
        has_docs: false,
    };
    // Of what was withdrawn only the reason is left to tell.
    if view.version.withdrawn.is_some() {
        return Ok(view);
    }
    let files = depot.records.files(&view.name, &view.version.release).map_err(broken)?;
    view.has_docs = files.iter().any(|file| file.kind == DOCS);
    view.steps = commands(depot, &view, &product, &files, host.as_deref()).map_err(broken)?;
    view.bills = bills(depot, &view, &files).map_err(broken)?;
    let signed = |name: &str| files.iter().any(|file| file.name.strip_suffix(".minisig") == Some(name));
    let shown = files.iter().filter(|file| file.kind != "signature");
    view.files = shown
        .map(|file| File {
            name: file.name.clone(),
            what: what(&file.kind),
            size: words::size(file.size),
            sha256: file.sha256.to_string(),
            is_signed: signed(&file.name),
        })
        .collect();
    Ok(view)
}

fn what(kind: &str) -> &'static str {
    match kind {
        "image" => "Image for Docker",
        "package" => "Package for a host",
        "sbom" => "Bill of materials",
        DOCS => "Documentation",
        _ => "Other file",
    }
}

fn commands(
    depot: &Depot,
    view: &View,
    product: &ProductRecord,
    files: &[ReleaseFile],
    host: Option<&str>,
) -> Result<Vec<Step>, DepotError> {
    let Some(image) = files.iter().find(|file| file.kind == "image") else { return Ok(Vec::new()) };
    let keys = depot.records.keys(&view.name)?;
    let signature = format!("{}.minisig", image.name);
    let signature = files.iter().find(|file| file.name == signature);
    let mut text = String::new();
    if let Some(file) = signature {
        let file = depot.storage.read(file.sha256).map_err(DepotError::File)?;
        file.take(LONGEST_SIGNATURE).read_to_string(&mut text).map_err(DepotError::File)?;
    }
    Ok(steps(&Known {
        address: &install::address(depot, host),
        customer: &view.customer,
        product: &view.name,
        release: &view.version.release,
        image: &image.name,
        key: signer(keys.iter().map(|key| key.line.as_str()), &text),
        run: &product.run,
    }))
}

/// Compares each bill of materials with that of the same name, versions apart, of the version before.
fn bills(depot: &Depot, view: &View, files: &[ReleaseFile]) -> Result<Vec<Bill>, DepotError> {
    let is_bill = |file: &&ReleaseFile| file.kind == "sbom";
    let older = match &view.before {
        Some(before) => depot.records.files(&view.name, before)?,
        None => Vec::new(),
    };
    let older: Vec<&ReleaseFile> = older.iter().filter(is_bill).collect();
    let bills = files.iter().filter(is_bill).map(|file| {
        let same = older.iter().find(|old| old.latest.is_some() && old.latest == file.latest);
        let before = same.or(if older.len() == 1 { older.first() } else { None });
        let difference = before.and_then(|old| depot.bills.between(&depot.storage, old.sha256, file.sha256));
        Bill {
            file: file.name.clone(),
            difference: difference.map(|difference| (*difference).clone()),
            has_before: before.is_some(),
        }
    });
    Ok(bills.collect())
}
