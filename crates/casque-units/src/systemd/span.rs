//! Time spans such as `5min 20s`.

/// Returns milliseconds, none for `infinity`; an `Err` for anything that is no time span.
pub(super) fn milliseconds(text: &str) -> Result<Option<u64>, ()> {
    if text == "infinity" {
        return Ok(None);
    }
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| ())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        total += number * unit(&rest[..letters]).ok_or(())?;
        rest = rest[letters..].trim_start();
    }
    // A span beyond a century is as good as none; the cast below saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, saturates")]
    Ok(Some(total as u64))
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "us" | "usec" => 0.001,
        "ms" | "msec" => 1.0,
        "" | "s" | "sec" | "second" | "seconds" => 1000.0,
        "m" | "min" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        "w" | "week" | "weeks" => 604_800_000.0,
        _ => return None,
    })
}
