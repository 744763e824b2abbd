//! Secrets as files that a step sees.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use casque_sandbox::{Mounted, memory};
use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::Secrets;
use crate::error::BuildError;
use crate::manifest::LayerStep;

/// The files of one step, in memory while this lives.
pub(crate) struct SecretFiles {
    /// Which file is to be where.
    pub(crate) files: Vec<(PathBuf, String)>,
    _memory: Option<Mounted>,
}

impl SecretFiles {
    /// Writes what `layer` asks for below `directory`, which is on a disk.
    pub(crate) fn write(secrets: &Secrets, layer: &LayerStep, directory: &Path) -> Result<Self, BuildError> {
        let wanted: Vec<_> =
            layer.secrets.iter().filter_map(|secret| Some((secret, secret.place()?))).collect();
        if wanted.is_empty() {
            return Ok(Self { files: Vec::new(), _memory: None });
        }
        let at = directory.join("secrets");
        fs_err::create_dir(&at).map_err(BuildError::Root)?;
        let mounted = memory(&at)?;
        let mut files = Vec::new();
        for (index, (secret, to)) in wanted.into_iter().enumerate() {
            let path = at.join(index.to_string());
            let mut options = fs_err::OpenOptions::new();
            options.write(true).create_new(true).mode(0o400);
            let mut file = options.open(&path).map_err(BuildError::Root)?;
            file.write_all(secrets.value(layer, secret)?).map_err(BuildError::Root)?;
            fs_err::set_permissions(&path, Permissions::from_mode(0o400)).map_err(BuildError::Root)?;
            files.push((path, to));
        }
        Ok(Self { files, _memory: Some(mounted) })
    }
}
