//! What a vendor can do about an error.

use casque_debian::{ArchiveReason, Change, ReleaseError, ResolveError, VerifyError};
use casque_fetch::FetchError;
use casque_image::archive::ArchiveError as OutputError;

use super::{BuildError, LockError, MarkMistake, ServiceError};

impl BuildError {
    /// Says what the vendor can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(error) => error.hint(),
            Self::Lock(
                LockError::Stale { .. }
                | LockError::BaseChanged { .. }
                | LockError::Missing { .. }
                | LockError::NotRecorded { .. },
            ) => Some("run `casque lock`".to_owned()),
            Self::NotLocked { .. } => {
                Some("run `casque lock`: it runs the step again and adds what is new".to_owned())
            }
            Self::Lock(LockError::Version { .. }) => {
                Some("update casque, or lock again with `casque lock --update`".to_owned())
            }
            Self::Superseded { .. } => {
                Some("run `casque lock --update` to pin what the archive has now".to_owned())
            }
            Self::Service(
                ServiceError::UnknownUser { closest: Some(name), .. }
                | ServiceError::UnknownOwner { closest: Some(name), .. },
            )
            | Self::Mark(MarkMistake::UnknownSetting { closest: Some(name), .. }) => {
                Some(format!("did you mean `{name}`?"))
            }
            Self::Service(ServiceError::UnknownUser { .. } | ServiceError::UnknownOwner { .. }) => {
                Some("users that no package and no script makes go into `[users.NAME]`".to_owned())
            }
            Self::Service(ServiceError::NotPersistent { .. }) => Some(
                "name the directory that a package or a step makes, without a link on the way; one that is made at start goes into `[data] directories`"
                    .to_owned(),
            ),
            Self::Service(ServiceError::Unit { source, .. }) => source.hint(),
            Self::Mark(MarkMistake::NoFilter { setting, .. }) => {
                Some(format!("add the file's quoting, such as `@casque{{{setting}|json}}`"))
            }
            Self::Secret(error) => Some(error.hint()),
            Self::NotReproducible { .. } => Some(
                "what a step writes must not depend on the machine, the time or chance; a value that every customer needs another of is a setting"
                    .to_owned(),
            ),
            Self::Sandbox(error) => error.hint(),
            Self::Python(error) => error.hint(),
            Self::NoPip { .. } => Some("add `python3-venv` to `packages`, or leave out `pip`".to_owned()),
            Self::BuildStep { .. } => {
                Some("what it misses may be a Debian package: name it in `build-packages`, such as `gcc` and `python3-dev`".to_owned())
            }
            Self::BuildRequires { asked, .. } => {
                Some(format!("add `build-requires = {asked:?}` beside `requirements`"))
            }
            Self::MissingLibrary { package: Some(package), .. } => {
                Some(format!("add `{package}` to `packages` of this layer or one below"))
            }
            Self::NoPython { .. } => {
                Some("add `python3` (or `python3-venv`, for scripts that call pip) to `packages`".to_owned())
            }
            Self::Base(error) => error.hint(),
            Self::Resolve { base: Some(from), source, .. } if is_change(source) => Some(format!(
                "the packages of `{from}` stay as they are: bring them up to date where it is made, or ask for an \
                 older version that fits them, `NAME=VERSION`"
            )),
            Self::Resolve { source, .. } => hint_of_resolve(source),
            Self::Package { .. } | Self::Mislabelled { .. } => Some("leave it out, or tell who runs the archive".to_owned()),
            Self::Archive(error) => match &error.reason {
                ArchiveReason::Release(error) => hint_of_release(error),
                ArchiveReason::Fetch(FetchError::NotFound { .. }) => {
                    Some("check the address and the suite of the archive".to_owned())
                }
                ArchiveReason::Fetch(error) => hint_of_fetch(error),
                _ => None,
            },
            Self::Fetch(error) => hint_of_fetch(error),
            Self::Keyring(_) => {
                Some("install `debian-archive-keyring` or `ubuntu-archive-keyring`, or say `[base] signed-by = \"FILE\"`".to_owned())
            }
            Self::CachePruned { .. } => Some("build again".to_owned()),
            Self::TooManyLayers { .. } => {
                Some("join `[[layer]]` tables: one may have packages, Python, copies and a step".to_owned())
            }
            Self::Older { .. } => {
                Some("name the archive, or the directory in OCI layout, that was loaded before".to_owned())
            }
            Self::Output(error) => hint_of_output(error).map(str::to_owned),
            Self::CommandTaken { .. } => Some("give `[image] command` another name".to_owned()),
            _ => None,
        }
    }
}

