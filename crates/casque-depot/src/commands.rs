//! What the commands do.

mod accounts;
mod audit;
mod manage;
mod serve;

use std::time::SystemTime;

use casque_depot::app::seconds;
use casque_depot::config::Config;
use casque_depot::error::DepotError;
use casque_depot::records::{Accounts, Records};
use casque_depot::storage::Storage;
use casque_depot::upkeep;
use serde::Serialize;

use crate::cli::Command;
use crate::ui;

/// What could not be done, and why.
pub(crate) type Failed = (String, DepotError);

/// The records and the time, for commands of an operator.
pub(crate) struct Desk {
    pub(crate) records: Records,
    pub(crate) now: i64,
}

pub(crate) fn run(command: Command, config: Config, clock: fn() -> SystemTime) -> Result<(), Failed> {
    if let Command::Serve = command {
        return serve::run(config, clock).map_err(|error| ("cannot serve".to_owned(), error));
    }
    let directory = config.data.clone();
    let failed = |error: DepotError| (format!("cannot use the depot `{}`", directory.display()), error);
    let open = || {
        fs_err::create_dir_all(&directory).map_err(DepotError::File)?;
        Ok((Records::open(&directory)?, Storage::disk(&directory)?))
    };
    let (records, storage) = open().map_err(failed)?;
    let desk = Desk { records, now: seconds(clock()) };
    match command {
        Command::Serve => Ok(()),
        Command::Product(command) => manage::product(&desk, command),
        Command::Key(command) => manage::key(&desk, command),
        Command::Customer(command) => manage::customer(&desk, command),
        Command::Staff(command) => accounts::run(&desk, Accounts::Staff, command),
        Command::Token(command) => manage::token(&desk, command),
        Command::Release(command) => manage::release(&desk, command),
        Command::Audit(arguments) => audit::run(&desk, &arguments),
        Command::Sweep => {
            let swept = upkeep::sweep(&desk.records, &storage, clock());
            let swept = swept.map_err(|error| ("cannot sweep".to_owned(), error))?;
            ui::line(&format!(
                "{} broken uploads and {} files removed, {:.1} MB",
                swept.partial_uploads,
                swept.files,
                swept.bytes as f64 / 1e6
            ));
            Ok(())
        }
        Command::Verify { json } => verify(&desk, &storage, json),
        Command::Backup { file } => {
            let what = format!("cannot write the backup `{}`", file.display());
            if file.symlink_metadata().is_ok() {
                return Err((what, DepotError::Exists { what: "file", name: file.display().to_string() }));
            }
            desk.records.backup(&file).map_err(|error| (what, error))
        }
    }
}

fn verify(desk: &Desk, storage: &Storage, json: bool) -> Result<(), Failed> {
    let what = "cannot verify the depot";
    let verified = upkeep::verify(&desk.records, storage).map_err(|error| (what.to_owned(), error))?;
    match json {
        true => print(&verified),
        false => {
            verified.missing.iter().for_each(|digest| ui::line(&format!("missing {digest}")));
            verified.damaged.iter().for_each(|digest| ui::line(&format!("damaged {digest}")));
            let records = if verified.records { "whole" } else { "damaged" };
            ui::line(&format!("{} files, records {records}", verified.files));
        }
    }
    let damaged = verified.missing.len() + verified.damaged.len() + usize::from(!verified.records);
    match damaged {
        0 => Ok(()),
        damaged => Err((what.to_owned(), DepotError::Damaged { damaged, all: verified.files })),
    }
}

/// Prints a document.
pub(crate) fn print(document: &impl Serialize) {
    ui::line(&serde_json::to_string(document).expect("a result is plain data"));
}
