//! Which crate may use which, and what comes from elsewhere.

use std::collections::BTreeSet;
use std::process::Command;

use crate::repository::{assert_none, crates, read, root};

/// The crates of this workspace that each crate may use, its tests included. A new edge is a decision: it
/// belongs into ARCHITECTURE.md too.
const EDGES: [(&str, &[&str]); 20] = [
    (
        "casque",
        &[
            "casque-build",
            "casque-fetch",
            "casque-format",
            "casque-handbook",
            "casque-image",
            "casque-sandbox",
            "casque-sign",
        ],
    ),
    (
        "casque-agent",
        &[
            "casque-format",
            "casque-fuzz",
            "casque-handbook",
            "casque-secrets",
            "casque-settings",
            "casque-sign",
        ],
    ),
    (
        "casque-build",
        &[
            "casque-debian",
            "casque-fetch",
            "casque-format",
            "casque-image",
            "casque-python",
            "casque-replay",
            "casque-sandbox",
            "casque-secrets",
            "casque-settings",
            "casque-sign",
            "casque-units",
        ],
    ),
    ("casque-debian", &["casque-fetch", "casque-format", "casque-fuzz"]),
    ("casque-depot", &["casque-format", "casque-fuzz", "casque-sign"]),
    ("casque-fetch", &["casque-format", "casque-fuzz"]),
    ("casque-format", &[]),
    ("casque-fuzz", &[]),
    ("casque-handbook", &["casque-format", "casque-settings"]),
    ("casque-image", &["casque-format"]),
    ("casque-init", &["casque-format", "casque-fuzz"]),
    ("casque-python", &["casque-fetch", "casque-format", "casque-fuzz"]),
    ("casque-replay", &["casque-fetch", "casque-format", "casque-fuzz"]),
    ("casque-sandbox", &[]),
    ("casque-secrets", &["casque-format"]),
    ("casque-settings", &["casque-format"]),
    ("casque-shim", &["casque-format", "casque-units"]),
    ("casque-sign", &["casque-format", "casque-fuzz"]),
    ("casque-test", &["casque-build", "casque-format", "casque-image", "casque-sandbox"]),
    ("casque-units", &["casque-format"]),
];

/// Crates whose whole list of dependencies is part of their design.
const WHOLE: [(&str, &[&str]); 3] = [
    ("casque-format", &["hex", "serde", "serde_json", "sha2", "thiserror"]),
    ("casque-init", &["casque-format", "libc", "memchr", "serde_json"]),
    ("casque-units", &["casque-format", "thiserror"]),
];

/// Dependencies that belong to some crates alone: the network, and threads that wait.
const CONFINED: [(&str, &[&str]); 8] = [
    ("rusqlite", &["casque-depot"]),
    ("minisign", &["casque-sign"]),
    ("ureq", &["casque-fetch"]),
    ("hickory-resolver", &["casque-agent"]),
    ("rustls", &["casque-agent", "casque-depot", "casque-fetch", "casque-replay"]),
    ("tokio", &["casque-agent", "casque-depot"]),
    ("pgp", &["casque-debian"]),
    ("clap", &["casque", "casque-agent", "casque-depot"]),
];

/// Licences under which a dependency may be; its code ends up in every customer's image.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Returns the names in these tables of a crate's manifest.
fn dependencies(name: &str, tables: &[&str]) -> BTreeSet<String> {
    let manifest: toml::Table = toml::from_str(&read(&format!("crates/{name}/Cargo.toml"))).unwrap();
    let tables = tables.iter().filter_map(|table| manifest.get(*table)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn crates_use_only_the_crates_they_may() {
    let listed: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    assert_eq!(crates(), listed, "the crates of the table are those there are");
    let workspace = names(&listed);
    for (name, allowed) in EDGES {
        let used = dependencies(name, &["dependencies", "dev-dependencies", "build-dependencies"]);
        let used: BTreeSet<_> = used.intersection(&workspace).cloned().collect();
        let forbidden: Vec<String> = used.difference(&names(allowed)).cloned().collect();
        assert_none(&format!("`{name}` may not use"), &forbidden);
    }
}

#[test]
fn the_smallest_crates_stay_small() {
    for (name, expected) in WHOLE {
        assert_eq!(dependencies(name, &["dependencies"]), names(expected), "`{name}`");
    }
    for (dependency, users) in CONFINED {
        let users_now =
            crates().into_iter().filter(|name| dependencies(name, &["dependencies"]).contains(dependency));
        assert_eq!(users_now.collect::<BTreeSet<_>>(), names(users), "who uses `{dependency}`");
    }
}

#[test]
fn versions_of_dependencies_are_in_one_place() {
    let mut wrong = Vec::new();
    for name in crates() {
        let manifest: toml::Table = toml::from_str(&read(&format!("crates/{name}/Cargo.toml"))).unwrap();
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(table).and_then(|table| table.as_table()) else { continue };
            let shared =
                |value: &toml::Value| value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            wrong.extend(
                table.iter().filter(|(_, value)| !shared(value)).map(|(key, _)| format!("{name}: {key}")),
            );
        }
    }
    assert_none("a version outside of the workspace's table", &wrong);
}

#[test]
fn everything_from_elsewhere_has_a_licence_that_allows_shipping() {
    let arguments = ["metadata", "--format-version=1", "--locked", "--offline"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--filter-platform=x86_64-unknown-linux-gnu")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > crates().len());
    let refused = packages.iter().filter_map(|package| {
        let licence = package["license"].as_str().unwrap_or("none");
        (!is_allowed(licence)).then(|| format!("{}: {licence}", package["name"]))
    });
    assert_none("a licence nobody has agreed to", &refused.collect::<Vec<_>>());
}

/// Judges an SPDX expression: of alternatives one is enough, of what is joined by `AND` all.
fn is_allowed(expression: &str) -> bool {
    expression.split(" AND ").all(|part| {
        let part = part.trim_start_matches('(').trim_end_matches(')');
        part.split(" OR ").flat_map(|part| part.split('/')).any(|name| LICENCES.contains(&name.trim()))
    })
}

#[test]
fn expressions_of_licences_are_read_as_they_are_meant() {
    for good in ["MIT", "MIT/GPL-3.0", "(GPL-3.0 OR MIT) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["none", "GPL-3.0", "MIT AND GPL-3.0", "MPL-2.0 OR LGPL-3.0"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}
