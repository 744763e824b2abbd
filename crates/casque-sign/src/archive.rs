//! Signed image archives: what is in front of them, and whether one that comes as a stream is what its vendor signed.
//!
//! Nothing is kept of what passes, so an archive of any size takes the same memory. A member, a header or a byte behind the
//! end that the record does not account for is an error: an engine could make something of it.

mod error;
mod tar;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use casque_format::archive::{
    ArchiveRecord, Expected, KEYS, LARGEST, LARGEST_SIGNATURE, Member, RECORD, SIGNATURE, Verdict,
};
use casque_format::digest::Hasher;

use crate::{KeyId, KeyRing, PublicKey, SecretKey, SignError};
pub use error::ArchiveError;
use tar::{Next, Tar};

/// What the signature of a record says it is for. Without it anything that was ever signed could be put forward as one.
const PURPOSE: &str = "casque archive record: ";

/// Lines of a key and of its signature, in the list of keys.
const LINES: [usize; 2] = [2, 4];

/// What a good archive turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedArchive {
    /// Who signed it.
    pub key: KeyId,
    /// Keys that the archive itself vouched for, each by the one before.
    pub followed: Vec<KeyId>,
    /// What it says of itself.
    pub record: ArchiveRecord,
    /// How it stands to what is installed.
    pub verdict: Verdict,
}

/// A link of a chain of keys, as the archive carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The file of the new key.
    pub key: String,
    /// The signature of that file by the key before.
    pub signature: String,
}

/// Returns what becomes the member [`KEYS`]; nothing without links.
pub fn keys_member(links: &[Link]) -> Result<Option<Vec<u8>>, SignError> {
    let mut text = String::new();
    for link in links {
        // As `KeyRing::follow` reads it, whatever became of the file's comment.
        text += &PublicKey::parse(&link.key)?.file();
        crate::signature::parse(&link.signature)?;
        for line in link.signature.lines().take(LINES[1]) {
            text += line.trim_end();
            text.push('\n');
        }
    }
    Ok((!links.is_empty()).then(|| text.into_bytes()))
}

/// Signs a record, and returns the members [`RECORD`] and [`SIGNATURE`].
pub fn sign(record: &ArchiveRecord, key: &SecretKey) -> Result<[Vec<u8>; 2], SignError> {
    let bytes = record.canonical();
    let signature = key.sign(bytes.as_slice(), &format!("{PURPOSE}{}", record.reference()))?;
    Ok([bytes, signature.into_bytes()])
}

/// Reads an archive to its end, and says whether it is what a key of the ring signed and what is expected.
pub fn verify(
    archive: impl Read,
    ring: &KeyRing,
    expected: &Expected<'_>,
) -> Result<VerifiedArchive, ArchiveError> {
    let mut tar = Tar::new(archive);
    let record_bytes = match tar.next()? {
        Next::File { name, size } if name == RECORD => tar.read(&name, size, LARGEST)?,
        Next::File { name, .. } | Next::Directory { name } => {
            return Err(ArchiveError::Unsigned { first: name });
        }
        Next::End => return Err(ArchiveError::Empty),
    };
    let signature = match tar.next()? {
        Next::File { name, size } if name == SIGNATURE => tar.read_text(&name, size, LARGEST_SIGNATURE)?,
        _ => return Err(ArchiveError::Misplaced { member: SIGNATURE }),
    };
    // The chain is judged before anything else is believed, and its bytes are members like all others.
    let mut ring = ring.clone();
    let mut next = tar.next()?;
    let mut followed = Vec::new();
    let mut keys = None;
    if let Next::File { name, size } = &next
        && name == KEYS
    {
        let text = tar.read_text(name, *size, LARGEST_SIGNATURE)?;
        for link in links(&text)? {
            followed.push(ring.follow(&link.key, &link.signature).map_err(ArchiveError::Keys)?);
        }
        keys = Some(text);
        next = tar.next()?;
    }
    let verified = ring.verify(Cursor::new(&record_bytes), &signature).map_err(|error| {
        ArchiveError::Signature { unknown: matches!(error, SignError::UnknownKey { .. }), source: error }
    })?;
    let record = ArchiveRecord::parse(&record_bytes)?;
    if verified.trusted_comment != format!("{PURPOSE}{}", record.reference()) {
        return Err(ArchiveError::Purpose { comment: verified.trusted_comment });
    }
    let verdict = record.check(expected)?;
    let mut members = Members::of(&record);
    if let Some(text) = &keys {
        let member = members.take(KEYS)?;
        judge(member, text.len() as u64, text.as_bytes())?;
    }
    loop {
        match next {
            Next::File { name, size } => {
                let member = members.take(&name)?;
                if size != member.size {
                    return Err(ArchiveError::Size { name, found: size, expected: member.size });
                }
                let mut hasher = Hasher::default();
                tar.content(&name, size, |bytes| hasher.update(bytes))?;
                if hasher.finish() != member.sha256 {
                    return Err(ArchiveError::Content { name });
                }
            }
            Next::Directory { name } => members.enter(name)?,
            Next::End => break,
        }
        next = tar.next()?;
    }
    members.are_all_there()?;
    followed.retain(|key| *key != verified.key);
    Ok(VerifiedArchive { key: verified.key, followed, record, verdict })
}

