//! What the vendor has looked at, by commands of the product.

use std::time::Duration;

use casque_format::image::{HostCheck, ImagePlan};
use casque_format::preflight::Check;
use casque_format::run::{Logs, RunPlan};

use crate::command::{self, ended, masked};
use crate::env::Environment;
use crate::plan::{self, Found};
use crate::root::Root;
use crate::settings::Settings;
use crate::tls::authorities;

/// Runs each in turn, as the service runs or would run.
pub fn checks(root: &Root, environment: &Environment, plan: &ImagePlan, settings: &Settings) -> Vec<Check> {
    // Before a start the file that services trust is not there.
    let authorities = authorities::read(root, &mut Vec::new());
    let authorities = authorities.as_ref().filter(|bundle| root.join(&bundle.path).exists());
    let found = Found { environment, logs: Logs::default(), https: None, authorities };
    let mut run = plan::run_plan(plan, settings, found);
    for service in run.services.values_mut() {
        // A directory of the volume is made by the start, which may be yet to come.
        let is_there = |directory: &String| root.join(directory).is_dir();
        service.working_directory = service.working_directory.take().filter(is_there);
    }
    let runs = |name: &str| plan.services.get(name).is_some_and(|service| plan::is_on(service, settings));
    let checks = plan.preflight.iter().map(|(name, asked)| match runs(&asked.service) {
        true => check(name, asked, &run),
        false => {
            let fact = format!("`{}` does not run with these settings", asked.service);
            Check::not_checked(name, fact)
        }
    });
    checks.collect()
}

fn check(name: &str, asked: &HostCheck, plan: &RunPlan) -> Check {
    let output = command::run(plan, &asked.service, &asked.run, Duration::from_millis(asked.timeout_ms));
    let output = match output {
        Ok(output) => output,
        Err(error) => return Check::not_checked(name, format!("`{}` {error}", asked.run.join(" "))),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = masked(said.lines().next().unwrap_or_default().to_owned(), &plan.mask);
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    let fact = if said.trim().is_empty() {
        format!("`{}` {}", asked.run.join(" "), ended(output.status))
    } else {
        said.trim().to_owned()
    };
    let bad = |check: Check| check.so(&*asked.consequence).remedy(&*asked.remedy);
    match output.status.code() {
        Some(0) => Check::ok(name, fact),
        Some(1) => bad(Check::warning(name, fact)),
        Some(2) => bad(Check::failed(name, fact)),
        _ => Check::not_checked(name, format!("`{}` {}", asked.run.join(" "), ended(output.status))),
    }
}
