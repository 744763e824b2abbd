//! What an image says about itself: its packages, its accounts, its plan, and who brought which file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use casque_debian::{Stanza, stanzas};
use casque_format::difference::{Owner, Side};
use casque_format::paths;
use casque_format::spdx::Document;
use casque_image::config::ImageConfig;
use casque_image::node::Kind;
use casque_image::read::{Archive, ReadError};
use casque_image::tree::Tree;
use serde_json::{Map, Value, json};

use super::packages::Versions;

const STATUS: &str = "var/lib/dpkg/status";
const INFO: &str = "var/lib/dpkg/info";
const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";
/// No record of an image is larger.
const LARGEST: u64 = 64 << 20;

/// What an image says about itself.
pub(super) struct Facts {
    pub(super) side: Side,
    /// Debian packages.
    pub(super) packages: Versions,
    /// Python distributions by the directory they are in.
    pub(super) python: BTreeMap<String, Versions>,
    /// The image plan; null where casque did not build the image.
    pub(super) plan: Value,
    /// The configuration but for ports and the time.
    pub(super) image: Value,
    pub(super) ports: Value,
    pub(super) users: Value,
    pub(super) groups: Value,
    pub(super) owners: Owners,
}

impl Facts {
    pub(super) fn read(archive: &Archive, tree: &Tree<'_>) -> Result<Self, ReadError> {
        let records = records(tree)?;
        let text = |path: &str| records.get(Path::new(path)).map_or("", String::as_str);
        let config = archive.config();
        let mut owners = Owners::of_packages(tree, &records);
        let python = owners.add_distributions(&records);
        let plan = text(paths::IMAGE_PLAN.trim_start_matches('/'));
        Ok(Self {
            side: Side {
                names: archive.names().to_vec(),
                image_id: archive.image_id().oci(),
                created: config.created,
                size: archive.layers().iter().map(|layer| layer.size).sum(),
                unread_layers: tree.unread_layers(),
            },
            packages: packages(text(STATUS), &config.architecture),
            python,
            plan: serde_json::from_str(plan).unwrap_or(Value::Null),
            image: image(config, base(text(paths::BILL.trim_start_matches('/')))),
            ports: config.ports.iter().map(|port| (port.to_string(), json!({}))).collect(),
            users: accounts(text(PASSWD), &["", "", "uid", "gid", "", "home", "shell"]),
            groups: accounts(text(GROUP), &["", "", "gid", "members"]),
            owners,
        })
    }
}

/// Reads every record that the facts are in.
fn records(tree: &Tree<'_>) -> Result<BTreeMap<PathBuf, String>, ReadError> {
    let own = [paths::IMAGE_PLAN, paths::BILL].map(|path| path.trim_start_matches('/'));
    let fixed = [STATUS, PASSWD, GROUP, own[0], own[1]];
    let wanted = tree.entries().keys().map(PathBuf::as_path).filter(|path| {
        let list =
            path.parent() == Some(Path::new(INFO)) && path.extension().is_some_and(|end| end == "list");
        list || fixed.iter().any(|fixed| *path == Path::new(fixed)) || is_of_distribution(path)
    });
    let mut records = BTreeMap::new();
    tree.contents(wanted, |paths, content| {
        let mut bytes = Vec::new();
        content.take(LARGEST).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        records.extend(paths.iter().map(|path| (path.to_path_buf(), text.clone())));
        Ok(())
    })?;
    Ok(records)
}

/// Returns whether a file is a record of Python's package installers.
fn is_of_distribution(path: &Path) -> bool {
    let directory = path.parent().and_then(Path::extension).and_then(|end| end.to_str());
    let name = path.file_name().and_then(|name| name.to_str());
    matches!(
        (directory, name),
        (Some("dist-info"), Some("METADATA" | "RECORD")) | (Some("egg-info"), Some("PKG-INFO"))
    )
}

/// Returns the installed packages of dpkg's database.
fn packages(status: &str, architecture: &str) -> Versions {
    let package = |stanza: Stanza<'_>| {
        let installed = stanza.get("Status")?.ends_with(" installed");
        let name = stanza.get("Package").filter(|_| installed)?;
        let own = stanza.get("Architecture").unwrap_or("all");
        let foreign = own != "all" && own != architecture;
        let name = if foreign { format!("{name}:{own}") } else { name.to_owned() };
        Some((name, stanza.get("Version")?.to_owned()))
    };
    stanzas(status).filter_map(package).collect()
}

/// Takes lines with `:` between their fields as a table by the first; fields without a name are left out, the second is a
/// password.
fn accounts(text: &str, names: &[&str]) -> Value {
    let account = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let named = names.iter().zip(&fields).filter(|(name, _)| !name.is_empty());
        let fields_by_name: Map<String, Value> =
            named.map(|(name, field)| ((*name).to_owned(), json!(field))).collect();
        Some(((*fields.first().filter(|name| !name.is_empty())?).to_owned(), Value::Object(fields_by_name)))
    };
    text.lines().filter_map(account).collect()
}

