//! Which version of a package is the one to install where archives differ: by priority, as apt_preferences(5) has it.

use std::cmp::Reverse;

use super::{Package, Universe};

/// How much archives and packages are preferred.
#[derive(Debug, Clone, Default)]
pub struct Preferences {
    /// The priority of each archive, in the order they were given.
    pub archives: Vec<i32>,
    /// Packages that have another; the first that fits counts.
    pub pins: Vec<PackagePin>,
}

/// Another priority for some packages.
#[derive(Debug, Clone)]
pub struct PackagePin {
    /// Their names, with `*` and `?`.
    pub packages: Vec<String>,
    /// The archive they are from; none means any.
    pub archive: Option<usize>,
    /// Their version, with `*` and `?`; none means any.
    pub version: Option<String>,
    /// The priority; a negative one means never.
    pub priority: i32,
}

impl Preferences {
    fn of(&self, package: &Package) -> i32 {
        let control = &package.control;
        let pin = self.pins.iter().find(|pin| {
            pin.archive.is_none_or(|archive| archive == package.archive)
                && pin.version.as_ref().is_none_or(|version| matches(version, control.version.as_str()))
                && pin.packages.iter().any(|name| matches(name, &control.name))
        });
        let own = || self.archives.get(package.archive).copied().unwrap_or(500);
        pin.map_or_else(own, |pin| pin.priority)
    }
}

impl Universe {
    /// Puts the versions of each package into the order of their priority; of equal ones the newest stays first. What
    /// has a negative priority is as good as not there.
    pub fn prefer(&mut self, preferences: &Preferences) {
        let packages = &self.packages;
        for versions in self.by_name.values_mut() {
            versions.retain(|index| preferences.of(&packages[*index]) >= 0);
            let rank = |index: &usize| {
                let package = &packages[*index];
                (preferences.of(package), &package.control.version, Reverse(package.archive))
            };
            versions.sort_by(|left, right| rank(right).cmp(&rank(left)));
        }
        self.by_name.retain(|_, versions| !versions.is_empty());
    }
}

/// Tells whether `text` is like `pattern`, in which `*` stands for anything and `?` for any one character.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    match pattern.next() {
        None => text.next().is_none(),
        Some('*') => {
            let rest = pattern.as_str();
            loop {
                if matches(rest, text.as_str()) {
                    return true;
                }
                if text.next().is_none() {
                    return false;
                }
            }
        }
        Some(wanted) => {
            let found = text.next();
            (found == Some(wanted) || (wanted == '?' && found.is_some()))
                && matches(pattern.as_str(), text.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use casque_format::digest::Digest;

    use super::*;

    /// Makes a universe of `name version archive`.
    fn universe(packages: &[(&str, &str, usize)]) -> Universe {
        let mut universe = Universe::new("amd64");
        for (name, version, archive) in packages {
            let digest = Digest::of(b"");
            let index = format!(
                "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: pool/x\nSize: 1\nSHA256: {digest}\n"
            );
            universe.add_index(&index, *archive).unwrap();
        }
        universe
    }

    fn candidate(universe: &Universe, name: &str) -> Option<String> {
        universe.newest(name).map(|package| package.control.version.to_string())
    }

    #[test]
    fn a_higher_priority_wins_over_a_higher_version() {
        let mut all = universe(&[("a", "1", 0), ("a", "2~bpo", 1), ("b", "3", 1)]);
        all.prefer(&Preferences { archives: vec![500, 100], pins: vec![] });
        assert_eq!(candidate(&all, "a").as_deref(), Some("1"));
        assert_eq!(candidate(&all, "b").as_deref(), Some("3"), "what only one archive has is had from there");
        let versions: Vec<_> = all.versions("a").map(|package| package.control.version.as_str()).collect();
        assert_eq!(versions, ["1", "2~bpo"], "others are there for whoever names them");
        all.prefer(&Preferences { archives: vec![500, 500], pins: vec![] });
        assert_eq!(candidate(&all, "a").as_deref(), Some("2~bpo"));
    }

    #[test]
    fn the_first_pin_that_fits_decides() {
        let mut all = universe(&[("nginx", "1", 0), ("nginx", "2", 1), ("redis", "1", 0), ("redis", "2", 1)]);
        let pin = |packages: &str, archive, version: Option<&str>, priority| PackagePin {
            packages: vec![packages.to_owned()],
            archive,
            version: version.map(str::to_owned),
            priority,
        };
        let pins = vec![
            pin("nginx*", Some(1), None, 990),
            pin("*", Some(1), None, -1),
            pin("redis", None, Some("1*"), 1001),
        ];
        all.prefer(&Preferences { archives: vec![500, 500], pins });
        assert_eq!(candidate(&all, "nginx").as_deref(), Some("2"));
        assert_eq!(all.versions("redis").count(), 1, "a negative priority means never");
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, text, expected) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx-light", false),
            ("nginx*", "nginx-light", true),
            ("*-dev", "libc6-dev", true),
            ("*-dev", "libc6-dev-bin", false),
            ("lib?6", "libc6", true),
            ("lib?6", "lib6", false),
            ("*a*b", "xaxxb", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
