//! Releases: published whole, withdrawn, promoted, pruned.

use casque_format::digest::Digest;
use casque_format::release::{Artefact, Kind, Release, Signed, file_of_latest};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::{Records, digest, has, product_exists};
use crate::error::DepotError;

/// A release, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseRecord {
    /// Its version.
    pub release: String,
    /// Its counter.
    pub counter: i64,
    /// The channels it is in, sorted.
    pub channels: Vec<String>,
    /// When it was published, in seconds since 1970.
    pub published: i64,
    /// What is new.
    pub notes: String,
    /// Why it is there no more.
    pub withdrawn: Option<String>,
    /// Bytes of all of its files.
    pub bytes: i64,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Its name.
    pub name: String,
    /// Its name with `latest` in the version's place, where there is one.
    pub latest: Option<String>,
    /// What it is for, as the record says it.
    pub kind: String,
    /// Its bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// What became of a record that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is there now.
    New,
    /// It was there already, byte for byte the same.
    Same,
}

impl Records {
    /// Whether this very record was published before, or another of the same version.
    pub fn published(
        &self,
        product: &str,
        release: &str,
        sha256: Digest,
    ) -> Result<Option<Published>, DepotError> {
        same(&self.reading(), product, release, sha256)
    }

    /// Returns the highest counter of a product.
    pub fn newest_counter(&self, product: &str) -> Result<Option<u64>, DepotError> {
        newest(&self.reading(), product)
    }

    /// Returns the files of a release that were not uploaded for its product.
    pub fn not_uploaded(&self, release: &Release) -> Result<Vec<Artefact>, DepotError> {
        missing(&self.reading(), release)
    }

