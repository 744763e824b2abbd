//! What dpkg is told to leave out of packages: `path-exclude` and `path-include` of its configuration.
//!
//! The root's own configuration is what counts, so a package that apt installs later is treated as one that was
//! unpacked here. Unlike with dpkg itself, what was left out is in no list of a package's files either: `dpkg --verify`
//! would miss each of them.

use std::path::Path;

use fs_err as fs;

use super::UnpackError;
use super::tree::Tree;

/// Files of its own may be here; the main file is read after them.
const DIRECTORY: &str = "etc/dpkg/dpkg.cfg.d";
const MAIN: &str = "etc/dpkg/dpkg.cfg";

/// The rules of one root, in the order they were read; the last that matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    include: bool,
    pattern: String,
}

/// What an entry is, as far as rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A directory, or a link that may lead to one: kept when an inclusion could reach below it.
    Passage,
    /// Anything else.
    Leaf,
}

impl Filter {
    /// Reads the configuration of a root.
    pub(super) fn read(tree: &Tree) -> Result<Self, UnpackError> {
        let mut filter = Self::default();
        let directory = tree.locate(&Path::new(DIRECTORY).join("x"))?;
        let directory = directory.parent().expect("a file has a directory");
        let mut names = vec![];
        if directory.is_dir() {
            for entry in fs::read_dir(directory).map_err(UnpackError::Disk)? {
                let name = entry.map_err(UnpackError::Disk)?.file_name().to_string_lossy().into_owned();
                // As dpkg has it: copies that editors and package managers leave have other names.
                if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
                    names.push(name);
                }
            }
        }
        names.sort();
        for name in names {
            filter.add(&tree.read(&Path::new(DIRECTORY).join(name))?);
        }
        filter.add(&tree.read(Path::new(MAIN))?);
        Ok(filter)
    }

    fn add(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let end = line.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(line.len());
            let (option, value) = line.split_at(end);
            let include = match option {
                "path-include" => true,
                "path-exclude" => false,
                _ => continue,
            };
            let value = value.trim_start_matches(|c: char| c == '=' || c.is_whitespace());
            let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            self.rules.push(Rule { include, pattern: quoted.unwrap_or(value).to_owned() });
        }
    }

    /// Tells whether the entry at the absolute `path` is left out.
    pub(super) fn leaves_out(&self, path: &str, shape: Shape) -> bool {
        let last = self.rules.iter().rev().find(|rule| matches(rule.pattern.as_bytes(), path.as_bytes()));
        let excluded = last.is_some_and(|rule| !rule.include);
        excluded && !(shape == Shape::Passage && self.may_lead_to_included(path))
    }

    /// dpkg's own estimate, which keeps more than is needed: a path that begins like an inclusion does.
    fn may_lead_to_included(&self, path: &str) -> bool {
        self.rules.iter().filter(|rule| rule.include).any(|rule| {
            let literal = rule.pattern.find(['*', '?', '[', '\\']).unwrap_or(rule.pattern.len());
            path.starts_with(rule.pattern[..literal].trim_end_matches('/'))
        })
    }
}

/// Takes from the lists and digests of every package in `root` the files that dpkg's configuration leaves out and that
/// are not there, so that `dpkg --verify` does not miss them.
pub fn forget_left_out(root: &Path) -> Result<(), UnpackError> {
    let tree = Tree::new(root);
    let filter = Filter::read(&tree)?;
    if filter.rules.is_empty() {
        return Ok(());
    }
    let mut missing = |path: &str| {
        filter.leaves_out(path, Shape::Leaf)
            && tree.locate(Path::new(path)).is_ok_and(|path| path.symlink_metadata().is_err())
    };
    let info = Path::new(super::database::DATABASE).join("info");
    let directory = tree.locate(&info)?;
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory).map_err(UnpackError::Disk)? {
        let entry = entry.map_err(UnpackError::Disk)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let read = || fs::read(entry.path()).map_err(UnpackError::Disk);
        let (text, kept) = if name.ends_with(".md5sums") {
            let text = read()?;
            let kept = without_digests(&text, &mut missing);
            (text, kept)
        } else if name.ends_with(".list") {
            let text = read()?;
            let kept = without(&text, &mut |line| missing(line.trim_end()));
            (text, kept)
        } else {
            continue;
        };
        if kept.len() != text.len() {
            tree.write(&info.join(name), &kept, 0o644)?;
        }
    }
    Ok(())
}

