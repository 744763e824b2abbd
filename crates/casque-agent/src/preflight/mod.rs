//! Whether this host has what the product needs: looked at before anything is started, and while it runs.
//!
//! A check has failed when a start would be refused or would not come to serve; what the product runs with all the same is
//! a warning, whatever the vendor asks for. A start refuses what `failed` of the host says and nothing else.

mod clock;
mod host;
mod product;
mod reached;
mod speed;
mod vendor;
mod volume;

use casque_format::control::Request;
use casque_format::image::ImagePlan;
use casque_format::preflight::{Check, Preflight, Verdict};

use self::host::Needed;
use crate::env::Environment;
use crate::error::Error;
use crate::privileges;
use crate::root::Root;
use crate::settings::{Settings, Sources};
use crate::{control, plan};

/// Where and when a preflight is.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where files are.
    pub root: &'a Root,
    /// The container's variables.
    pub environment: &'a Environment,
    /// What the build wrote.
    pub plan: &'a ImagePlan,
    /// Seconds since 1970.
    pub now: i64,
}

/// Looks at everything; writes nothing that stays.
pub fn examine(place: Place) -> Preflight {
    let Place { root, environment, plan, now } = place;
    let running = control::ask(root, &Request::Status).is_ok();
    let settings = Sources::of(plan, environment, root).resolve();
    // With settings that are wrong nobody knows which services would run: then all of them.
    let needed = Needed::of(plan, settings.as_ref().ok());
    let mut checks = host::checks(root, &needed, running);
    checks.push(privileges::preflight());
    checks.push(clock::check(root, now));
    checks.push(volume::check(root, plan, running));
    checks.push(volume::room(root, &needed));
    checks.push(speed::check(root));
    checks.push(product::settings(root, plan, settings.as_ref()));
    match &settings {
        Ok(settings) => checks.extend(with_settings(place, settings, running)),
        Err(_) => {
            let why = "depends on settings that are wrong";
            checks.extend(["certificates", "ports"].map(|name| Check::not_checked(name, why)));
        }
    }
    Preflight::new(plan.product.clone(), checks)
}

fn with_settings(place: Place, settings: &Settings, running: bool) -> Vec<Check> {
    let Place { root, environment, plan, now } = place;
    let (https, certificates) = product::certificates(root, plan, settings, now, running);
    let ports = match https {
        Some(https) => product::ports(&plan::listen(plan, https.as_ref()), running),
        None => Check::not_checked("ports", "depends on a certificate that is of no use"),
    };
    let mut checks = vec![certificates, ports];
    checks.extend(reached::checks(root, plan, settings));
    checks.extend(vendor::checks(root, environment, plan, settings));
    checks
}

/// Looks at what a start on this host needs, in a moment and without asking anybody else; returns warnings.
///
/// # Errors
/// What the product cannot work with.
pub fn at_start(root: &Root, plan: &ImagePlan, settings: &Settings, now: i64) -> Result<Vec<String>, Error> {
    let needed = Needed::of(plan, Some(settings));
    let mut checks = host::checks(root, &needed, false);
    checks.extend([clock::check(root, now), volume::room(root, &needed)]);
    let of = |verdict| checks.iter().filter(move |check| check.verdict == verdict).map(line);
    let failed: Vec<String> = of(Verdict::Failed).collect();
    if failed.is_empty() { Ok(of(Verdict::Warning).collect()) } else { Err(Error::CannotWork(failed)) }
}

/// What a start would end with.
fn refused(name: &str, error: &Error) -> Check {
    let check = Check::failed(name, "");
    helped(
        check.so(format!("a start ends with {} before any service runs", error.code())),
        &error.to_string(),
    )
}

/// Adds a message to a check: it is a fact and, after a semicolon, what helps.
fn helped(check: Check, message: &str) -> Check {
    match message.split_once("; ") {
        Some((fact, remedy)) => Check { fact: fact.to_owned(), ..check }.remedy(remedy),
        None => Check { fact: message.to_owned(), ..check },
    }
}

/// Puts a check into one line for the log.
fn line(check: &Check) -> String {
    let more = [&check.consequence, &check.remedy];
    more.into_iter().flatten().fold(check.fact.clone(), |line, more| format!("{line}; {more}"))
}

/// Returns an amount of bytes for people.
fn amount(bytes: u64) -> String {
    let scaled = [(30, "GiB"), (20, "MiB"), (10, "KiB")].into_iter().find(|(shift, _)| bytes >> shift > 0);
    match scaled {
        Some((shift, unit)) => {
            let tenths = (bytes >> (shift - 10)).saturating_mul(10) >> 10;
            match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                rest => format!("{}.{rest} {unit}", tenths / 10),
            }
        }
        None => format!("{bytes} bytes"),
    }
}

/// Lists names for people: `a`, `b` and `c`.
fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.pop() {
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_down() {
        let shown = [0, 1023, 1536, 5 << 20, (2 << 30) - 1, (3 << 30) + (1 << 29)].map(amount);
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.5 KiB", "5 MiB", "1.9 GiB", "3.5 GiB"]);
    }

    #[test]
    fn names_are_listed() {
        assert_eq!([list([]), list(["a"]), list(["a", "b", "c"])], ["", "`a`", "`a`, `b` and `c`"]);
    }
}
