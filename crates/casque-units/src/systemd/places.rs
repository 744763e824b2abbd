//! Where systemd looks for what describes a unit.

/// The directories of unit files, most important first (systemd.unit(5)).
pub const UNIT_DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// Returns the names a unit's file may have: its own, and of an instance the template's.
pub fn file_names(unit: &str) -> Vec<String> {
    let mut names = vec![unit.to_owned()];
    if let Some((stem, kind)) = unit.rsplit_once('.')
        && let Some((prefix, instance)) = stem.split_once('@')
        && !instance.is_empty()
    {
        names.push(format!("{prefix}@.{kind}"));
    }
    names
}

/// Returns the names of the directories with a unit's drop-ins, most important first: its own, its template's,
/// those of the prefixes of its name that end in `-`, and that of every unit of its kind.
pub fn drop_in_directories(unit: &str) -> Vec<String> {
    let mut names: Vec<String> = file_names(unit).into_iter().map(|name| format!("{name}.d")).collect();
    let Some((stem, kind)) = unit.rsplit_once('.') else { return names };
    let prefixes = stem.match_indices('-').rev().map(|(at, _)| &stem[..=at]).filter(|prefix| *prefix != stem);
    names.extend(prefixes.map(|prefix| format!("{prefix}.{kind}.d")));
    names.push(format!("{kind}.d"));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_are_looked_for_from_the_unit_s_own_name_to_its_kind() {
        assert_eq!(
            drop_in_directories("backend-web@eu.service"),
            ["backend-web@eu.service.d", "backend-web@.service.d", "backend-.service.d", "service.d"]
        );
        assert_eq!(file_names("web.service"), ["web.service"]);
    }
}
