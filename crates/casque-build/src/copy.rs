//! A layer of the vendor's own files.

use std::path::Path;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::ignored::Ignored;
use crate::inputs::Inputs;
use crate::manifest::LayerStep;
use crate::source::Sources;
use crate::stage::{Parts, Recipe, Stage};
use crate::template;

impl Builder<'_> {
    /// Copies what `layer` ships.
    pub(crate) fn copy_stage(&self, layer: &LayerStep, below: &[Stage]) -> Result<Stage, BuildError> {
        let ignored = Ignored::of_project(&self.manifest.directory).map_err(BuildError::Source)?;
        let mut copies = Vec::new();
        for transfer in &layer.copy {
            let from = self.manifest.directory.join(transfer.from.get_ref());
            let sources = Sources::collect(&from, &ignored).map_err(BuildError::Source)?;
            self.judge_marks(&sources)?;
            copies.push((transfer.to.get_ref(), sources));
        }
        let recipe = Recipe {
            name: &format!("{}/copy", layer.name.get_ref()),
            created_by: format!("casque: files of layer {}", layer.name.get_ref()),
            inputs: copies
                .iter()
                .fold(Inputs::default(), |inputs, (to, sources)| inputs.with_files(to, sources)),
            below,
            transient: None,
            parts: Parts::One,
            vendor: true,
        };
        self.stage(&recipe, |root| {
            for (to, sources) in &copies {
                sources.copy_to(&root.join(to.trim_start_matches('/'))).map_err(BuildError::Source)?;
            }
            Ok(None)
        })
    }

    /// Judges the marks in the vendor's files before anything is built on them.
    pub(crate) fn judge_marks(&self, sources: &Sources) -> Result<(), BuildError> {
        judge_marks(self.manifest, sources)
    }
}

/// Judges the marks in `sources` against the settings of `manifest`.
pub(crate) fn judge_marks(manifest: &crate::manifest::Manifest, sources: &Sources) -> Result<(), BuildError> {
    let settings = manifest.settings();
    for (path, text) in sources.texts() {
        if is_configuration(&path) {
            template::judge(&path.display().to_string(), &text, &settings)?;
        }
    }
    Ok(())
}

/// Whether marks in this file are meant: documents and programs may speak of marks.
fn is_configuration(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    !["md", "rst", "py", "rs", "sh"].contains(&extension.as_ref())
}
