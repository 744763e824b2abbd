//! What was downloaded over time, and what is stored: for the pages of the vendor's staff.
//!
//! These read much of the audit log. Each has a connection of its own, so that no download waits for it.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::Records;
use crate::error::DepotError;

/// Downloads of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Which, in days since 1970.
    pub day: i64,
    /// Answers to customers that were sent to their end.
    pub downloads: u64,
    /// Bytes that were sent to customers, those of downloads that broke off too.
    pub bytes: u64,
}

/// Downloads of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfRelease {
    /// Of which product.
    pub product: String,
    /// Which.
    pub release: String,
    /// Answers that were sent to their end.
    pub downloads: u64,
    /// To how many customers.
    pub customers: u64,
    /// Bytes that were sent.
    pub bytes: u64,
}

/// What a customer fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// When the last time, in seconds since 1970.
    pub last: i64,
    /// How often.
    pub downloads: u64,
}

/// What is stored of one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The product.
    pub product: String,
    /// How many files; one that several releases have counts once.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What counts as a download: a file that a release has, fetched by a customer. What only describes one, and builds that compare, do
/// not count.
const DOWNLOADS: &str = "action = 'download' AND release <> '' AND actor NOT LIKE 'token:%'
    AND NOT (file LIKE '%.sha256' OR file LIKE '%.minisig' OR file LIKE '%.json' OR file LIKE '%.html'
             OR file = 'install.sh' OR file = 'keys.pub')";

impl Records {
    /// Returns the days since a time on which something was downloaded, the oldest first.
    pub fn downloads_by_day(&self, since: i64) -> Result<Vec<Day>, DepotError> {
        let sql = format!(
            "SELECT at / 86400, sum(complete), sum(bytes) FROM audit WHERE at >= ?1 AND {DOWNLOADS} GROUP BY 1 ORDER BY 1"
        );
        self.rows(&sql, [since], |row| {
            Ok(Day { day: row.get(0)?, downloads: number(row, 1)?, bytes: number(row, 2)? })
        })
    }

    /// Returns the releases that were downloaded since a time, those with the most downloads first.
    pub fn downloads_by_release(&self, since: i64) -> Result<Vec<OfRelease>, DepotError> {
        let sql = format!(
            "SELECT product, release, sum(complete), count(DISTINCT actor), sum(bytes) FROM audit
             WHERE at >= ?1 AND {DOWNLOADS} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
        );
        self.rows(&sql, [since], |row| {
            Ok(OfRelease {
                product: row.get(0)?,
                release: row.get(1)?,
                downloads: number(row, 2)?,
                customers: number(row, 3)?,
                bytes: number(row, 4)?,
            })
        })
    }

    /// Returns what customers fetched since a time.
    pub fn downloads_by_customer(&self, since: i64) -> Result<BTreeMap<String, Fetched>, DepotError> {
        let sql = format!(
            "SELECT actor, max(at), sum(complete) FROM audit WHERE at >= ?1 AND {DOWNLOADS} GROUP BY 1"
        );
        let rows = self.rows(&sql, [since], |row| {
            Ok((row.get(0)?, Fetched { last: row.get(1)?, downloads: number(row, 2)? }))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Returns what is stored of each product.
    pub fn stored(&self) -> Result<Vec<Stored>, DepotError> {
        let sql = "SELECT p.name, count(b.sha256), coalesce(sum(b.size), 0)
                   FROM products p LEFT JOIN blobs b ON b.product = p.name GROUP BY 1 ORDER BY 1";
        self.rows(sql, [], |row| {
            Ok(Stored { product: row.get(0)?, files: number(row, 1)?, bytes: number(row, 2)? })
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, DepotError> {
        let connection = self.again()?;
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map(values, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0))
}
