//! The records: everything but the files themselves, in one SQLite database.
//!
//! The server and the commands of an operator open the same database; what a command changes holds from the next request on.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casque_format::digest::Digest;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::error::DepotError;

mod accounts;
pub(crate) mod audit;
mod customers;
mod downloads;
mod products;
mod releases;
mod statistics;

pub use accounts::{Accounts, Lock, StaffMember};
pub use audit::{Entry, Query};
pub use customers::{Customer, Grant, Token};
pub use downloads::{Found, Shown};
pub use products::{ProductRecord, TrustedKey};
pub use releases::{Published, ReleaseFile, ReleaseRecord};
pub use statistics::{Day, Fetched, OfRelease, Stored};

/// Version of the records.
pub const VERSION: u32 = 2;

/// The database's file in the data directory.
const FILE: &str = "depot.db";
/// How long one waits for another to finish writing.
const BUSY: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE products (name TEXT PRIMARY KEY, title TEXT NOT NULL, run TEXT NOT NULL) STRICT;
CREATE TABLE keys (
    product TEXT NOT NULL REFERENCES products, id TEXT NOT NULL, line TEXT NOT NULL, added INTEGER NOT NULL,
    PRIMARY KEY (product, id)) STRICT;
CREATE TABLE releases (
    product TEXT NOT NULL REFERENCES products, release TEXT NOT NULL, counter INTEGER NOT NULL,
    created INTEGER NOT NULL, expires INTEGER, sha256 TEXT NOT NULL, record BLOB NOT NULL, signature TEXT NOT NULL,
    published INTEGER NOT NULL, notes TEXT NOT NULL, withdrawn TEXT,
    PRIMARY KEY (product, release), UNIQUE (product, counter)) STRICT;
CREATE TABLE placements (
    product TEXT NOT NULL, channel TEXT NOT NULL, release TEXT NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (product, channel, release),
    FOREIGN KEY (product, release) REFERENCES releases ON DELETE CASCADE) STRICT;
CREATE TABLE artefacts (
    product TEXT NOT NULL, release TEXT NOT NULL, name TEXT NOT NULL, latest TEXT, kind TEXT NOT NULL,
    size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (product, release, name),
    FOREIGN KEY (product, release) REFERENCES releases ON DELETE CASCADE) STRICT;
CREATE INDEX artefacts_by_name ON artefacts (product, name);
CREATE INDEX artefacts_by_latest ON artefacts (product, latest);
CREATE INDEX artefacts_by_content ON artefacts (sha256);
CREATE TABLE blobs (
    product TEXT NOT NULL REFERENCES products, sha256 TEXT NOT NULL, size INTEGER NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (product, sha256)) STRICT;
CREATE TABLE customers (
    name TEXT PRIMARY KEY, hash TEXT NOT NULL, created INTEGER NOT NULL, disabled INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE entitlements (
    id INTEGER PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers, product TEXT NOT NULL REFERENCES products,
    channel TEXT, from_version TEXT, below_version TEXT, until INTEGER) STRICT;
CREATE INDEX entitlements_by_customer ON entitlements (customer, product);
CREATE TABLE tokens (
    id TEXT PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, product TEXT NOT NULL REFERENCES products,
    created INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE begun (
    customer TEXT NOT NULL, path TEXT NOT NULL, release TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (customer, path, release)) STRICT;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL,
    product TEXT NOT NULL, release TEXT NOT NULL, file TEXT NOT NULL, status INTEGER NOT NULL, bytes INTEGER NOT NULL,
    complete INTEGER NOT NULL) STRICT;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, at);
";
/// What version 2 has more.
const SECOND: &str = "
CREATE TABLE staff (
    name TEXT PRIMARY KEY, hash TEXT NOT NULL, created INTEGER NOT NULL, disabled INTEGER NOT NULL DEFAULT 0) STRICT;
";

/// The records, open. Readers do not wait for writers.
pub struct Records {
    path: PathBuf,
    reading: Mutex<Connection>,
    writing: Mutex<Connection>,
}

impl Records {
    /// Opens the records in a directory, and makes them where there are none.
    pub fn open(directory: &Path) -> Result<Self, DepotError> {
        let path = directory.join(FILE);
        let mut writing = connect(&path)?;
        prepare(&mut writing)?;
        let reading = connect(&path)?;
        Ok(Self { path, reading: Mutex::new(reading), writing: Mutex::new(writing) })
    }

    /// Opens the records once more, for a thread of its own.
    pub fn again(&self) -> Result<Connection, DepotError> {
        connect(&self.path)
    }

    fn reading(&self) -> MutexGuard<'_, Connection> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Connection> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does several changes, all of them or none.
    fn change<T>(&self, work: impl FnOnce(&Connection) -> Result<T, DepotError>) -> Result<T, DepotError> {
        let mut connection = self.writing();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Copies the records into a new file while they are in use.
    pub fn backup(&self, to: &Path) -> Result<(), DepotError> {
        let source = self.again()?;
        let mut target = Connection::open(to)?;
        let backup = rusqlite::backup::Backup::new(&source, &mut target)?;
        backup.run_to_completion(1000, Duration::ZERO, None)?;
        drop(backup);
        // The copy is one file, whatever the original keeps beside it.
        target.pragma_update(None, "journal_mode", "DELETE")?;
        Ok(())
    }

    /// Asks the database whether it is whole.
    pub fn is_whole(&self) -> Result<bool, DepotError> {
        let answer: String = self.reading().query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        Ok(answer == "ok")
    }

    /// Notes that a customer began to download `path`, and that it was of this release.
    pub fn begin(&self, customer: &str, path: &str, release: &str, now: i64) -> Result<(), DepotError> {
        self.writing().execute(
            "INSERT INTO begun VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (customer, path, release) DO UPDATE SET at = excluded.at",
            params![customer, path, release, now],
        )?;
        Ok(())
    }

    /// Returns of which releases a customer began to download `path` since a time, at most two.
    pub fn begun(&self, customer: &str, path: &str, since: i64) -> Result<Vec<String>, DepotError> {
        let connection = self.reading();
        let mut statement = connection
            .prepare("SELECT release FROM begun WHERE customer = ?1 AND path = ?2 AND at >= ?3 ORDER BY at DESC LIMIT 2")?;
        let rows = statement.query_map(params![customer, path, since], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets downloads that began before a time.
    pub fn forget_begun(&self, before: i64) -> Result<(), DepotError> {
        self.writing().execute("DELETE FROM begun WHERE at < ?1", [before])?;
        Ok(())
    }
}

fn connect(path: &Path) -> Result<Connection, DepotError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A release that was said to be published is there after a power cut, too.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> Result<(), DepotError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(DepotError::Later { found, known: VERSION });
    }
    if found == 0 {
        transaction.execute_batch(SCHEMA)?;
    }
    if found < 2 {
        transaction.execute_batch(SECOND)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Returns whether a table has such a row.
fn has(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<bool, DepotError> {
    Ok(connection.query_row(sql, values, |_| Ok(())).optional()?.is_some())
}

/// Reads a digest.
fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    row.get::<_, String>(column)?
        .parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// Refuses a product that is not there.
fn product_exists(connection: &Connection, name: &str) -> Result<(), DepotError> {
    match has(connection, "SELECT 1 FROM products WHERE name = ?1", [name])? {
        true => Ok(()),
        false => Err(DepotError::Missing { what: "product", name: name.to_owned() }),
    }
}
