//! The host of a URL that was checked to be one.

/// Returns host and port as they are written, without a user.
pub fn with_port(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit('@').next().filter(|host| !host.is_empty())
}

/// Returns the host alone; an IPv6 address is in brackets.
pub fn of(url: &str) -> Option<&str> {
    let both = with_port(url)?;
    Some(match both.find(']') {
        Some(end) => &both[..=end],
        None => both.split(':').next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_without_user_and_port() {
        assert_eq!(of("https://u:p@a.example:444/b@c"), Some("a.example"));
        assert_eq!(of("https://[2001:db8::1]:444"), Some("[2001:db8::1]"));
        assert_eq!(of("https://a.example"), Some("a.example"));
        assert_eq!(with_port("https://u@a.example:444?x"), Some("a.example:444"));
    }
}
