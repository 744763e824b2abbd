//! How often somebody may try: per address and per account. Pure but for being shared; the time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who tries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// An address; of IPv6 the half that a customer has to themselves.
    Address(IpAddr),
    /// A name, whether there is such an account or not.
    Account(String),
}

impl Who {
    /// Returns the address to count under.
    pub fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Self::Address(IpAddr::V6(network.into()))
            }
            address => Self::Address(address),
        }
    }

    fn limit(&self) -> (u32, Duration) {
        match self {
            Self::Address(_) => (60, Duration::from_secs(60)),
            Self::Account(_) => (60, Duration::from_secs(300)),
        }
    }
}

/// Attempts that did not succeed, or did not yet.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<Who, Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    count: u32,
}

/// More are not kept: who has a million addresses is not stopped by remembering them.
const MOST: usize = 100_000;

impl Attempts {
    /// Counts an attempt of all of these, or returns after how long they may try again.
    ///
    /// It counts before it is judged, so that a thousand attempts at the same time are not one.
    pub fn begin(&self, who: &[Who], now: Instant) -> Result<(), Duration> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MOST {
            windows.retain(|who, window| now.duration_since(window.since) < who.limit().1);
        }
        for one in who {
            let (most, length) = one.limit();
            if let Some(window) = windows.get(one) {
                let age = now.duration_since(window.since);
                if age < length && window.count >= most {
                    return Err(length - age);
                }
            }
        }
        for one in who {
            let (_, length) = one.limit();
            let window = windows.entry(one.clone()).or_insert(Window { since: now, count: 0 });
            if now.duration_since(window.since) >= length {
                *window = Window { since: now, count: 0 };
            }
            window.count += 1;
        }
        Ok(())
    }

    /// Takes an attempt back: it succeeded.
    pub fn succeeded(&self, who: &[Who]) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in who {
            if let Some(window) = windows.get_mut(one) {
                window.count = window.count.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fails_too_often_waits_until_the_window_ends() {
        let attempts = Attempts::default();
        let (who, start) = ([Who::Account("a".to_owned())], Instant::now());
        for _ in 0..60 {
            assert_eq!(attempts.begin(&who, start), Ok(()));
        }
        let later = start + Duration::from_secs(100);
        assert_eq!(attempts.begin(&who, later), Err(Duration::from_secs(200)));
        assert_eq!(attempts.begin(&[Who::Account("b".to_owned())], later), Ok(()), "others are not held up");
        assert_eq!(attempts.begin(&who, start + Duration::from_secs(300)), Ok(()));
    }

    #[test]
    fn what_succeeds_does_not_count() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let who = [Who::at("192.0.2.1".parse().unwrap())];
        for _ in 0..1000 {
            assert_eq!(attempts.begin(&who, now), Ok(()));
            attempts.succeeded(&who);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| Who::at(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
