//! What differs between two images, for a vendor's release notes and for whoever looks for noise in a build.
//!
//! `Facts` is what an image says about itself, read once; comparing two of them needs no image any more. Files are compared
//! in the trees, where a layer that both images have is not looked at.

use std::path::Path;

use casque_format::difference::{Change, Difference, Item, Layer, VERSION};
use casque_image::read::{Archive, ReadError};
use casque_image::tree::Tree;
use serde_json::Value;

use facts::Facts;
use values::{changes, items};

mod facts;
mod files;
mod packages;
mod values;

/// Compares two images: archives, or directories in OCI layout.
pub fn difference(old: &Path, new: &Path) -> Result<Difference, ReadError> {
    let (old, new) = (Archive::open(old)?, Archive::open(new)?);
    // A thin archive is mostly compared with that which it is thin against.
    let (old_tree, new_tree) = (Tree::borrowing(&old, &new)?, Tree::borrowing(&new, &old)?);
    let (old_facts, new_facts) = (Facts::read(&old, &old_tree)?, Facts::read(&new, &new_tree)?);
    let had: Vec<_> = old.layers().iter().map(|layer| layer.diff_id).collect();
    let layer = |layer: &casque_image::read::ReadLayer| Layer {
        diff_id: layer.diff_id.oci(),
        created_by: layer.created_by.clone().unwrap_or_default(),
        size: layer.size,
        shared: had.contains(&layer.diff_id),
    };
    let layers = new.layers().iter().map(layer).collect();
    let files = files::compare((&old_tree, &old_facts.owners), (&new_tree, &new_facts.owners))?;
    Ok(Difference { files, ..compare(&old_facts, &new_facts, layers) })
}

/// Compares everything but files.
fn compare(old: &Facts, new: &Facts, layers: Vec<Layer>) -> Difference {
    let plans = (&old.plan, &new.plan);
    let missing = layers.iter().filter(|layer| !layer.shared);
    Difference {
        version: VERSION,
        old: old.side.clone(),
        new: new.side.clone(),
        download: missing.map(|layer| layer.size).sum(),
        settings: settings(&plans.0["settings"], &plans.1["settings"]),
        services: services(items(&plans.0["services"], &plans.1["services"])),
        ports: items(&old.ports, &new.ports),
        data: items(&by_path(&plans.0["data"]), &by_path(&plans.1["data"])),
        templates: items(&by_path(&plans.0["templates"]), &by_path(&plans.1["templates"])),
        product: product(plans.0, plans.1),
        image: changes(&old.image, &new.image),
        packages: packages::debian(&old.packages, &new.packages),
        python: packages::python(&old.python, &new.python),
        users: items(&old.users, &new.users),
        groups: items(&old.groups, &new.groups),
        files: Vec::new(),
        layers,
    }
}

/// Compares settings, and hides the defaults of secrets: release notes travel further than images.
fn settings(old: &Value, new: &Value) -> Vec<Item> {
    let is_secret = |name: &str| {
        [old, new].iter().any(|settings| {
            settings[name]["secret"] == Value::Bool(true) || settings[name]["type"] == "password"
        })
    };
    let mut items = items(old, new);
    for item in items.iter_mut().filter(|item| is_secret(&item.name)) {
        for change in item.changes.iter_mut().filter(|change| change.what == "default") {
            for text in [&mut change.old, &mut change.new].into_iter().flatten() {
                "(secret)".clone_into(text);
            }
        }
    }
    items
}

/// Leaves out that a plan keeps what PID 1 runs apart from what switches it.
fn services(mut items: Vec<Item>) -> Vec<Item> {
    for change in items.iter_mut().flat_map(|item| &mut item.changes) {
        if let Some(short) = change.what.strip_prefix("service.") {
            change.what = short.to_owned();
        }
    }
    items
}

/// Takes a list of tables that have a path each as a table by path.
fn by_path(list: &Value) -> Value {
    let entry = |entry: &Value| {
        let mut rest = entry.as_object()?.clone();
        let path = rest.remove("path")?.as_str()?.to_owned();
        Some((path, Value::Object(rest)))
    };
    list.as_array().into_iter().flatten().filter_map(entry).collect()
}

/// Compares what of the plans has no list of its own.
fn product(old: &Value, new: &Value) -> Vec<Change> {
    let rest = |plan: &Value| {
        let mut rest = plan.as_object().cloned().unwrap_or_default();
        for listed in ["settings", "services", "data", "templates"] {
            rest.remove(listed);
        }
        Value::Object(rest)
    };
    changes(&rest(old), &rest(new))
}

#[cfg(test)]
mod tests;
