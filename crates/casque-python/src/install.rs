//! Unpacking wheels into an environment, with the records that pip reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use casque_format::digest::Digest;
use fs_err as fs;
use pep440_rs::Version;

use crate::entry_points::{commands, with_shebang};
use crate::metadata::{Need, needs};
use crate::record::{Row, written};
use crate::requirements::normalised;
use crate::tree::{Tree, Written, digest_of, digest_of_content};
use crate::version::satisfies_all;
use crate::wheel::{Destination, Wheel};
use crate::{DirectUrl, PythonError, Venv};

/// What `INSTALLER` says.
const INSTALLER: &str = "casque\n";

/// More than a first line for Python has; a program without lines is read so far and copied whole.
const LONGEST_FIRST_LINE: u64 = 4096;

/// A wheel to unpack.
pub(crate) struct Coming {
    pub(crate) wheel: Wheel,
    /// What it is asked for with.
    pub(crate) extras: BTreeSet<String>,
    pub(crate) direct_url: Option<DirectUrl>,
}

/// Unpacks wheels into the environment at `inside`.
pub(crate) fn install(
    venv: &Venv<'_>,
    inside: &Path,
    coming: Vec<Coming>,
    unchecked: bool,
) -> Result<(), PythonError> {
    let site = venv.site_packages(inside);
    let present = installed(&venv.root.join(&site))?;
    check_present(&present, &coming)?;
    if !unchecked {
        check_needs(venv, &present, &coming)?;
    }
    let mut installation = Installation {
        tree: Tree::new(venv.root),
        inside: inside.to_owned(),
        site,
        python: format!("{}/bin/python3", venv.path),
        headers: inside
            .join(format!("include/site/python{}.{}", venv.target.python.major, venv.target.python.minor)),
        owners: HashMap::new(),
    };
    coming.into_iter().try_for_each(|coming| installation.unpack(coming))
}

/// Returns the distributions that are there, by normalised name, each with the directory that says so.
pub(crate) fn installed(site: &Path) -> Result<BTreeMap<String, String>, PythonError> {
    let mut present = BTreeMap::new();
    if !site.is_dir() {
        return Ok(present);
    }
    for entry in fs::read_dir(site).map_err(PythonError::Disk)? {
        let directory = entry.map_err(PythonError::Disk)?.file_name().to_string_lossy().into_owned();
        let stem = directory.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-'));
        if let Some((name, _)) = stem {
            present.insert(normalised(name), directory);
        }
    }
    Ok(present)
}

fn check_present(present: &BTreeMap<String, String>, coming: &[Coming]) -> Result<(), PythonError> {
    let mut seen: BTreeMap<&str, &str> = present.iter().map(|(name, found)| (&**name, &**found)).collect();
    for Coming { wheel, .. } in coming {
        if let Some(found) = seen.insert(&wheel.name, &wheel.information) {
            return Err(PythonError::Installed { distribution: wheel.name.clone(), found: found.to_owned() });
        }
    }
    Ok(())
}

