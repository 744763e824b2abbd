//! Reading supervisor's configuration from the root filesystem.

use std::collections::BTreeMap;
use std::path::PathBuf;

use casque_units::supervisor::{self, Program, SourceFile, Surroundings};
use fs_err as fs;

use crate::error::ShimError;
use crate::root::Root;
use crate::spawn::PATH;

/// Where supervisor looks for its main file.
const MAIN_FILES: [&str; 2] = ["/etc/supervisor/supervisord.conf", "/etc/supervisord.conf"];

/// Returns the programs that are configured now, none when there is no main file.
pub(crate) fn configured(root: &Root) -> Result<Option<Vec<Program>>, ShimError> {
    let Some(files) = files(root)? else { return Ok(None) };
    let environment =
        BTreeMap::from([("PATH".to_owned(), PATH.to_owned()), ("HOME".to_owned(), "/root".to_owned())]);
    let surroundings = Surroundings { environment, host_name: Some("localhost".to_owned()) };
    supervisor::programs(&files, &surroundings).map(Some).map_err(ShimError::Unit)
}

/// Returns the sections that only a real supervisor could run.
pub(crate) fn unsupported(root: &Root) -> Vec<String> {
    // A configuration that cannot be read is reported where its programs are.
    let Ok(Some(files)) = files(root) else { return Vec::new() };
    supervisor::unsupported(&files).unwrap_or_default()
}

/// Returns the main file and what it includes, none when there is no main file.
fn files(root: &Root) -> Result<Option<Vec<SourceFile>>, ShimError> {
    let Some(main) = MAIN_FILES.iter().find(|path| root.path(path).is_file()) else { return Ok(None) };
    let main = source(root, root.path(main))?;
    let mut files = Vec::new();
    for pattern in supervisor::include_patterns(&main).map_err(ShimError::Unit)? {
        for path in glob(root, &pattern) {
            files.push(source(root, path)?);
        }
    }
    files.insert(0, main);
    Ok(Some(files))
}

fn source(root: &Root, path: PathBuf) -> Result<SourceFile, ShimError> {
    let text = fs::read_to_string(&path).map_err(ShimError::File)?;
    Ok(SourceFile { path: root.inside(&path), text })
}

/// Returns the files that an absolute pattern with `*`, `?` and `[...]` in any part matches, sorted.
fn glob(root: &Root, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![root.path("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in &found {
            if !part.contains(['*', '?', '[']) {
                next.push(directory.join(part));
                continue;
            }
            let Ok(entries) = fs::read_dir(directory) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if matches(part, &name) && (!name.starts_with('.') || part.starts_with('.')) {
                    next.push(entry.path());
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.is_file());
    found.sort();
    found
}

/// Says whether a shell's pattern matches all of `name`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let starts = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            starts.into_iter().any(|at| matches(rest.as_str(), &name[at..]))
        }
        Some(first) => {
            let mut name = name.chars();
            let Some(character) = name.next() else { return false };
            let rest = rest.as_str();
            if first == '['
                && let Some(end) = rest.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at)
            {
                return in_class(&rest[..end], character) && matches(&rest[end + 1..], name.as_str());
            }
            (first == '?' || first == character) && matches(rest, name.as_str())
        }
    }
}

fn in_class(class: &str, character: char) -> bool {
    let (negated, class) = match class.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, class),
    };
    let class: Vec<char> = class.chars().collect();
    let mut at = 0;
    let mut found = false;
    while at < class.len() {
        if at + 2 < class.len() && class[at + 1] == '-' {
            found |= (class[at]..=class[at + 2]).contains(&character);
            at += 3;
        } else {
            found |= class[at] == character;
            at += 1;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        assert!(matches("*.conf", "web.conf"));
        assert!(matches("[a-c]?*[!x]", "bzzy"));
        assert!(!matches("*.conf", "web.conf.bak"));
        assert!(!matches("[!a]*", "abc"));
    }
}