    /// Makes a release visible, whole. Its signature was verified before.
    pub fn publish(
        &self,
        release: &Release,
        record: &[u8],
        signature: &str,
        now: i64,
    ) -> Result<Published, DepotError> {
        let (product, name) = (release.product.as_str(), release.release.as_str());
        let sha256 = Digest::of(record);
        self.change(|connection| {
            product_exists(connection, product)?;
            if let Some(same) = same(connection, product, name, sha256)? {
                return Ok(same);
            }
            // All of this was asked before; but then another may have come in between.
            let expected = casque_format::release::Expected {
                product: &release.product,
                newest: newest(connection, product)?,
                now: u64::try_from(now).unwrap_or(0),
            };
            release.check(&expected).map_err(DepotError::Refused)?;
            let missing = missing(connection, release)?;
            if !missing.is_empty() {
                let names = missing.iter().map(|artefact| artefact.name.to_string()).collect();
                return Err(DepotError::NotUploaded { names });
            }
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            connection.execute(
                "INSERT INTO releases (product, release, counter, created, expires, sha256, record, signature, published, notes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    product,
                    name,
                    number(release.counter),
                    number(release.created),
                    release.expires.map(number),
                    sha256.to_string(),
                    record,
                    signature,
                    now,
                    release.notes
                ],
            )?;
            let channel = release.channel.as_str();
            connection.execute("INSERT INTO placements VALUES (?1, ?2, ?3, ?4)", params![product, channel, name, now])?;
            for artefact in &release.artefacts {
                connection.execute(
                    "INSERT INTO artefacts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        product,
                        name,
                        artefact.name.as_str(),
                        file_of_latest(&artefact.name, &release.release),
                        kind(artefact.kind),
                        number(artefact.size),
                        artefact.sha256.to_string()
                    ],
                )?;
            }
            Ok(Published::New)
        })
    }

    /// Says that a file was uploaded for a product.
    pub fn uploaded(&self, product: &str, sha256: Digest, size: u64, now: i64) -> Result<(), DepotError> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        self.writing().execute(
            "INSERT INTO blobs VALUES (?1, ?2, ?3, ?4) ON CONFLICT (product, sha256) DO UPDATE SET since = excluded.since",
            params![product, sha256.to_string(), size, now],
        )?;
        Ok(())
    }

    /// Returns the size of a file that was uploaded for a product.
    pub fn uploaded_size(&self, product: &str, sha256: Digest) -> Result<Option<u64>, DepotError> {
        let sql = "SELECT size FROM blobs WHERE product = ?1 AND sha256 = ?2";
        let size: Option<i64> = self
            .reading()
            .query_row(sql, params![product, sha256.to_string()], |row| row.get(0))
            .optional()?;
        Ok(size.and_then(|size| u64::try_from(size).ok()))
    }

    /// Takes a release back, saying why, or gives it again.
    pub fn withdraw(&self, product: &str, release: &str, reason: Option<&str>) -> Result<(), DepotError> {
        let sql = "UPDATE releases SET withdrawn = ?3 WHERE product = ?1 AND release = ?2";
        match self.writing().execute(sql, params![product, release, reason])? {
            0 => Err(no_release(release)),
            _ => Ok(()),
        }
    }

    /// Puts a release into a further channel.
    pub fn promote(&self, product: &str, release: &str, channel: &str, now: i64) -> Result<(), DepotError> {
        self.change(|connection| {
            if !has(
                connection,
                "SELECT 1 FROM releases WHERE product = ?1 AND release = ?2",
                [product, release],
            )? {
                return Err(no_release(release));
            }
            connection.execute(
                "INSERT INTO placements VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                params![product, channel, release, now],
            )?;
            Ok(())
        })
    }

    /// Returns the releases of a product, the newest first.
    pub fn releases(&self, product: &str) -> Result<Vec<ReleaseRecord>, DepotError> {
        let connection = self.reading();
        product_exists(&connection, product)?;
        let mut statement = connection.prepare(
            "SELECT release, counter, published, notes, withdrawn,
                    (SELECT group_concat(channel) FROM placements p WHERE p.product = r.product AND p.release = r.release),
                    (SELECT coalesce(sum(size), 0) FROM artefacts a WHERE a.product = r.product AND a.release = r.release)
             FROM releases r WHERE product = ?1 ORDER BY counter DESC",
        )?;
        let rows = statement.query_map([product], |row| {
            let channels: Option<String> = row.get(5)?;
            let mut channels: Vec<String> = channels
                .unwrap_or_default()
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            channels.sort();
            Ok(ReleaseRecord {
                release: row.get(0)?,
                counter: row.get(1)?,
                channels,
                published: row.get(2)?,
                notes: row.get(3)?,
                withdrawn: row.get(4)?,
                bytes: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the files of a release by name.
    pub fn files(&self, product: &str, release: &str) -> Result<Vec<ReleaseFile>, DepotError> {
        let connection = self.reading();
        let mut statement = connection.prepare(
            "SELECT name, latest, kind, size, sha256 FROM artefacts WHERE product = ?1 AND release = ?2 ORDER BY name",
        )?;
        let rows = statement.query_map([product, release], |row| {
            Ok(ReleaseFile {
                name: row.get(0)?,
                latest: row.get(1)?,
                kind: row.get(2)?,
                size: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
                sha256: digest(row, 4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the record of a release as it was signed, if there is this release.
    pub fn signed(&self, product: &str, release: &str) -> Result<Option<Signed>, DepotError> {
        let sql = "SELECT record, signature FROM releases WHERE product = ?1 AND release = ?2";
        let row = self.reading().query_row(sql, [product, release], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))
        });
        Ok(row.optional()?.map(|(record, signature)| {
            let record = String::from_utf8_lossy(&record).into_owned();
            Signed { record, signature }
        }))
    }

    /// Returns the versions that are in a channel beside its newest `keep`.
    pub fn beyond(&self, product: &str, channel: &str, keep: u32) -> Result<Vec<String>, DepotError> {
        beyond(&self.reading(), product, channel, keep)
    }

    /// Takes all but the newest `keep` releases out of a channel, and returns their versions. A release that is in no
    /// channel any more is removed, unless it is the product's newest: its counter refuses older ones.
    pub fn prune(&self, product: &str, channel: &str, keep: u32) -> Result<Vec<String>, DepotError> {
        self.change(|transaction| {
            let out = beyond(transaction, product, channel, keep)?;
            for release in &out {
                transaction.execute(
                    "DELETE FROM placements WHERE product = ?1 AND channel = ?2 AND release = ?3",
                    params![product, channel, release],
                )?;
            }
            transaction.execute(
                "DELETE FROM releases WHERE product = ?1
                 AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.product = releases.product AND p.release = releases.release)
                 AND counter < (SELECT max(counter) FROM releases WHERE product = ?1)",
                [product],
            )?;
            Ok(out)
        })
    }

    /// Forgets uploads that no release has and that are older than a time.
    pub fn forget_uploads(&self, before: i64) -> Result<usize, DepotError> {
        Ok(self.writing().execute(
            "DELETE FROM blobs WHERE since < ?1 AND NOT EXISTS
             (SELECT 1 FROM artefacts a WHERE a.product = blobs.product AND a.sha256 = blobs.sha256)",
            [before],
        )?)
    }

    /// Returns the digests of all files that a release or an upload needs, sorted.
    pub fn needed(&self) -> Result<Vec<Digest>, DepotError> {
        let connection = self.reading();
        let mut statement =
            connection.prepare("SELECT sha256 FROM artefacts UNION SELECT sha256 FROM blobs ORDER BY 1")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let texts: Vec<String> = rows.collect::<Result<_, _>>()?;
        Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
    }
}

fn beyond(
    connection: &Connection,
    product: &str,
    channel: &str,
    keep: u32,
) -> Result<Vec<String>, DepotError> {
    product_exists(connection, product)?;
    let mut statement = connection.prepare(
        "SELECT p.release FROM placements p JOIN releases r USING (product, release)
         WHERE p.product = ?1 AND p.channel = ?2 ORDER BY r.counter DESC LIMIT -1 OFFSET ?3",
    )?;
    let rows = statement.query_map(params![product, channel, keep], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn no_release(name: &str) -> DepotError {
    DepotError::Missing { what: "release", name: name.to_owned() }
}

fn same(
    connection: &Connection,
    product: &str,
    release: &str,
    sha256: Digest,
) -> Result<Option<Published>, DepotError> {
    let sql = "SELECT sha256 FROM releases WHERE product = ?1 AND release = ?2";
    let there: Option<String> = connection.query_row(sql, [product, release], |row| row.get(0)).optional()?;
    match there {
        None => Ok(None),
        Some(there) if there == sha256.to_string() => Ok(Some(Published::Same)),
        Some(_) => Err(DepotError::Different { release: release.to_owned() }),
    }
}

fn newest(connection: &Connection, product: &str) -> Result<Option<u64>, DepotError> {
    let sql = "SELECT max(counter) FROM releases WHERE product = ?1";
    let newest: Option<i64> = connection.query_row(sql, [product], |row| row.get(0))?;
    Ok(newest.and_then(|newest| u64::try_from(newest).ok()))
}

fn missing(connection: &Connection, release: &Release) -> Result<Vec<Artefact>, DepotError> {
    let mut missing = Vec::new();
    for artefact in &release.artefacts {
        let sql = "SELECT 1 FROM blobs WHERE product = ?1 AND sha256 = ?2 AND size = ?3";
        let size = i64::try_from(artefact.size).unwrap_or(i64::MAX);
        if !has(connection, sql, params![release.product.as_str(), artefact.sha256.to_string(), size])? {
            missing.push(artefact.clone());
        }
    }
    Ok(missing)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "image",
        Kind::Package => "package",
        Kind::Sbom => "sbom",
        Kind::Docs => "docs",
        Kind::Signature => "signature",
        Kind::Other => "other",
    }
}
