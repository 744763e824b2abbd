//! What can be wrong with an archive that is read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an archive could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file could not be opened; `fs_err` puts its path in the message.
    #[error(transparent)]
    Open(io::Error),
    /// Not a tar.
    #[error("`{}` is no image archive, or only a part of one", archive.display())]
    NotTar {
        /// The archive.
        archive: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A tar, or a directory, of something else.
    #[error("`{}` is no image archive: it has neither `manifest.json` nor `index.json`", archive.display())]
    NotAnImage {
        /// The archive.
        archive: PathBuf,
    },
    /// The file is shorter than it says.
    #[error("archive `{}` is cut off inside `{member}`", archive.display())]
    Truncated {
        /// The archive.
        archive: PathBuf,
        /// What is incomplete.
        member: String,
    },
    /// Something that no archive of casque has, and that a signature of the whole cannot cover.
    #[error("`{member}` in archive `{}` is a link or something special, or is there twice", archive.display())]
    OddMember {
        /// The archive.
        archive: PathBuf,
        /// Which.
        member: String,
    },
    /// Something the image names is not in the archive.
    #[error("archive `{}` lacks `{member}`, which its image needs", archive.display())]
    Missing {
        /// The archive.
        archive: PathBuf,
        /// What is missing.
        member: String,
    },
    /// Bytes that do not match their digest.
    #[error("`{member}` in archive `{}` is damaged: its content has not the digest that was recorded", archive.display())]
    Damaged {
        /// The archive.
        archive: PathBuf,
        /// What is damaged.
        member: String,
    },
    /// A part that cannot be read, or breaks the rules of its format.
    #[error("cannot read `{member}` in archive `{}`", archive.display())]
    Unreadable {
        /// The archive.
        archive: PathBuf,
        /// Which part.
        member: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A document or file beyond all measure.
    #[error("`{member}` in archive `{}` is larger than {limit} bytes", archive.display())]
    TooLarge {
        /// The archive.
        archive: PathBuf,
        /// Which part.
        member: String,
        /// The limit.
        limit: u64,
    },
    /// A thin archive, where every layer is needed.
    #[error("archive `{}` is thin: {layers} of its layers are not in it", archive.display())]
    Thin {
        /// The archive.
        archive: PathBuf,
        /// How many layers are not there.
        layers: usize,
    },
    /// No image of the index is for this kind of machine.
    #[error("archive `{}` holds images for {} only, and none for {wanted}", archive.display(), platforms.join(", "))]
    OtherPlatforms {
        /// The archive.
        archive: PathBuf,
        /// Whom they are for.
        platforms: Vec<String>,
        /// What was looked for.
        wanted: &'static str,
    },
    /// A layer that is no tar, or one that only who has its key can read.
    #[error("layer `{layer}` in archive `{}` is of the type `{media_type}`, {why}", archive.display())]
    LayerType {
        /// The archive.
        archive: PathBuf,
        /// The layer's digest.
        layer: String,
        /// What its manifest says it is.
        media_type: String,
        /// What is wrong with that.
        why: &'static str,
    },
    /// More than one image to choose from.
    #[error("archive `{}` holds {} images ({}), and only archives of one image can be used", archive.display(), images.len(), images.join(", "))]
    Several {
        /// The archive.
        archive: PathBuf,
        /// Their names.
        images: Vec<String>,
    },
}

impl ReadError {
    /// Says whether the archive is not what its digests say, or not all of it is there.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Truncated { .. })
    }
}