fn judge(member: &Member, size: u64, bytes: &[u8]) -> Result<(), ArchiveError> {
    let name = member.name.clone();
    if size != member.size {
        return Err(ArchiveError::Size { name, found: size, expected: member.size });
    }
    match casque_format::digest::Digest::of(bytes) == member.sha256 {
        true => Ok(()),
        false => Err(ArchiveError::Content { name }),
    }
}

/// Reads the member [`KEYS`].
fn links(text: &str) -> Result<Vec<Link>, ArchiveError> {
    let lines: Vec<&str> = text.lines().collect();
    let [key_lines, signature_lines] = LINES;
    if lines.is_empty() || !lines.len().is_multiple_of(key_lines + signature_lines) {
        return Err(ArchiveError::NoKeys);
    }
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let links = lines.chunks(key_lines + signature_lines);
    Ok(links
        .map(|lines| Link { key: joined(&lines[..key_lines]), signature: joined(&lines[key_lines..]) })
        .collect())
}

/// The members that are still to come.
struct Members<'a> {
    missing: BTreeMap<&'a str, &'a Member>,
    all: BTreeSet<&'a str>,
    directories: BTreeSet<String>,
}

impl<'a> Members<'a> {
    fn of(record: &'a ArchiveRecord) -> Self {
        let missing: BTreeMap<&str, &Member> =
            record.members.iter().map(|member| (member.name.as_str(), member)).collect();
        let all = missing.keys().copied().collect();
        Self { missing, all, directories: BTreeSet::new() }
    }

    /// Takes a file off the list.
    fn take(&mut self, name: &str) -> Result<&'a Member, ArchiveError> {
        let twice = self.all.contains(name) || name == RECORD || name == SIGNATURE;
        self.missing.remove(name).ok_or_else(|| match twice {
            true => ArchiveError::Twice { name: name.to_owned() },
            false => ArchiveError::Unlisted { name: name.to_owned() },
        })
    }

    /// Lets a directory pass that a member is in.
    fn enter(&mut self, name: String) -> Result<(), ArchiveError> {
        let has_member = self.all.iter().any(|member| member.starts_with(&name));
        if !name.ends_with('/') || !has_member {
            return Err(ArchiveError::Unlisted { name });
        }
        match self.directories.insert(name.clone()) {
            true => Ok(()),
            false => Err(ArchiveError::Twice { name }),
        }
    }

    fn are_all_there(&self) -> Result<(), ArchiveError> {
        match self.missing.keys().next() {
            Some(name) => Err(ArchiveError::Missing { name: (*name).to_owned() }),
            None => Ok(()),
        }
    }
}
