//! The only place that reads the environment.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use casque_fetch::Proxies;
use casque_sign::Passphrase;

use crate::release::token::Token;

/// What the environment says.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// `CASQUE_CACHE`, or `casque` under `XDG_CACHE_HOME`, or under `~/.cache`.
    pub(crate) cache: PathBuf,
    /// `CASQUE_STATE`, or `casque` under `XDG_STATE_HOME`, or under `~/.local/state`.
    pub(crate) state: PathBuf,
    /// `CASQUE_MIRROR`: used in place of the distribution's own archive address.
    pub(crate) mirror: Option<String>,
    /// `SSL_CERT_FILE`: certificates trusted beside none other, for downloads and for steps with a network.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// `CASQUE_SNAPSHOT`: used in place of where the distribution keeps superseded files.
    pub(crate) snapshot: Option<String>,
    /// `CASQUE_STORE`: what `casque fetch --into` filled.
    pub(crate) store: Option<PathBuf>,
    /// `CASQUE_AUTH`: a file of logins.
    pub(crate) auth: Option<PathBuf>,
    /// `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.
    pub(crate) proxies: Proxies,
    /// `PIP_INDEX_URL`.
    pub(crate) python_index: Option<String>,
    /// Variables a step with the host's network gets: proxies.
    pub(crate) step_variables: Vec<(String, String)>,
    /// Variables every step with a network gets: Python indexes.
    pub(crate) python_variables: Vec<(String, String)>,
    /// `CASQUE_PASSPHRASE`: opens or protects a key.
    pub(crate) passphrase: Option<Passphrase>,
    /// `CASQUE_OLD_PASSPHRASE`: opens the key that vouches for a new one.
    pub(crate) old_passphrase: Option<Passphrase>,
    /// `CASQUE_RELEASE_TOKEN`: uploads to a depot.
    pub(crate) release_token: Option<Token>,
    /// `CASQUE_COUNTER`: which release of the product this is.
    pub(crate) counter: Option<String>,
    /// `PATH`.
    pub(crate) path: Option<OsString>,
    /// `SOURCE_DATE_EPOCH`, seconds since 1970.
    pub(crate) source_date_epoch: Option<String>,
}

/// Returns the value of a variable that holds a secret, named by the user.
pub(crate) fn secret(name: &str) -> Option<Vec<u8>> {
    env::var_os(name).map(OsStringExt::into_vec)
}

/// Passed on to a step with the host's network: how this place reaches it.
const STEP_VARIABLES: [&str; 6] =
    ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
/// Passed on to every step with a network: where Python packages are.
const PYTHON_VARIABLES: [&str; 3] = ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"];

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn read() -> Self {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME").unwrap_or_else(|| PathBuf::from("/"));
        let below =
            |name: &str, default: &str| path(name).unwrap_or_else(|| home.join(default)).join("casque");
        let first = |names: &[&str]| names.iter().find_map(|name| text(name));
        // As curl has it: `HTTP_PROXY` in capitals is not read, since a web server may set it for whoever asks.
        let proxies = Proxies {
            http: first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            except: first(&["no_proxy", "NO_PROXY"]),
        };
        let those_set = |names: &[&str]| {
            names.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect()
        };
        Self {
            cache: path("CASQUE_CACHE").unwrap_or_else(|| below("XDG_CACHE_HOME", ".cache")),
            state: path("CASQUE_STATE").unwrap_or_else(|| below("XDG_STATE_HOME", ".local/state")),
            mirror: text("CASQUE_MIRROR"),
            ca_bundle: path("SSL_CERT_FILE"),
            snapshot: text("CASQUE_SNAPSHOT"),
            store: path("CASQUE_STORE"),
            auth: path("CASQUE_AUTH"),
            proxies,
            python_index: text("PIP_INDEX_URL"),
            step_variables: those_set(&STEP_VARIABLES),
            python_variables: those_set(&PYTHON_VARIABLES),
            passphrase: text("CASQUE_PASSPHRASE").as_deref().map(Passphrase::new),
            old_passphrase: text("CASQUE_OLD_PASSPHRASE").as_deref().map(Passphrase::new),
            release_token: text("CASQUE_RELEASE_TOKEN").as_deref().and_then(Token::new),
            counter: text("CASQUE_COUNTER"),
            path: env::var_os("PATH"),
            source_date_epoch: text("SOURCE_DATE_EPOCH"),
        }
    }
}
