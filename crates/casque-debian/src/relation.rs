//! Relations between packages: what `Depends`, `Provides`, `Conflicts` and the like say.

use std::fmt;

use crate::version::Version;

/// How a version has to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<<" => Self::Earlier,
            "<=" | "<" => Self::EarlierOrEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::LaterOrEqual,
            ">>" => Self::Later,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    /// Tells whether `version` compares to `wanted` this way.
    pub fn holds(self, version: &Version, wanted: &Version) -> bool {
        let order = version.cmp(wanted);
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

/// One package name, perhaps with a version: `libc6 (>= 2.34)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name, real or virtual.
    pub name: String,
    /// The architecture qualifier, such as `any`.
    pub qualifier: Option<String>,
    /// Which versions count; none means all.
    pub version: Option<(Operator, Version)>,
}

impl Relation {
    /// Tells whether a real package of this version counts.
    pub fn accepts(&self, version: &Version) -> bool {
        self.version.as_ref().is_none_or(|(operator, wanted)| operator.holds(version, wanted))
    }

    /// Tells whether a package that provides the name counts; without a version it provides none in particular.
    pub fn accepts_provided(&self, provided: Option<&Version>) -> bool {
        match (&self.version, provided) {
            (None, _) => true,
            (Some((operator, wanted)), Some(version)) => operator.holds(version, wanted),
            (Some(_), None) => false,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(formatter, ":{qualifier}")?;
        }
        match &self.version {
            Some((operator, version)) => write!(formatter, " ({} {version})", operator.as_str()),
            None => Ok(()),
        }
    }
}

/// Alternatives, best first, as they stand between two commas.
pub type Alternatives = Vec<Relation>;

/// A field that cannot be read as relations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a relation between packages, such as `libc6 (>= 2.34)`")]
pub struct NotARelation {
    /// The part that was not understood.
    pub text: String,
}

/// Parses a whole field. What applies to other architectures or to build profiles is left out, as dpkg leaves it out
/// of binary packages.
pub fn parse_relations(field: &str, architecture: &str) -> Result<Vec<Alternatives>, NotARelation> {
    let mut relations = Vec::new();
    for group in field.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        let mut alternatives = Vec::new();
        for text in group.split('|').map(str::trim) {
            if let Some(relation) = parse_relation(text, architecture)? {
                alternatives.push(relation);
            }
        }
        if !alternatives.is_empty() {
            relations.push(alternatives);
        }
    }
    Ok(relations)
}

fn parse_relation(text: &str, architecture: &str) -> Result<Option<Relation>, NotARelation> {
    let refuse = || NotARelation { text: text.to_owned() };
    let name_end = text.find(|character: char| character.is_whitespace() || "([<".contains(character));
    let (full_name, mut rest) = text.split_at(name_end.unwrap_or(text.len()));
    let (name, qualifier) = match full_name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
        None => (full_name, None),
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)) {
        return Err(refuse());
    }
    let mut version = None;
    loop {
        rest = rest.trim_start();
        let Some(open) = rest.chars().next() else { break };
        let close = match open {
            '(' => ')',
            '[' => ']',
            '<' => '>',
            _ => return Err(refuse()),
        };
        let (inside, after) = rest[1..].split_once(close).ok_or_else(refuse)?;
        rest = after;
        match open {
            '(' => version = Some(parse_version(inside).ok_or_else(refuse)?),
            '[' if !applies(inside, architecture) => return Ok(None),
            // Build profiles: none is active for a binary package.
            '<' if !inside.split_whitespace().all(|profile| profile.starts_with('!')) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(Relation { name: name.to_owned(), qualifier, version }))
}

fn parse_version(inside: &str) -> Option<(Operator, Version)> {
    let inside = inside.trim();
    let end = inside.find(|character| !"<>=".contains(character))?;
    let (operator, version) = inside.split_at(end);
    let version = version.trim();
    (!version.is_empty()).then(|| Operator::parse(operator).map(|operator| (operator, version.into())))?
}

fn applies(list: &str, architecture: &str) -> bool {
    let mut only = false;
    for item in list.split_whitespace() {
        match item.strip_prefix('!') {
            Some(excluded) if matches_architecture(excluded, architecture) => return false,
            Some(_) => {}
            None if matches_architecture(item, architecture) => return true,
            None => only = true,
        }
    }
    !only
}

fn matches_architecture(pattern: &str, architecture: &str) -> bool {
    matches!(pattern, "any" | "linux-any")
        || pattern == architecture
        || pattern == format!("any-{architecture}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(field: &str) -> Vec<String> {
        parse_relations(field, "amd64")
            .unwrap()
            .iter()
            .map(|group| group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "))
            .collect()
    }

    #[test]
    fn alternatives_versions_and_qualifiers_are_understood() {
        assert_eq!(
            shown("libc6 (>= 2.34), python3:any, debconf (>= 0.5) | debconf-2.0,\n usr-is-merged(>=37~)"),
            ["libc6 (>= 2.34)", "python3:any", "debconf (>= 0.5) | debconf-2.0", "usr-is-merged (>= 37~)"]
        );
        assert_eq!(parse_relations("python3:any", "amd64").unwrap()[0][0].qualifier.as_deref(), Some("any"));
    }

    #[test]
    fn what_is_for_others_is_left_out() {
        assert_eq!(
            shown("a [amd64 arm64], b [!amd64], c [i386] | d, e <!nocheck>, f <cross>"),
            ["a", "d", "e"]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for field in ["a b", "a (2)", "a (>= )", "a (>= 1", "(>= 1)"] {
            assert!(parse_relations(field, "amd64").is_err(), "{field}");
        }
    }

    #[test]
    fn a_provided_name_counts_for_a_version_only_when_it_has_one() {
        let relation = &parse_relations("mail (>= 2)", "amd64").unwrap()[0][0];
        assert!(!relation.accepts_provided(None));
        assert!(relation.accepts_provided(Some(&Version::from("2.1"))));
        assert!(!relation.accepts_provided(Some(&Version::from("1"))));
    }
}