fn hint_of_output(error: &OutputError) -> Option<&'static str> {
    match error {
        OutputError::NotALayout { .. } | OutputError::OtherImage { .. } => {
            Some("name a new directory, or remove this one")
        }
        OutputError::NothingInCommon { .. } => {
            Some("the lowest layers differ, so it would save nothing: leave out `--thin-against`")
        }
        OutputError::DamagedLayer { .. } => Some("remove that file and build again"),
        _ => None,
    }
}

fn hint_of_resolve(error: &ResolveError) -> Option<String> {
    let hint = match error {
        ResolveError::UnknownPackage { similar, .. } if !similar.is_empty() => {
            return Some(format!("did you mean `{}`?", similar.join("` or `")));
        }
        ResolveError::Unsatisfiable { would_do: Some(version), .. } => {
            return Some(format!("ask for `{version}` as well"));
        }
        ResolveError::UnknownPackage { .. } | ResolveError::Unsatisfiable { .. } => {
            "add the archive that has it with `[[base.archive]]`"
        }
        ResolveError::UnknownVersion { .. } => "name one of these versions, or none",
        ResolveError::UnknownSuite { .. } => "name one of these suites, or none",
        ResolveError::Architecture { .. } => "leave the architecture out",
        ResolveError::Removal { name } => {
            return Some(format!("remove `{name}` from the list that brings it, or in a `run`"));
        }
        ResolveError::Virtual { .. } => "name one of these instead",
        ResolveError::Conflict { .. } => "ask for one of them only",
        ResolveError::Changes { changes } => return Some(hint_of_changes(changes)),
        ResolveError::Control(_) => return None,
    };
    Some(hint.to_owned())
}

fn is_change(error: &ResolveError) -> bool {
    matches!(error, ResolveError::Changes { .. })
}

fn hint_of_changes(changes: &[Change]) -> String {
    let wanted: Vec<_> = changes
        .iter()
        .filter_map(|change| Some(format!("`{}={}`", change.name, change.wanted.as_ref()?)))
        .collect();
    if wanted.len() == changes.len() {
        format!("ask for {} where the lower layer asks for its packages", wanted.join(", "))
    } else {
        "ask for all of it in one layer, or leave one of them out".to_owned()
    }
}

fn hint_of_release(error: &ReleaseError) -> Option<String> {
    let hint = match error {
        ReleaseError::Verify(VerifyError::UnknownKey { .. }) => {
            "take this archive's key from whom you trust, and name its file with `signed-by`"
        }
        ReleaseError::Verify(_) => "another mirror may have it whole: set `CASQUE_MIRROR`",
        ReleaseError::Expired { .. } => {
            "the mirror is out of date, or this machine's clock is wrong; another mirror: set `CASQUE_MIRROR`"
        }
        ReleaseError::Future { .. } => "set this machine's clock",
        ReleaseError::Older { .. } => {
            "another mirror may be up to date: set `CASQUE_MIRROR`; if it is meant, say `--allow-older`"
        }
        ReleaseError::Suite { .. } => "name the suite as the archive does, or use another mirror",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_of_fetch(error: &FetchError) -> Option<String> {
    let hint = match error.root() {
        FetchError::Connect { .. } => {
            "check the network; a proxy is taken from `https_proxy`, a Debian mirror from `CASQUE_MIRROR`"
        }
        FetchError::ProxyRefused { .. } => {
            "a proxy that wants a login takes it from `http://USER:PASSWORD@HOST:PORT` in `https_proxy`"
        }
        FetchError::Status { status: 401 | 403, .. } => {
            "a login is taken from the file that `CASQUE_AUTH` names, or from `CASQUE_MIRROR`"
        }
        FetchError::Offline { .. } => {
            "where there is a network, `casque fetch --into DIR`; then name that directory with `--store`"
        }
        FetchError::NotAStore { .. } => "name a directory that `casque fetch --into` filled",
        FetchError::Status { .. } | FetchError::Truncated { .. } => "try again later",
        FetchError::TooLarge { .. } | FetchError::HashMismatch { .. } | FetchError::SizeMismatch { .. } => {
            "something between the archive and here changed the file; try again, or set another `CASQUE_MIRROR`"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
