//! The clock on the wall, as timers need it: it may jump, and it has a time zone.

/// Returns the seconds by which a time zone is ahead of UTC at a moment, in seconds since 1970.
pub(crate) type Zone = fn(i64) -> i64;

/// One look at the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wall {
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    /// The container's time zone.
    pub(crate) zone: Zone,
}

impl Wall {
    /// Returns what a clock on the wall shows, as if it were in UTC.
    pub(crate) fn local(self) -> i64 {
        self.seconds.saturating_add((self.zone)(self.seconds))
    }

    /// Returns the seconds until it shows `local`. An hour that is there twice counts once, one that is skipped counts as the
    /// one after it.
    pub(crate) fn until(self, local: i64) -> i64 {
        let about = local.saturating_sub((self.zone)(local));
        local.saturating_sub((self.zone)(about)).saturating_sub(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    /// One hour ahead, two from the tenth hour of 1970 on.
    fn zone(moment: i64) -> i64 {
        if moment < 10 * HOUR { HOUR } else { 2 * HOUR }
    }

    #[test]
    fn a_wait_over_a_change_of_the_clocks_ends_at_the_right_moment() {
        let wall = Wall { seconds: 8 * HOUR, zone };
        assert_eq!(wall.local(), 9 * HOUR);
        assert_eq!(wall.until(10 * HOUR), HOUR);
        // From 11 the clocks go to 12 at once.
        assert_eq!(wall.until(13 * HOUR), 3 * HOUR);
    }
}
