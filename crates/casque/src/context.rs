//! What every command starts from: the environment, the user's terminal, and the programs beside this one.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use casque_build::lock::{self, Lockfile, Update};
use casque_build::manifest::Manifest;
use casque_build::{BuildError, Cache, Programs, Reach};
use casque_fetch::{Network, NetworkSettings};
use casque_sandbox::Sandbox;

use crate::cli::Project;
use crate::env::Environment;
use crate::error::Failure;
use crate::ui::Ui;

/// What every command starts from.
pub(crate) struct Context {
    pub(crate) environment: Environment,
    pub(crate) ui: Ui,
    pub(crate) sandbox: Sandbox,
    /// The time, read once by `main`.
    pub(crate) now: SystemTime,
    /// This program.
    pub(crate) program: PathBuf,
    /// `--cache`.
    pub(crate) cache: Option<PathBuf>,
}

impl Context {
    pub(crate) fn cache(&self) -> Result<Cache, BuildError> {
        Cache::open(self.cache_directory())
    }

    pub(crate) fn cache_directory(&self) -> &Path {
        self.cache.as_deref().unwrap_or(&self.environment.cache)
    }

    pub(crate) fn network(&self) -> Result<Network, BuildError> {
        let settings = NetworkSettings {
            ca_bundle: self.environment.ca_bundle.clone(),
            proxy: self.environment.proxy.clone(),
            ..NetworkSettings::default()
        };
        Ok(Network::new(&settings)?)
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach {
            ca_bundle: self.environment.ca_bundle.clone(),
            variables: self.environment.step_variables.clone(),
        }
    }

    /// Returns where the lock of `manifest` is.
    pub(crate) fn lockfile(&self, project: &Project, manifest: &Manifest) -> PathBuf {
        project.lockfile.clone().unwrap_or_else(|| manifest.path.with_extension("lock"))
    }

    /// Returns the lock of `manifest`, made anew when it is missing, does not fit or is asked for.
    pub(crate) fn lock(
        &self,
        manifest: &Manifest,
        path: &Path,
        update: Update,
    ) -> Result<Lockfile, BuildError> {
        let request = lock::Request {
            manifest,
            path,
            update,
            network: &self.network()?,
            cache: &self.cache()?,
            mirror: self.environment.mirror.as_deref(),
            python_index: self.environment.python_index.as_deref(),
            now: self.now.into(),
            observer: &self.ui,
            progress: &self.ui,
        };
        lock::lock(&request)
    }

    /// Returns `SOURCE_DATE_EPOCH`.
    pub(crate) fn epoch(&self) -> Result<Option<u64>, Failure> {
        let Some(text) = &self.environment.source_date_epoch else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let cause = format!("SOURCE_DATE_EPOCH is `{text}`, expected seconds since 1970");
            Failure::usage("cannot read the environment", cause, None)
        })
    }

    /// Returns the static programs, which are beside this one.
    pub(crate) fn programs(&self) -> Result<Programs, Failure> {
        let directory = self.program.parent().unwrap_or(Path::new("/"));
        let find = |name: &str| {
            let path = directory.join(name);
            if path.is_file() {
                return Ok(path);
            }
            let cause = format!("there is no `{}`, which goes into images", path.display());
            let hint = "keep casque, casque-init, casque-agent and casque-shim in one directory";
            Err(Failure::usage("cannot find casque's own programs", cause, Some(hint.to_owned())))
        };
        Ok(Programs { init: find("casque-init")?, agent: find("casque-agent")?, shim: find("casque-shim")? })
    }
}
