//! What an operator does to accounts, those of customers and those of staff alike.

use casque_depot::access::passwords;
use casque_depot::error::DepotError;
use casque_depot::records::Accounts;

use super::{Desk, Failed, print};
use crate::cli::StaffCommand;
use crate::ui;

pub(crate) fn staff(desk: &Desk, command: StaffCommand) -> Result<(), Failed> {
    match command {
        StaffCommand::Add { name } => add(desk, Accounts::Staff, &name),
        StaffCommand::Rotate { name } => rotate(desk, Accounts::Staff, &name),
        StaffCommand::Disable { name } => disable(desk, Accounts::Staff, &name),
        StaffCommand::Enable { name } => enable(desk, Accounts::Staff, &name),
        StaffCommand::List { json } => {
            let staff = desk.records.staff().map_err(|error| ("cannot list staff".to_owned(), error))?;
            match json {
                true => print(&staff),
                false => staff.iter().for_each(|one| {
                    let state = if one.disabled { " (disabled)" } else { "" };
                    ui::line(&format!("{}{state}", one.name));
                }),
            }
            Ok(())
        }
    }
}

pub(crate) fn add(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
    let add = || {
        let password = passwords::generate()?;
        desk.records.add_account(of, name, &passwords::hash(&password)?, desk.now)?;
        note(desk, of, "add", name)?;
        show(name, &password);
        Ok(())
    };
    add().map_err(|error| (format!("cannot add {} `{name}`", of.one()), error))
}

pub(crate) fn rotate(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
    let rotate = || {
        let password = passwords::generate()?;
        desk.records.set_hash(of, name, &passwords::hash(&password)?)?;
        note(desk, of, "rotate", name)?;
        show(name, &password);
        Ok(())
    };
    rotate().map_err(|error| (format!("cannot give {} `{name}` another password", of.one()), error))
}

pub(crate) fn disable(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
    let disabled = desk.records.set_disabled(of, name, true).and_then(|()| note(desk, of, "disable", name));
    disabled.map_err(|error| (format!("cannot disable {} `{name}`", of.one()), error))
}

pub(crate) fn enable(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
    let enabled = desk.records.set_disabled(of, name, false).and_then(|()| note(desk, of, "enable", name));
    enabled.map_err(|error| (format!("cannot enable {} `{name}`", of.one()), error))
}

fn note(desk: &Desk, of: Accounts, what: &str, name: &str) -> Result<(), DepotError> {
    let whose = match of {
        Accounts::Customers => "customer",
        Accounts::Staff => "staff",
    };
    desk.note(&format!("{whose} {what}"), "", "", name)
}

/// Shows a password. It is kept nowhere, so this is the only time.
fn show(name: &str, password: &str) {
    ui::line(&format!("{name}:{password}"));
    ui::note("this is shown once: only a hash of the password is kept");
}
