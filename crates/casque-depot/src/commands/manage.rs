//! What an operator changes: products, keys, customers, tokens, releases.

use casque_depot::access::passwords;
use casque_depot::error::DepotError;
use casque_depot::records::{Accounts, Entry, Grant, ProductRecord};
use casque_sign::PublicKey;

use super::audit::end;
use super::{Desk, Failed, accounts, print};
use crate::cli::{CustomerCommand, GrantArguments, KeyCommand, ProductCommand, ReleaseCommand, TokenCommand};
use crate::ui;

impl Desk {
    /// Writes down what the operator did.
    pub(super) fn note(
        &self,
        action: &str,
        product: &str,
        release: &str,
        what: &str,
    ) -> Result<(), DepotError> {
        self.records.note(Entry {
            at: self.now,
            actor: "operator".to_owned(),
            address: String::new(),
            action: action.to_owned(),
            product: product.to_owned(),
            release: release.to_owned(),
            file: what.to_owned(),
            status: 0,
            bytes: 0,
            complete: true,
        })
    }
}

pub(crate) fn product(desk: &Desk, command: ProductCommand) -> Result<(), Failed> {
    match command {
        ProductCommand::Add { name, title, run } => {
            let title = title.unwrap_or_else(|| name.to_string());
            let product = ProductRecord { name: name.to_string(), title, run };
            let add = || {
                if casque_depot::address::RESERVED.contains(&name.as_str()) {
                    return Err(DepotError::Exists {
                        what: "part of the depot named",
                        name: name.to_string(),
                    });
                }
                desk.records.add_product(&product)?;
                desk.note("product add", name.as_str(), "", "")
            };
            add().map_err(|error| (format!("cannot add product `{name}`"), error))
        }
        ProductCommand::List { json } => {
            let products =
                desk.records.products().map_err(|error| ("cannot list products".to_owned(), error))?;
            match json {
                true => print(&products),
                false => products
                    .iter()
                    .for_each(|product| ui::line(&format!("{}: {}", product.name, product.title))),
            }
            Ok(())
        }
    }
}

pub(crate) fn key(desk: &Desk, command: KeyCommand) -> Result<(), Failed> {
    match command {
        KeyCommand::Add { product, file, signed } => {
            let add = || {
                let read = |path| fs_err::read_to_string(path).map_err(DepotError::File);
                let text = read(&file)?;
                let key = PublicKey::parse(&text).map_err(DepotError::Sign)?;
                if let Some(signed) = &signed {
                    let mut ring = desk.records.ring(product.as_str())?;
                    ring.follow(&text, &read(signed)?).map_err(DepotError::Sign)?;
                }
                desk.records.add_key(product.as_str(), &key, desk.now)?;
                desk.note("key add", product.as_str(), "", &key.id().to_string())?;
                ui::line(&format!("releases of `{product}` may be signed by key {}", key.id()));
                Ok(())
            };
            add().map_err(|error| (format!("cannot trust the key `{}`", file.display()), error))
        }
        KeyCommand::Remove { product, id } => {
            let remove = || {
                desk.records.remove_key(product.as_str(), &id)?;
                desk.note("key remove", product.as_str(), "", &id)
            };
            remove().map_err(|error| (format!("cannot remove key `{id}`"), error))
        }
        KeyCommand::List { product, json } => {
            let keys = desk
                .records
                .keys(product.as_str())
                .map_err(|error| ("cannot list keys".to_owned(), error))?;
            match json {
                true => print(&keys),
                false => keys.iter().for_each(|key| ui::line(&format!("{} {}", key.id, key.line))),
            }
            Ok(())
        }
    }
}

pub(crate) fn customer(desk: &Desk, command: CustomerCommand) -> Result<(), Failed> {
    match command {
        CustomerCommand::Account(command) => accounts::run(desk, Accounts::Customers, command),
        CustomerCommand::Grant(arguments) => grant(desk, &arguments),
        CustomerCommand::Revoke { id } => {
            let revoke = || {
                let revoked = desk.records.revoke_grant(id);
                revoked.and_then(|()| desk.note("customer revoke", "", "", &id.to_string()))
            };
            revoke().map_err(|error| (format!("cannot take entitlement {id} back"), error))
        }
    }
}

