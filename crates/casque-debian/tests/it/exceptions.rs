//! Sets for which apt's answer is not ours, and why.

/// A set as the test names it, `STATUS: NAMES`, and what apt printed as its reasons. There is none.
pub const EXCEPTIONS: [(&str, &str); 0] = [];
