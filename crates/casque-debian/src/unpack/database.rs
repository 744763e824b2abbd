//! dpkg's records below `/var/lib/dpkg`, and the unpacking that keeps them right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fmt::Write;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use md5::{Digest as _, Md5};
use tar::EntryType;

use super::filter::{Filter, Shape, without_digests};
use super::overrides::Overrides;
use super::tree::{Attributes, Tree};
use super::{UnpackError, damaged};
use crate::control::Control;
use crate::deb::Deb;
use crate::stanza::{Stanza, stanzas};

pub(super) const DATABASE: &str = "var/lib/dpkg";
/// What a configuration file is called until dpkg has decided about it.
const NEW: &str = ".dpkg-new";
/// What stands for the digest of a configuration file that was never there before.
const NEVER_SEEN: &str = "newconffile";

/// Returns what is installed in `root`, configured or not.
pub fn installed_packages(root: &Path) -> Result<Vec<Control>, UnpackError> {
    let text = Tree::new(root).read(&Path::new(DATABASE).join("status"))?;
    stanzas(&text)
        .filter(is_installed)
        .map(|stanza| Control::parse(&stanza).map_err(UnpackError::Control))
        .collect()
}

fn is_installed(stanza: &Stanza<'_>) -> bool {
    let state = stanza.get("Status").and_then(|status| status.split_whitespace().nth(2));
    !matches!(state, None | Some("not-installed" | "config-files"))
}

/// The database of one root, read once and written back by [`Database::finish`].
pub(super) struct Database {
    tree: Tree,
    /// Stanzas by package and architecture.
    status: BTreeMap<(String, String), String>,
    /// Who has which file. Directories are nobody's.
    owners: HashMap<String, String>,
    /// Where a file goes instead, and for which package it does not.
    diversions: HashMap<String, (String, String)>,
    /// What the root's configuration leaves out.
    filter: Filter,
    /// Owners and modes that are not the packages' own.
    overrides: Overrides,
    /// Lists to write again because a file changed hands.
    lost: BTreeMap<String, BTreeSet<String>>,
    /// Trigger name to interested packages, each perhaps with `/noawait`.
    interests: BTreeMap<String, BTreeSet<String>>,
    /// Triggers that packages activated.
    activated: BTreeSet<String>,
    /// Everything that was unpacked, for triggers on paths.
    unpacked: Vec<String>,
}

impl Database {
    /// Makes an empty database.
    pub(super) fn create(tree: &Tree) -> Result<(), UnpackError> {
        for directory in ["alternatives", "info", "parts", "triggers", "updates"] {
            tree.make_directory(&Path::new(DATABASE).join(directory))?;
        }
        for file in ["available", "diversions", "statoverride", "status"] {
            let path = Path::new(DATABASE).join(file);
            if !tree.locate(&path)?.exists() {
                tree.write(&path, b"", 0o644)?;
            }
        }
        tree.write(&Path::new(DATABASE).join("info/format"), b"1\n", 0o644)
    }

    pub(super) fn open(tree: Tree) -> Result<Self, UnpackError> {
        let read = |name: &str| tree.read(&Path::new(DATABASE).join(name));
        let mut status = BTreeMap::new();
        for stanza in stanzas(&read("status")?) {
            // Of a package that is not installed, dpkg may keep a name and what was wanted of it, and nothing else.
            let field = |name| stanza.get(name).unwrap_or_default().to_owned();
            status.insert((field("Package"), field("Architecture")), stanza.text().to_owned());
        }
        let diversions = parse_diversions(&read("diversions")?);
        let mut interests: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for line in read("triggers/File")?.lines() {
            if let Some((path, package)) = line.split_once(' ') {
                interests.entry(path.to_owned()).or_default().insert(package.to_owned());
            }
        }
        let activated = read("triggers/Unincorp")?
            .lines()
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect();
        let owners = read_owners(&tree)?;
        let filter = Filter::read(&tree)?;
        let overrides = Overrides::read(&tree)?;
        Ok(Self {
            tree,
            filter,
            overrides,
            status,
            owners,
            diversions,
            interests,
            activated,
            lost: BTreeMap::new(),
            unpacked: vec![],
        })
    }

