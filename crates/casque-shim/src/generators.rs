//! Units that a package's own generator makes when the system starts: systemd.generator(7).
//!
//! PostgreSQL's `postgresql.service` does nothing but want one instance for each cluster, and which there are
//! its generator finds out.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use fs_err as fs;

use crate::root::Root;

const PLACES: [&str; 3] = [
    "/etc/systemd/system-generators",
    "/usr/local/lib/systemd/system-generators",
    "/usr/lib/systemd/system-generators",
];
/// Where generators write, and where links of [`wanted`] are looked for.
const OUTPUT: [&str; 3] =
    ["/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late"];

/// Runs the generators of packages anew; systemd's own describe the machine.
pub(crate) fn run(root: &Root) {
    for output in OUTPUT {
        // What is not there need not go, and what cannot be made the generator itself will miss.
        drop(fs::remove_dir_all(root.path(output)));
        drop(fs::create_dir_all(root.path(output)));
    }
    for place in PLACES {
        let Ok(entries) = fs::read_dir(root.path(place)) else { continue };
        let mut programs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        programs.sort();
        for program in programs {
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let executable = program.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
            if name.starts_with("systemd-") || !executable {
                continue;
            }
            let mut command = Command::new(&program);
            command.args(OUTPUT.map(|output| root.path(output)));
            // As at the start of a system, one that fails makes no unit, which shows when the unit is asked for.
            drop(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}

/// Returns the services that links in `UNIT.wants` and `UNIT.requires` name, sorted.
pub(crate) fn wanted(root: &Root, unit: &str) -> Vec<String> {
    let mut names = Vec::new();
    for place in OUTPUT.iter().chain(&casque_units::systemd::UNIT_DIRECTORIES) {
        for kind in ["wants", "requires"] {
            let Ok(entries) = fs::read_dir(root.path(&format!("{place}/{unit}.{kind}"))) else { continue };
            names.extend(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()));
        }
    }
    names.retain(|name| name.ends_with(".service"));
    names.sort();
    names.dedup();
    names
}
