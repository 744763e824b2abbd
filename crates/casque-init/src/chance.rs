//! Randomness that a test can foresee: a seed goes in once, and numbers come out.

use std::time::Duration;

/// A source of random numbers, by the splitmix64 algorithm.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    state: Option<u64>,
}

impl Chance {
    /// Returns a source that gives the same numbers for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Some(seed) }
    }

    /// Returns a source that never changes anything.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { state: None }
    }

    /// Returns another source, for something of its own.
    pub(crate) fn split(&mut self) -> Self {
        Self { state: self.next() }
    }

    /// Returns a span up to a tenth longer or shorter, so that many who wait do not all come at one moment.
    pub(crate) fn around(&mut self, span: Duration) -> Duration {
        match self.next() {
            Some(number) => span.mul_f64(0.9 + 0.2 * (number >> 11) as f64 / (1_u64 << 53) as f64),
            None => span,
        }
    }

    fn next(&mut self) -> Option<u64> {
        let state = self.state.as_mut()?;
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = *state;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(number ^ number >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything_and_a_span_changes_by_a_tenth_at_most() {
        let spans = |seed| {
            let mut chance = Chance::new(seed);
            (0..1_000).map(|_| chance.around(Duration::from_secs(10))).collect::<Vec<_>>()
        };
        assert_eq!(spans(7), spans(7));
        assert_ne!(spans(7), spans(8));
        let all = spans(7);
        let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*least >= Duration::from_secs(9) && *least < Duration::from_millis(9_100), "{least:?}");
        assert!(*most <= Duration::from_secs(11) && *most > Duration::from_millis(10_900), "{most:?}");
        assert_eq!(Chance::none().around(Duration::from_secs(1)), Duration::from_secs(1));
    }
}
