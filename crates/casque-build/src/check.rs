//! What can be judged before anything is built.

use crate::copy::judge_marks;
use crate::error::BuildError;
use crate::ignored::Ignored;
use crate::manifest::Manifest;
use crate::source::Sources;

/// Checks the files of the project that a manifest names, and the marks in them.
///
/// # Errors
/// A file that cannot be read, or a mark that could not be rendered.
pub fn check(manifest: &Manifest) -> Result<(), BuildError> {
    let ignored = Ignored::of_project(&manifest.directory).map_err(BuildError::Source)?;
    for layer in &manifest.content.layer {
        for transfer in layer.copy.iter().chain(&layer.mount) {
            let from = manifest.directory.join(transfer.from.get_ref());
            judge_marks(manifest, &Sources::collect(&from, &ignored).map_err(BuildError::Source)?)?;
        }
    }
    Ok(())
}
