//! Which wheels run on a target, and which of them fits best.

use crate::Target;

/// What the name of a wheel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WheelName<'a> {
    pub(crate) distribution: &'a str,
    pub(crate) version: &'a str,
    /// The leading digits of the build, which breaks ties.
    pub(crate) build: u64,
    python: &'a str,
    abi: &'a str,
    platform: &'a str,
}

impl<'a> WheelName<'a> {
    /// Takes a file name apart: `name-version[-build]-python-abi-platform.whl`.
    pub(crate) fn parse(filename: &'a str) -> Option<Self> {
        let parts: Vec<&str> = filename.strip_suffix(".whl")?.split('-').collect();
        let (build, tags) = match parts.len() {
            5 => (0, &parts[2..]),
            6 => (leading_number(parts[2])?, &parts[3..]),
            _ => return None,
        };
        // A file name becomes a place and a word in messages, and the index chose it.
        if !is_file_name(filename) || parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        Some(Self {
            distribution: parts[0],
            version: parts[1],
            build,
            python: tags[0],
            abi: tags[1],
            platform: tags[2],
        })
    }

    /// Returns how good it is among `supported` tags, 0 being best, or nothing when it does not fit.
    pub(crate) fn rank(&self, supported: &[Tag]) -> Option<usize> {
        let has = |list: &str, wanted: &str| list.split('.').any(|tag| tag == wanted);
        supported.iter().position(|tag| {
            has(self.python, &tag.python) && has(self.abi, &tag.abi) && has(self.platform, &tag.platform)
        })
    }
}

/// Tells whether a name is that of a file, and can be shown.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.contains('/') && !name.contains(char::is_control)
}

fn leading_number(build: &str) -> Option<u64> {
    let end = build.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(build.len());
    build[..end].parse().ok()
}

/// A combination that a target supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    python: String,
    abi: String,
    platform: String,
}

impl Tag {
    fn new(python: &str, abi: &str, platform: &str) -> Self {
        Self { python: python.to_owned(), abi: abi.to_owned(), platform: platform.to_owned() }
    }
}

/// Returns what `target` supports, best first: made for this Python, then for its stable interface, then for none.
pub(crate) fn supported(target: Target) -> Vec<Tag> {
    let (major, minor) = (target.python.major, target.python.minor);
    let platforms = platforms(target.glibc_minor);
    let own = format!("cp{major}{minor}");
    let mut tags = Vec::new();
    for abi in [own.as_str(), "abi3", "none"] {
        tags.extend(platforms.iter().map(|platform| Tag::new(&own, abi, platform)));
    }
    for older in (2..minor).rev() {
        let python = format!("cp{major}{older}");
        tags.extend(platforms.iter().map(|platform| Tag::new(&python, "abi3", platform)));
    }
    let mut plain = vec![format!("py{major}{minor}"), format!("py{major}")];
    plain.extend((0..minor).rev().map(|older| format!("py{major}{older}")));
    for python in &plain {
        tags.extend(platforms.iter().map(|platform| Tag::new(python, "none", platform)));
    }
    tags.push(Tag::new(&own, "none", "any"));
    tags.extend(plain.iter().map(|python| Tag::new(python, "none", "any")));
    tags
}

/// Returns the names of the platform, newest C library first, each older name after the number it stands for.
fn platforms(glibc_minor: u32) -> Vec<String> {
    let mut platforms = Vec::new();
    for minor in (5..=glibc_minor).rev() {
        platforms.push(format!("manylinux_2_{minor}_x86_64"));
        let named = match minor {
            17 => Some("manylinux2014_x86_64"),
            12 => Some("manylinux2010_x86_64"),
            5 => Some("manylinux1_x86_64"),
            _ => None,
        };
        platforms.extend(named.map(str::to_owned));
    }
    platforms.push("linux_x86_64".to_owned());
    platforms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PythonVersion;

    const BOOKWORM: Target =
        Target { python: PythonVersion { major: 3, minor: 11, patch: 2 }, glibc_minor: 36 };

    fn rank(filename: &str) -> Option<usize> {
        WheelName::parse(filename).unwrap().rank(&supported(BOOKWORM))
    }

    #[test]
    fn the_closest_wheel_ranks_first() {
        let best_first = [
            "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp311-cp311-manylinux1_x86_64.whl",
            "a-1-cp311-cp311-linux_x86_64.whl",
            "a-1-cp311-abi3-manylinux2014_x86_64.whl",
            "a-1-cp38-abi3-manylinux2014_x86_64.whl",
            "a-1-py3-none-manylinux1_x86_64.whl",
            "a-1-py311-none-any.whl",
            "a-1-py2.py3-none-any.whl",
            "a-1-py36-none-any.whl",
        ];
        let ranks: Vec<_> = best_first.iter().map(|filename| rank(filename).expect(filename)).collect();
        assert!(ranks.is_sorted(), "{ranks:?}");
    }

    #[test]
    fn wheels_for_other_machines_do_not_fit() {
        for filename in [
            "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_39_x86_64.whl",
            "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_17_aarch64.whl",
            "a-1-cp311-cp311-macosx_11_0_arm64.whl",
            "a-1-cp312-abi3-manylinux2014_x86_64.whl",
            "a-1-pp39-pypy39_pp73-manylinux2014_x86_64.whl",
            "a-1-py2-none-any.whl",
            "a-1-py312-none-any.whl",
        ] {
            assert_eq!(rank(filename), None, "{filename}");
        }
    }

    #[test]
    fn names_that_are_no_wheels_are_refused() {
        for filename in ["a-1.tar.gz", "a-1-py3-none.whl", "a-1-x-py3-none-any.whl", "a--py3-none-any.whl"] {
            assert_eq!(WheelName::parse(filename), None, "{filename}");
        }
        assert_eq!(WheelName::parse("a_b-1.0-2x-py3-none-any.whl").map(|name| name.build), Some(2));
    }
}