    /// Refuses a package that is installed already.
    pub(super) fn check_absent(&self, control: &Control) -> Result<(), UnpackError> {
        let known = self.status.iter().filter(|((name, _), _)| *name == control.name);
        match known.filter_map(|(_, text)| Stanza::first(text)).find(is_installed) {
            Some(stanza) => {
                let version = stanza.get("Version").unwrap_or_default().to_owned();
                Err(UnpackError::Installed { package: control.name.clone(), version })
            }
            None => Ok(()),
        }
    }

    /// Writes `info/PACKAGE.*`.
    pub(super) fn write_control_files(&mut self, deb: &Deb) -> Result<(), UnpackError> {
        for member in &deb.members {
            let path = info(&deb.control, &member.name);
            if member.name == "md5sums" {
                let mut gone = |path: &str| self.filter.leaves_out(path, Shape::Leaf);
                self.tree.write(&path, &without_digests(&member.bytes, &mut gone), member.mode)?;
                continue;
            }
            self.tree.write(&path, &member.bytes, member.mode)?;
        }
        Ok(())
    }

    /// Unpacks one package whose files are the tar `data`.
    pub(super) fn unpack(&mut self, deb: &Deb, data: &[u8]) -> Result<(), UnpackError> {
        let mut unpacking = Unpacking {
            deb,
            name: deb.control.database_name(),
            conffiles: conffiles(deb),
            previous: self.previous_conffiles(&deb.control),
            digests: BTreeMap::new(),
            list: vec![],
            md5sums: vec![],
        };
        let broken = |error| damaged(&deb.control, deb.damaged(error));
        let mut archive = tar::Archive::new(data);
        for entry in archive.entries().map_err(broken)? {
            self.put(&mut unpacking, entry.map_err(broken)?)?;
        }
        self.record(unpacking)
    }

