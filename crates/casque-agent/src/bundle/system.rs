//! What the kernel says of the container: its limits, mounts, room and processes.

use std::io::Read;
use std::path::Path;

use fs_err as fs;
use rustix::fs::statvfs;

use crate::root::Root;
use crate::ui;

/// Shown as they are. Not all kernels, and not both kinds of cgroups, have all of them.
const FILES: [&str; 31] = [
    "/etc/os-release",
    "/proc/version",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/self/cgroup",
    "/proc/1/limits",
    "/proc/1/status",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory.current",
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu.stat",
    "/sys/fs/cgroup/pids.max",
    "/sys/fs/cgroup/pids.current",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    "/sys/fs/cgroup/memory/memory.failcnt",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
    "/sys/fs/cgroup/cpu/cpu.stat",
    "/sys/fs/cgroup/pids/pids.max",
    "/sys/fs/cgroup/pids/pids.current",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/proc/net/tcp",
    "/proc/net/tcp6",
    "/proc/net/dev",
];
const MOUNTS: &str = "/proc/self/mountinfo";
/// More of one file is not shown.
const LONGEST: u64 = 256 << 10;
/// More of a command line is not.
const LONGEST_COMMAND: u64 = 4 << 10;
/// More processes are not.
const MOST_PROCESSES: usize = 2000;
/// File systems without room of their own.
const WITHOUT_ROOM: [&str; 9] =
    ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs"];

/// Returns those files, each below its name.
pub fn files(root: &Root) -> Vec<u8> {
    let mut all = Vec::new();
    for name in FILES {
        if let Some(content) = content(&root.join(name), LONGEST) {
            all.extend_from_slice(format!("== {name}\n").as_bytes());
            all.extend_from_slice(&content);
            all.extend_from_slice(if content.ends_with(b"\n") { b"\n" } else { b"\n\n" });
        }
    }
    all
}

/// Returns the table of mounts as the kernel has it.
pub fn mounts(root: &Root) -> Result<Vec<u8>, String> {
    content(&root.join(MOUNTS), LONGEST).ok_or_else(|| format!("cannot read `{MOUNTS}`"))
}

/// Returns how much room each mounted file system has.
pub fn room(root: &Root) -> Result<Vec<u8>, String> {
    let table = String::from_utf8_lossy(&mounts(root)?).into_owned();
    let mut rows = vec![["MOUNTED", "TYPE", "MIB", "FREE", "INODES", "FREE"].map(str::to_owned)];
    for line in table.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else { continue };
        if WITHOUT_ROOM.contains(&kind) {
            continue;
        }
        let row = match statvfs(root.join(point)) {
            Ok(found) => {
                let mebibytes = |blocks: u64| (blocks.saturating_mul(found.f_frsize) >> 20).to_string();
                let (all, free) = (mebibytes(found.f_blocks), mebibytes(found.f_bavail));
                [all, free, found.f_files.to_string(), found.f_favail.to_string()]
            }
            Err(error) => [error.to_string(), String::new(), String::new(), String::new()],
        };
        let [all, free, inodes, free_inodes] = row;
        rows.push([point.to_owned(), kind.to_owned(), all, free, inodes, free_inodes]);
    }
    Ok(ui::table(&rows).into_bytes())
}

/// Returns every process.
pub fn processes(root: &Root) -> Result<Vec<u8>, String> {
    let directory = root.join("/proc");
    let entries = fs::read_dir(&directory).map_err(|error| error.to_string())?;
    let mut pids: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut rows = vec![["PID", "PARENT", "UID", "STATE", "THREADS", "KIB", "COMMAND"].map(str::to_owned)];
    for pid in pids.into_iter().take(MOST_PROCESSES) {
        let own = directory.join(pid.to_string());
        // It may be gone meanwhile.
        let Some(status) = content(&own.join("status"), LONGEST) else { continue };
        let status = String::from_utf8_lossy(&status).into_owned();
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.and_then(|value| value.split_whitespace().next()).unwrap_or("-").to_owned()
        };
        let words = content(&own.join("cmdline"), LONGEST_COMMAND).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).trim_end_matches('\0').replace(['\0', '\n'], " ");
        let command = if words.is_empty() { format!("[{}]", field("Name")) } else { words };
        let [parent, uid, state, threads, memory] = ["PPid", "Uid", "State", "Threads", "VmRSS"].map(field);
        rows.push([pid.to_string(), parent, uid, state, threads, memory, command]);
    }
    Ok(ui::table(&rows).into_bytes())
}

fn content(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path).ok()?.take(limit).read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_shown_as_it_is_and_in_tables() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        let write = |path: &str, content: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(mounts(&root), Err("cannot read `/proc/self/mountinfo`".to_owned()));
        assert!(processes(&root).is_err() && room(&root).is_err());
        write("/proc/version", "Linux\n");
        write("/sys/fs/cgroup/memory.max", "max");
        assert_eq!(text(files(&root)), "== /proc/version\nLinux\n\n== /sys/fs/cgroup/memory.max\nmax\n\n");
        write("/proc/7/status", "Name:\tsh\nState:\tS (sleeping)\nPPid:\t1\nUid:\t5\t5\t5\t5\nThreads:\t2\n");
        write("/proc/7/cmdline", "");
        write("/proc/12/status", "Name:\tweb\nVmRSS:\t  100 kB\n");
        write("/proc/12/cmdline", "/bin/web\0--port\n\0");
        write("/proc/12a/status", "");
        assert_eq!(
            text(processes(&root).unwrap()),
            "PID  PARENT  UID  STATE  THREADS  KIB  COMMAND\n\
             7    1       5    S      2        -    [sh]\n\
             12   -       -    -      -        100  /bin/web --port\n"
        );
        write(
            "/proc/self/mountinfo",
            "1 0 0:1 / /proc rw - proc proc rw\n2 0 8:1 /x / rw - ext4 /dev/a rw\n3 0 8:1 / /gone rw - nfs h:/ rw\n",
        );
        let shown = text(room(&root).unwrap());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(lines[1].starts_with("/        ext4"), "{shown}");
        assert!(lines[2].contains("No such file or directory"), "{shown}");
    }
}
