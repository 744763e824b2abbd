//! Who runs here, read from /proc: sessions and descendants.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// One process that is not a zombie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
}

/// Returns the processes of a session.
pub(crate) fn session(id: i32) -> Vec<i32> {
    processes().into_iter().filter(|p| p.session == id).map(|p| p.pid).collect()
}

/// Returns our descendants.
pub(crate) fn descendants() -> Vec<i32> {
    let us = i32::try_from(std::process::id()).unwrap_or(1);
    below(us, &processes())
}

fn below(root: i32, processes: &[Process]) -> Vec<i32> {
    let parents: BTreeMap<i32, i32> = processes.iter().map(|p| (p.pid, p.parent)).collect();
    let is_below = |pid: i32| {
        let mut seen = BTreeSet::new();
        let mut at = pid;
        while let Some(&parent) = parents.get(&at) {
            if parent == root {
                return true;
            }
            // The table was read while it changed: it may hold a loop.
            if !seen.insert(at) {
                return false;
            }
            at = parent;
        }
        false
    };
    processes.iter().map(|p| p.pid).filter(|&pid| is_below(pid)).collect()
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// Reads `pid (name) state parent group session ...`; the name may hold anything, `)` too.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    Some(Process { pid, parent, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_confuse() {
        let stat = b"42 (a) Z 9 (b) S 7 42 41 0 -1";
        assert_eq!(parse(42, stat), Some(Process { pid: 42, parent: 7, session: 41 }));
        assert_eq!(parse(42, b"42 (a) Z 7 42 41 0 -1"), None);
        assert_eq!(parse(42, b"42 (a"), None);
    }

    #[test]
    fn descendants_are_found_through_their_parents_and_a_loop_ends() {
        let process = |pid, parent| Process { pid, parent, session: 0 };
        let table = [process(2, 1), process(3, 2), process(4, 0), process(5, 6), process(6, 5)];
        assert_eq!(below(1, &table), [2, 3]);
    }

    #[test]
    fn our_own_session_holds_us() {
        let us = i32::try_from(std::process::id()).unwrap();
        let own = processes().into_iter().find(|p| p.pid == us).unwrap();
        assert!(session(own.session).contains(&us));
    }
}