/// Returns the image that this one starts from, as its bill of materials has it; null where it stands on none.
fn base(bill: &str) -> Value {
    let document = serde_json::from_str::<Document>(bill).ok();
    match document.as_ref().and_then(Document::base) {
        Some(base) => json!({ "name": base.name, "image": base.version_info }),
        None => Value::Null,
    }
}

fn image(config: &ImageConfig, base: Value) -> Value {
    json!({
        "base": base,
        "architecture": config.architecture,
        "entrypoint": config.entrypoint,
        "command": config.command,
        "environment": config.environment,
        "volumes": config.volumes,
        "user": config.user,
        "working_directory": config.working_directory,
        "labels": config.labels,
        "stop_signal": config.stop_signal,
        "healthcheck": config.healthcheck.as_ref().map(|check| json!({
            "command": check.command,
            "interval_ms": check.interval.as_millis() as u64,
            "timeout_ms": check.timeout.as_millis() as u64,
            "start_period_ms": check.start_period.as_millis() as u64,
            "retries": check.retries,
        })),
    })
}

/// Who brought which file.
#[derive(Default)]
pub(super) struct Owners(BTreeMap<PathBuf, Owner>);

impl Owners {
    /// Reads dpkg's lists. They name paths as packages do, `/bin/sh`, where the tree has `usr/bin/sh`.
    fn of_packages(tree: &Tree<'_>, records: &BTreeMap<PathBuf, String>) -> Self {
        let is_directory =
            |path: &Path| tree.entries().get(path).is_none_or(|entry| entry.node.kind == Kind::Directory);
        let mut owners = BTreeMap::new();
        for (list, text) in records.iter().filter(|(path, _)| path.starts_with(INFO)) {
            let owner = Owner::Debian(package_of(list));
            let paths = text.lines().map(|line| moved(tree, Path::new(line.trim_start_matches('/'))));
            owners.extend(paths.filter(|path| !is_directory(path)).map(|path| (path, owner.clone())));
        }
        Self(owners)
    }

    /// Reads the records of Python distributions that are not of Debian, and returns their versions by place.
    fn add_distributions(&mut self, records: &BTreeMap<PathBuf, String>) -> BTreeMap<String, Versions> {
        let mut found: BTreeMap<String, Versions> = BTreeMap::new();
        for (path, text) in records.iter().filter(|(path, _)| is_of_distribution(path)) {
            if path.ends_with("RECORD") || matches!(self.0.get(path), Some(Owner::Debian(_))) {
                continue;
            }
            let header = Stanza::first(text);
            let field = |name| header.and_then(|header| header.get(name));
            let (Some(name), Some(version)) = (field("Name"), field("Version")) else { continue };
            let name = normalised(name);
            let Some(information) = path.parent() else { continue };
            let Some(place) = information.parent() else { continue };
            let record = records.get(&information.join("RECORD")).map_or("", String::as_str);
            let files = record.lines().map(|line| joined(place, first_field(line)));
            self.0.extend(files.map(|file| (file, Owner::Python(name.clone()))));
            found.entry(format!("/{}", place.display())).or_default().insert(name, version.to_owned());
        }
        found
    }

    /// Returns who brought a path, or that which it was made from.
    pub(super) fn of(&self, path: &Path) -> Option<Owner> {
        if let Some(owner) = self.0.get(path) {
            return Some(owner.clone());
        }
        if path.parent() == Some(Path::new(INFO)) {
            return Some(Owner::Debian(package_of(path)));
        }
        self.0.get(&source_of_bytecode(path)?).cloned()
    }
}

/// Returns the package of a file of dpkg's records, such as `libc6:amd64.list`.
fn package_of(record: &Path) -> String {
    let stem = record.file_stem().unwrap_or_default().to_string_lossy();
    stem.split(':').next().unwrap_or_default().to_owned()
}

/// Follows the link that the first part of a path may be since `/bin` became one.
fn moved(tree: &Tree<'_>, path: &Path) -> PathBuf {
    let mut parts = path.components();
    let first = parts.next().map(|part| PathBuf::from(part.as_os_str())).unwrap_or_default();
    match tree.entries().get(&first).map(|entry| &entry.node.kind) {
        Some(Kind::Symlink { target }) if parts.clone().next().is_some() => {
            target.strip_prefix("/").unwrap_or(target).join(parts.as_path())
        }
        _ => path.to_owned(),
    }
}

/// Returns `a/b.py` for `a/__pycache__/b.cpython-311.pyc`.
fn source_of_bytecode(path: &Path) -> Option<PathBuf> {
    let directory = path.parent().filter(|parent| parent.ends_with("__pycache__"))?.parent()?;
    let name = path.file_name()?.to_str()?.strip_suffix(".pyc")?;
    Some(directory.join(format!("{}.py", name.split(".cpython-").next()?)))
}

/// Returns the first field of a line of comma-separated values.
fn first_field(line: &str) -> &str {
    match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => line.split(',').next().unwrap_or_default(),
    }
}

/// Joins a path that may lead up.
fn joined(place: &Path, path: &str) -> PathBuf {
    let mut joined = place.to_owned();
    for part in path.split('/') {
        match part {
            ".." => drop(joined.pop()),
            part => joined.push(part),
        }
    }
    joined
}

/// Returns the name by which Python's tools know a distribution.
fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}
