//! When a failed service may start again.

use std::time::Duration;

use casque_format::run::Restart;

use crate::chance::Chance;

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
    chance: Chance,
}

impl Backoff {
    /// Returns the state before any failure.
    pub(crate) fn new(policy: &Restart, chance: Chance) -> Self {
        Self {
            chance,
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
        let longest = self.longest.max(SHORTEST_DELAY);
        let wait = self.first.saturating_mul(factor).min(longest);
        Some(self.chance.around(wait).clamp(SHORTEST_DELAY, longest))
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
        let policy = Restart {
            policy: RestartPolicy::Always,
            limit,
            delay_ms: 500,
            max_delay_ms: 3_000,
            stable_ms: 10_000,
        };
        Backoff::new(&policy, Chance::none())
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
    fn waits_differ_a_little_from_one_service_to_the_next_and_stay_below_their_cap() {
        let policy = Restart { limit: 9, delay_ms: 500, max_delay_ms: 3_000, ..Restart::default() };
        let waits = |seed| {
            let mut backoff = Backoff::new(&policy, Chance::new(seed));
            std::iter::from_fn(|| backoff.fail(None)).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
        for (wait, middle) in waits(1).into_iter().zip([500, 1_000, 2_000, 3_000, 3_000]) {
            let middle = Duration::from_millis(middle);
            assert!(wait >= middle.mul_f64(0.9) && wait <= middle.mul_f64(1.1), "{wait:?}");
            assert!(wait <= Duration::from_secs(3), "{wait:?}");
        }
    }

    #[test]
    fn a_huge_count_does_not_overflow() {
        let mut backoff = backoff(u32::MAX);
        let last = (0..200).map(|_| backoff.fail(None)).last().flatten();
        assert_eq!(last, millis(3_000));
    }
}
