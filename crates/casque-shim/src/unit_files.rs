//! Finding and loading unit files, their drop-ins and init scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use casque_format::shim::Manager;
use casque_units::supervisor::SourceFile;
use casque_units::systemd::{UNIT_DIRECTORIES, Unit, drop_in_directories, file_names};
use casque_units::{Startup, Step, Translated};
use fs_err as fs;

use crate::error::ShimError;
use crate::generators;
use crate::root::Root;

/// Where a unit's description was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A unit file.
    Unit {
        /// The unit's own name, which an alias leads to.
        name: String,
        /// Absolute path inside the root.
        file: String,
    },
    /// A link to `/dev/null`.
    Masked {
        /// The link.
        file: String,
    },
    /// Only a script in `/etc/init.d`.
    Script {
        /// The script.
        file: String,
    },
}

/// Returns the full name of what a person calls `name`.
pub(crate) fn full_name(name: &str) -> String {
    let kinds = [
        ".service",
        ".socket",
        ".target",
        ".timer",
        ".path",
        ".mount",
        ".slice",
        ".automount",
        ".swap",
        ".device",
        ".scope",
    ];
    if kinds.iter().any(|kind| name.ends_with(kind)) { name.to_owned() } else { format!("{name}.service") }
}

/// Looks for `unit`, a full name.
pub(crate) fn find(root: &Root, unit: &str) -> Option<Found> {
    for place in UNIT_DIRECTORIES {
        for name in file_names(unit) {
            let file = format!("{place}/{name}");
            let path = root.path(&file);
            let Ok(meta) = path.symlink_metadata() else { continue };
            if !meta.is_symlink() {
                return Some(if meta.len() == 0 {
                    Found::Masked { file }
                } else {
                    Found::Unit { name: unit.to_owned(), file }
                });
            }
            let Ok(target) = fs::read_link(&path) else { continue };
            if target == Path::new("/dev/null") {
                return Some(Found::Masked { file });
            }
            let target_name = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if target_name == name {
                let absolute = if target.is_absolute() { target.display().to_string() } else { file.clone() };
                if root.path(&absolute).exists() {
                    return Some(Found::Unit { name: unit.to_owned(), file: absolute });
                }
            } else if !target_name.is_empty() && target_name != unit {
                return find(root, target_name);
            }
        }
    }
    let script = format!("/etc/init.d/{}", unit.strip_suffix(".service")?);
    let executable = root
        .path(&script)
        .metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    executable.then_some(Found::Script { file: script })
}

/// Returns the names of all units that have a file, sorted.
pub(crate) fn all(root: &Root) -> BTreeSet<String> {
    let mut units = BTreeSet::new();
    for place in UNIT_DIRECTORIES {
        let Ok(entries) = fs::read_dir(root.path(place)) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if full_name(&name) == name && !entry.path().is_dir() {
                units.insert(name);
            }
        }
    }
    units
}

/// Returns a unit's text with its drop-ins.
pub(crate) fn read(root: &Root, unit: &str, file: &str) -> Result<Unit, ShimError> {
    let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
    for place in UNIT_DIRECTORIES.iter().rev() {
        for name in drop_in_directories(unit).iter().rev() {
            let Ok(entries) = fs::read_dir(root.path(&format!("{place}/{name}"))) else { continue };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.ends_with(".conf") {
                    drop_ins.insert(name, entry.path());
                }
            }
        }
    }
    let mut files = vec![SourceFile { path: file.to_owned(), text: text(&root.path(file))? }];
    for path in drop_ins.values() {
        files.push(SourceFile { path: root.inside(path), text: text(path)? });
    }
    Unit::parse(unit, &files).map_err(ShimError::Unit)
}

fn text(path: &Path) -> Result<String, ShimError> {
    // A drop-in masked by a link to /dev/null reads as empty.
    fs::read_to_string(path).map_err(ShimError::File)
}

/// A unit that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// Its own name.
    pub(crate) name: String,
    /// The file that describes it.
    pub(crate) file: String,
    /// Who would run it on a host.
    pub(crate) manager: Manager,
    /// What to run.
    pub(crate) translated: Translated,
    /// Services that start with it.
    pub(crate) needs: Vec<String>,
    /// Units with which it stops.
    pub(crate) part_of: Vec<String>,
}

/// Loads the unit of that full name.
pub(crate) fn load(root: &Root, unit: &str) -> Result<Loaded, ShimError> {
    match find(root, unit).ok_or_else(|| ShimError::NoUnit(unit.to_owned()))? {
        Found::Masked { .. } => Err(ShimError::Masked(unit.to_owned())),
        Found::Script { file } => Ok(Loaded {
            name: unit.to_owned(),
            translated: script(&file)?,
            manager: Manager::Sysv,
            needs: Vec::new(),
            part_of: Vec::new(),
            file,
        }),
        Found::Unit { name, file } => {
            let text = read(root, &name, &file)?;
            let mut files = BTreeMap::new();
            for wanted in text.environment_files().map_err(ShimError::Unit)? {
                if let Ok(text) = fs::read_to_string(root.path(&wanted.path)) {
                    files.insert(wanted.path, text);
                }
            }
            let translated = text.translate(&files).map_err(ShimError::Unit)?;
            let part_of = ["PartOf", "BindsTo", "Requires"]
                .iter()
                .flat_map(|key| text.values("Unit", key))
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect();
            let mut needs: Vec<String> = ["Requires", "BindsTo", "Wants"]
                .iter()
                .flat_map(|key| text.values("Unit", key))
                .flat_map(str::split_whitespace)
                .filter(|name| {
                    name.ends_with(".service") && !name.starts_with("systemd-") && !name.contains('%')
                })
                .map(str::to_owned)
                .collect();
            needs.extend(generators::wanted(root, &name));
            Ok(Loaded { name, file, manager: Manager::Systemd, translated, needs, part_of })
        }
    }
}

/// Says whether the unit runs supervisor, whose programs the step's first process runs itself.
pub(crate) fn is_supervisor(loaded: &Loaded) -> bool {
    let program = loaded.translated.service.command.first().map(String::as_str).unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    name == "supervisord" || (loaded.manager == Manager::Sysv && name == "supervisor")
}

/// Returns the service of an init script, as systemd's generator makes it: the script is run to start
/// and to stop, and what it leaves behind counts as running.
fn script(file: &str) -> Result<Translated, ShimError> {
    let text = format!(
        "[Service]\nType=forking\nExecStart={file} start\nExecStop={file} stop\nExecReload={file} reload\n\
         Environment=SYSTEMCTL_SKIP_REDIRECT=1 _SYSTEMCTL_SKIP_REDIRECT=1\nTimeoutSec=5min\n"
    );
    let source = SourceFile { path: file.to_owned(), text };
    let unit = Unit::parse(file, &[source]).map_err(ShimError::Unit)?;
    let mut translated = unit.translate(&BTreeMap::new()).map_err(ShimError::Unit)?;
    translated.startup = Startup::Forking { pid_file: None };
    translated.stop_commands = vec![Step {
        command: vec![file.to_owned(), "stop".to_owned()],
        ignore_failure: true,
        privileged: true,
    }];
    Ok(translated)
}
