//! What every command starts from: the environment, the user's terminal, and the programs beside this one.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use casque_build::lock::{self, Lockfile, Mirrors, Update};
use casque_build::manifest::Manifest;
use casque_build::{BuildError, Cache, Programs, Reach, Secrets, Suggestions};
use casque_fetch::{Credentials, Network, NetworkSettings};
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
    /// For what goes on for longer.
    pub(crate) clock: fn() -> SystemTime,
    /// This program.
    pub(crate) program: PathBuf,
    /// `--cache`.
    pub(crate) cache: Option<PathBuf>,
}

/// How other places are reached. Every login is in `network`, none in an address.
pub(crate) struct Access {
    pub(crate) network: Network,
    pub(crate) mirrors: Mirrors,
    python_index: Option<String>,
}

/// How to lock.
pub(crate) struct Locking<'a> {
    pub(crate) update: Update,
    pub(crate) allow_older: bool,
    /// With them steps can run.
    pub(crate) programs: Option<&'a Programs>,
    /// What steps may see.
    pub(crate) secrets: &'a Secrets,
}

impl Context {
    pub(crate) fn cache(&self) -> Result<Cache, BuildError> {
        Cache::open(self.cache_directory())
    }

    pub(crate) fn cache_directory(&self) -> &Path {
        self.cache.as_deref().unwrap_or(&self.environment.cache)
    }

    /// Returns how other places are reached.
    pub(crate) fn access(&self, offline: bool, store: Option<&Path>) -> Result<Access, Failure> {
        let environment = &self.environment;
        let mut credentials = self.credentials()?;
        let mut plain = |address: &Option<String>| address.as_ref().map(|text| credentials.take(text));
        let mirrors = Mirrors {
            distribution: plain(&environment.mirror),
            snapshot: plain(&environment.snapshot),
            stores: store.or(environment.store.as_deref()).map(Path::to_owned).into_iter().collect(),
        };
        let python_index = plain(&environment.python_index);
        Ok(Access { network: self.network(credentials, offline)?, mirrors, python_index })
    }

    /// Reads the logins that this place has for others.
    pub(crate) fn credentials(&self) -> Result<Credentials, Failure> {
        let Some(path) = &self.environment.auth else { return Ok(Credentials::default()) };
        let what = "cannot read the logins of `CASQUE_AUTH`";
        let text =
            fs_err::read_to_string(path).map_err(|error| Failure::usage(what, error.to_string(), None))?;
        Credentials::parse(&text)
            .map_err(|error| Failure::usage(what, format!("`{}` {error}", path.display()), None))
    }

    /// Returns the network as the environment has it.
    pub(crate) fn network(&self, credentials: Credentials, offline: bool) -> Result<Network, Failure> {
        let settings = NetworkSettings {
            ca_bundle: self.environment.ca_bundle.clone(),
            proxies: self.environment.proxies.clone(),
            credentials,
            offline,
            ..NetworkSettings::default()
        };
        Network::new(&settings).map_err(|error| {
            Failure::new("cannot use the network as the environment says", &BuildError::from(error))
        })
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach {
            ca_bundle: self.environment.ca_bundle.clone(),
            variables: self.environment.step_variables.clone(),
            python_variables: self.environment.python_variables.clone(),
        }
    }

    /// Returns where the lock of `manifest` is.
    pub(crate) fn lockfile(&self, project: &Project, manifest: &Manifest) -> PathBuf {
        project.lockfile.clone().unwrap_or_else(|| manifest.path.with_extension("lock"))
    }

    /// Returns the lock of `manifest`, made anew when it is missing, does not fit or is asked for; `what` is for
    /// messages.
    pub(crate) fn lock(
        &self,
        manifest: &Manifest,
        path: &Path,
        by: &Locking<'_>,
        access: &Access,
        what: &str,
    ) -> Result<Lockfile, Failure> {
        self.with_request(manifest, path, by, access, what, lock::lock)
    }

    /// Returns the layers that would make the next build faster; `locked` is the lock of `manifest`.
    pub(crate) fn suggest(
        &self,
        manifest: &Manifest,
        path: &Path,
        by: &Locking<'_>,
        access: &Access,
        locked: &Lockfile,
        what: &str,
    ) -> Result<Suggestions, Failure> {
        self.with_request(manifest, path, by, access, what, |request| casque_build::suggest(request, locked))
    }

    fn with_request<T>(
        &self,
        manifest: &Manifest,
        path: &Path,
        by: &Locking<'_>,
        access: &Access,
        what: &str,
        act: impl FnOnce(&lock::Request<'_>) -> Result<T, BuildError>,
    ) -> Result<T, Failure> {
        let failed = |error: BuildError| Failure::new(what, &error);
        let reach = self.reach();
        let source_date_epoch = self.epoch()?;
        let sandbox = &self.sandbox;
        let steps = by.programs.map(|programs| lock::Steps {
            sandbox,
            programs,
            reach: &reach,
            secrets: by.secrets,
            source_date_epoch,
        });
        let request = lock::Request {
            manifest,
            path,
            update: by.update,
            allow_older: by.allow_older,
            steps,
            network: &access.network,
            cache: &self.cache().map_err(failed)?,
            mirrors: &access.mirrors,
            python_index: access.python_index.as_deref(),
            now: self.now.into(),
            observer: &self.ui,
            progress: &self.ui,
        };
        act(&request).map_err(failed)
    }

    /// Returns `SOURCE_DATE_EPOCH`.
    pub(crate) fn epoch(&self) -> Result<Option<u64>, Failure> {
        let Some(text) = &self.environment.source_date_epoch else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let cause = format!("SOURCE_DATE_EPOCH is `{text}`, expected seconds since 1970");
            Failure::usage("cannot read the environment", cause, None)
        })
    }

    /// Returns `CASQUE_COUNTER`.
    pub(crate) fn counter(&self) -> Result<Option<u64>, Failure> {
        let Some(text) = &self.environment.counter else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let cause = format!("CASQUE_COUNTER is `{text}`, expected the number of a release");
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