    fn put(
        &mut self,
        unpacking: &mut Unpacking<'_>,
        mut entry: tar::Entry<'_, &[u8]>,
    ) -> Result<(), UnpackError> {
        let deb = unpacking.deb;
        let broken = |error| damaged(&deb.control, deb.damaged(error));
        let path = unpacking.inside(&entry.path_bytes())?;
        let listed = format!("/{}", if path.is_empty() { "." } else { &path });
        unpacking.list.push(listed.clone());
        if path.is_empty() {
            return Ok(());
        }
        let mut attributes = attributes(&mut entry).map_err(broken)?;
        self.overrides.apply(&listed, &mut attributes);
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            if self.filter.leaves_out(&listed, Shape::Passage) {
                unpacking.list.pop();
                return Ok(());
            }
            return self.tree.put_directory(Path::new(&path), &attributes);
        }
        if !self.take_over(unpacking, &listed)? {
            unpacking.list.pop();
            return Ok(());
        }
        let shape = if kind == EntryType::Symlink { Shape::Passage } else { Shape::Leaf };
        if self.filter.leaves_out(&listed, shape) {
            unpacking.list.pop();
            return Ok(());
        }
        let place = self.diverted(&unpacking.name, &listed);
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                let mut bytes = vec![];
                entry.read_to_end(&mut bytes).map_err(broken)?;
                self.put_file(unpacking, &listed, place, &bytes, &attributes)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = PathBuf::from(OsString::from_vec(target));
                self.tree.put_link(&place, &target, &attributes)
            }
            EntryType::Link => {
                let target = unpacking.inside(&entry.link_name_bytes().unwrap_or_default())?;
                let target = self.diverted(&unpacking.name, &format!("/{target}"));
                self.tree.put_hard_link(&place, &target)
            }
            _ => Err(UnpackError::Kind { package: deb.control.name.clone(), entry: listed }),
        }
    }

    /// A configuration file that nobody has touched can be put in its place at once. Where something is there, or
    /// somebody removed it, dpkg decides when it configures the package.
    fn put_file(
        &mut self,
        unpacking: &mut Unpacking<'_>,
        listed: &str,
        place: PathBuf,
        bytes: &[u8],
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        if !unpacking.conffiles.contains(listed) {
            if !unpacking.deb.has("md5sums") {
                unpacking.md5sums.push((hex_md5(bytes), listed[1..].to_owned()));
            }
            return self.tree.put_file(&place, &mut &bytes[..], attributes);
        }
        let previous = unpacking.previous.get(listed).cloned();
        let there = self.tree.locate(&place)?.symlink_metadata().is_ok();
        if !there && previous.is_none() {
            unpacking.digests.insert(listed.to_owned(), hex_md5(bytes));
            return self.tree.put_file(&place, &mut &bytes[..], attributes);
        }
        unpacking.digests.insert(listed.to_owned(), previous.unwrap_or_else(|| NEVER_SEEN.to_owned()));
        let mut new = place.into_os_string();
        new.push(NEW);
        self.tree.put_file(Path::new(&new), &mut &bytes[..], attributes)
    }

    /// Decides who has a file and tells whether it is this package.
    fn take_over(&mut self, unpacking: &Unpacking<'_>, listed: &str) -> Result<bool, UnpackError> {
        let owner = self.owners.get(listed).filter(|owner| **owner != unpacking.name).cloned();
        if let Some(owner) = owner
            && self.diverted(&owner, listed) == self.diverted(&unpacking.name, listed)
        {
            let control = &unpacking.deb.control;
            let other = self.control_of(&owner)?;
            if replaces(control, &other)? {
                self.lost.entry(owner).or_default().insert(listed.to_owned());
            } else if replaces(&other, control)? {
                return Ok(false);
            } else {
                let package = control.name.clone();
                return Err(UnpackError::Overwrite { package, owner: other.name, entry: listed.to_owned() });
            }
        }
        self.owners.insert(listed.to_owned(), unpacking.name.clone());
        Ok(true)
    }

    fn control_of(&self, database_name: &str) -> Result<Control, UnpackError> {
        let (name, _) = database_name.split_once(':').unwrap_or((database_name, ""));
        let stanza = self.status.iter().find(|((known, _), _)| known == name);
        let stanza = stanza.and_then(|(_, text)| Stanza::first(text));
        match stanza {
            Some(stanza) => Control::parse(&stanza).map_err(UnpackError::Control),
            // A list without a stanza: a package that was purged by hand. Nothing is known of it but its name.
            None => Ok(Control {
                name: name.to_owned(),
                version: "0".into(),
                architecture: "all".to_owned(),
                source: None,
                source_version: None,
                essential: false,
                multi_arch_same: false,
                multi_arch_allowed: false,
                priority: String::new(),
                relations: crate::control::Relations::default(),
            }),
        }
    }

    /// Returns where a file of a package goes.
    fn diverted(&self, database_name: &str, listed: &str) -> PathBuf {
        let package = database_name.split(':').next().unwrap_or_default();
        let place = match self.diversions.get(listed) {
            Some((target, by)) if by != package => target,
            _ => listed,
        };
        PathBuf::from(place.trim_start_matches('/'))
    }

    fn previous_conffiles(&self, control: &Control) -> HashMap<String, String> {
        let key = (control.name.clone(), control.architecture.clone());
        let stanza = self.status.get(&key).and_then(|text| Stanza::first(text));
        let lines = stanza.and_then(|stanza| stanza.get("Conffiles")).unwrap_or_default().lines();
        lines
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?.to_owned(), words.next()?.to_owned()))
            })
            .collect()
    }

    /// Writes what is known of a package once its files are there.
    fn record(&mut self, unpacking: Unpacking<'_>) -> Result<(), UnpackError> {
        let deb = unpacking.deb;
        self.write_control_files(deb)?;
        let list = unpacking.list.iter().fold(String::new(), |text, path| text + path + "\n");
        self.tree.write(&info(&deb.control, "list"), list.as_bytes(), 0o644)?;
        if !deb.has("md5sums") && !unpacking.md5sums.is_empty() {
            let sums = unpacking.md5sums.iter().fold(String::new(), |mut text, (sum, path)| {
                let _ = writeln!(text, "{sum}  {path}");
                text
            });
            self.tree.write(&info(&deb.control, "md5sums"), sums.as_bytes(), 0o644)?;
        }
        let triggers = deb.member("triggers").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        self.add_triggers(&unpacking.name, &triggers.unwrap_or_default())?;
        let key = (deb.control.name.clone(), deb.control.architecture.clone());
        self.status.insert(key, status_stanza(deb, &unpacking.digests));
        self.unpacked.extend(unpacking.list);
        Ok(())
    }

    fn add_triggers(&mut self, name: &str, triggers: &str) -> Result<(), UnpackError> {
        for line in triggers.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(directive), Some(trigger)) = (words.next(), words.next()) else { continue };
            match directive {
                "interest" | "interest-await" => self.add_interest(trigger, name.to_owned())?,
                "interest-noawait" => self.add_interest(trigger, format!("{name}/noawait"))?,
                // Whoever activates could be made to wait for the one who is interested. It need not: before anything
                // is used, `dpkg --configure` has run both.
                directive if directive.starts_with("activate") => {
                    self.activated.insert(trigger.to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_interest(&mut self, trigger: &str, who: String) -> Result<(), UnpackError> {
        if trigger.starts_with('/') {
            self.interests.entry(trigger.to_owned()).or_default().insert(who);
            return Ok(());
        }
        if trigger.contains('/') {
            return Ok(());
        }
        let path = Path::new(DATABASE).join("triggers").join(trigger);
        let mut lines: BTreeSet<String> = self.tree.read(&path)?.lines().map(str::to_owned).collect();
        lines.insert(who);
        let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
        self.tree.write(&path, text.as_bytes(), 0o644)
    }

    /// Writes the database back and gives directories their times.
    pub(super) fn finish(mut self) -> Result<(), UnpackError> {
        for (owner, lost) in &self.lost {
            let path = Path::new(DATABASE).join(format!("info/{owner}.list"));
            let old = self.tree.read(&path)?;
            let kept = old.lines().filter(|line| !lost.contains(*line));
            let text = kept.fold(String::new(), |text, line| text + line + "\n");
            self.tree.write(&path, text.as_bytes(), 0o644)?;
        }
        self.activate_by_path();
        let mut interests = String::new();
        for (path, packages) in &self.interests {
            packages.iter().for_each(|package| interests += &format!("{path} {package}\n"));
        }
        let activated = self.activated.iter().fold(String::new(), |text, trigger| text + trigger + " -\n");
        let status =
            self.status.values().map(|stanza| stanza.trim_end()).collect::<Vec<_>>().join("\n\n") + "\n\n";
        for (name, text) in
            [("triggers/File", interests), ("triggers/Unincorp", activated), ("status", status)]
        {
            self.tree.write(&Path::new(DATABASE).join(name), text.as_bytes(), 0o644)?;
        }
        self.tree.finish()
    }

    fn activate_by_path(&mut self) {
        for path in self.interests.keys() {
            let below = |file: &String| {
                file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if self.unpacked.iter().any(below) {
                self.activated.insert(path.clone());
            }
        }
    }
}

/// A package while it is being unpacked.
struct Unpacking<'a> {
    deb: &'a Deb,
    name: String,
    conffiles: HashSet<String>,
    previous: HashMap<String, String>,
    digests: BTreeMap<String, String>,
    list: Vec<String>,
    md5sums: Vec<(String, String)>,
}

impl Unpacking<'_> {
    /// Returns the path of an entry without its leading `./`; the root itself is empty.
    fn inside(&self, entry: &[u8]) -> Result<String, UnpackError> {
        let package = || self.deb.control.name.clone();
        let text = std::str::from_utf8(entry).map_err(|_| UnpackError::Escape {
            package: package(),
            entry: String::from_utf8_lossy(entry).into_owned(),
        })?;
        let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") || text.contains('\n') {
            return Err(UnpackError::Escape { package: package(), entry: text.to_owned() });
        }
        Ok(parts.join("/"))
    }
}

