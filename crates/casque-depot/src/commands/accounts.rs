//! What an operator does to accounts, those of customers and those of staff alike.

use casque_depot::access::passwords;
use casque_depot::error::DepotError;
use casque_depot::records::Accounts;

use super::{Desk, Failed, print};
use crate::cli::AccountCommand;
use crate::ui;

pub(crate) fn run(desk: &Desk, of: Accounts, command: AccountCommand) -> Result<(), Failed> {
    match command {
        AccountCommand::Add { name } => add(desk, of, &name),
        AccountCommand::Rotate { name } => rotate(desk, of, &name),
        AccountCommand::Disable { name } => disable(desk, of, &name),
        AccountCommand::Enable { name } => enable(desk, of, &name),
        AccountCommand::List { json } => match of {
            Accounts::Customers => list_customers(desk, json),
            Accounts::Staff => list_staff(desk, json),
        },
    }
}

fn list_staff(desk: &Desk, json: bool) -> Result<(), Failed> {
    let staff = desk.records.staff().map_err(|error| ("cannot list staff".to_owned(), error))?;
    if json {
        print(&staff);
        return Ok(());
    }
    for one in &staff {
        let state = if one.disabled { " (disabled)" } else { "" };
        ui::line(&format!("{}{state}", one.name));
    }
    Ok(())
}

fn list_customers(desk: &Desk, json: bool) -> Result<(), Failed> {
    let customers = desk.records.customers().map_err(|error| ("cannot list customers".to_owned(), error))?;
    if json {
        print(&customers);
        return Ok(());
    }
    for customer in &customers {
        let state = if customer.disabled { " (disabled)" } else { "" };
        ui::line(&format!("{}{state}", customer.name));
        for one in &customer.entitlements {
            let part = |word: &str, value: &Option<String>| {
                value.as_ref().map_or_else(String::new, |value| format!(", {word} {value}"))
            };
            let until = one.until.and_then(|at| time::OffsetDateTime::from_unix_timestamp(at - 1).ok());
            ui::line(&format!(
                "  {}: {}{}{}{}{}",
                one.id,
                one.product,
                part("channel", &one.channel),
                part("from", &one.from),
                part("below", &one.below),
                part("until", &until.map(|time| time.date().to_string()))
            ));
        }
    }
    Ok(())
}

fn add(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
    let add = || {
        let password = passwords::generate()?;
        desk.records.add_account(of, name, &passwords::hash(&password)?, desk.now)?;
        note(desk, of, "add", name)?;
        show(name, &password);
        Ok(())
    };
    add().map_err(|error| (format!("cannot add {} `{name}`", of.one()), error))
}

fn rotate(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
    let rotate = || {
        let password = passwords::generate()?;
        desk.records.set_hash(of, name, &passwords::hash(&password)?)?;
        note(desk, of, "rotate", name)?;
        show(name, &password);
        Ok(())
    };
    rotate().map_err(|error| (format!("cannot give {} `{name}` another password", of.one()), error))
}

fn disable(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
    let disabled = desk.records.set_disabled(of, name, true).and_then(|()| note(desk, of, "disable", name));
    disabled.map_err(|error| (format!("cannot disable {} `{name}`", of.one()), error))
}

fn enable(desk: &Desk, of: Accounts, name: &str) -> Result<(), Failed> {
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
