//! What tells the processes of one run of a service from all others, wherever they go.

use std::sync::atomic::{AtomicU64, Ordering};

/// Microseconds that a process with real-time priority may compute without a pause: more than a hundred thousand years.
const HIGHEST: u64 = 1 << 62;
/// Below this there are too few numbers, and too little time for who really has such a priority.
const LOWEST: u64 = 1 << 40;

static RUNS: AtomicU64 = AtomicU64::new(0);

/// A limit on real-time computing that no other run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(Option<u64>);

impl Mark {
    /// Returns the next one, `allowed` being our own limit. A supervisor below a supervisor halves what it has, so that
    /// none of its marks is one of the other's.
    pub(super) fn next(allowed: libc::rlim_t) -> Self {
        let base = if allowed == libc::RLIM_INFINITY { HIGHEST } else { allowed / 2 };
        Self((base >= LOWEST).then(|| base + RUNS.fetch_add(1, Ordering::Relaxed) % LOWEST))
    }

    /// Returns the mark of whoever starts nothing itself.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Returns the limit; none if the container has one that leaves no room.
    pub(super) fn limit(self) -> Option<libc::rlim_t> {
        self.0
    }

    /// Says whether the text of a `/proc/PID/limits` has it.
    pub(crate) fn is_in(self, limits: &str) -> bool {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.is_some() && number == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_its_own() {
        let (one, two) = (Mark::next(libc::RLIM_INFINITY), Mark::next(libc::RLIM_INFINITY));
        assert_ne!(one, two);
        let text = |mark: Mark| {
            let number = mark.limit().unwrap();
            format!("Limit Soft Hard Units\nMax realtime timeout      {number}  {number}  us\n")
        };
        assert!(one.is_in(&text(one)) && !one.is_in(&text(two)));
        assert!(!one.is_in("Max realtime timeout  unlimited unlimited us\n"));
        let below = Mark::next(one.limit().unwrap());
        assert!(below.limit() < one.limit());
        let none = Mark::next(1_000_000);
        assert_eq!(none.limit(), None);
        assert!(!none.is_in("") && !none.is_in(&text(one)));
    }
}
