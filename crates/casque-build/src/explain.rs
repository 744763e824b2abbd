//! Why a layer is made again: what it was made from the last time, compared with now.

use std::collections::BTreeMap;

use casque_format::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::builder::Builder;
use crate::inputs::{Input, Inputs, digest_of};
use crate::stage::{Parts, Recipe, Stage};

/// Everything that decides what a stage is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// How casque makes stages.
    pub(crate) generation: u32,
    pub(crate) inputs: Inputs,
    /// The stages that it lies on, by name: the one below, and what is there for its step only.
    pub(crate) below: BTreeMap<String, Digest>,
    pub(crate) parts: Parts,
}

/// One thing that differs from the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What differs, such as "package `zlib1g`".
    pub what: String,
    /// What it was, where that can be shown; nothing when it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is; nothing when it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// What [`Reason::what`] says when nothing was there to compare with.
const NEVER: &str = "there is no earlier build of it in this cache";
const REMOVED: &str = "what an earlier build made is no longer in the cache";
const CASQUE: &str = "this casque makes layers in another way";
const SPLIT: &str = "the image has another number of layers";
/// Where an input has changed that cannot be shown.
const OTHER: &str = "other content";

impl Reason {
    fn bare(what: &str) -> Self {
        Self { what: what.to_owned(), before: None, now: None }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = &self.what;
        match (&self.before, &self.now) {
            (Some(before), Some(now)) if before == now => write!(formatter, "{what} has changed"),
            (Some(before), Some(now)) => write!(formatter, "{what} was {before} and is {now}"),
            (None, Some(now)) if now == OTHER => write!(formatter, "{what} is new"),
            (None, Some(now)) => write!(formatter, "{what} {now} is new"),
            (Some(before), None) if before == OTHER => write!(formatter, "{what} is gone"),
            (Some(before), None) => write!(formatter, "{what} {before} is gone"),
            (None, None) => write!(formatter, "{what}"),
        }
    }
}

impl Made {
    /// Returns the name of the stage in the cache.
    pub(crate) fn key(&self, name: &str) -> Digest {
        digest_of(&(name, self))
    }
}

impl Recipe<'_> {
    /// Returns everything that decides what the stage is.
    pub(crate) fn made(&self, generation: u32) -> Made {
        let named = |stage: &Stage| (stage.record.name.clone(), stage.key);
        let below = self.below.last().into_iter().chain(self.transient).map(named).collect();
        Made { generation, inputs: self.inputs.clone(), below, parts: self.parts }
    }
}

/// Returns what differs; nothing when the stage has to be what it was.
pub(crate) fn reasons(before: Option<&Made>, now: &Made) -> Vec<Reason> {
    let Some(before) = before else { return vec![Reason::bare(NEVER)] };
    let mut reasons = Vec::new();
    if before.generation != now.generation {
        reasons.push(Reason::bare(CASQUE));
    }
    if before.parts != now.parts {
        reasons.push(Reason::bare(SPLIT));
    }
    let below = |made: &Made| -> BTreeMap<String, Input> {
        let input = |(name, key): (&String, &Digest)| {
            (format!("layer `{name}` below"), Input { shown: String::new(), digest: Some(*key) })
        };
        made.below.iter().map(input).collect()
    };
    compare(&below(before), &below(now), &mut reasons);
    compare(before.inputs.parts(), now.inputs.parts(), &mut reasons);
    reasons
}

fn compare(before: &BTreeMap<String, Input>, now: &BTreeMap<String, Input>, reasons: &mut Vec<Reason>) {
    let shown = |input: &Input| if input.shown.is_empty() { OTHER.to_owned() } else { input.shown.clone() };
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for name in names {
        let (before, now) = (before.get(name), now.get(name));
        if before != now {
            reasons.push(Reason { what: name.clone(), before: before.map(shown), now: now.map(shown) });
        }
    }
}

impl Builder<'_> {
    /// Compares the recipe with that of the last build of this image, and keeps it for the next.
    ///
    /// That nothing differs and the stage is not there is a reason too.
    pub(crate) fn explain(&self, recipe: &Recipe<'_>, made: &Made, cached: bool) -> Vec<Reason> {
        let image = self.manifest.content.image.name.get_ref();
        let place = digest_of(&(image, &self.manifest.path, recipe.name));
        let before = self.cache.last(&place);
        let before = before.and_then(|text| serde_json::from_slice::<Made>(&text).ok());
        let mut reasons = reasons(before.as_ref(), made);
        if reasons.is_empty() && !cached {
            reasons.push(Reason::bare(REMOVED));
        }
        if before.as_ref() != Some(made) {
            let text = serde_json::to_vec(made).expect("a recipe is plain data");
            // Without it the next build is explained less well, and is the same.
            drop(self.cache.keep_last(&place, &text));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(inputs: Inputs) -> Made {
        let below = [("base".to_owned(), Digest::of(b"base"))].into();
        Made { generation: 1, inputs, below, parts: Parts::One }
    }

    fn said(before: Option<&Made>, now: &Made) -> Vec<String> {
        reasons(before, now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_difference_is_named_with_what_it_was_and_is() {
        let before = made(
            Inputs::default()
                .with("package `a`", "1.0")
                .with("package `gone`", "2")
                .with("package `same`", "3")
                .with_digest_of("file `/src/x`", &1)
                .with_digest_of("file `/src/y`", &1),
        );
        let now = Made {
            below: [("base".to_owned(), Digest::of(b"other"))].into(),
            ..made(
                Inputs::default()
                    .with("package `a`", "1.1")
                    .with("package `new`", "4")
                    .with("package `same`", "3")
                    .with_digest_of("file `/src/x`", &2)
                    .with_digest_of("file `/src/z`", &1),
            )
        };
        assert_eq!(
            said(Some(&before), &now),
            [
                "layer `base` below has changed",
                "file `/src/x` has changed",
                "file `/src/y` is gone",
                "file `/src/z` is new",
                "package `a` was 1.0 and is 1.1",
                "package `gone` 2 is gone",
                "package `new` 4 is new",
            ]
        );
        assert_eq!(said(Some(&now), &now), [""; 0]);
    }

    #[test]
    fn what_has_no_input_to_name_is_said_as_well() {
        let now = made(Inputs::default());
        assert_eq!(said(None, &now), ["there is no earlier build of it in this cache"]);
        let before =
            Made { generation: 0, parts: Parts::ByOwner { groups: 3, generates: true }, ..now.clone() };
        assert_eq!(
            said(Some(&before), &now),
            ["this casque makes layers in another way", "the image has another number of layers"]
        );
    }

    #[test]
    fn two_copies_to_one_place_count_in_their_order() {
        let one = Inputs::default().with("file `/x`", 1).with("file `/x`", 2);
        let other = Inputs::default().with("file `/x`", 2).with("file `/x`", 1);
        assert_ne!(one, other);
        assert_ne!(one, Inputs::default().with("file `/x`", 2));
    }
}
