//! Products, and the keys that their releases are signed with.

use casque_sign::{KeyRing, PublicKey};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::{Records, has, product_exists};
use crate::error::DepotError;

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProductRecord {
    /// The first part of its addresses.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The line that runs its image.
    pub run: String,
}

/// A key whose releases of a product are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustedKey {
    /// Its number.
    pub id: String,
    /// The key in one line.
    pub line: String,
    /// Since when, in seconds since 1970.
    pub added: i64,
}

impl Records {
    /// Adds a product.
    pub fn add_product(&self, product: &ProductRecord) -> Result<(), DepotError> {
        self.change(|connection| {
            if has(connection, "SELECT 1 FROM products WHERE name = ?1", [&product.name])? {
                return Err(DepotError::Exists { what: "product", name: product.name.clone() });
            }
            let values = params![product.name, product.title, product.run];
            connection.execute("INSERT INTO products VALUES (?1, ?2, ?3)", values)?;
            Ok(())
        })
    }

    /// Returns all products by name.
    pub fn products(&self) -> Result<Vec<ProductRecord>, DepotError> {
        let connection = self.reading();
        let mut statement = connection.prepare("SELECT name, title, run FROM products ORDER BY name")?;
        let rows = statement.query_map([], |row| {
            Ok(ProductRecord { name: row.get(0)?, title: row.get(1)?, run: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns a product.
    pub fn product(&self, name: &str) -> Result<Option<ProductRecord>, DepotError> {
        let sql = "SELECT name, title, run FROM products WHERE name = ?1";
        let found = self.reading().query_row(sql, [name], |row| {
            Ok(ProductRecord { name: row.get(0)?, title: row.get(1)?, run: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// Trusts a key with a product's releases. What it was signed by is the caller's to judge.
    pub fn add_key(&self, product: &str, key: &PublicKey, now: i64) -> Result<(), DepotError> {
        let id = key.id().to_string();
        self.change(|connection| {
            product_exists(connection, product)?;
            if has(connection, "SELECT 1 FROM keys WHERE product = ?1 AND id = ?2", params![product, id])? {
                return Err(DepotError::Exists { what: "key", name: id.clone() });
            }
            connection
                .execute("INSERT INTO keys VALUES (?1, ?2, ?3, ?4)", params![product, id, key.line(), now])?;
            Ok(())
        })
    }

    /// Trusts a key no longer. What it signed stays.
    pub fn remove_key(&self, product: &str, id: &str) -> Result<(), DepotError> {
        let removed = self
            .writing()
            .execute("DELETE FROM keys WHERE product = ?1 AND id = ?2", params![product, id])?;
        if removed == 0 {
            return Err(DepotError::Missing { what: "key", name: id.to_owned() });
        }
        Ok(())
    }

    /// Returns the keys of a product, the newest first.
    pub fn keys(&self, product: &str) -> Result<Vec<TrustedKey>, DepotError> {
        let connection = self.reading();
        let mut statement = connection
            .prepare("SELECT id, line, added FROM keys WHERE product = ?1 ORDER BY added DESC, rowid DESC")?;
        let rows = statement.query_map([product], |row| {
            Ok(TrustedKey { id: row.get(0)?, line: row.get(1)?, added: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns them as whom to trust.
    pub fn ring(&self, product: &str) -> Result<KeyRing, DepotError> {
        let keys = self.keys(product)?;
        if keys.is_empty() {
            return Err(DepotError::NoKey { product: product.to_owned() });
        }
        let keys: Result<Vec<_>, _> = keys.iter().map(|key| PublicKey::parse(&key.line)).collect();
        Ok(KeyRing::new(keys.map_err(DepotError::Sign)?))
    }
}
