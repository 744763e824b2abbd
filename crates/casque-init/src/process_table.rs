//! Who runs here, read from /proc: what belongs to a service, and our descendants.
//!
//! A process of a service is known by its session, and when it has left that, by the mark that [`crate::spawn`] gave to
//! its ancestor: a limit that is inherited over everything a process may do, that nobody meets, and that everybody may
//! read. (The environment, which others look at, is closed to PID 1 in a container when it is another user's.)

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

/// Returns the processes of a session.
pub(crate) fn session(id: i32) -> Vec<Process> {
    processes().into_iter().filter(|p| p.session == id).collect()
}

/// Returns the processes of a session and our descendants with a mark.
pub(crate) fn service(session: i32, mark: Mark) -> Vec<Process> {
    let all = processes();
    let ours: BTreeSet<i32> = below(us(), &all).into_iter().collect();
    let is_marked =
        |p: &Process| ours.contains(&p.pid) && limits(p.pid).is_some_and(|text| mark.is_in(&text));
    all.iter().filter(|p| p.session == session || is_marked(p)).cloned().collect()
}

/// Returns our descendants.
pub(crate) fn descendants() -> Vec<i32> {
    below(us(), &processes())
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
        .filter_map(|pid| parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?))
        .collect()
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

    #[test]
    fn our_own_session_holds_us() {
        let own = processes().into_iter().find(|p| p.pid == us()).unwrap();
        assert!(session(own.session).contains(&own));
        assert!(own.title().ends_with(&format!("(process {})", us())));
    }

    proptest::proptest! {
        #[test]
        fn nothing_in_a_table_ends_pid_1(stat in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
            let _ = parse(1, &stat);
            let _ = parse(1, &[b"1 (".as_slice(), &stat, b") S 1 1 1"].concat());
        }
    }
}
