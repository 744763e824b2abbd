//! How many processors and how much memory a container may use: what the kernel shows of the machine is often more.

/// What there is to share out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processors, rounded up, at least one.
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
}

impl Capacity {
    /// Looks at the container's control groups and the machine's memory, for a process that may run on `processors`. `read`
    /// returns the text of a file.
    pub fn of(processors: u32, read: impl Fn(&str) -> Option<String>) -> Self {
        let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
        let quota = read("/sys/fs/cgroup/cpu.max").as_deref().and_then(cpu_max).or_else(|| {
            let quota = number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")?;
            share(quota, number("/sys/fs/cgroup/cpu/cpu.cfs_period_us")?)
        });
        let limits = [
            number("/sys/fs/cgroup/memory.max"),
            number("/sys/fs/cgroup/memory.high"),
            number("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            read("/proc/meminfo").as_deref().and_then(|text| memory(text, "MemTotal")),
        ];
        Self {
            cpus: quota.unwrap_or(u32::MAX).min(processors).max(1),
            memory: limits.into_iter().flatten().min().unwrap_or(0),
        }
    }
}

/// Returns the bytes of a line of `/proc/meminfo`, such as `MemAvailable`.
pub fn memory(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Reads `max 100000` or `150000 100000`.
fn cpu_max(text: &str) -> Option<u32> {
    let (quota, period) = text.trim().split_once(' ')?;
    share(quota.parse().ok()?, period.parse().ok()?)
}

fn share(quota: u64, period: u64) -> Option<u32> {
    let whole = (period > 0).then(|| quota.div_ceil(period))?;
    Some(u32::try_from(whole).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(files: &[(&str, &str)]) -> Capacity {
        let machine = [("proc/meminfo", "MemTotal:  8388608 kB\nMemFree: 1 kB\n")];
        let found = |path: &str| {
            machine.iter().chain(files).find(|(known, _)| path.strip_prefix('/') == Some(*known))
        };
        Capacity::of(8, |path| found(path).map(|(_, text)| (*text).to_owned()))
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn without_limits_it_is_what_the_process_may_use() {
        assert_eq!(capacity(&[]), Capacity { cpus: 8, memory: 8 * GIB });
        let unlimited = [("sys/fs/cgroup/cpu.max", "max 100000\n"), ("sys/fs/cgroup/memory.max", "max\n")];
        assert_eq!(capacity(&unlimited), Capacity { cpus: 8, memory: 8 * GIB });
    }

    #[test]
    fn the_second_version_of_control_groups_limits() {
        let limits =
            [("sys/fs/cgroup/cpu.max", "150000 100000\n"), ("sys/fs/cgroup/memory.max", "1073741824\n")];
        assert_eq!(capacity(&limits), Capacity { cpus: 2, memory: GIB });
        assert_eq!(capacity(&[("sys/fs/cgroup/cpu.max", "1000 100000\n")]).cpus, 1);
    }

    #[test]
    fn the_first_version_of_control_groups_limits_and_minus_one_does_not() {
        let limits = [
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
        ];
        assert_eq!(capacity(&limits), Capacity { cpus: 3, memory: GIB / 2 });
        let unlimited = [
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(capacity(&unlimited), Capacity { cpus: 8, memory: 8 * GIB });
    }
}
