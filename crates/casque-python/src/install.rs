//! Unpacking wheels into an environment, with the records that pip reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use casque_format::digest::Digest;
use fs_err as fs;

use crate::entry_points::{commands, with_shebang};
use crate::metadata::needs;
use crate::record::{Row, written};
use crate::requirements::normalised;
use crate::tree::{Tree, Written, digest_of, digest_of_content};
use crate::wheel::{Destination, Wheel};
use crate::{PythonError, Venv};

/// What `INSTALLER` says.
const INSTALLER: &[u8] = b"casque\n";

/// More than a first line for Python has; a program without lines is read so far and copied whole.
const LONGEST_FIRST_LINE: u64 = 4096;

/// Unpacks wheels into the environment at `inside`.
pub(crate) fn install(venv: &Venv<'_>, inside: &Path, wheels: Vec<Wheel>) -> Result<(), PythonError> {
    let site = venv.site_packages(inside);
    let present = installed(&venv.root.join(&site))?;
    check_present(&present, &wheels)?;
    check_needs(venv, &present, &wheels)?;
    let mut installation = Installation {
        tree: Tree::new(venv.root),
        inside: inside.to_owned(),
        site,
        python: format!("{}/bin/python3", venv.path),
        headers: inside
            .join(format!("include/site/python{}.{}", venv.target.python.major, venv.target.python.minor)),
        owners: HashMap::new(),
    };
    wheels.into_iter().try_for_each(|wheel| installation.unpack(wheel))
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

fn check_present(present: &BTreeMap<String, String>, wheels: &[Wheel]) -> Result<(), PythonError> {
    let mut seen: BTreeMap<&str, &str> = present.iter().map(|(name, found)| (&**name, &**found)).collect();
    for wheel in wheels {
        if let Some(found) = seen.insert(&wheel.name, &wheel.information) {
            return Err(PythonError::Installed { distribution: wheel.name.clone(), found: found.to_owned() });
        }
    }
    Ok(())
}

/// Makes sure that nothing is missing; which versions fit was decided by whoever pinned them.
fn check_needs(
    venv: &Venv<'_>,
    present: &BTreeMap<String, String>,
    wheels: &[Wheel],
) -> Result<(), PythonError> {
    let coming: BTreeSet<&str> = wheels.iter().map(|wheel| &*wheel.name).collect();
    for wheel in wheels {
        let missing = needs(&wheel.metadata, venv.target)
            .into_iter()
            .find(|needed| !coming.contains(&**needed) && !present.contains_key(needed));
        if let Some(needed) = missing {
            return Err(PythonError::Missing { distribution: wheel.name.clone(), needed });
        }
    }
    Ok(())
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
    fn unpack(&mut self, mut wheel: Wheel) -> Result<(), PythonError> {
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
        for (file, content) in [("INSTALLER", INSTALLER), ("REQUESTED", b"")] {
            rows.push(self.put(&wheel.name, &information.join(file), &mut &*content, 0o644)?);
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
