//! When a request that failed is made again.

use std::time::Duration;

use ureq::http::{HeaderMap, header};

use crate::FetchError;

/// How often one address is tried.
const ATTEMPTS: u32 = 3;
/// The wait before the second attempt; it doubles.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Who is asked to wait for longer gives up.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The attempts at one address so far.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    failed: u32,
}

impl Tries {
    /// Returns how long to wait before the next attempt, or the error where there shall be none.
    pub(crate) fn wait_after(&mut self, error: FetchError) -> Result<Duration, FetchError> {
        self.failed += 1;
        if !error.is_transient() || self.failed >= ATTEMPTS {
            return Err(error);
        }
        let own = FIRST_DELAY * 2_u32.pow(self.failed - 1);
        match &error {
            FetchError::Status { retry_after: Some(asked), .. }
            | FetchError::Refused { retry_after: Some(asked), .. } => match *asked > LONGEST_DELAY {
                true => Err(error),
                false => Ok(own.max(*asked)),
            },
            _ => Ok(own),
        }
    }
}

/// Reads `Retry-After` in its usual form, seconds; the other one, a date, would need the time of day.
pub(crate) fn after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<u64>) -> FetchError {
        let retry_after = retry_after.map(Duration::from_secs);
        FetchError::Status { url: "http://a/".to_owned(), status: 503, retry_after }
    }

    #[test]
    fn pauses_grow_and_a_server_may_ask_for_longer_ones() {
        let mut tries = Tries::default();
        assert_eq!(tries.wait_after(busy(None)).unwrap(), FIRST_DELAY);
        assert_eq!(tries.wait_after(busy(None)).unwrap(), FIRST_DELAY * 2);
        assert!(tries.wait_after(busy(None)).is_err());
        assert_eq!(Tries::default().wait_after(busy(Some(7))).unwrap(), Duration::from_secs(7));
        assert_eq!(Tries::default().wait_after(busy(Some(0))).unwrap(), FIRST_DELAY);
        assert!(Tries::default().wait_after(busy(Some(3600))).is_err());
    }
}
