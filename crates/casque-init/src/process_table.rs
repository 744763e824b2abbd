//! Who runs here, read from /proc: what belongs to a service, and our descendants.
//!
//! A process of a service is known by its session, and when it has left that, by the mark that [`crate::spawn`] gave to
//! its ancestor: a limit that is inherited over everything a process may do, that nobody meets, and that everybody may
//! read. (The environment, which others look at, is closed to PID 1 in a container when it is another user's.)

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::spawn::Mark;

/// One process that is not a zombie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    parent: i32,
    session: i32,
    name: String,
}

impl Process {
    /// Returns it for people, such as "`redis-server` (process 42)".
    pub(crate) fn title(&self) -> String {
        format!("`{}` (process {})", self.name, self.pid)
    }
}

/// Returns our descendants of a session. Whoever is orphaned becomes our child, so others are in none that a service leads.
pub(crate) fn session(id: i32) -> Vec<Process> {
    ours().into_iter().filter(|p| p.session == id).collect()
}

/// Returns our descendants of a session and those with a mark.
pub(crate) fn service(session: i32, mark: Mark) -> Vec<Process> {
    let is_marked = |p: &Process| limits(p.pid).is_some_and(|text| mark.is_in(&text));
    ours().into_iter().filter(|p| p.session == session || is_marked(p)).collect()
}

/// Returns the numbers of our descendants.
pub(crate) fn descendants() -> Vec<i32> {
    ours().iter().map(|process| process.pid).collect()
}

/// Returns our descendants: from parents to children, so that what else runs on a machine costs nothing; where the kernel has
/// no such lists (CONFIG_PROC_CHILDREN), from the whole table.
fn ours() -> Vec<Process> {
    let Some(mut open) = children(us()) else {
        let all = processes();
        let below: BTreeSet<i32> = below(us(), &all).into_iter().collect();
        return all.into_iter().filter(|process| below.contains(&process.pid)).collect();
    };
    let mut found = BTreeMap::new();
    while !open.is_empty() {
        while let Some(pid) = open.pop() {
            if let Entry::Vacant(place) = found.entry(pid) {
                open.extend(children(pid).unwrap_or_default());
                place.insert(process(pid));
            }
        }
        // Whose parent has died meanwhile has become our child.
        open = children(us()).unwrap_or_default();
        open.retain(|pid| !found.contains_key(pid));
    }
    found.into_values().flatten().collect()
}

/// Returns the children of all threads of a process.
fn children(pid: i32) -> Option<Vec<i32>> {
    let mut all = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let list = fs::read_to_string(thread.path().join("children")).ok()?;
        all.extend(list.split_ascii_whitespace().filter_map(|child| child.parse::<i32>().ok()));
    }
    Some(all)
}

fn us() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(1)
}

fn limits(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/limits")).ok()
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
        .filter_map(process)
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `pid (name) state parent group session ...`; the name may hold anything, `)` too.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let name_begin = stat.iter().position(|&byte| byte == b'(')? + 1;
    let name = String::from_utf8_lossy(stat.get(name_begin..name_end)?).into_owned();
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    Some(Process { pid, parent, session, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_confuse() {
        let stat = b"42 (a) Z 9 (b) S 7 42 41 0 -1";
        let name = "a) Z 9 (b".to_owned();
        assert_eq!(parse(42, stat), Some(Process { pid: 42, parent: 7, session: 41, name }));
        assert_eq!(parse(42, b"42 (a) Z 7 42 41 0 -1"), None);
        assert_eq!(parse(42, b"42 (a"), None);
    }

    #[test]
    fn descendants_are_found_through_their_parents_and_a_loop_ends() {
        let process = |pid, parent| Process { pid, parent, session: 0, name: String::new() };
        let table = [process(2, 1), process(3, 2), process(4, 0), process(5, 6), process(6, 5)];
        assert_eq!(below(1, &table), [2, 3]);
    }

    /// Returns what both ways say of a shell and its child, unless somebody has ended them: PID 1 under test in another
    /// thread takes all children of this process for its own.
    fn seen_both_ways() -> Option<(Vec<Process>, Vec<Process>)> {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 1000 & wait"]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let family = |all: Vec<Process>| -> Vec<Process> {
            all.into_iter().filter(|p| p.pid == pid || p.parent == pid).collect()
        };
        let is_complete = |table: &[Process]| table.iter().any(|p| p.name == "sleep");
        let mut table = Vec::new();
        while process(pid).is_some() && !is_complete(&table) {
            table = family(processes());
        }
        let ours = family(ours());
        for process in &table {
            crate::sys::kill(process.pid, libc::SIGKILL);
        }
        let _ = child.wait();
        is_complete(&table).then_some((ours, table))
    }

    #[test]
    fn descendants_are_the_same_from_the_lists_and_from_the_table() {
        let mut seen = (0..20).filter_map(|_| seen_both_ways());
        assert!(seen.any(|(ours, table)| ours.len() == 2 && ours == table));
    }

    proptest::proptest! {
        #[test]
        fn nothing_in_a_table_ends_pid_1(stat in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
            let _ = parse(1, &stat);
            let _ = parse(1, &[b"1 (".as_slice(), &stat, b") S 1 1 1"].concat());
        }
    }
}
