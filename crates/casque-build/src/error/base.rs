//! What can be wrong with an image to start from.

use casque_image::layer::ImportError;
use casque_image::read::ReadError;
use casque_image::unpack::UnpackError;
use thiserror::Error;

use super::ErrorClass;

/// An image to start from that cannot be used, or not as the manifest says.
#[derive(Debug, Error)]
pub enum BaseError {
    /// It is no image, or not whole.
    #[error("cannot start from `{from}`")]
    Unreadable {
        /// As the manifest has it.
        from: String,
        /// Why.
        source: Box<ReadError>,
    },
    /// A layer cannot be taken over.
    #[error("cannot keep a layer of `{from}`")]
    Import {
        /// As the manifest has it.
        from: String,
        /// Why.
        source: Box<ImportError>,
    },
    /// Its layers cannot be unpacked.
    #[error("cannot unpack `{from}`")]
    Unpack {
        /// As the manifest has it.
        from: String,
        /// Why.
        source: Box<UnpackError>,
    },
    /// It is for another kind of machine.
    #[error("cannot start from `{from}`: it is for {found}, and images are made for {wanted}")]
    Platform {
        /// As the manifest has it.
        from: String,
        /// For whom it is.
        found: String,
        /// For whom images are.
        wanted: &'static str,
    },
    /// Nobody knows which release it is.
    #[error("cannot start from `{from}`: {what}")]
    Release {
        /// As the manifest has it.
        from: String,
        /// What is wrong with what it says of itself.
        what: String,
    },
    /// Packages are asked for on something that has no packages of Debian.
    #[error("{}`{key}` cannot be had on the base `{from}`: {why}", of_layer(layer.as_deref()))]
    Refused {
        /// As the manifest has it.
        from: String,
        /// The key that asks for them.
        key: String,
        /// The layer that has it.
        layer: Option<String>,
        /// Why.
        why: String,
    },
    /// A package is not there that something works with.
    #[error("{}`{key}` needs `{package}`, which the base `{from}` does not have", of_layer(layer.as_deref()))]
    Lacks {
        /// As the manifest has it.
        from: String,
        /// The package.
        package: &'static str,
        /// The key that needs it.
        key: String,
        /// The layer that has it.
        layer: Option<String>,
    },
    /// A step on something without a shell.
    #[error("layer `{layer}`: `run` needs a shell, and there is no `sh` in the base `{from}`")]
    NoShell {
        /// As the manifest has it.
        from: String,
        /// The layer.
        layer: String,
    },
    /// A user that is there already, with another number, or another user with its number.
    #[error("user `{name}` is to have the number {uid}, and in the base `{from}` {found}")]
    User {
        /// As the manifest has it.
        from: String,
        /// The user.
        name: String,
        /// Its number.
        uid: u32,
        /// What is there.
        found: String,
    },
    /// A pin names an archive that there is not.
    #[error("`base.pin.archive` is `{name}`, expected one of `{}`", names.join("`, `"))]
    Pin {
        /// What it names.
        name: String,
        /// The archives that there are.
        names: Vec<String>,
    },
}

impl BaseError {
    /// Says what the vendor can do about it.
    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreadable { source, .. } => return hint_of_read(source).map(str::to_owned),
            Self::Import { source, .. } => match &**source {
                ImportError::Archive(error) => return hint_of_read(error).map(str::to_owned),
                ImportError::Store(_) => return None,
            },
            Self::Platform { .. } => "take the image for that machine: `skopeo copy --override-arch amd64`",
            Self::Refused { key, .. } if key == "python" => {
                "`copy` an environment that was made elsewhere, let `run` make it, or start from Debian or Ubuntu"
            }
            Self::Refused { key, .. } if key.starts_with("base.") && !key.ends_with(".packages") => {
                "leave it out; it is for bases of Debian and Ubuntu"
            }
            Self::Refused { .. } => {
                "install them in `run`, with what the base has for that and `network = true`, or `copy` the files"
            }
            Self::Lacks { package, .. } => {
                return Some(format!("put it there: `[base] packages = [\"{package}\"]`"));
            }
            Self::NoShell { .. } => "`copy` what is needed, or start from an image that has a shell",
            Self::User { .. } => "give `[users.NAME]` the number that is there, or the user another name",
            Self::Release { .. } | Self::Unpack { .. } | Self::Pin { .. } => return None,
        };
        Some(hint.to_owned())
    }

    pub(super) fn class(&self) -> ErrorClass {
        match self {
            Self::Unreadable { source, .. } => class_of_read(source),
            Self::Import { source, .. } => match &**source {
                ImportError::Archive(error) => class_of_read(error),
                ImportError::Store(_) => ErrorClass::Unexpected,
            },
            Self::Unpack { source, .. } => match &**source {
                UnpackError::Archive(error) => class_of_read(error),
                UnpackError::Apply { .. } => ErrorClass::Unexpected,
            },
            _ => ErrorClass::Manifest,
        }
    }
}

fn of_layer(layer: Option<&str>) -> String {
    layer.map(|layer| format!("layer `{layer}`: ")).unwrap_or_default()
}

fn class_of_read(error: &ReadError) -> ErrorClass {
    if error.is_damage() { ErrorClass::Trust } else { ErrorClass::Manifest }
}

fn hint_of_read(error: &ReadError) -> Option<&'static str> {
    Some(match error {
        ReadError::Damaged { .. }
        | ReadError::Truncated { .. }
        | ReadError::Missing { .. }
        | ReadError::Unreadable { .. } => "get it again from where it was made",
        ReadError::NotAnImage { .. } | ReadError::NotTar { .. } => {
            "make it with `docker save --output FILE NAME` or `skopeo copy docker-daemon:NAME:TAG oci:DIR`; what \
             `docker export` writes is no image"
        }
        ReadError::Thin { .. } => "name an archive that has all of its layers",
        ReadError::OtherPlatforms { .. } => {
            "take the image for that machine: `skopeo copy --override-arch amd64`"
        }
        ReadError::LayerType { media_type, .. } if media_type.ends_with("+encrypted") => {
            "decrypt it: `skopeo copy --decryption-key KEY`"
        }
        ReadError::Several { .. } => "save the one image that is meant on its own",
        _ => return None,
    })
}
