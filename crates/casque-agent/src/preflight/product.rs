//! What the customer has told the product, and what it opens: settings, certificates, ports.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::preflight::Check;

use super::refused;
use crate::certificates;
use crate::prepare::render;
use crate::root::Root;
use crate::settings::{self, Origin, Problem, Settings};
use crate::tls::{self, Https, Moment, authorities};

/// Says what a start would say of the settings.
pub fn settings(root: &Root, plan: &ImagePlan, settings: Result<&Settings, &Vec<Problem>>) -> Check {
    let refused = |lines: String| {
        Check::failed("settings", lines)
            .so("a start ends with 100 before any service runs")
            .remedy("`settings` shows all of them, and what each expects")
    };
    let known = match settings {
        Ok(known) => known,
        Err(problems) => {
            return refused(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
    };
    if let Err(error) = render(root, &plan.templates, known) {
        return refused(error.to_string().replace('\n', "; "));
    }
    let is_given = |origin: &Origin| {
        matches!(origin, Origin::Environment(_) | Origin::ValueFile(_) | Origin::SettingsFile)
    };
    let given = known.values().filter(|one| is_given(&one.origin)).count();
    let fact = format!("{given} of {} are given", known.len());
    match settings::warnings(known) {
        warnings if warnings.is_empty() => Check::ok("settings", fact),
        warnings => Check::warning("settings", format!("{fact}; {}", warnings.join("; ")))
            .so("a later version may not understand them any more"),
    }
}

/// Says what HTTPS would be served with, and returns it: nothing when it cannot be told.
pub fn certificates(
    root: &Root,
    plan: &ImagePlan,
    settings: &Settings,
    now: i64,
    running: bool,
) -> (Option<Option<Https>>, Check) {
    let name = "certificates";
    let mut warnings = Vec::new();
    let https = match tls::choose(Moment { root, now, running }, plan, settings, &mut warnings) {
        Ok(https) => https,
        Err(error) => return (None, refused(name, &error)),
    };
    let own = authorities::read(root, &mut warnings);
    let all = certificates::of(settings, https.as_ref().map(|https| &https.pair));
    warnings.extend(all.iter().filter_map(|one| certificates::warning(one, now)));
    let ends = all.iter().map(|one| {
        format!("`{}` (`{}`) ends in {} days", one.setting, one.subject, certificates::days_left(one, now))
    });
    let mut facts: Vec<String> = ends.collect();
    if https.is_none() {
        facts.insert(0, "HTTPS is off".to_owned());
    }
    if own.is_some() {
        facts.push("authorities of your own are trusted".to_owned());
    }
    let check = match warnings.is_empty() {
        true => Check::ok(name, facts.join("; ")),
        false => Check::warning(name, warnings.join("; "))
            .so("browsers, or programs that connect, warn or refuse")
            .remedy(format!(
                "a certificate in `{}` and its key in `{}`, authorities in `{}`",
                paths::TLS_CERTIFICATE,
                paths::TLS_KEY,
                paths::AUTHORITIES
            )),
    };
    (Some(https), check)
}

/// Opens and closes each port as PID 1 would.
pub fn ports(listen: &[u16], running: bool) -> Check {
    let name = "ports";
    let all = listen.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    if running {
        return Check::not_checked(name, format!("{all}: this product has them"));
    }
    let closed = listen.iter().find_map(|port| {
        let opened = TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port));
        opened.err().map(|error| (*port, error))
    });
    match closed {
        Some((port, error)) => {
            let check = Check::failed(name, format!("port {port} cannot be opened: {error}"))
                .so("a start ends with 100 before any service runs");
            match error.kind() {
                io::ErrorKind::PermissionDenied => check.remedy(
                    "`--cap-add NET_BIND_SERVICE` or `--sysctl net.ipv4.ip_unprivileged_port_start=0`",
                ),
                io::ErrorKind::AddrInUse => {
                    check.remedy("a network of the container's own, or the end of what uses the port")
                }
                _ => check,
            }
        }
        None if listen.is_empty() => Check::ok(name, "it opens none"),
        None => {
            Check::ok(name, format!("{all} can be opened here; which the host publishes its engine knows"))
        }
    }
}
