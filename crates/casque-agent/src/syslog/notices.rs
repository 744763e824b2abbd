//! When to try again, and what is said of it in the log: a receiver that comes and goes must not fill it.

use std::time::{Duration, Instant};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A connection that lasted so long makes earlier failures forgotten.
const STABLE: Duration = Duration::from_secs(10);
/// A receiver that is started anew is not away.
const SHORT: Duration = Duration::from_secs(2);
/// Between two lines that say the same.
const SELDOM: Duration = Duration::from_secs(60);

/// What was seen of the receiver.
#[derive(Debug, Default)]
pub struct Notices {
    failures: u32,
    away_since: Option<Instant>,
    /// The log has it that the receiver is away.
    said: bool,
    last_said: Option<Instant>,
    connected: Option<Instant>,
}

impl Notices {
    /// A connection is there.
    pub fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// The receiver took all that there was; says whether the log should have it that it is back.
    pub fn took(&mut self) -> bool {
        self.away_since = None;
        std::mem::take(&mut self.said)
    }

    /// There is no connection, or none any more; says whether the log should have it that the receiver is away.
    pub fn failed(&mut self, now: Instant) -> bool {
        match self.connected.take() {
            Some(since) if now.duration_since(since) >= STABLE => self.failures = 0,
            _ => self.failures = self.failures.saturating_add(1),
        }
        let since = *self.away_since.get_or_insert(now);
        let seldom = self.last_said.is_none_or(|last| now.duration_since(last) >= SELDOM);
        let say = !self.said && seldom && now.duration_since(since) >= SHORT;
        if say {
            self.said = true;
            self.last_said = Some(now);
        }
        say
    }

    /// Returns how long to wait before the next try; `chance` is a random number. Of many products that lost the same
    /// receiver, not all come back at once.
    pub fn wait(&self, chance: u32) -> Duration {
        let longest = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        longest / 2 + longest.mul_f64(f64::from(chance) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_is_away_is_said_once_and_so_is_that_it_is_back() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut notices = Notices::default();
        let said: Vec<bool> = [0, 1, 2, 3, 3600].map(|second| notices.failed(at(second))).into();
        assert_eq!(said, [false, false, true, false, false]);
        assert_eq!((notices.took(), notices.took()), (true, false));
        assert!(!notices.failed(at(3601)));
        assert!(!notices.took(), "it was started anew, and nobody was told that it was away");
    }

    #[test]
    fn one_that_comes_and_goes_is_not_said_each_time() {
        let begin = Instant::now();
        let mut notices = Notices::default();
        let mut said = 0;
        for second in 0..600 {
            // It takes a line, and is gone for five seconds.
            if second % 6 == 0 {
                notices.took();
            }
            said += u32::from(notices.failed(begin + Duration::from_secs(second)));
        }
        assert_eq!(said, 10);
    }

    #[test]
    fn waits_grow_to_a_limit_and_a_good_connection_forgets_them() {
        let begin = Instant::now();
        let mut notices = Notices::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            notices.failed(begin);
            waits.push((notices.wait(0).as_millis(), notices.wait(u32::MAX).as_millis()));
        }
        assert_eq!(waits[..2], [(250, 500), (500, 1000)]);
        assert_eq!(waits[8], (15_000, 30_000));
        notices.connected(begin);
        notices.failed(begin + Duration::from_secs(1));
        assert_eq!(notices.wait(0), LONGEST_WAIT / 2, "it was hardly there");
        notices.connected(begin);
        notices.failed(begin + STABLE);
        assert_eq!(notices.wait(u32::MAX), FIRST_WAIT);
    }
}
