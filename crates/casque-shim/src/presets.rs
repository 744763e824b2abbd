//! Which units a distribution wants enabled: systemd.preset(5).

use std::collections::BTreeMap;

use fs_err as fs;

use crate::programs::matches;
use crate::root::Root;

/// Where preset files are; of two with the same name the earlier place counts.
const PLACES: [&str; 5] = [
    "/etc/systemd/system-preset",
    "/run/systemd/system-preset",
    "/usr/local/lib/systemd/system-preset",
    "/usr/lib/systemd/system-preset",
    "/lib/systemd/system-preset",
];

/// Says whether the presets enable `unit`: the first line that matches decides, and without one it is.
pub(crate) fn is_enabled(root: &Root, unit: &str) -> bool {
    let mut files = BTreeMap::new();
    for place in PLACES.iter().rev() {
        let Ok(entries) = fs::read_dir(root.path(place)) else { continue };
        for entry in entries.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "preset") {
                files.insert(entry.file_name(), entry.path());
            }
        }
    }
    let texts: Vec<String> =
        files.values().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    decision(texts.iter().flat_map(|text| text.lines()), unit).unwrap_or(true)
}

fn decision<'a>(mut lines: impl Iterator<Item = &'a str>, unit: &str) -> Option<bool> {
    lines.find_map(|line| {
        let mut words = line.split_whitespace();
        let (verb, pattern) = (words.next()?, words.next()?);
        match verb {
            "enable" if matches(pattern, unit) => Some(true),
            "disable" | "ignore" if matches(pattern, unit) => Some(false),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_decides() {
        let lines = "# comment\nenable ssh.service\ndisable systemd-*\nenable *\n";
        let decide = |unit| decision(lines.lines(), unit);
        assert_eq!(decide("systemd-oomd.service"), Some(false));
        assert_eq!(decide("web.service"), Some(true));
        assert_eq!(decision("".lines(), "web.service"), None);
    }
}
