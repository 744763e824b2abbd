//! What the shim takes from its environment.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::root::Root;

/// Where the state is when nothing else is said; `sudo` and cron keep no variables.
const STATE: &str = "/run/casque-step/state";

/// Read once, in `main`.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// The root filesystem: `CASQUE_SHIM_ROOT`, for tests; else `/`.
    pub(crate) root: Root,
    /// The step's state directory: `CASQUE_SHIM_STATE`.
    pub(crate) state: PathBuf,
    /// Nothing is started: in a maintainer script, which dpkg says by `DPKG_MAINTSCRIPT_NAME`, or where
    /// the builder says so by `CASQUE_SHIM_PASSIVE`.
    pub(crate) passive: bool,
}

impl Environment {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            root: Root::new(variable("CASQUE_SHIM_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from)),
            state: variable("CASQUE_SHIM_STATE").map_or_else(|| PathBuf::from(STATE), PathBuf::from),
            passive: ["DPKG_MAINTSCRIPT_NAME", "CASQUE_SHIM_PASSIVE"]
                .into_iter()
                .any(|name| variable(name).is_some()),
        }
    }
}

/// Returns those of the variables that are set.
pub(crate) fn those_set(names: &[&'static str]) -> Vec<(&'static str, OsString)> {
    names.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
}
