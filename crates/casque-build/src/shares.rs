//! How many layers each stage of an image may have.
//!
//! Engines know a limit, and each layer costs them a mount. The shares follow from the manifest, and for layers of a few
//! Python distributions from how many there are: an update of a package moves no file to another layer.

use std::collections::BTreeMap;

use crate::base::ADDED;
use crate::error::BuildError;
use crate::lock::Lockfile;
use crate::manifest::Manifest;
use crate::stage::Parts;

/// The layers of a whole image, at most, but for those of an image that it starts from.
const MOST_LAYERS: usize = 40;
/// What Docker's overlays can have.
const MOST_OF_ENGINES: usize = 125;
/// What an environment has besides its pinned distributions, and its state.
const IN_EACH_ENVIRONMENT: usize = 3;

/// The parts of each stage whose difference is split by owner, by the stage's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shares(BTreeMap<String, Parts>);

/// A stage that gets a share.
struct Claim {
    stage: String,
    weight: usize,
    /// More would be of no use.
    most: usize,
    /// It may compile sources of Debian packages.
    generates: bool,
}

impl Shares {
    /// Shares out the layers of the image that `manifest` and `lock` describe, `below` being those of an image that it
    /// starts from.
    ///
    /// # Errors
    /// More stages than an image has layers.
    pub(crate) fn new(manifest: &Manifest, lock: &Lockfile, below: usize) -> Result<Self, BuildError> {
        let layers = &manifest.content.layer;
        let bare = layers.iter().all(|layer| layer.packages.is_empty() && layer.python.is_empty());
        let claim = |stage: &str, weight, generates| Claim {
            stage: stage.to_owned(),
            weight,
            most: MOST_LAYERS,
            generates,
        };
        let mut others = 2; // the programs and the plan
        let mut claims = Vec::new();
        match (&manifest.content.base.from, manifest.content.base.packages.is_empty()) {
            (None, _) => claims.push(claim("base", 4, false)),
            (Some(_), true) => others += 1,
            (Some(_), false) => claims.push(claim(ADDED, 2, false)),
        }
        for layer in layers {
            let name = layer.name.get_ref();
            if !layer.packages.is_empty() {
                claims.push(claim(&format!("{name}/packages"), 4, true));
            }
            if !layer.python.is_empty() {
                let most = lock.distributions(name).count() + IN_EACH_ENVIRONMENT;
                claims.push(Claim { most, ..claim(&format!("{name}/python"), 3, false) });
            }
            if layer.run.is_some() {
                claims.push(claim(name, if bare { 6 } else { 1 }, true));
            }
            others += usize::from(!layer.copy.is_empty());
        }
        let layers = claims.len() + others;
        let most = most(below);
        let too_many = BuildError::TooManyLayers { layers: layers + below, most };
        share(claims, others, most - below.min(most)).map(Self).ok_or(too_many)
    }

    /// Returns the parts of the stage with this name.
    pub(crate) fn of(&self, stage: &str) -> Parts {
        self.0.get(stage).copied().unwrap_or(Parts::One)
    }
}

/// Returns how many layers an image may have that starts from one with `below`.
pub(crate) fn most(below: usize) -> usize {
    (MOST_LAYERS + below).min(MOST_OF_ENGINES)
}

/// Gives each stage one layer, and the rest of `most` by weight.
fn share(claims: Vec<Claim>, others: usize, most: usize) -> Option<BTreeMap<String, Parts>> {
    let mut spare = most.checked_sub(claims.len() + others)?;
    let mut shares = BTreeMap::new();
    let mut open = claims;
    loop {
        let weights: usize = open.iter().map(|claim| claim.weight).sum();
        let fair = |claim: &Claim| 1 + spare * claim.weight / weights.max(1);
        let Some(modest) = open.iter().position(|claim| fair(claim) > claim.most) else {
            shares.extend(open.iter().map(|claim| (claim.stage.clone(), parts(claim, fair(claim)))));
            return Some(shares);
        };
        let claim = open.remove(modest);
        spare -= claim.most - 1;
        shares.insert(claim.stage.clone(), parts(&claim, claim.most));
    }
}

