//! What sources are built with: the requirements of a build, resolved to wheels when locking.
//!
//! Each build has an environment of its own, so the newest versions that fit together are taken. There is no search for
//! other combinations: a backend has a handful of requirements, and what does not fit is named.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use pep440_rs::Version;

use crate::index::File;
use crate::metadata::{Need, needs};
use crate::pin::Locker;
use crate::specification::name_and_version;
use crate::version::{asks_for_previews, satisfies_all};
use crate::wheel::Wheel;
use crate::{BuildSystem, PinnedDistribution, PythonError};

/// Every round adds a condition, and no build has so many.
const MOST_ROUNDS: usize = 100;

/// A need and who has it.
#[derive(Debug, Clone)]
struct Condition {
    need: Need,
    of: String,
}

impl Locker<'_> {
    /// Pins what the project `who` is built with: what `system` says, and what the vendor adds as `further`.
    pub fn pin_build(
        &self,
        who: &str,
        system: &BuildSystem,
        further: &[String],
    ) -> Result<Vec<PinnedDistribution>, PythonError> {
        let nothing = BTreeSet::new();
        let roots = system
            .requires
            .iter()
            .map(|text| (text, who))
            .chain(further.iter().map(|text| (text, "build-requires")));
        let roots: Vec<Condition> = roots
            .filter_map(|(text, of)| {
                Some(Condition { need: Need::parse(text, self.target, &nothing)?, of: of.to_owned() })
            })
            .collect();
        // Conditions on what was chosen before they were known: the next round begins with them.
        let mut learned: Vec<Condition> = Vec::new();
        for _ in 0..MOST_ROUNDS {
            match self.round(&roots, &learned)? {
                Round::Done(pins) => return Ok(pins),
                Round::Again(condition) => learned.push(condition),
            }
        }
        Err(PythonError::BuildRequirement {
            who: who.to_owned(),
            needed: "what it needs".to_owned(),
            target: self.target.to_string(),
        })
    }

    fn round(&self, roots: &[Condition], learned: &[Condition]) -> Result<Round, PythonError> {
        let mut chosen: BTreeMap<String, (PinnedDistribution, Version)> = BTreeMap::new();
        let mut asked: BTreeSet<(String, String)> = BTreeSet::new();
        let mut open: Vec<Condition> = roots.to_vec();
        open.reverse();
        while let Some(condition) = open.pop() {
            let name = condition.need.name.clone();
            if let Some((_, version)) = chosen.get(&name)
                && !satisfies_all(version, &condition.need.versions)
            {
                return Ok(Round::Again(condition));
            }
            if !chosen.contains_key(&name) {
                let known = roots.iter().chain(learned).filter(|known| known.need.name == name);
                let conditions: Vec<&Condition> = known.chain([&condition]).collect();
                chosen.insert(name.clone(), self.newest(&name, &conditions)?);
            }
            let (pin, _) = &chosen[&name];
            let wheel =
                Wheel::open_pinned(&pin.filename, &pin.name, &pin.version, &self.store.path(&pin.sha256))?;
            let of = format!("{} {}", pin.name, pin.version);
            for need in needs(&wheel.metadata, self.target, &condition.need.extras) {
                // Circles end here.
                if asked.insert((of.clone(), need.text.clone())) {
                    open.push(Condition { need, of: of.clone() });
                }
            }
        }
        Ok(Round::Done(chosen.into_values().map(|(pin, _)| pin).collect()))
    }

    /// Returns the newest version that has a wheel and meets all conditions, with the wheel in the store.
    fn newest(
        &self,
        name: &str,
        conditions: &[&Condition],
    ) -> Result<(PinnedDistribution, Version), PythonError> {
        let files = self.files(name)?;
        let mut fitting: Vec<(Version, &File)> = files
            .iter()
            .filter(|file| file.yanked.is_none())
            .filter_map(|file| {
                self.rank(file)?;
                let (found, version) = name_and_version(&file.filename)?;
                Some((Version::from_str(&version).ok()?, file)).filter(|_| found == name)
            })
            .filter(|(version, _)| {
                conditions.iter().all(|condition| satisfies_all(version, &condition.need.versions))
            })
            .collect();
        let previews = conditions.iter().any(|condition| asks_for_previews(&condition.need.versions));
        if !previews && fitting.iter().any(|(version, _)| !version.any_prerelease()) {
            fitting.retain(|(version, _)| !version.any_prerelease());
        }
        let newest = fitting.iter().map(|(version, _)| version).max().cloned();
        let best = fitting
            .iter()
            .filter(|(version, _)| Some(version) == newest.as_ref())
            .min_by_key(|(_, file)| (self.rank(file), file.filename.as_str()));
        let Some((version, file)) = best else {
            let mut needed: Vec<String> =
                conditions.iter().map(|one| format!("`{}` (of `{}`)", one.need.text, one.of)).collect();
            needed.sort();
            needed.dedup();
            return Err(PythonError::BuildRequirement {
                who: conditions.first().map_or(String::new(), |one| one.of.clone()),
                needed: needed.join(" and "),
                target: self.target.to_string(),
            });
        };
        let pin = file.pinned(name, &version.to_string());
        self.fetch(std::slice::from_ref(&pin))?;
        Ok((pin, version.clone()))
    }
}

/// What one attempt came to.
enum Round {
    Done(Vec<PinnedDistribution>),
    /// Something was chosen that does not meet this.
    Again(Condition),
}
