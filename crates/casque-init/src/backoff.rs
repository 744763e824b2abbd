//! When a failed service may start again.

use std::time::Duration;

use casque_format::run::Restart;

/// Even a plan that wants no wait must not make PID 1 do nothing but start processes.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// The failures of one service since it last ran well.
#[derive(Debug)]
pub(crate) struct Backoff {
    limit: u32,
    first: Duration,
    longest: Duration,
    stable: Duration,
    failures: u32,
    delays: u32,
}

impl Backoff {
    /// Returns the state before any failure.
    pub(crate) fn new(policy: &Restart) -> Self {
        Self {
            limit: policy.limit,
            first: Duration::from_millis(policy.delay_ms).max(SHORTEST_DELAY),
            longest: Duration::from_millis(policy.max_delay_ms),
            stable: Duration::from_millis(policy.stable_ms),
            failures: 0,
            delays: 0,
        }
    }

    /// Counts a failure after the service was ready for `ready_for`, and returns the wait before
    /// the next start, or none when the limit is reached.
    ///
    /// Only time spent ready forgets failures: a service that takes long to start and then dies
    /// would otherwise never reach its limit.
    pub(crate) fn fail(&mut self, ready_for: Option<Duration>) -> Option<Duration> {
        let stable = ready_for.is_some_and(|span| span >= self.stable);
        if stable {
            self.forget();
        }
        self.failures += 1;
        if self.failures >= self.limit {
            return None;
        }
        if stable {
            return Some(Duration::ZERO);
        }
        let factor = 2_u32.checked_pow(self.delays).unwrap_or(u32::MAX);
        self.delays += 1;
        Some(self.first.saturating_mul(factor).min(self.longest.max(SHORTEST_DELAY)))
    }

    /// Forgets all failures.
    pub(crate) fn forget(&mut self) {
        self.failures = 0;
        self.delays = 0;
    }

    /// Returns how many failures came one after the other.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use casque_format::run::RestartPolicy;

    use super::*;

    fn backoff(limit: u32) -> Backoff {
        Backoff::new(&Restart {
            policy: RestartPolicy::Always,
            limit,
            delay_ms: 500,
            max_delay_ms: 3_000,
            stable_ms: 10_000,
        })
    }

    fn millis(value: u64) -> Option<Duration> {
        Some(Duration::from_millis(value))
    }

    #[test]
    fn the_wait_doubles_up_to_its_cap_until_the_limit() {
        let mut backoff = backoff(6);
        let waits: Vec<_> = (0..6).map(|_| backoff.fail(millis(10))).collect();
        assert_eq!(waits, [millis(500), millis(1_000), millis(2_000), millis(3_000), millis(3_000), None]);
    }

    #[test]
    fn a_stable_run_earns_an_immediate_restart_and_a_fresh_count() {
        let mut backoff = backoff(3);
        assert_eq!(backoff.fail(None), millis(500));
        assert_eq!(backoff.fail(millis(10_000)), millis(0));
        assert_eq!(backoff.fail(millis(9_999)), millis(500));
        assert_eq!(backoff.fail(None), None);
        assert_eq!(backoff.failures(), 3);
    }

    #[test]
    fn a_huge_count_does_not_overflow() {
        let mut backoff = backoff(u32::MAX);
        let last = (0..200).map(|_| backoff.fail(None)).last().flatten();
        assert_eq!(last, millis(3_000));
    }
}