fn info(control: &Control, suffix: &str) -> PathBuf {
    Path::new(DATABASE).join(format!("info/{}.{suffix}", control.database_name()))
}

/// Each diversion is three lines: the path, where it goes instead, and the package that keeps it.
fn parse_diversions(text: &str) -> HashMap<String, (String, String)> {
    let lines: Vec<_> = text.lines().collect();
    lines
        .chunks_exact(3)
        .map(|three| (three[0].to_owned(), (three[1].to_owned(), three[2].to_owned())))
        .collect()
}

fn read_owners(tree: &Tree) -> Result<HashMap<String, String>, UnpackError> {
    let mut owners = HashMap::new();
    let directory = tree.locate(&Path::new(DATABASE).join("info/x"))?;
    let directory = directory.parent().expect("a file has a directory");
    for entry in fs::read_dir(directory).map_err(UnpackError::Disk)? {
        let name = entry.map_err(UnpackError::Disk)?.file_name();
        let Some(package) = name.to_str().and_then(|name| name.strip_suffix(".list")) else { continue };
        let text = tree.read(&Path::new(DATABASE).join(format!("info/{package}.list")))?;
        owners.extend(text.lines().map(|line| (line.to_owned(), package.to_owned())));
    }
    Ok(owners)
}

fn conffiles(deb: &Deb) -> HashSet<String> {
    let text = deb.member("conffiles").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    // A line may begin with a flag; with `remove-on-upgrade` the package no longer has the file.
    text.unwrap_or_default()
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

fn attributes(entry: &mut tar::Entry<'_, &[u8]>) -> std::io::Result<Attributes> {
    let mut xattrs = vec![];
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            if let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) {
                xattrs.push((name.into(), extension.value_bytes().to_owned()));
            }
        }
    }
    let header = entry.header();
    let number = |number: std::io::Result<u64>| {
        number.and_then(|number| u32::try_from(number).map_err(std::io::Error::other))
    };
    Ok(Attributes {
        uid: number(header.uid())?,
        gid: number(header.gid())?,
        mode: header.mode()? & 0o7777,
        modified: i64::try_from(header.mtime()?).map_err(std::io::Error::other)?,
        xattrs,
    })
}

fn replaces(control: &Control, other: &Control) -> Result<bool, UnpackError> {
    // Architecture restrictions never remain in a binary package, so the architecture does not matter.
    let groups = control.replaces(&control.architecture).map_err(UnpackError::Control)?;
    Ok(groups
        .iter()
        .flatten()
        .any(|relation| relation.name == other.name && relation.accepts(&other.version)))
}

/// The control file becomes the stanza, with the status after the name and what dpkg keeps of configuration files.
fn status_stanza(deb: &Deb, conffiles: &BTreeMap<String, String>) -> String {
    let (first, rest) = deb.stanza.trim().split_once('\n').unwrap_or((&deb.stanza, ""));
    let mut text = format!("{first}\nStatus: install ok unpacked\n{}\n", rest.trim_end());
    if !conffiles.is_empty() {
        text += "Conffiles:\n";
        conffiles.iter().for_each(|(path, digest)| text += &format!(" {path} {digest}\n"));
    }
    text
}

fn hex_md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
