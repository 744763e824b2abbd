//! Whether the kernel killed somebody because the container had no memory left.

use std::fs;
use std::path::{Path, PathBuf};

/// The container's own count of such kills.
#[derive(Debug, Default)]
pub(crate) struct Oom {
    counter: Option<Counter>,
    seen: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Counter {
    path: PathBuf,
    /// Before the number; empty, if the file holds nothing else.
    name: &'static str,
}

impl Oom {
    /// Finds the counter of the cgroup we are in.
    pub(crate) fn here() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::below(Path::new("/sys/fs/cgroup"), &own)
    }

    fn below(mounts: &Path, own: &str) -> Self {
        let found = candidates(mounts, own).into_iter().find(|counter| counter.read().is_some());
        let seen = found.as_ref().and_then(Counter::read).unwrap_or_default();
        Self { counter: found, seen }
    }

    /// Says whether there was such a kill since this was last asked.
    pub(crate) fn happened(&mut self) -> bool {
        let Some(now) = self.counter.as_ref().and_then(Counter::read) else {
            return false;
        };
        std::mem::replace(&mut self.seen, now) < now
    }
}

impl Counter {
    fn read(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.path).ok()?;
        text.lines().find_map(|line| line.strip_prefix(self.name)?.trim().parse().ok())
    }
}

/// Returns where the count may be, best first: in the second version of cgroups, and in the first, where old kernels
/// know only how often the limit was met. An engine shows a container its own cgroup as the root, or under its full path.
fn candidates(mounts: &Path, own: &str) -> Vec<Counter> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        let files: &[(&str, &'static str)] = match controllers {
            "" => &[("memory.events.local", "oom_kill "), ("memory.events", "oom_kill ")],
            _ if controllers.split(',').any(|one| one == "memory") => {
                &[("memory.oom_control", "oom_kill "), ("memory.failcnt", "")]
            }
            _ => continue,
        };
        let mount = if controllers.is_empty() { mounts.to_owned() } else { mounts.join("memory") };
        for (file, name) in files {
            for directory in [mount.join(path), mount.clone()] {
                found.push(Counter { path: directory.join(file), name });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], own: &str, after: (&str, &str)) {
        let mounts = tempfile::tempdir().unwrap();
        let write = |(path, text): (&str, &str)| {
            let path = mounts.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        files.iter().copied().for_each(write);
        let mut oom = Oom::below(mounts.path(), own);
        assert!(!oom.happened());
        write(after);
        assert!(oom.happened());
        assert!(!oom.happened());
    }

    #[test]
    fn both_versions_of_cgroups_are_understood_wherever_they_are_mounted() {
        let events = "low 0\noom 3\noom_kill 2\noom_group_kill 0\n";
        let more = "low 0\noom 4\noom_kill 3\noom_group_kill 0\n";
        check(&[("memory.events", events)], "0::/\n", ("memory.events", more));
        check(&[("a/b/memory.events", events)], "0::/a/b\n", ("a/b/memory.events", more));
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n";
        let own = "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1\n";
        let path = "memory/docker/1/memory.oom_control";
        check(&[(path, control)], own, (path, "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"));
        let old = ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n");
        check(&[old, ("memory/memory.failcnt", "0\n")], own, ("memory/memory.failcnt", "7\n"));
    }

    #[test]
    fn without_a_count_nothing_is_claimed() {
        let mounts = tempfile::tempdir().unwrap();
        assert!(!Oom::below(mounts.path(), "0::/\nnonsense\n").happened());
    }
}
