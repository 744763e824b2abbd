//! Whose data a volume holds while an update is under way: PID 1 notes which migrations have ended well.

use std::io;

use casque_format::once::{self, Done};
use casque_format::paths;
use casque_format::stamp::{Stamp, Update};

use crate::root::Root;

/// Returns the version whose data are in the volume.
pub fn version<'a>(root: &Root, stamp: &'a Stamp) -> &'a str {
    match &stamp.update {
        Some(update) if is_done(root, update) => &update.product_version,
        _ => &stamp.product_version,
    }
}

/// Returns what the stamp is to say when the version `own` starts: whose data these are, and the update that begins.
pub fn begun(root: &Root, stamp: &Stamp, own: &str, migrations: Vec<String>) -> (String, Option<Update>) {
    let before = version(root, stamp);
    let update = Update { product_version: own.to_owned(), migrations };
    if before == own || is_done(root, &update) {
        return (own.to_owned(), None);
    }
    (before.to_owned(), Some(update))
}

/// Forgets what an update to another version than `own` has done and not finished: it begins anew when it comes again, for
/// in between another version has written data.
pub fn forget_abandoned(root: &Root, stamp: &Stamp, own: &str) -> io::Result<()> {
    let Some(update) = &stamp.update else { return Ok(()) };
    if update.product_version == own || is_done(root, update) {
        return Ok(());
    }
    for name in &update.migrations {
        if done_by(root, name).is_some_and(|version| version == update.product_version) {
            fs_err::remove_file(root.join(&record(name)))?;
        }
    }
    Ok(())
}

fn is_done(root: &Root, update: &Update) -> bool {
    let by = |name: &String| done_by(root, name);
    update.migrations.iter().all(|name| by(name).is_some_and(|version| version == update.product_version))
}

/// Returns the version that has done it; what cannot be understood is no version, to PID 1 neither.
fn done_by(root: &Root, name: &str) -> Option<String> {
    let done: Done = serde_json::from_slice(&fs_err::read(root.join(&record(name))).ok()?).ok()?;
    (done.version == once::VERSION).then_some(done.product_version)
}

fn record(name: &str) -> String {
    format!("{}/{name}.json", paths::ONCE)
}