fn grant(desk: &Desk, arguments: &GrantArguments) -> Result<(), Failed> {
    let text = |name: &Option<casque_format::release::ReleaseName>| name.as_ref().map(ToString::to_string);
    let grant = Grant {
        channel: arguments.channel.as_ref().map(ToString::to_string),
        from: text(&arguments.from),
        below: text(&arguments.below),
        until: arguments.until.map(end),
    };
    let (name, product) = (&arguments.name, &arguments.product);
    let add = || {
        let id = desk.records.grant(name, product.as_str(), &grant)?;
        desk.note("customer grant", product.as_str(), "", name)?;
        ui::line(&format!("entitlement {id}"));
        Ok(())
    };
    add().map_err(|error| (format!("cannot let customer `{name}` have `{product}`"), error))
}

pub(crate) fn token(desk: &Desk, command: TokenCommand) -> Result<(), Failed> {
    match command {
        TokenCommand::Add { name, product } => {
            let add = || {
                let secret = passwords::generate()?;
                desk.records.add_token(&name, &secret, product.as_str(), desk.now)?;
                desk.note("token add", product.as_str(), "", &name)?;
                ui::line(&secret);
                ui::note("this is shown once: only a digest of the token is kept");
                Ok(())
            };
            add().map_err(|error| (format!("cannot make token `{name}`"), error))
        }
        TokenCommand::Revoke { name } => {
            let revoke =
                || desk.records.revoke_token(&name).and_then(|()| desk.note("token revoke", "", "", &name));
            revoke().map_err(|error| (format!("cannot revoke token `{name}`"), error))
        }
        TokenCommand::List { json } => {
            let tokens = desk.records.tokens().map_err(|error| ("cannot list tokens".to_owned(), error))?;
            match json {
                true => print(&tokens),
                false => tokens.iter().for_each(|token| {
                    let state = if token.revoked { " (revoked)" } else { "" };
                    ui::line(&format!("{}: {}{state}", token.id, token.product));
                }),
            }
            Ok(())
        }
    }
}

pub(crate) fn release(desk: &Desk, command: ReleaseCommand) -> Result<(), Failed> {
    let records = &desk.records;
    match command {
        ReleaseCommand::List { product, json } => {
            let releases = records.releases(product.as_str());
            let releases =
                releases.map_err(|error| (format!("cannot list releases of `{product}`"), error))?;
            if json {
                print(&releases);
                return Ok(());
            }
            for release in &releases {
                let state =
                    release.withdrawn.as_ref().map_or_else(String::new, |why| format!(" (withdrawn: {why})"));
                let megabytes = release.bytes as f64 / 1e6;
                ui::line(&format!(
                    "{} {} {megabytes:.1} MB{state}",
                    release.release,
                    release.channels.join(",")
                ));
            }
            Ok(())
        }
        ReleaseCommand::Withdraw { product, release, reason } => {
            let withdraw = || {
                records.withdraw(product.as_str(), release.as_str(), Some(&reason))?;
                desk.note("release withdraw", product.as_str(), release.as_str(), &reason)
            };
            withdraw().map_err(|error| (format!("cannot withdraw release `{release}`"), error))
        }
        ReleaseCommand::Restore { product, release } => {
            let restore = || {
                records.withdraw(product.as_str(), release.as_str(), None)?;
                desk.note("release restore", product.as_str(), release.as_str(), "")
            };
            restore().map_err(|error| (format!("cannot restore release `{release}`"), error))
        }
        ReleaseCommand::Promote { product, release, to } => {
            let promote = || {
                records.promote(product.as_str(), release.as_str(), to.as_str(), desk.now)?;
                desk.note("release promote", product.as_str(), release.as_str(), to.as_str())
            };
            promote().map_err(|error| (format!("cannot promote release `{release}`"), error))
        }
        ReleaseCommand::Prune { product, channel, keep, dry_run } => {
            let (name, from) = (product.as_str(), channel.as_str());
            let out =
                if dry_run { records.beyond(name, from, keep) } else { records.prune(name, from, keep) };
            let out = out.map_err(|error| (format!("cannot prune `{product}`"), error))?;
            for release in &out {
                ui::line(release);
                if !dry_run {
                    let noted = desk.note("release prune", name, release, from);
                    noted.map_err(|error| (format!("cannot prune `{product}`"), error))?;
                }
            }
            Ok(())
        }
    }
}
