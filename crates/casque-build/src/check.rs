//! What can be judged before anything is built.

use crate::base_image::BaseImage;
use crate::copy::judge_marks;
use crate::error::BuildError;
use crate::ignored::Ignored;
use crate::manifest::Manifest;
use crate::source::Sources;

/// Checks the image that a manifest starts from, the files of the project that it names, and the marks in them.
///
/// # Errors
/// An image that the rest of the manifest does not fit, a file that cannot be read, or a mark that could not be rendered.
pub fn check(manifest: &Manifest) -> Result<(), BuildError> {
    if let Some(base) = BaseImage::open(manifest)? {
        base.judge(manifest, &base.facts(manifest)?)?;
    }
    let ignored = Ignored::of_project(&manifest.directory).map_err(BuildError::Source)?;
    for layer in &manifest.content.layer {
        for transfer in layer.copy.iter().chain(&layer.mount) {
            let from = manifest.directory.join(transfer.from.get_ref());
            judge_marks(manifest, &Sources::collect(&from, &ignored).map_err(BuildError::Source)?)?;
        }
    }
    Ok(())
}
