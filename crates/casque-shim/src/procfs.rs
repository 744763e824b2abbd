//! Finding the processes of a service that were not started directly.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;

/// The environment variable that marks every process of a service.
pub(crate) const MARK: &str = "CASQUE_SHIM_SERVICE";

/// Returns the processes whose environment carries the mark of `service`, and their descendants.
///
/// A daemon leaves its session and its parent but keeps its environment. One that overwrites it, as
/// nginx does, is found as a descendant or by its PID file.
pub(crate) fn members(service: &str, main: Option<i32>) -> Vec<i32> {
    let mark = format!("{MARK}={service}");
    let parents = parents();
    let mut members: BTreeSet<i32> = main.into_iter().filter(|pid| parents.contains_key(pid)).collect();
    for pid in parents.keys() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            members.insert(*pid);
        }
    }
    with_descendants(members, &parents)
}

/// Returns the process of `service` that was handed to this process, if there is exactly one.
pub(crate) fn only_orphan(service: &str) -> Option<i32> {
    let own = i32::try_from(std::process::id()).ok()?;
    let parents = parents();
    let orphans: Vec<i32> =
        members(service, None).into_iter().filter(|pid| parents.get(pid) == Some(&own)).collect();
    if let [only] = orphans[..] { Some(only) } else { None }
}

/// Returns every descendant of `pid`.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let parents = parents();
    let mut found = with_descendants(BTreeSet::from([pid]), &parents);
    found.retain(|other| *other != pid);
    found
}

fn with_descendants(mut found: BTreeSet<i32>, parents: &BTreeMap<i32, i32>) -> Vec<i32> {
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found.into_iter().collect();
        }
        found.extend(more);
    }
}

/// Returns the parent of each process that is not a zombie.
fn parents() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name, in parentheses, may hold anything; behind the last one come state and parent.
            let (_, rest) = stat.rsplit_once(')')?;
            let mut fields = rest.split_whitespace();
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            (state != "Z").then_some((pid, parent))
        })
        .collect()
}
