//! A support bundle: what a vendor's support asks for, without a secret.
//!
//! Each part is replaced in and compressed as it comes. What was made is read again and searched for every secret; only then anybody
//! gets it.

mod archive;
mod collect;
mod instance;
mod logs;
mod looks;
mod pseudonyms;
mod secrets;
mod system;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use casque_format::bundle::{MANIFEST, Manifest, Member, Missing, VERSION};
use casque_format::image::ImagePlan;
use thiserror::Error;

use self::archive::{Growing, left};
use self::collect::{Collector, Part, Patience, one};
use self::pseudonyms::Pseudonyms;
use self::secrets::{Secrets, SecretsError};
use crate::env::Environment;
use crate::root::Root;
use crate::stamp;
use crate::words::status;

pub use self::archive::sums;

/// What PID 1 alone can tell.
const SERVICES: &str = "services.txt";

/// Why there is no bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It is not known what may not be in it.
    #[error("cannot tell what is secret, so no bundle is made: {0}")]
    Secrets(SecretsError),
    /// A secret is in it.
    #[error("the secret of `{name}` is still in {place}{form}, so no bundle is written")]
    Left {
        /// Whose.
        name: String,
        /// Where.
        place: String,
        /// How it is written.
        form: &'static str,
    },
    /// It cannot be put together.
    #[error("cannot make the bundle: {0}")]
    Make(io::Error),
    /// Nobody takes it.
    #[error("cannot write the bundle: {0}")]
    Output(io::Error),
}

impl BundleError {
    /// Says whether another user could make it.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Secrets(SecretsError::Other(error)) if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Says whether settings are to be changed first.
    pub fn is_of_settings(&self) -> bool {
        matches!(self, Self::Secrets(SecretsError::Setting(_) | SecretsError::Short { .. }))
    }
}

/// What a bundle is made of.
pub struct Request<'a> {
    /// Where files are.
    pub root: &'a Root,
    /// The image's plan.
    pub plan: &'a ImagePlan,
    /// The container's variables.
    pub environment: &'a Environment,
    /// Seconds since 1970.
    pub now: i64,
    /// So long is waited for each step.
    pub patience: Duration,
    /// Nothing is written, not even a key into the volume.
    pub preview: bool,
}

/// Makes a bundle in memory, and says what is in it. `progress` hears of each part before it is collected.
///
/// # Errors
/// A secret that is not known, or was not found in time.
pub fn make(request: &Request, mut progress: impl FnMut(&str)) -> Result<(Vec<u8>, Manifest), BundleError> {
    let Request { root, plan, environment, now, .. } = *request;
    let pseudonyms = Pseudonyms::of_volume(root, !request.preview).map_err(BundleError::Make)?;
    let secrets = Secrets::read(root, plan, environment, pseudonyms).map_err(BundleError::Secrets)?;
    let mut growing = Growing::new(now);
    let mut manifest = Manifest {
        version: VERSION,
        product: plan.product.name.clone(),
        product_version: plan.product.version.clone(),
        instance: stamp::read(root, &plan.product).ok().flatten().map(|stamp| stamp.instance),
        made: now,
        running: false,
        pseudonyms: secrets.scope(),
        members: Vec::new(),
        missing: Vec::new(),
        secrets: secrets.told(),
    };
    let patience = Patience::new(request.patience);
    for (name, collector) in collectors(request) {
        progress(name);
        patience.run(name, collector, |part| add(part, &secrets, &mut growing, &mut manifest))?;
    }
    progress(MANIFEST);
    let manifest = replaced(&manifest, &secrets).map_err(BundleError::Make)?;
    growing.add(MANIFEST, &archive::text(&manifest)).map_err(BundleError::Make)?;
    let bundle = growing.finish().map_err(BundleError::Make)?;
    match left(&bundle, &secrets.forbidden()).map_err(BundleError::Make)? {
        None => Ok((bundle, manifest)),
        Some(left) => Err(BundleError::Left {
            name: left.name,
            place: left.member.map_or_else(|| "a name".to_owned(), |member| format!("`{member}`")),
            form: left.form.note(),
        }),
    }
}

/// A product may be called as its password is.
fn replaced(manifest: &Manifest, secrets: &Secrets) -> io::Result<Manifest> {
    let mut document = serde_json::to_value(manifest)?;
    secrets.replace_in(&mut document);
    Ok(serde_json::from_value(document)?)
}

fn add(
    part: Result<Part, Missing>,
    secrets: &Secrets,
    growing: &mut Growing,
    manifest: &mut Manifest,
) -> Result<(), BundleError> {
    match part {
        Ok(part) => {
            manifest.running |= part.name == SERVICES;
            let name = secrets.replace_text(&part.name);
            let (content, replaced) = secrets.replace(&part.content);
            let (size, sha256) = growing.add(&name, &content).map_err(BundleError::Make)?;
            let (about, truncated) = (part.about.to_owned(), part.truncated);
            manifest.members.push(Member { name, about, size, sha256, truncated, replaced });
        }
        Err(missing) => manifest.missing.push(Missing {
            name: secrets.replace_text(&missing.name),
            reason: secrets.replace_text(&missing.reason),
        }),
    }
    Ok(())
}

/// Returns every collector; what is most wanted comes first, for time may end.
fn collectors(request: &Request) -> Vec<(&'static str, Collector)> {
    let shared = Arc::new((request.root.clone(), request.plan.clone(), request.environment.clone()));
    let with = || Arc::clone(&shared);
    let (status, services, lines, settings, plan, certificates) =
        (with(), with(), with(), with(), with(), with());
    let (stamp, files, system, mounts, room, processes) = (with(), with(), with(), with(), with(), with());
    vec![
        one("status.json", "the status, as with the token", move || {
            status::json(&status.0, &status.1).map(String::into_bytes).map_err(|error| error.to_string())
        }),
        one(SERVICES, "every service and its state", move || {
            status::table(&services.0, &services.1).map(String::into_bytes).map_err(|error| error.to_string())
        }),
        one("settings.txt", "settings, and every place that has one", move || {
            Ok(instance::settings(&settings.0, &settings.1, &settings.2))
        }),
        one("plan.json", "what PID 1 carries out, without values of variables", move || {
            instance::plan(&plan.0)
        }),
        one("lines.txt", "the newest lines in the memory of PID 1", move || instance::lines(&lines.0)),
        one("stamp.json", "whose volume it is", move || instance::stamp(&stamp.0)),
        one("certificates.json", "whose certificates are, and when they end", move || {
            instance::certificates(&certificates.0, &certificates.1, &certificates.2)
        }),
        one("files.txt", "names of rendered files and of the volume", move || Ok(instance::files(&files.0))),
        one("processes.txt", "every process", move || system::processes(&processes.0)),
        one("system.txt", "kernel, limits, memory, network", move || Ok(system::files(&system.0))),
        one("mounts.txt", "the table of mounts", move || system::mounts(&mounts.0)),
        one("room.txt", "room of each file system", move || system::room(&room.0)),
        ("logs", logs::collector(request.root)),
    ]
}
