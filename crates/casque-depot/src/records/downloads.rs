//! From what a customer asks for to the release that has it.

use casque_format::digest::Digest;
use rusqlite::{Row, params};

use super::{Records, digest};
use crate::error::DepotError;

/// A file of a release in a channel. One file may be found in several channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The release.
    pub release: String,
    /// The channel it was found in.
    pub channel: String,
    /// The file's own name.
    pub name: String,
    /// Its size.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Why it is there no more.
    pub withdrawn: Option<String>,
}

/// A release with its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The release.
    pub release: String,
    /// The channel it was found in.
    pub channel: String,
    /// The record's bytes.
    pub record: Vec<u8>,
    /// Their signature.
    pub signature: String,
    /// Why it is there no more.
    pub withdrawn: Option<String>,
}

const COLUMNS: &str = "a.release, p.channel, a.name, a.size, a.sha256, r.withdrawn";
const JOINED: &str =
    "artefacts a JOIN releases r USING (product, release) JOIN placements p USING (product, release)";

impl Records {
    /// Finds files whose name with `latest` is this, the newest release first.
    pub fn find_latest(&self, product: &str, channel: &str, latest: &str) -> Result<Vec<Found>, DepotError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {JOINED} WHERE a.product = ?1 AND p.channel = ?2 AND a.latest = ?3
             ORDER BY r.counter DESC"
        );
        self.find(&sql, params![product, channel, latest])
    }

    /// Finds files of this name, in a channel or in any, the newest release first.
    pub fn find_named(
        &self,
        product: &str,
        channel: Option<&str>,
        name: &str,
    ) -> Result<Vec<Found>, DepotError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {JOINED} WHERE a.product = ?1 AND (?2 IS NULL OR p.channel = ?2) AND a.name = ?3
             ORDER BY r.counter DESC"
        );
        self.find(&sql, params![product, channel, name])
    }

    /// Finds the images of a channel, the newest release first; only those that `latest` can name.
    pub fn find_images(&self, product: &str, channel: &str) -> Result<Vec<(Found, String)>, DepotError> {
        let connection = self.reading();
        let sql = format!(
            "SELECT {COLUMNS}, a.latest FROM {JOINED}
             WHERE a.product = ?1 AND p.channel = ?2 AND a.kind = 'image' AND a.latest IS NOT NULL
             ORDER BY r.counter DESC, a.name"
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([product, channel], |row| Ok((found(row)?, row.get(6)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn find(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Found>, DepotError> {
        let connection = self.reading();
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map(values, found)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Finds records: of one release in a channel or in any, or all of a channel, the newest first.
    pub fn find_records(
        &self,
        product: &str,
        channel: Option<&str>,
        release: Option<&str>,
    ) -> Result<Vec<Shown>, DepotError> {
        let connection = self.reading();
        let mut statement = connection.prepare(
            "SELECT r.release, p.channel, r.record, r.signature, r.withdrawn
             FROM releases r JOIN placements p USING (product, release)
             WHERE r.product = ?1 AND (?2 IS NULL OR p.channel = ?2) AND (?3 IS NULL OR r.release = ?3)
             ORDER BY r.counter DESC LIMIT 1000",
        )?;
        let rows = statement.query_map(params![product, channel, release], |row| {
            Ok(Shown {
                release: row.get(0)?,
                channel: row.get(1)?,
                record: row.get(2)?,
                signature: row.get(3)?,
                withdrawn: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let size: i64 = row.get(3)?;
    Ok(Found {
        release: row.get(0)?,
        channel: row.get(1)?,
        name: row.get(2)?,
        size: u64::try_from(size).unwrap_or(0),
        sha256: digest(row, 4)?,
        withdrawn: row.get(5)?,
    })
}
