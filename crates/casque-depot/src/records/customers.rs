//! Customers, what they may have, and tokens of uploads.

use casque_format::digest::Digest;
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::{Accounts, Records, has, product_exists};
use crate::access::entitlement::Entitlement;
use crate::error::DepotError;

/// A customer, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Customer {
    /// The name, which is the user of `curl -u`.
    pub name: String,
    /// Since when, in seconds since 1970.
    pub created: i64,
    /// Whether nothing is given any more.
    pub disabled: bool,
    /// What they may have.
    pub entitlements: Vec<Entitlement>,
}

/// What is granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// The channel, or every.
    pub channel: Option<String>,
    /// The lowest version.
    pub from: Option<String>,
    /// The lowest version that is too high.
    pub below: Option<String>,
    /// When it ends, in seconds since 1970.
    pub until: Option<i64>,
}

/// A token of uploads, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What it is called.
    pub id: String,
    /// The only product it uploads.
    pub product: String,
    /// Since when, in seconds since 1970.
    pub created: i64,
    /// Whether it is worth nothing any more.
    pub revoked: bool,
}

impl Records {
    /// Returns all customers by name.
    pub fn customers(&self) -> Result<Vec<Customer>, DepotError> {
        let mut customers: Vec<Customer> = {
            let connection = self.reading();
            let mut statement =
                connection.prepare("SELECT name, created, disabled FROM customers ORDER BY name")?;
            let rows = statement.query_map([], |row| {
                let (name, created, disabled) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(Customer { name, created, disabled, entitlements: Vec::new() })
            })?;
            rows.collect::<Result<_, _>>()?
        };
        for customer in &mut customers {
            customer.entitlements = self.entitlements(&customer.name, None)?;
        }
        Ok(customers)
    }

    /// Lets a customer have a product, and returns the number of that.
    pub fn grant(&self, customer: &str, product: &str, grant: &Grant) -> Result<i64, DepotError> {
        self.change(|connection| {
            product_exists(connection, product)?;
            if !has(connection, "SELECT 1 FROM customers WHERE name = ?1", [customer])? {
                return Err(Accounts::Customers.missing(customer));
            }
            connection.execute(
                "INSERT INTO entitlements (customer, product, channel, from_version, below_version, until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![customer, product, grant.channel, grant.from, grant.below, grant.until],
            )?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// Takes one entitlement back.
    pub fn revoke_grant(&self, id: i64) -> Result<(), DepotError> {
        match self.writing().execute("DELETE FROM entitlements WHERE id = ?1", [id])? {
            0 => Err(DepotError::Missing { what: "entitlement", name: id.to_string() }),
            _ => Ok(()),
        }
    }

    /// Returns what a customer may have, of one product or of all.
    pub fn entitlements(
        &self,
        customer: &str,
        product: Option<&str>,
    ) -> Result<Vec<Entitlement>, DepotError> {
        let connection = self.reading();
        let mut statement = connection.prepare(
            "SELECT id, customer, product, channel, from_version, below_version, until FROM entitlements
             WHERE customer = ?1 AND (?2 IS NULL OR product = ?2) ORDER BY product, id",
        )?;
        let rows = statement.query_map(params![customer, product], |row| {
            Ok(Entitlement {
                id: row.get(0)?,
                customer: row.get(1)?,
                product: row.get(2)?,
                channel: row.get(3)?,
                from: row.get(4)?,
                below: row.get(5)?,
                until: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a token, of which only a digest is kept: it is random and long, so that suffices.
    pub fn add_token(&self, id: &str, secret: &str, product: &str, now: i64) -> Result<(), DepotError> {
        self.change(|connection| {
            product_exists(connection, product)?;
            if has(connection, "SELECT 1 FROM tokens WHERE id = ?1", [id])? {
                return Err(DepotError::Exists { what: "token", name: id.to_owned() });
            }
            let sha256 = Digest::of(secret.as_bytes()).to_string();
            let sql = "INSERT INTO tokens (id, sha256, product, created) VALUES (?1, ?2, ?3, ?4)";
            connection.execute(sql, params![id, sha256, product, now])?;
            Ok(())
        })
    }

    /// Makes a token worthless.
    pub fn revoke_token(&self, id: &str) -> Result<(), DepotError> {
        match self.writing().execute("UPDATE tokens SET revoked = 1 WHERE id = ?1", [id])? {
            0 => Err(DepotError::Missing { what: "token", name: id.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Returns the token with this secret.
    pub fn token(&self, secret: &str) -> Result<Option<Token>, DepotError> {
        let sha256 = Digest::of(secret.as_bytes()).to_string();
        let sql = "SELECT id, product, created, revoked FROM tokens WHERE sha256 = ?1";
        Ok(self.reading().query_row(sql, [sha256], to_token).optional()?)
    }

    /// Returns all tokens by name.
    pub fn tokens(&self) -> Result<Vec<Token>, DepotError> {
        let connection = self.reading();
        let mut statement =
            connection.prepare("SELECT id, product, created, revoked FROM tokens ORDER BY id")?;
        let rows = statement.query_map([], to_token)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn to_token(row: &rusqlite::Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token { id: row.get(0)?, product: row.get(1)?, created: row.get(2)?, revoked: row.get(3)? })
}
