//! `casque fetch`: download what the lock pins, so that a build needs it no more.

use std::path::PathBuf;

use casque_build::BuildError;
use casque_build::lock::{self, Lockfile};
use casque_build::manifest::Manifest;
use casque_fetch::Store;
use clap::Args;

use crate::context::Context;
use crate::error::Failure;

/// Download what the lock pins
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    project: crate::cli::Project,

    /// Put everything into this directory, for a build elsewhere that is given it with `--store`
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// Take what is in this directory from there, and only read it [default: $CASQUE_STORE]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot fetch what `{}` needs", arguments.project.directory.display());
    let failed = |error: BuildError| Failure::new(&what, &error);
    let manifest = Manifest::read(&arguments.project.directory).map_err(|error| failed(error.into()))?;
    let path = context.lockfile(&arguments.project, &manifest);
    let locked = Lockfile::of(&manifest, &path).map_err(failed)?;
    let mut access = context.access(false, arguments.store.as_deref())?;
    let Some(into) = &arguments.into else {
        let cache = context.cache().map_err(failed)?;
        return lock::fetch(&locked, &access.network, &cache, &access.mirrors, &context.ui).map_err(failed);
    };
    let own = context.cache_directory().join("store");
    if own.join("sha256").is_dir() {
        access.mirrors.stores.insert(0, own);
    }
    let store = Store::open(into).map_err(|error| failed(error.into()))?;
    lock::fetch_into(&store, &locked, &access.network, &access.mirrors, &context.ui).map_err(failed)
}
