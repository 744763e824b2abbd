//! `preflight`: whether this host has what the product needs, for people or as JSON.

use casque_format::preflight::{Check, Preflight, Verdict};

use crate::error::Error;
use crate::preflight::{Place, examine};
use crate::ui;

/// Prints every check; one that has failed is an error.
pub fn run(place: Place, json: bool) -> Result<String, Error> {
    let found = examine(place);
    let text = match json {
        true => serde_json::to_string_pretty(&found).expect("checks are plain text") + "\n",
        false => table(&found),
    };
    let failed = found.checks.iter().filter(|check| check.verdict == Verdict::Failed);
    let failed: Vec<String> = failed.map(|check| format!("`{}`", check.name)).collect();
    if failed.is_empty() {
        return Ok(text);
    }
    ui::print(&text);
    Err(Error::Preflight { failed })
}

/// What follows from a fact, and what helps, is in lines of its own below it.
fn table(found: &Preflight) -> String {
    let heading = ["CHECK", "VERDICT", "FACT"].map(str::to_owned);
    let below = |what: &str, text: &Option<String>| {
        text.as_ref().map(|text| [String::new(), String::new(), format!("{what}: {text}")])
    };
    let rows = |check: &Check| {
        let first = [check.name.clone(), check.verdict.name().to_owned(), check.fact.clone()];
        let more = [below("so", &check.consequence), below("remedy", &check.remedy)];
        [first].into_iter().chain(more.into_iter().flatten()).collect::<Vec<_>>()
    };
    let rows: Vec<_> = [heading].into_iter().chain(found.checks.iter().flat_map(rows)).collect();
    ui::table(&rows)
}
