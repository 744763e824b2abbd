//! How many layers each stage of an image may have.
//!
//! Engines know a limit, and each layer costs them a mount. The shares follow from the manifest alone, so that an
//! update of a package moves no file to another layer.

use crate::error::BuildError;
use crate::manifest::Manifest;

/// The layers of a whole image, at most.
pub(crate) const MOST_LAYERS: usize = 40;

/// Stages whose difference is split by owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Base,
    Packages,
    Python,
    /// A vendor's step.
    Step,
}

/// How many layers a stage of each kind may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Layers that are left when each stage has one, for a stage of weight one, times `parts`.
    spare: usize,
    parts: usize,
    /// No layer of the manifest installs anything by itself: its steps do.
    bare: bool,
}

impl Shares {
    /// Counts the stages of `manifest`.
    ///
    /// # Errors
    /// More stages than an image has layers.
    pub(crate) fn of_manifest(manifest: &Manifest) -> Result<Self, BuildError> {
        let layers = &manifest.content.layer;
        let bare = layers.iter().all(|layer| layer.packages.is_empty() && layer.python.is_none());
        let mut kinds = vec![Kind::Base];
        let mut others = 2; // the programs and the plan
        for layer in layers {
            kinds.extend((!layer.packages.is_empty()).then_some(Kind::Packages));
            kinds.extend(layer.python.is_some().then_some(Kind::Python));
            kinds.extend(layer.run.is_some().then_some(Kind::Step));
            others += usize::from(!layer.copy.is_empty());
        }
        Self::new(&kinds, others, bare)
            .ok_or(BuildError::TooManyLayers { layers: kinds.len() + others, most: MOST_LAYERS })
    }

    fn new(kinds: &[Kind], others: usize, bare: bool) -> Option<Self> {
        let spare = MOST_LAYERS.checked_sub(kinds.len() + others)?;
        let parts = kinds.iter().map(|kind| weight(*kind, bare)).sum();
        Some(Self { spare, parts, bare })
    }

    /// Returns how many of them are for the owners of files; none means that the stage is one layer.
    pub(crate) fn groups(&self, kind: Kind) -> usize {
        // One is for the rest, and where Debian's sources are compiled, one for that.
        self.of(kind).saturating_sub(if kind == Kind::Python { 1 } else { 2 })
    }

    /// Returns how many layers one stage of this kind may have.
    fn of(&self, kind: Kind) -> usize {
        1 + self.spare * weight(kind, self.bare) / self.parts.max(1)
    }
}

fn weight(kind: Kind, bare: bool) -> usize {
    match kind {
        Kind::Base | Kind::Packages => 4,
        Kind::Python => 3,
        Kind::Step if bare => 6,
        Kind::Step => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_any_manifest_fit_into_one_image() {
        for packages in 0..20 {
            for steps in 0..20 {
                let mut kinds = vec![Kind::Base];
                kinds.extend(vec![Kind::Packages; packages]);
                kinds.extend(vec![Kind::Python; packages]);
                kinds.extend(vec![Kind::Step; steps]);
                let Some(shares) = Shares::new(&kinds, 3, packages == 0) else {
                    assert!(kinds.len() + 3 > MOST_LAYERS);
                    continue;
                };
                let layers: usize = kinds.iter().map(|kind| shares.of(*kind)).sum();
                assert!(layers + 3 <= MOST_LAYERS, "{packages} and {steps} make {layers}");
            }
        }
    }

    #[test]
    fn a_manifest_with_a_few_stages_splits_them_finely() {
        let shares = Shares::new(&[Kind::Base, Kind::Packages, Kind::Python, Kind::Step], 2, false).unwrap();
        let each = [Kind::Base, Kind::Packages, Kind::Python, Kind::Step].map(|kind| shares.of(kind));
        assert_eq!(each, [12, 12, 9, 3]);
    }
}
