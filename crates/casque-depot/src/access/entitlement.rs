//! What a customer may have of a product: a channel, a range of versions, until a day.

use std::cmp::Ordering;

use serde::Serialize;

/// One line of a licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entitlement {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub customer: String,
    /// Of which product.
    pub product: String,
    /// Of which channel; of every when there is none.
    pub channel: Option<String>,
    /// The lowest version.
    pub from: Option<String>,
    /// The lowest version that is too high.
    pub below: Option<String>,
    /// When it ends, in seconds since 1970.
    pub until: Option<i64>,
}

/// Why a customer may not have something of a product that is theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Not this channel.
    Channel,
    /// Not this version.
    Version,
    /// No longer; since when.
    Ended(i64),
}

impl Entitlement {
    /// Whether it covers a release in a channel.
    pub fn allows(&self, channel: &str, release: &str, now: i64) -> Result<(), Why> {
        if self.channel.as_deref().is_some_and(|mine| mine != channel) {
            return Err(Why::Channel);
        }
        let too_low = self.from.as_deref().is_some_and(|from| compare(release, from).is_lt());
        let too_high = self.below.as_deref().is_some_and(|below| compare(release, below).is_ge());
        if too_low || too_high {
            return Err(Why::Version);
        }
        match self.until {
            Some(until) if until <= now => Err(Why::Ended(until)),
            _ => Ok(()),
        }
    }
}

/// Says whether any of the entitlements covers a release, or the nearest reason why none does.
pub fn allowed(all: &[Entitlement], channel: &str, release: &str, now: i64) -> Result<(), Why> {
    let mut nearest = Why::Channel;
    for entitlement in all {
        match entitlement.allows(channel, release, now) {
            Ok(()) => return Ok(()),
            Err(why) => nearest = nearest.max(why),
        }
    }
    Err(nearest)
}

/// Compares versions as people read them: numbers by value, a `v` before them ignored, `1.0-rc1` and `1.0~rc1` before `1.0`.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    for index in 0..one.len().max(other.len()) {
        let order = match (one.get(index), other.get(index)) {
            (Some(one), Some(other)) => one.cmp(other),
            // Whoever goes on is later, unless it goes on with what comes before a release.
            (Some(Part::Before(_)), None) => Ordering::Less,
            (None, Some(Part::Before(_))) => Ordering::Greater,
            (Some(_), None) => Ordering::Greater,
            (None, _) => Ordering::Less,
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Before(String),
    Word(String),
    Number(u64),
}

fn parts(version: &str) -> Vec<Part> {
    let digits = |c: char| c.is_ascii_digit();
    let version = version.strip_prefix('v').filter(|rest| rest.starts_with(digits)).unwrap_or(version);
    let mut parts = Vec::new();
    let mut rest = version;
    let mut before = false;
    while let Some(first) = rest.chars().next() {
        if !first.is_ascii_alphanumeric() {
            before = first == '-' || first == '~';
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let alike = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == first.is_ascii_digit();
        let end = rest.find(|c: char| !alike(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        parts.push(match first.is_ascii_digit() {
            true => Part::Number(word.parse().unwrap_or(u64::MAX)),
            false if before => Part::Before(word.to_owned()),
            false => Part::Word(word.to_owned()),
        });
        before = false;
        rest = &rest[end..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_people_read_them() {
        let rising =
            ["v1.0-beta1", "1.0-rc1", "v1.0", "1.0.1", "1.2", "v1.10", "2", "43.4.3", "v43.4.4", "44"];
        for pair in rising.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("v1.0", "1.0"), Ordering::Equal);
    }

    #[test]
    fn an_entitlement_covers_its_channel_its_versions_and_its_time() {
        let entitlement = Entitlement {
            id: 1,
            customer: "a".to_owned(),
            product: "backend".to_owned(),
            channel: Some("stable".to_owned()),
            from: Some("43".to_owned()),
            below: Some("44".to_owned()),
            until: Some(100),
        };
        let all = [entitlement];
        assert_eq!(allowed(&all, "stable", "v43.4.4", 99), Ok(()));
        assert_eq!(allowed(&all, "beta", "v43.4.4", 99), Err(Why::Channel));
        assert_eq!(allowed(&all, "stable", "v42.9", 99), Err(Why::Version));
        assert_eq!(allowed(&all, "stable", "v44.0", 99), Err(Why::Version));
        assert_eq!(allowed(&all, "stable", "v43.4.4", 100), Err(Why::Ended(100)));
        assert_eq!(allowed(&[], "stable", "v43.4.4", 0), Err(Why::Channel));
    }
}
