//! HTTPS: which certificate it is served with, and whether it is served at all.
//!
//! A certificate is judged before anything else sees it. What was good stays until something good follows, over starts as
//! well: a file that is replaced by a wrong one must not take a product off the net at its next start.

pub mod authorities;
pub mod client;
pub mod front;
#[cfg(test)]
mod fuzz;
pub mod host;
mod own;
pub mod pair;

use std::io;

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::run::{RunPlan, Sockets};
use casque_format::settings::{HTTPS, TLS_CERTIFICATE, TLS_KEY};
use fs_err as fs;

use self::authorities::Bundle;
use self::pair::Pair;
use crate::error::Error;
use crate::root::Root;
use crate::settings::{Problem, Settings};
use crate::write::{self, Access};

/// What HTTPS is served with.
pub struct Https {
    /// On this of the exposed ports.
    pub port: u16,
    /// With these.
    pub pair: Pair,
    /// Made by casque, and not by whoever runs this.
    own: bool,
}

/// When and where a decision is made.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Where files are.
    pub root: &'a Root,
    /// Seconds since 1970.
    pub now: i64,
    /// Services run.
    pub running: bool,
}

/// Decides what HTTPS is served with; nothing when it is off. Writes nothing.
///
/// # Errors
/// A certificate that is of no use, where there is none from before.
pub fn choose(
    moment: Moment,
    plan: &ImagePlan,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Option<Https>, Error> {
    let Some(port) = plan.https_port else { return Ok(None) };
    if !is_on(moment, port, settings, warnings) {
        return Ok(None);
    }
    let host = text(settings, "base-url").and_then(host::of);
    let (pair, own) = match given(moment.root, settings)? {
        None => (own(moment, host)?, true),
        Some(Ok(pair)) => (best(moment, pair, warnings), false),
        Some(Err(reason)) => match kept(moment.root, paths::TLS_KEPT) {
            Some(before) => {
                warnings.push(format!(
                    "what is in `{}` is not served: {reason}; the certificate from before (`{}`) is",
                    directory(),
                    before.subject
                ));
                (before, false)
            }
            None => return Err(Error::Certificate { reason }),
        },
    };
    if own {
        warnings.push(format!(
            "HTTPS has a certificate that signs itself, which browsers warn of: put one into `{}` and its key into `{}`",
            paths::TLS_CERTIFICATE,
            paths::TLS_KEY
        ));
    }
    if let Some(host) = host.filter(|host| !pair.is_for(host)) {
        let subject = &pair.subject;
        warnings.push(format!(
            "the certificate for HTTPS (`{subject}`) is not for `{host}`, the host of `base-url`"
        ));
    }
    Ok(Some(Https { port, pair, own }))
}

/// Keeps in the volume what HTTPS is served with.
///
/// # Errors
/// A file that cannot be written.
pub fn keep(root: &Root, https: &Https) -> io::Result<()> {
    let path = if https.own { paths::TLS_OWN } else { paths::TLS_KEPT };
    if kept(root, path).is_some_and(|kept| kept == https.pair) {
        return Ok(());
    }
    let path = root.join(path);
    write::make_directory(path.parent().expect("the file is in a directory"), 0o700)?;
    write::replace(&path, https.pair.pem.as_bytes(), Access::PRIVATE)
}

/// Returns the files of a start: path, content, and who may do what with them.
pub fn files(
    plan: &ImagePlan,
    settings: &Settings,
    https: Option<&Https>,
    authorities: Option<&Bundle>,
) -> Vec<(String, String, Access)> {
    let everybody = Access { mode: 0o644, owner: None };
    let mut files = Vec::new();
    files.extend(authorities.map(|bundle| (bundle.path.clone(), bundle.text.clone(), everybody)));
    if plan.https_port.is_some() {
        let (http, server) = front::includes(plan, settings, https.map(|https| https.port));
        // Written when it is off, too: what an earlier start left would count.
        files.push((paths::FRONT_HTTP.to_owned(), http, everybody));
        files.push((paths::FRONT_SERVER.to_owned(), server, everybody));
    }
    if let Some(https) = https {
        files.push((paths::TLS_SERVED.to_owned(), https.pair.pem.clone(), readable_by_the_front(plan)));
    }
    files
}

fn readable_by_the_front(plan: &ImagePlan) -> Access {
    let front = plan.services.values().find(|one| one.service.sockets == Sockets::Nginx);
    match front.and_then(|one| one.service.user.as_ref()) {
        Some(user) => Access::handed_to(user.uid, user.gid, 0o600),
        None => Access::PRIVATE,
    }
}

/// The exposed ports cannot change under services that run.
fn is_on(moment: Moment, port: u16, settings: &Settings, warnings: &mut Vec<String>) -> bool {
    let there = |path| fs::symlink_metadata(moment.root.join(path)).is_ok();
    let wanted = match text(settings, HTTPS) {
        Some("on") => true,
        Some("off") => false,
        _ => {
            text(settings, TLS_CERTIFICATE).is_some()
                || there(paths::TLS_CERTIFICATE)
                || there(paths::TLS_KEY)
        }
    };
    let before = if moment.running { fs::read(moment.root.join(paths::RUN_PLAN)).ok() } else { None };
    let before: Option<RunPlan> = before.and_then(|content| serde_json::from_slice(&content).ok());
    let Some(before) = before else { return wanted };
    let is = before.listen.contains(&port);
    if is != wanted {
        let begins = if wanted { "begins" } else { "ends" };
        warnings.push(format!("HTTPS {begins} with the next start of the container, which opens the ports"));
    }
    is
}

/// Returns the pair that somebody gave: by settings, else by files. Settings that are wrong are an error, as others are.
fn given(root: &Root, settings: &Settings) -> Result<Option<Result<Pair, String>>, Error> {
    let found = |name: &str| settings.get(name).and_then(|one| Some((one.text()?, one)));
    let wrong = |name: &str, given: String, expected: &str| {
        let origin = settings[name].origin.clone();
        Error::Settings(vec![Problem::Wrong {
            setting: name.to_owned(),
            given,
            expected: expected.to_owned(),
            origin,
        }])
    };
    match (found(TLS_CERTIFICATE), found(TLS_KEY)) {
        (Some((chain, _)), Some((key, _))) => {
            let read = Pair::read(chain, key).map_err(|error| {
                wrong(
                    TLS_CERTIFICATE,
                    format!("with `{TLS_KEY}` a pair that cannot be served ({error})"),
                    "a certificate, those that signed it, and the key of the first",
                )
            });
            return read.map(|pair| Some(Ok(pair)));
        }
        (None, Some(_)) => {
            return Err(wrong(TLS_KEY, "alone".to_owned(), &format!("`{TLS_CERTIFICATE}` beside it")));
        }
        (Some(_), None) | (None, None) => {}
    }
    let file = |path| match fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let both = match (file(paths::TLS_CERTIFICATE), file(paths::TLS_KEY)) {
        (Ok(None), Ok(None)) => return Ok(None),
        (Ok(Some(chain)), Ok(Some(key))) => Ok((chain, key)),
        (Ok(None), _) => Err(format!("`{}` is missing", paths::TLS_CERTIFICATE)),
        (_, Ok(None)) => Err(format!("`{}` is missing", paths::TLS_KEY)),
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
    };
    Ok(Some(both.and_then(|(chain, key)| Pair::read(&chain, &key).map_err(|error| error.to_string()))))
}

/// One that is not good now does not take the place of one that is.
fn best(moment: Moment, pair: Pair, warnings: &mut Vec<String>) -> Pair {
    let good = |pair: &Pair| pair.is_good_at(moment.now);
    if good(&pair) {
        return pair;
    }
    let reason = if pair.not_before > moment.now { "is not valid yet" } else { "has ended" };
    let reason = format!("the certificate for HTTPS (`{}`) {reason}", pair.subject);
    match kept(moment.root, paths::TLS_KEPT).filter(good) {
        Some(before) => {
            warnings.push(format!("{reason}; the one from before (`{}`) is served", before.subject));
            before
        }
        // Browsers let people go on, which they could not with a product that does not start. The status says so all the time.
        None => pair,
    }
}

/// Returns the pair that signs itself: the one there is as long as it is good, else a new one.
fn own(moment: Moment, host: Option<&str>) -> Result<Pair, Error> {
    let fits = |pair: &Pair| pair.is_good_at(moment.now) && host.is_none_or(|host| pair.is_for(host));
    if let Some(pair) = kept(moment.root, paths::TLS_OWN).filter(fits) {
        return Ok(pair);
    }
    own::make(host, moment.now)
        .map_err(|error| Error::Certificate { reason: format!("none can be made: {error}") })
}

fn kept(root: &Root, path: &str) -> Option<Pair> {
    let pem = fs::read_to_string(root.join(path)).ok()?;
    Pair::read(&pem, &pem).ok()
}

fn directory() -> &'static str {
    paths::TLS_CERTIFICATE.rsplit_once('/').map_or(paths::DATA, |(directory, _)| directory)
}

fn text<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.get(name).and_then(|one| one.text())
}
