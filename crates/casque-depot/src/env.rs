//! The only place that reads the environment.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

const PREFIX: &str = "CASQUE_DEPOT_";
/// Names the file, and is no key in it.
const CONFIG: &str = "CONFIG";

/// Returns the variables that are keys of the configuration, without their prefix, and the file that one names.
pub fn read() -> (BTreeMap<String, String>, Option<PathBuf>) {
    let texts = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let ours = texts.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)));
    let mut variables: BTreeMap<String, String> = ours.collect();
    let file = variables.remove(CONFIG).map(PathBuf::from);
    (variables, file)
}