/// Makes sure that nothing is missing, and that versions fit, as `pip check` does.
fn check_needs(
    venv: &Venv<'_>,
    present: &BTreeMap<String, String>,
    coming: &[Coming],
) -> Result<(), PythonError> {
    let version_of = |directory: &String| {
        let stem = directory.trim_end_matches(".dist-info");
        stem.rsplit_once('-').map_or(String::new(), |(_, version)| version.to_owned())
    };
    let mut versions: BTreeMap<&str, String> =
        present.iter().map(|(name, directory)| (name.as_str(), version_of(directory))).collect();
    versions.extend(coming.iter().map(|coming| (coming.wheel.name.as_str(), coming.wheel.version.clone())));
    // Whoever needs a distribution may ask for extras of it.
    let mut extras: BTreeMap<&str, BTreeSet<String>> =
        coming.iter().map(|coming| (coming.wheel.name.as_str(), coming.extras.clone())).collect();
    let mut needs_of: BTreeMap<&str, Vec<Need>> = BTreeMap::new();
    loop {
        let mut grown = false;
        for Coming { wheel, .. } in coming {
            needs_of.insert(&wheel.name, needs(&wheel.metadata, venv.target, &extras[wheel.name.as_str()]));
        }
        for need in needs_of.values().flatten() {
            let Some(known) = extras.get_mut(need.name.as_str()) else { continue };
            let before = known.len();
            known.extend(need.extras.iter().cloned());
            grown |= known.len() > before;
        }
        if !grown {
            break;
        }
    }
    for (name, needs) in &needs_of {
        for need in needs {
            let distribution = format!("{name} {}", versions[name]);
            let chain = chain(name, &needs_of);
            match versions.get(need.name.as_str()) {
                None => {
                    return Err(PythonError::Missing { distribution, needed: need.text.clone(), chain });
                }
                Some(found) if !fits(found, &need.versions) => {
                    let (needed, found) = (need.text.clone(), format!("{} {found}", need.name));
                    return Err(PythonError::Unfit { distribution, needed, found, chain });
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Versions that nobody can compare fit, as they do for pip.
fn fits(version: &str, wanted: &str) -> bool {
    Version::from_str(version).map_or(true, |version| satisfies_all(&version, wanted))
}

/// Says whom `name` is there for, beginning with what nobody needs: ` (for `a`, which needs `b`)`.
fn chain(name: &str, needs_of: &BTreeMap<&str, Vec<Need>>) -> String {
    let mut chain: Vec<&str> = vec![name];
    while let Some(above) = needs_of.iter().find(|(above, needs)| {
        !chain.contains(*above) && needs.iter().any(|need| chain.last() == Some(&need.name.as_str()))
    }) {
        chain.push(*above.0);
    }
    match chain.len() {
        1 => String::new(),
        _ => {
            let names: Vec<String> = chain.iter().rev().map(|name| format!("`{name}`")).collect();
            format!(", by way of {}", names.join(" -> "))
        }
    }
}

/// What the wheels of one installation share.
struct Installation {
    tree: Tree,
    inside: PathBuf,
    site: PathBuf,
    headers: PathBuf,
    python: String,
    /// Whose a file is.
    owners: HashMap<PathBuf, String>,
}

impl Installation {
    fn unpack(&mut self, coming: Coming) -> Result<(), PythonError> {
        let Coming { mut wheel, direct_url, .. } = coming;
        let mut rows = Vec::new();
        let damaged = wheel.problem("has a command that is not `name = module:function`");
        let commands = commands(&wheel.entry_points()?).ok_or(damaged)?;
        let mut made = BTreeSet::new();
        for command in &commands {
            let path = self.inside.join("bin").join(&command.name);
            if made.insert(path.clone()) {
                let script = command.script(&self.python);
                rows.push(self.put(&wheel.name, &path, &mut script.as_bytes(), 0o755)?);
            }
        }
        for entry in wheel.entries()? {
            let path = match &entry.destination {
                Destination::Library(path) => self.site.join(path),
                Destination::Data(path) => self.inside.join(path),
                Destination::Header(path) => self.headers.join(&wheel.name).join(path),
                Destination::Script(path) => self.inside.join("bin").join(path),
            };
            let name = wheel.name.clone();
            let row = if matches!(entry.destination, Destination::Script(_)) {
                // A script made from an entry point takes the place of one with the same name.
                if made.contains(&path) {
                    continue;
                }
                let filename = wheel.filename.clone();
                let mut content = BufReader::new(wheel.content(&entry)?);
                let mut first = Vec::new();
                let read = content.by_ref().take(LONGEST_FIRST_LINE).read_until(b'\n', &mut first);
                read.map_err(|error| PythonError::Zip { wheel: filename, source: error.into() })?;
                let first = with_shebang(&first, &self.python);
                self.put(&name, &path, &mut first.chain(content), 0o755)?
            } else {
                let mode = if entry.is_executable { 0o755 } else { 0o644 };
                self.put(&name, &path, &mut wheel.content(&entry)?, mode)?
            };
            rows.push(row);
        }
        let information = self.site.join(&wheel.information);
        let direct_url = direct_url.map(|url| url.json());
        let written_too = [
            ("INSTALLER", Some(INSTALLER)),
            ("REQUESTED", Some("")),
            ("direct_url.json", direct_url.as_deref()),
        ];
        for (file, content) in written_too {
            let Some(content) = content else { continue };
            rows.push(self.put(&wheel.name, &information.join(file), &mut content.as_bytes(), 0o644)?);
        }
        let record = information.join("RECORD");
        rows.push(Row { path: self.recorded(&record), content: None });
        self.put(&wheel.name, &record, &mut written(rows).as_bytes(), 0o644)?;
        Ok(())
    }

    /// Writes a file. One that is there may stay when it is the same, as happens with parts that several distributions
    /// share.
    fn put(
        &mut self,
        distribution: &str,
        path: &Path,
        content: &mut dyn Read,
        mode: u32,
    ) -> Result<Row, PythonError> {
        let recorded = self.recorded(path);
        let (digest, size) = match self.tree.file(path, content, mode)? {
            Written::New(digest, size) => (digest, size),
            Written::Occupied => self.same_as_there(distribution, path, content)?,
        };
        self.owners.entry(path.to_owned()).or_insert_with(|| distribution.to_owned());
        Ok(Row { path: recorded, content: Some((digest, size)) })
    }

    fn same_as_there(
        &self,
        distribution: &str,
        path: &Path,
        content: &mut dyn Read,
    ) -> Result<(Digest, u64), PythonError> {
        let conflict = || PythonError::Conflict {
            distribution: distribution.to_owned(),
            owner: self.owners.get(path).map_or("the environment".to_owned(), |owner| format!("`{owner}`")),
            path: path.strip_prefix(&self.inside).unwrap_or(path).display().to_string(),
        };
        let located = self.tree.located(path);
        let there = digest_of(&located)?.ok_or_else(conflict)?;
        let (digest, size) = digest_of_content(content, &located)?;
        if digest == there { Ok((digest, size)) } else { Err(conflict()) }
    }

    /// Returns a path as `RECORD` has it: from the directory of libraries.
    fn recorded(&self, path: &Path) -> String {
        let mut own = self.site.components().peekable();
        let mut there = path.components().peekable();
        while own.peek().is_some() && own.peek() == there.peek() {
            own.next();
            there.next();
        }
        let up = own.map(|_| "..".to_owned());
        let down = there.filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        });
        up.chain(down).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests;