/// Returns the lines of a `md5sums` but for those of the absolute paths that are `gone`.
pub(super) fn without_digests(text: &[u8], gone: &mut dyn FnMut(&str) -> bool) -> Vec<u8> {
    without(text, &mut |line| {
        let path = line.trim_end().split_once("  ").map(|(_, path)| path.trim_start_matches("./"));
        path.is_some_and(|path| gone(&format!("/{path}")))
    })
}

fn without(text: &[u8], gone: &mut dyn FnMut(&str) -> bool) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !gone(&String::from_utf8_lossy(line))).flatten().copied().collect()
}

/// Matches as fnmatch(3) does without flags: `*` and `?` stand for `/` too.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut inside) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: one byte more for the star.
    let mut retry = None;
    loop {
        if let Some(b'*') = pattern.get(at) {
            at += 1;
            retry = Some((at, inside));
            continue;
        }
        let byte = path.get(inside);
        match (pattern.get(at), byte) {
            (None, None) => return true,
            (Some(_), Some(byte)) => {
                if let Some(length) = one(&pattern[at..], *byte) {
                    (at, inside) = (at + length, inside + 1);
                    continue;
                }
            }
            _ => {}
        }
        match &mut retry {
            Some((star, from)) if *from < path.len() => {
                *from += 1;
                (at, inside) = (*star, *from);
            }
            _ => return false,
        }
    }
}

/// Returns how much of the pattern stands for `byte`, when it does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => match set(rest, byte) {
            Some((true, length)) => Some(1 + length),
            Some((false, _)) => None,
            // Never closed, so it stands for itself.
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Tells whether `byte` is in the set, and how long the set is with its `]`.
fn set(text: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    let end = first + 1 + text.get(first + 1..)?.iter().position(|byte| *byte == b']')?;
    let mut members = &text[first..end];
    let mut found = false;
    while let [low, rest @ ..] = members {
        members = match rest {
            [b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                rest
            }
            _ => {
                found |= *low == byte;
                rest
            }
        };
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        let mut filter = Filter::default();
        filter.add(text);
        filter
    }

    #[test]
    fn the_last_rule_that_matches_decides_and_passages_to_inclusions_stay() {
        let filter = filter(
            "# as in an image\npath-exclude=/usr/share/doc/*\npath-include \"/usr/share/doc/*/copyright\"\n\
             path-exclude=/usr/share/man/*/*\npath-exclude=/usr/share/man/[!m]*\nforce-unsafe-io\n",
        );
        let seen: Vec<_> = [
            ("/usr/share/doc/a/copyright", Shape::Leaf),
            ("/usr/share/doc/a/deep/copyright", Shape::Leaf),
            ("/usr/share/doc/a/README", Shape::Leaf),
            ("/usr/share/doc/a", Shape::Passage),
            ("/usr/share/doc", Shape::Leaf),
            ("/usr/share/man/man1", Shape::Passage),
            ("/usr/share/man/man1/a.1.gz", Shape::Leaf),
            ("/usr/share/man/de", Shape::Passage),
            ("/usr/bin/a", Shape::Leaf),
        ]
        .iter()
        .map(|(path, shape)| (*path, filter.leaves_out(path, *shape)))
        .filter(|(_, left_out)| *left_out)
        .map(|(path, _)| path)
        .collect();
        assert_eq!(seen, ["/usr/share/doc/a/README", "/usr/share/man/man1/a.1.gz", "/usr/share/man/de"]);
    }

    #[test]
    fn patterns_match_as_fnmatch_does() {
        let yes = [("*", ""), ("/a*c", "/a/b/c"), ("a?c", "a/c"), ("[a-c]x", "bx"), ("[]x]", "]")];
        let yes = yes.into_iter().chain([("[!a]", "b"), ("\\*", "*"), ("[a", "[a"), ("*a*b", "aab")]);
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        let no = [
            ("a", "ab"),
            ("a*", "ba"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "a"),
            ("*a*b", "aba"),
            ("?", ""),
        ];
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }
}
