//! The compressions that archives and packages use.

use std::io::{self, BufReader, Read};

use thiserror::Error;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

/// Why something cannot be unpacked.
#[derive(Debug, Error)]
pub enum CompressError {
    /// The packed form is damaged.
    #[error("the packed data is damaged")]
    Read(#[source] io::Error),
    /// No reader could be set up for it.
    #[error("cannot start to unpack")]
    Start(#[source] io::Error),
}

impl Compression {
    /// Returns the end of the names of files packed so.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// Reads the end of a name; none means a form that is not known.
    pub(crate) fn from_suffix(suffix: &str) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Xz, Self::Zstd].into_iter().find(|known| known.suffix() == suffix)
    }

    /// Returns a reader of the unpacked form.
    pub(crate) fn reader<'a, R: Read + 'a>(self, packed: R) -> Result<Box<dyn Read + 'a>, CompressError> {
        let packed = BufReader::with_capacity(128 * 1024, packed);
        Ok(match self {
            Self::None => Box::new(packed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(packed)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(packed).map_err(CompressError::Start)?),
        })
    }
}
