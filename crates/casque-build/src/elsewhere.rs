//! Another machine, as far as a program in a sandbox can tell one: for making a stage a second time.
//!
//! What decides that is in docs/decisions/0016-a-step-is-repeated-elsewhere.md.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

/// The host name that sandboxes have.
pub(crate) const HOST_NAME: &str = "build";
const OTHER_HOST_NAME: &str = "elsewhere";
const LISTS: [&str; 3] =
    ["/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/present"];

/// A machine that is not this one.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere {
    pub(crate) host_name: &'static str,
    /// Processors here and there.
    pub(crate) processors: (usize, usize),
    /// What lies over files of the kernel: path and text.
    pub(crate) files: Vec<(PathBuf, String)>,
}

impl Elsewhere {
    /// Makes up a machine that differs from this one.
    pub(crate) fn new() -> io::Result<Self> {
        let here = available_parallelism()?.get();
        Ok(Self::beside(
            here,
            &fs_err::read_to_string("/proc/cpuinfo")?,
            &fs_err::read_to_string("/proc/meminfo")?,
        ))
    }

    fn beside(here: usize, processors: &str, memory: &str) -> Self {
        // One of two or more is the machine on which mistakes show; where there is one alone, two are claimed.
        let there = if here > 1 { 1 } else { 2 };
        let lists = LISTS.iter().filter(|path| Path::new(path).exists());
        let list = if there == 1 { "0\n" } else { "0-1\n" };
        let mut files: Vec<(PathBuf, String)> =
            lists.map(|path| (PathBuf::from(path), list.to_owned())).collect();
        files.push(("/proc/cpuinfo".into(), so_many(processors, there)));
        files.push(("/proc/meminfo".into(), halved(memory)));
        Self { host_name: OTHER_HOST_NAME, processors: (here, there), files }
    }
}

/// Returns `cpuinfo` with so many of its first processor.
fn so_many(cpuinfo: &str, count: usize) -> String {
    let first = cpuinfo.split("\n\n").next().unwrap_or_default();
    let one = |number: usize| {
        let line = |line: &str| match line.starts_with("processor") {
            true => format!("processor\t: {number}\n"),
            false => format!("{line}\n"),
        };
        first.lines().map(line).collect::<String>() + "\n"
    };
    (0..count).map(one).collect()
}

/// Returns `meminfo` with half of everything.
fn halved(meminfo: &str) -> String {
    let line = |line: &str| match kilobytes(line) {
        Some(number) => format!("{}: {:>14} kB\n", line.split(':').next().unwrap_or_default(), number / 2),
        None => format!("{line}\n"),
    };
    meminfo.lines().map(line).collect()
}

fn kilobytes(line: &str) -> Option<u64> {
    line.split_once(':')?.1.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\nmodel name\t: A\n\nprocessor\t: 2\nmodel name\t: A\n\n";
    const MEMINFO: &str = "MemTotal:       16000 kB\nHugePages_Total:       0\nMemFree:         7001 kB\n";

    #[test]
    fn the_other_machine_has_another_number_of_processors_and_half_of_the_memory() {
        let text = |machine: &Elsewhere, path: &str| {
            machine.files.iter().find(|(to, _)| to == Path::new(path)).unwrap().1.clone()
        };
        let one = Elsewhere::beside(64, CPUINFO, MEMINFO);
        assert_eq!(one.processors, (64, 1));
        assert_eq!(text(&one, "/proc/cpuinfo"), "processor\t: 0\nmodel name\t: A\n\n");
        assert_eq!(text(&one, LISTS[0]), "0\n");
        assert_eq!(
            text(&one, "/proc/meminfo"),
            "MemTotal:           8000 kB\nHugePages_Total:       0\nMemFree:           3500 kB\n"
        );
        let two = Elsewhere::beside(1, CPUINFO, MEMINFO);
        assert_eq!(two.processors, (1, 2));
        assert_eq!(
            text(&two, "/proc/cpuinfo"),
            "processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\nmodel name\t: A\n\n"
        );
        assert_ne!(one.host_name, HOST_NAME);
    }
}
