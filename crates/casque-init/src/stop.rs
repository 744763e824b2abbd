//! The stop budget: one deadline for all, divided so that whoever stops last keeps its share.

use std::time::Duration;

/// The largest share kept for strays and for the last words in the log.
const LONGEST_RESERVE: Duration = Duration::from_millis(500);
/// How much of that is for the last words: writing what is left of the log takes no longer.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long a service waits beyond its own share for those before it that do not even die of KILL.
const GRACE: Duration = Duration::from_millis(200);
/// Shares are as fine as this.
const FINEST: Duration = Duration::from_micros(100);

/// When each service has to be gone. Times count from PID 1's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    /// PID 1 supervises no longer than this.
    pub(crate) deadline: Duration,
    /// All services have had their KILL by then.
    services_end: Duration,
    /// For each service the time that those stopping after it need.
    tails: Vec<Duration>,
    /// For each service its own time.
    shares: Vec<Duration>,
}

impl Budget {
    /// Divides `budget` from `now` on among services that want `timeouts` (nothing, if they are gone
    /// already); `after[n]` are the services that stop only once `n` is gone.
    ///
    /// If the longest chain wants more than there is, those that want most get less, down to what the others want: whoever
    /// asks for an hour does not take away the seconds of a database.
    pub(crate) fn new(now: Duration, budget: Duration, timeouts: &[Duration], after: &[&[usize]]) -> Self {
        let available = budget - LONGEST_RESERVE.min(budget / 8);
        let mut shares = timeouts.to_vec();
        if longest(&shares, after) > available {
            let (mut fits, mut excess) = (Duration::ZERO, available);
            while excess - fits > FINEST {
                let cap = (fits + excess) / 2;
                shares = timeouts.iter().map(|own| cap.min(*own)).collect();
                match longest(&shares, after) <= available {
                    true => fits = cap,
                    false => excess = cap,
                }
            }
            shares = timeouts.iter().map(|own| fits.min(*own)).collect();
        }
        Self {
            deadline: now + budget - LAST_WORDS.min(budget / 20),
            services_end: now + available,
            tails: tails(&shares, after),
            shares,
        }
    }

    /// Returns when a service gets KILL at the latest.
    pub(crate) fn kill_at(&self, id: usize) -> Duration {
        self.services_end.saturating_sub(self.tails[id])
    }

    /// Returns when a service gets its signal although one before it refuses to die.
    pub(crate) fn signal_at(&self, id: usize) -> Duration {
        self.kill_at(id).saturating_sub(self.shares[id]) + GRACE
    }
}

/// Returns how long the chain that needs most takes.
fn longest(shares: &[Duration], after: &[&[usize]]) -> Duration {
    tails(shares, after).iter().zip(shares).map(|(tail, own)| *tail + *own).max().unwrap_or_default()
}

/// Returns for each service what those take that stop only once it is gone.
fn tails(shares: &[Duration], after: &[&[usize]]) -> Vec<Duration> {
    let mut tails = vec![None; shares.len()];
    for id in 0..shares.len() {
        tail(id, shares, after, &mut tails);
    }
    tails.into_iter().map(Option::unwrap_or_default).collect()
}

/// Plans have no cycles, so this ends; each service is computed once.
fn tail(id: usize, timeouts: &[Duration], after: &[&[usize]], tails: &mut [Option<Duration>]) -> Duration {
    if let Some(known) = tails[id] {
        return known;
    }
    let longest = after[id]
        .iter()
        .map(|&later| timeouts[later] + tail(later, timeouts, after, tails))
        .max()
        .unwrap_or_default();
    tails[id] = Some(longest);
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn the_last_service_keeps_its_share() {
        // nginx after web after mongodb.
        let after: [&[usize]; 3] = [&[1], &[2], &[]];
        let timeouts = [millis(1_000), millis(2_000), millis(4_000)];
        let budget = Budget::new(millis(100), millis(9_000), &timeouts, &after);
        assert_eq!(budget.deadline, millis(8_900));
        assert_eq!(budget.kill_at(0), millis(8_600 - 6_000));
        assert_eq!(budget.kill_at(1), millis(8_600 - 4_000));
        assert_eq!(budget.kill_at(2), millis(8_600));
        assert_eq!(budget.signal_at(2), millis(8_600 - 4_000 + 200));
    }

    /// Shares are found to a tenth of a millisecond.
    fn about(left: Duration, right: Duration) {
        assert!(left.abs_diff(right) <= millis(1), "{left:?} {right:?}");
    }

    #[test]
    fn what_does_not_fit_is_taken_from_those_that_want_most() {
        let after: [&[usize]; 2] = [&[1], &[]];
        let even = Budget::new(Duration::ZERO, millis(9_000), &[millis(8_500), millis(8_500)], &after);
        about(even.kill_at(0), millis(4_250));
        assert_eq!(even.kill_at(1), millis(8_500));
        let greedy = Budget::new(Duration::ZERO, millis(9_000), &[millis(3_600_000), millis(4_000)], &after);
        about(greedy.kill_at(0), millis(4_500));
        about(greedy.signal_at(1), millis(4_500 + 200));
    }

    #[test]
    fn the_longest_of_several_ways_counts() {
        // 0 before 1 and 2; 2 before 1.
        let after: [&[usize]; 3] = [&[1, 2], &[], &[1]];
        let timeouts = [millis(10), millis(100), millis(1_000)];
        let budget = Budget::new(Duration::ZERO, millis(4_000), &timeouts, &after);
        assert_eq!(budget.kill_at(0), millis(3_500 - 1_100));
    }

    #[test]
    fn a_chain_of_diamonds_is_computed_in_no_time() {
        let after: Vec<Vec<usize>> = (0..200_usize)
            .map(|id| [id / 2 * 2 + 2, id / 2 * 2 + 3].into_iter().filter(|&n| n < 200).collect())
            .collect();
        let after: Vec<&[usize]> = after.iter().map(Vec::as_slice).collect();
        let budget = Budget::new(Duration::ZERO, millis(9_000), &[millis(10); 200], &after);
        assert_eq!(budget.kill_at(0), millis(8_500 - 990));
    }

    #[test]
    fn no_service_and_no_time_are_no_problem() {
        let budget = Budget::new(millis(5), Duration::ZERO, &[millis(100)], &[&[]]);
        assert_eq!((budget.deadline, budget.kill_at(0)), (millis(5), millis(5)));
        assert_eq!(Budget::new(millis(5), millis(80), &[], &[]).deadline, millis(81));
    }
}
