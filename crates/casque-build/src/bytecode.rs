//! Bytecode of Python distributions, kept by what it was compiled from: each distribution is compiled once.
//!
//! It says where its source is, so an environment at another place has bytecode of its own.

use std::io;
use std::path::{Path, PathBuf};

use casque_debian::installed_packages;
use casque_format::digest::Digest;
use casque_python::{InstalledDistribution, Venv};
use walkdir::WalkDir;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::inputs::digest_of;
use crate::sandbox::{Access, Confined, MANAGERS};
use crate::split::digest_of_file;

/// Part of every key: a change in how sources are compiled must change it.
const GENERATION: u32 = 1;

/// One distribution whose sources are to be compiled.
struct Compiled {
    /// None when a source is not what its record says: then nobody else has the same.
    key: Option<Digest>,
    /// Relative to the root.
    sources: Vec<PathBuf>,
}

impl Builder<'_> {
    /// Compiles the distributions in the environment `venv` of `root`, or takes what an earlier build compiled.
    pub(crate) fn compile(&self, layer: &str, root: &Path, venv: &Venv<'_>) -> Result<(), BuildError> {
        let interpreter = interpreter(root)?;
        let mut missing = Vec::new();
        for distribution in venv.installed()? {
            let compiled =
                Compiled::new(root, &distribution, venv, &interpreter).map_err(BuildError::Root)?;
            if !compiled.sources.is_empty() && !self.take(root, &compiled).map_err(BuildError::Root)? {
                missing.push(compiled);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.work(format!("compiling {} Python distributions", missing.len()));
        let confined = Confined::new(self, root, Access::None).map_err(BuildError::Root)?;
        let list = format!("{MANAGERS}/sources");
        let mut text = String::new();
        for compiled in &missing {
            for source in &compiled.sources {
                text += &format!("/{}\n", source.display());
            }
            text.push('\n');
        }
        fs_err::write(confined.directory().join(list.trim_start_matches('/')), text)
            .map_err(BuildError::Root)?;
        let command = venv.compile_command(&list);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        confined.run(layer, &command)?;
        missing.iter().try_for_each(|compiled| self.keep(root, compiled)).map_err(BuildError::Cache)
    }

    /// Puts kept bytecode beside its sources and tells whether there was any.
    fn take(&self, root: &Path, compiled: &Compiled) -> io::Result<bool> {
        let Some(kept) = compiled.key.and_then(|key| self.cache.bytecode(&key)) else { return Ok(false) };
        for entry in WalkDir::new(&kept).min_depth(1) {
            let entry = entry?;
            let relative = entry.path().strip_prefix(&kept).expect("walked from there");
            let place = root.join(relative);
            if entry.file_type().is_dir() {
                fs_err::create_dir_all(place)?;
            } else {
                fs_err::copy(entry.path(), place)?;
            }
        }
        Ok(true)
    }

    fn keep(&self, root: &Path, compiled: &Compiled) -> io::Result<()> {
        let Some(key) = &compiled.key else { return Ok(()) };
        let made = tempfile::Builder::new().prefix("bytecode-").tempdir_in(self.work)?;
        for source in &compiled.sources {
            let Some(directory) = source.parent().map(|parent| parent.join("__pycache__")) else { continue };
            let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            for entry in walk(&root.join(&directory))? {
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_its = name.strip_prefix(&stem).is_some_and(|rest| rest.starts_with(".cpython-"));
                if is_its && name.ends_with(".pyc") {
                    let place = made.path().join(&directory);
                    fs_err::create_dir_all(&place)?;
                    fs_err::copy(entry.path(), place.join(name))?;
                }
            }
        }
        self.cache.keep_bytecode(key, &made)
    }
}

impl Compiled {
    fn new(
        root: &Path,
        distribution: &InstalledDistribution,
        venv: &Venv<'_>,
        interpreter: &[(String, String)],
    ) -> io::Result<Self> {
        let libraries = Path::new(venv.path.trim_start_matches('/')).join("lib");
        let is_source = |path: &Path| {
            path.starts_with(&libraries) && path.extension().is_some_and(|extension| extension == "py")
        };
        let mut listed: Vec<_> = distribution.files.iter().filter(|(path, _)| is_source(path)).collect();
        listed.sort();
        let mut sources = Vec::new();
        let mut whole = true;
        for (path, digest) in &listed {
            let located = root.join(path);
            if located.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
                whole &= *digest == Some(digest_of_file(&located)?);
                sources.push(path.clone());
            } else {
                whole = false;
            }
        }
        let key = whole.then(|| digest_of(&(GENERATION, interpreter, &listed)));
        Ok(Self { key, sources })
    }
}

fn walk(directory: &Path) -> io::Result<Vec<fs_err::DirEntry>> {
    match directory.is_dir() {
        true => fs_err::read_dir(directory)?.collect(),
        false => Ok(Vec::new()),
    }
}

/// Returns the packages that make the interpreter, with their versions.
fn interpreter(root: &Path) -> Result<Vec<(String, String)>, BuildError> {
    let installed = installed_packages(root)?;
    let is_it = |name: &str| {
        ["python3.", "libpython3."].iter().any(|prefix| name.starts_with(prefix)) || name == "python3"
    };
    let found = installed.into_iter().filter(|control| is_it(&control.name));
    let mut found: Vec<(String, String)> =
        found.map(|control| (control.name, control.version.to_string())).collect();
    found.sort();
    Ok(found)
}