/// One layer is for the rest, and perhaps one for what is generated.
fn parts(claim: &Claim, layers: usize) -> Parts {
    let generates = claim.generates && layers > 2;
    match layers - 1 - usize::from(generates) {
        0 => Parts::One,
        groups => Parts::ByOwner { groups, generates },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(kinds: &[(usize, usize, bool)]) -> Vec<Claim> {
        let claim = |(index, (weight, most, generates)): (usize, &(usize, usize, bool))| Claim {
            stage: index.to_string(),
            weight: *weight,
            most: *most,
            generates: *generates,
        };
        kinds.iter().enumerate().map(claim).collect()
    }

    fn layers(parts: Parts) -> usize {
        match parts {
            Parts::None => 0,
            Parts::One => 1,
            Parts::ByOwner { groups, generates } => groups + 1 + usize::from(generates),
        }
    }

    #[test]
    fn the_shares_of_any_manifest_fit_into_one_image() {
        for packages in 0..20 {
            for steps in 0..20 {
                let mut kinds = vec![(4, MOST_LAYERS, false)];
                kinds.extend(vec![(4, MOST_LAYERS, true); packages]);
                kinds.extend(vec![(3, 4, false); packages]);
                kinds.extend(vec![(1, MOST_LAYERS, true); steps]);
                let count = kinds.len() + 3;
                let Some(shares) = share(claims(&kinds), 3, MOST_LAYERS) else {
                    assert!(count > MOST_LAYERS);
                    continue;
                };
                assert_eq!(shares.len(), kinds.len());
                let all: usize = shares.values().map(|parts| layers(*parts)).sum();
                assert!(all + 3 <= MOST_LAYERS, "{packages} and {steps} make {all}");
            }
        }
    }

    #[test]
    fn what_a_small_stage_has_no_use_for_goes_to_the_others() {
        let kinds = [(4, MOST_LAYERS, false), (4, MOST_LAYERS, true), (3, MOST_LAYERS, false), (3, 4, false)];
        let shares = share(claims(&kinds), 3, MOST_LAYERS).unwrap();
        let each: Vec<Parts> = shares.into_values().collect();
        let by_owner = |groups, generates| Parts::ByOwner { groups, generates };
        assert_eq!(each, [by_owner(10, false), by_owner(9, true), by_owner(8, false), by_owner(3, false)]);
    }

    #[test]
    fn a_manifest_of_more_stages_than_layers_is_refused_with_the_remedy() {
        let shares = |layers: usize| {
            let project = tempfile::tempdir().unwrap();
            let layer = |number| format!("[[layer]]\nname = \"{number}\"\nrun = \"true\"\n");
            let layers: String = (0..layers).map(layer).collect();
            let text = format!(
                "[image]\nname = \"a/b\"\nversion = \"1\"\ncommand = \"b\"\n[base]\ndistribution = \"debian\"\n\
                 suite = \"bookworm\"\n{layers}"
            );
            fs_err::write(project.path().join("casque.toml"), text).unwrap();
            let manifest = Manifest::read(project.path()).unwrap();
            Shares::new(&manifest, &toml::from_str("version = 1").unwrap(), 0)
        };
        // Beside the steps there are the base, the programs and the plan.
        assert!(shares(MOST_LAYERS - 3).is_ok());
        let error = shares(MOST_LAYERS - 2).unwrap_err();
        assert_eq!(error.to_string(), "the manifest makes 41 layers at least, and an image may have 40");
        let hint = "join `[[layer]]` tables: one may have packages, Python, copies and a step";
        assert_eq!((error.hint().as_deref(), error.class()), (Some(hint), crate::ErrorClass::Manifest));
    }
}
