//! Signal names, as units and program files write them.

/// The signals that a unit may name, by number on Linux (the same on every architecture casque builds for).
const SIGNALS: &[(i32, &str)] = &[
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (6, "ABRT"),
    (9, "KILL"),
    (10, "USR1"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (18, "CONT"),
    (19, "STOP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (28, "WINCH"),
    (29, "IO"),
    (30, "PWR"),
];

/// Returns the name without `SIG` of a signal given as `SIGTERM`, `term` or `15`.
pub fn signal_name(text: &str) -> Option<&'static str> {
    if let Ok(number) = text.parse::<i32>() {
        return SIGNALS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    }
    let upper = text.to_uppercase();
    let wanted = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS.iter().find(|(_, name)| *name == wanted).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_name_and_by_number() {
        assert_eq!(signal_name("SIGQUIT"), Some("QUIT"));
        assert_eq!(signal_name("term"), Some("TERM"));
        assert_eq!(signal_name("9"), Some("KILL"));
        assert_eq!(signal_name("SIGNOTHING"), None);
    }
}
