//! Signals as values.

use crate::sys;

/// Signals that no longer interrupt this program and wait to be asked for.
#[derive(Debug)]
pub struct Signals {
    signals: Vec<i32>,
}

impl Signals {
    /// Takes these signals over. To be called before there is a second thread: a thread started
    /// earlier would still be interrupted.
    pub fn take_over(signals: &[i32]) -> Self {
        sys::block(signals);
        Self { signals: signals.to_vec() }
    }

    /// Waits for one of them and returns its number.
    pub fn next(&self) -> i32 {
        sys::next_of(&self.signals)
    }
}
