//! What `preflight` in an image finds out, before anything is started and afterwards.

use serde::{Deserialize, Serialize};

use crate::image::Product;

/// The version of [`Preflight`] this code writes.
pub const VERSION: u32 = 1;

/// What is looked at for every product.
pub const NAMES: [&str; 12] = [
    "kernel",
    "cpu",
    "memory",
    "limits",
    "rights",
    "clock",
    "volume",
    "disk-space",
    "disk-speed",
    "settings",
    "certificates",
    "ports",
];

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// [`VERSION`].
    pub version: u32,
    /// What the image is.
    pub product: Product,
    /// The worst of the checks.
    pub verdict: Verdict,
    /// In the order in which a start meets them.
    pub checks: Vec<Check>,
}

impl Preflight {
    /// Returns what the checks of a product come to.
    pub fn new(product: Product, checks: Vec<Check>) -> Self {
        let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
        // What could not be looked at says nothing of the rest.
        let verdict = if worst == Verdict::NotChecked { Verdict::Ok } else { worst };
        Self { version: VERSION, product, verdict, checks }
    }
}

/// One fact, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, such as `memory`; of something that a setting names, the setting.
    pub name: String,
    /// What is so, in words.
    pub fact: String,
    /// What that means for this product.
    pub verdict: Verdict,
    /// What happens if nobody does anything about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consequence: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// Returns a fact that is as it should be.
    pub fn ok(name: &str, fact: impl Into<String>) -> Self {
        Self::judged(name, Verdict::Ok, fact)
    }

    /// Returns why something could not be looked at.
    pub fn not_checked(name: &str, fact: impl Into<String>) -> Self {
        Self::judged(name, Verdict::NotChecked, fact)
    }

    /// Returns a fact with which the product runs, and not as well as it could.
    pub fn warning(name: &str, fact: impl Into<String>) -> Self {
        Self::judged(name, Verdict::Warning, fact)
    }

    /// Returns a fact with which the product does not start, or does not serve.
    pub fn failed(name: &str, fact: impl Into<String>) -> Self {
        Self::judged(name, Verdict::Failed, fact)
    }

    fn judged(name: &str, verdict: Verdict, fact: impl Into<String>) -> Self {
        Self { name: name.to_owned(), fact: fact.into(), verdict, consequence: None, remedy: None }
    }

    /// Adds what happens if nobody does anything about it.
    #[must_use]
    pub fn so(self, consequence: impl Into<String>) -> Self {
        Self { consequence: Some(consequence.into()), ..self }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

/// What a fact means for a product; the last is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Could not be looked at.
    NotChecked,
    /// The product runs, and not as well as it could, or not for long.
    Warning,
    /// The product does not start, or does not serve.
    Failed,
}

impl Verdict {
    /// Returns its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "not-checked",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_as_bad_as_its_worst_check_and_what_was_not_checked_is_none() {
        let product = Product {
            name: "a/b".to_owned(),
            version: "1".to_owned(),
            command: "b".to_owned(),
            counter: None,
        };
        let verdict = |checks: &[Check]| Preflight::new(product.clone(), checks.to_vec()).verdict;
        let (ok, not) = (Check::ok("a", ""), Check::not_checked("b", ""));
        assert_eq!(verdict(&[]), Verdict::Ok);
        assert_eq!(verdict(&[ok.clone(), not.clone()]), Verdict::Ok);
        assert_eq!(verdict(&[Check::warning("c", ""), not.clone()]), Verdict::Warning);
        assert_eq!(verdict(&[Check::failed("d", ""), Check::warning("c", ""), ok]), Verdict::Failed);
    }
}
