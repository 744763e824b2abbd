//! `support-bundle`: what the vendor's support asks for as one file on stdout, without a secret.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use casque_format::bundle::{Manifest, Member};

use crate::bundle::{BundleError, Request, make, sums};
use crate::cli::SupportBundle;
use crate::env::Environment;
use crate::error::Error;
use crate::prepare::read_plan;
use crate::root::Root;
use crate::ui;

/// Writes the bundle, or returns what would be in it.
pub fn run(
    root: &Root,
    options: &SupportBundle,
    environment: &Environment,
    now: i64,
) -> Result<String, Error> {
    let plan = read_plan(root)?;
    let output = match options.preview {
        true => None,
        false => Some(ui::output().ok_or(Error::NoOutput("support-bundle"))?),
    };
    let patience = Duration::from_secs(options.patience);
    let request = Request { root, plan: &plan, environment, now, patience, preview: options.preview };
    let (bundle, manifest) =
        make(&request, |part| ui::progress(&format!("collecting {part}"))).map_err(Error::Bundle)?;
    let Some(output) = output else {
        return Ok(match options.json {
            true => serde_json::to_string_pretty(&manifest).map_err(|_| Error::Protocol)? + "\n",
            false => table(&manifest),
        });
    };
    let mut output = File::from(output);
    let written = output.write_all(&bundle).and_then(|()| output.flush());
    written.map_err(|error| Error::Bundle(BundleError::Output(error)))?;
    tell(&manifest, bundle.len());
    Ok(String::new())
}

/// Says what an operator should know before it is sent.
fn tell(manifest: &Manifest, size: usize) {
    for missing in &manifest.missing {
        ui::note(&format!("not in the bundle: {}: {}", missing.name, missing.reason));
    }
    let unknown: Vec<&str> =
        manifest.secrets.iter().filter(|secret| !secret.known).map(|secret| secret.name.as_str()).collect();
    if !unknown.is_empty() {
        ui::note(&format!(
            "no value is known here of `{}`: were they given to another container, give them to this one as well",
            unknown.join("`, `")
        ));
    }
    let (_, replaced) = sums(&manifest.members);
    let files = manifest.members.len() + 1;
    ui::tell(&format!(
        "the bundle is written, {files} files, {} KiB; secrets replaced: {replaced}",
        size.div_ceil(1024)
    ));
}

fn table(manifest: &Manifest) -> String {
    let heading = ["FILE", "BYTES", "REPLACED", "WHAT"].map(str::to_owned);
    let row = |member: &Member| {
        let what = if member.truncated {
            format!("{}, from its middle on", member.about)
        } else {
            member.about.clone()
        };
        [member.name.clone(), member.size.to_string(), member.replaced.to_string(), what]
    };
    let rows: Vec<_> = [heading].into_iter().chain(manifest.members.iter().map(row)).collect();
    let mut text = ui::table(&rows);
    if !manifest.missing.is_empty() {
        let heading = ["MISSING", "WHY"].map(str::to_owned);
        let missing = manifest.missing.iter().map(|one| [one.name.clone(), one.reason.clone()]);
        text += &format!("\n{}", ui::table(&[heading].into_iter().chain(missing).collect::<Vec<_>>()));
    }
    let heading = ["SECRET", "IN ITS PLACE"].map(str::to_owned);
    let secrets = manifest.secrets.iter().map(|secret| {
        let instead =
            if secret.known { secret.pseudonyms.join(", ") } else { "(no value is known here)".to_owned() };
        [secret.name.clone(), instead]
    });
    text + &format!("\n{}", ui::table(&[heading].into_iter().chain(secrets).collect::<Vec<_>>()))
}
