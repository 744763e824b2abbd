//! What a vendor's unit or program file says: found in the root filesystem, read and translated.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use casque_units::supervisor::{self, SourceFile};
use casque_units::systemd::{UNIT_DIRECTORIES, Unit, drop_in_directories, file_names};
use casque_units::{Translated, UnitError};

/// How many links are followed before they count as a circle, as the kernel does it.
const MOST_LINKS: usize = 40;

/// Why there is no translation.
pub(crate) enum NotFound {
    /// No such file, or no such program in it.
    Missing,
    /// It cannot be translated.
    Unit(UnitError),
}

impl From<UnitError> for NotFound {
    fn from(error: UnitError) -> Self {
        Self::Unit(error)
    }
}

/// Returns what `from` of the service `name` stands for.
pub(crate) fn translated(name: &str, from: &str, root: &Path) -> Result<Translated, NotFound> {
    match from.split_once(':') {
        Some(("supervisor", rest)) => supervisor_program(name, rest, root),
        Some(("systemd", unit)) => systemd_unit(unit, root),
        _ => unreachable!("the manifest was checked to name a supervisor file or a systemd unit"),
    }
}

fn supervisor_program(name: &str, rest: &str, root: &Path) -> Result<Translated, NotFound> {
    let (file, program) = rest.split_once('#').unwrap_or((rest, name));
    let text = read(root, file).ok_or(NotFound::Missing)?;
    let source = SourceFile { path: file.to_owned(), text };
    let surroundings = supervisor::Surroundings { environment: BTreeMap::new(), host_name: None };
    let mut programs = supervisor::programs(&[source], &surroundings)?;
    let is_it = |found: &supervisor::Program| found.name == program || found.display_name() == program;
    // A file with one program needs no further name.
    let index = match programs.iter().position(is_it) {
        Some(index) => index,
        None if programs.len() == 1 && !rest.contains('#') => 0,
        None => return Err(NotFound::Missing),
    };
    Ok(programs.swap_remove(index).translated)
}

/// A timer stands for the service that it starts, with its times.
fn systemd_unit(unit: &str, root: &Path) -> Result<Translated, NotFound> {
    if !unit.ends_with(".timer") {
        return systemd_service(unit, root);
    }
    let timer = parsed(unit, root)?.timer()?;
    let mut translated = systemd_service(&timer.unit, root)?;
    translated.service.schedule = Some(timer.schedule);
    translated.notes.extend(timer.notes);
    Ok(translated)
}

fn systemd_service(unit: &str, root: &Path) -> Result<Translated, NotFound> {
    let parsed = parsed(unit, root)?;
    let mut environment = BTreeMap::new();
    for file in parsed.environment_files()? {
        if let Some(text) = read(root, &file.path) {
            environment.insert(file.path, text);
        }
    }
    Ok(parsed.translate(&environment)?)
}

fn parsed(unit: &str, root: &Path) -> Result<Unit, NotFound> {
    let mut files = vec![unit_file(unit, root).ok_or(NotFound::Missing)?];
    files.extend(drop_ins(unit, root));
    Ok(Unit::parse(unit, &files)?)
}

fn unit_file(unit: &str, root: &Path) -> Option<SourceFile> {
    let names = file_names(unit);
    UNIT_DIRECTORIES
        .iter()
        .flat_map(|directory| names.iter().map(move |name| format!("{directory}/{name}")))
        .find_map(|path| Some(SourceFile { text: read(root, &path)?, path }))
}

/// Returns a unit's drop-ins in the order they apply: by their own names, of two with one name the more important.
fn drop_ins(unit: &str, root: &Path) -> impl Iterator<Item = SourceFile> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for place in UNIT_DIRECTORIES.iter().rev() {
        for directory in drop_in_directories(unit).iter().rev() {
            let directory = format!("{place}/{directory}");
            let Some(path) = in_root(root, &directory) else { continue };
            let Ok(entries) = fs_err::read_dir(path) else { continue };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.ends_with(".conf") {
                    found.insert(name.clone(), format!("{directory}/{name}"));
                }
            }
        }
    }
    // One that is a link to /dev/null is not there, which masks those of its name elsewhere.
    found
        .into_values()
        .filter_map(|path| Some(SourceFile { text: read(root, &path)?, path }))
        .collect::<Vec<_>>()
        .into_iter()
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs_err::read_to_string(in_root(root, path)?).ok()
}

/// Returns where an absolute path of the root filesystem really is; no link leads out of it.
pub(crate) fn in_root(root: &Path, path: &str) -> Option<PathBuf> {
    let mut left: Vec<PathBuf> = parts(Path::new(path));
    let mut inside = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part.as_os_str() == ".." {
            inside.pop();
            continue;
        }
        let here = inside.join(&part);
        let Ok(target) = fs_err::read_link(root.join(&here)) else {
            inside = here;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return None;
        }
        if target.is_absolute() {
            inside = PathBuf::new();
        }
        left.extend(parts(&target));
    }
    Some(root.join(inside))
}

/// Returns the names in a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}
