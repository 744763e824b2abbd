//! Who did what when.

use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;

use super::Records;
use crate::error::DepotError;

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, in seconds since 1970.
    pub at: i64,
    /// The customer, the token as `token:NAME`, or `operator`.
    pub actor: String,
    /// From where.
    pub address: String,
    /// `download`, `upload`, `publish`, `refused`, and what operators do.
    pub action: String,
    /// Of which product.
    pub product: String,
    /// Of which release.
    pub release: String,
    /// Which file, or what else it was done to.
    pub file: String,
    /// The status of the answer; 0 for operators.
    pub status: u16,
    /// The bytes that were sent or taken.
    pub bytes: u64,
    /// Whether that was all there was to send.
    pub complete: bool,
}

/// Which entries are asked for; what is none is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// By whom.
    pub actor: Option<String>,
    /// Of which product.
    pub product: Option<String>,
    /// From when on, in seconds since 1970.
    pub since: Option<i64>,
    /// Until before when.
    pub until: Option<i64>,
}

/// Writes entries, all of them or none.
pub(crate) fn write(connection: &mut Connection, entries: &[Entry]) -> Result<(), DepotError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare(
            "INSERT INTO audit (at, actor, address, action, product, release, file, status, bytes, complete)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        for entry in entries {
            statement.execute(params![
                entry.at,
                entry.actor,
                entry.address,
                entry.action,
                entry.product,
                entry.release,
                entry.file,
                entry.status,
                i64::try_from(entry.bytes).unwrap_or(i64::MAX),
                entry.complete
            ])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

impl Records {
    /// Writes what an operator did.
    pub fn note(&self, entry: Entry) -> Result<(), DepotError> {
        write(&mut self.writing(), &[entry])
    }

    /// Returns what was asked for, the oldest first.
    pub fn audit(&self, query: &Query) -> Result<Vec<Entry>, DepotError> {
        let connection = self.reading();
        let mut statement = connection.prepare(
            "SELECT at, actor, address, action, product, release, file, status, bytes, complete FROM audit
             WHERE (?1 IS NULL OR actor = ?1) AND (?2 IS NULL OR product = ?2)
             AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR at < ?4) ORDER BY id",
        )?;
        let values = params![query.actor, query.product, query.since, query.until];
        let rows = statement.query_map(values, |row| {
            let bytes: i64 = row.get(8)?;
            Ok(Entry {
                at: row.get(0)?,
                actor: row.get(1)?,
                address: row.get(2)?,
                action: row.get(3)?,
                product: row.get(4)?,
                release: row.get(5)?,
                file: row.get(6)?,
                status: row.get(7)?,
                bytes: u64::try_from(bytes).unwrap_or(0),
                complete: row.get(9)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
