//! Accounts with a password: customers, who download, and the vendor's staff, who look on.
//!
//! The two never mix: a customer's password opens no page of the staff, and a name may be in both.

use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::{Records, has};
use crate::error::DepotError;

/// Whose accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// Those of customers.
    Customers,
    /// Those of the vendor's staff.
    Staff,
}

/// What is kept of how an account is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The hash of its password.
    pub hash: String,
    /// Whether it is open to nobody.
    pub disabled: bool,
}

/// One of the vendor's staff, as an operator sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaffMember {
    /// The name to log in with.
    pub name: String,
    /// Since when, in seconds since 1970.
    pub created: i64,
    /// Whether nothing is shown any more.
    pub disabled: bool,
}

impl Accounts {
    fn table(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Staff => "staff",
        }
    }

    /// Returns what one of them is called.
    pub fn one(self) -> &'static str {
        match self {
            Self::Customers => "customer",
            Self::Staff => "member of staff",
        }
    }

    pub(super) fn missing(self, name: &str) -> DepotError {
        DepotError::Missing { what: self.one(), name: name.to_owned() }
    }
}

impl Records {
    /// Adds an account with the hash of a password.
    pub fn add_account(&self, of: Accounts, name: &str, hash: &str, now: i64) -> Result<(), DepotError> {
        let table = of.table();
        self.change(|connection| {
            if has(connection, &format!("SELECT 1 FROM {table} WHERE name = ?1"), [name])? {
                return Err(DepotError::Exists { what: of.one(), name: name.to_owned() });
            }
            let sql = format!("INSERT INTO {table} (name, hash, created) VALUES (?1, ?2, ?3)");
            connection.execute(&sql, params![name, hash, now])?;
            Ok(())
        })
    }

    /// Gives an account another password.
    pub fn set_hash(&self, of: Accounts, name: &str, hash: &str) -> Result<(), DepotError> {
        let sql = format!("UPDATE {} SET hash = ?2 WHERE name = ?1", of.table());
        match self.writing().execute(&sql, params![name, hash])? {
            0 => Err(of.missing(name)),
            _ => Ok(()),
        }
    }

    /// Closes an account, or opens it again.
    pub fn set_disabled(&self, of: Accounts, name: &str, disabled: bool) -> Result<(), DepotError> {
        let sql = format!("UPDATE {} SET disabled = ?2 WHERE name = ?1", of.table());
        match self.writing().execute(&sql, params![name, disabled])? {
            0 => Err(of.missing(name)),
            _ => Ok(()),
        }
    }

    /// Returns how an account is opened, if there is one.
    pub fn lock(&self, of: Accounts, name: &str) -> Result<Option<Lock>, DepotError> {
        let sql = format!("SELECT hash, disabled FROM {} WHERE name = ?1", of.table());
        let found = self
            .reading()
            .query_row(&sql, [name], |row| Ok(Lock { hash: row.get(0)?, disabled: row.get(1)? }));
        Ok(found.optional()?)
    }

    /// Returns the vendor's staff by name.
    pub fn staff(&self) -> Result<Vec<StaffMember>, DepotError> {
        let connection = self.reading();
        let mut statement = connection.prepare("SELECT name, created, disabled FROM staff ORDER BY name")?;
        let rows = statement.query_map([], |row| {
            Ok(StaffMember { name: row.get(0)?, created: row.get(1)?, disabled: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
