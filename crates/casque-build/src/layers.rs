//! The parts of a stage's difference become its layers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use casque_image::diff::Change;
use casque_image::layer::{LayerError, LayerFile, LayerOptions, LayerStore};

use crate::error::BuildError;
use crate::groups::groups;
use crate::parallel;
use crate::split::{FIXED_TIME, Split};
use crate::stage::StageLayer;

/// What becomes one layer.
pub(crate) struct Part {
    name: String,
    created_by: String,
    content: Content,
}

enum Content {
    Files(BTreeMap<PathBuf, Option<u64>>),
    Changes(Vec<Change>),
}

impl Part {
    /// The part that says what the others do not.
    pub(crate) fn state(stage: &str, created_by: &str, changes: Vec<Change>) -> Self {
        let content = Content::Changes(changes);
        Self { name: stage.to_owned(), created_by: created_by.to_owned(), content }
    }

    fn is_empty(&self) -> bool {
        match &self.content {
            Content::Files(files) => files.is_empty(),
            Content::Changes(changes) => changes.is_empty(),
        }
    }
}

/// Takes from `split` what its owners have, in `most` groups at most, and what was generated from that.
pub(crate) fn of_owners(stage: &str, split: &mut Split, most: usize) -> Vec<Part> {
    let sizes = split.owners.iter().map(|(owner, owned)| (owner.clone(), owned.size)).collect();
    let mut parts = Vec::new();
    for group in groups(&sizes, most) {
        let owners: Vec<&str> = group.owners.iter().map(String::as_str).collect();
        let created_by = format!("casque: {}", owners.join(" "));
        let owned = group.owners.iter().filter_map(|owner| split.owners.remove(owner));
        let files = owned.flat_map(|owned| owned.files).collect();
        parts.push(Part {
            name: format!("{stage}/{}", group.name),
            created_by,
            content: Content::Files(files),
        });
    }
    let files = std::mem::take(&mut split.generated.files);
    let created_by = "casque: bytecode of packages".to_owned();
    parts.push(Part { name: format!("{stage}/generated"), created_by, content: Content::Files(files) });
    parts
}

/// Writes the layers of parts that are not empty, several at a time; `root` is the tree they are parts of.
pub(crate) fn write(
    store: &LayerStore,
    root: &Path,
    mut parts: Vec<Part>,
    options: &LayerOptions,
) -> Result<Vec<StageLayer>, BuildError> {
    parts.retain(|part| !part.is_empty());
    let written = parallel::map(&parts, |part| match &part.content {
        Content::Files(files) => store.write_files(root, files, FIXED_TIME, options),
        Content::Changes(changes) => store.write_changes(root, changes, options),
    });
    let layer = |(part, written): (Part, Result<LayerFile, LayerError>)| {
        Ok(StageLayer { name: part.name, created_by: part.created_by, diff_id: written?.diff_id })
    };
    parts.into_iter().zip(written).map(layer).collect()
}
