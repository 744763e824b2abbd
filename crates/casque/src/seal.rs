//! Image archives with a signed record of all that is in them at their beginning.

use std::path::{Path, PathBuf};

use casque_format::archive::{ArchiveRecord, KEYS, Member, RECORD, Refused, SIGNATURE, VERSION};
use casque_format::digest::Digest;
use casque_format::release::Channel;
use casque_image::archive::{ArchiveError, Members};
use casque_image::config::ImageName;
use casque_image::read::{Archive, ReadError};
use casque_sign::archive::{Link, keys_member, sign};
use casque_sign::{KeyId, PublicKey, SecretKey, SignError};
use thiserror::Error;

/// What OCI calls the label with the product's version.
const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// Why an archive could not be signed.
#[derive(Debug, Error)]
pub(crate) enum SealError {
    /// It is no image archive, or none that can be signed as a whole.
    #[error(transparent)]
    Read(ReadError),
    /// The signed one could not be written.
    #[error(transparent)]
    Write(ArchiveError),
    /// The key, or a key of the chain.
    #[error("cannot sign")]
    Sign(#[source] SignError),
    /// A file of the chain could not be read; `fs_err` puts the path in the message.
    #[error(transparent)]
    Chain(std::io::Error),
    /// The chain ends elsewhere.
    #[error("the last key to follow is {last}, and key {signer} signs")]
    OtherKey { last: KeyId, signer: KeyId },
    /// Nobody would know what the archive is of.
    #[error("the image in `{}` has no name", path.display())]
    NoName { path: PathBuf },
    /// A member that no record can name.
    #[error(transparent)]
    Record(Refused),
}

/// What a record says beside what is in the archive.
pub(crate) struct About<'a> {
    /// The tags that the image may have; of several names the first is taken.
    pub(crate) tags: &'a [String],
    pub(crate) channel: Option<&'a Channel>,
    pub(crate) counter: Option<u64>,
    /// In seconds since 1970.
    pub(crate) created: u64,
    pub(crate) expires: Option<u64>,
    /// Public keys from the one that customers have to the one that signs, each with its signature beside it.
    pub(crate) follow: &'a [PathBuf],
}

/// Writes `archive` with a signed record in front into `out`, which is at `path`; an older record is replaced.
pub(crate) fn seal(
    archive: &Path,
    about: &About<'_>,
    key: &SecretKey,
    out: &mut std::fs::File,
    path: &Path,
) -> Result<ArchiveRecord, SealError> {
    let members = Members::open(archive, &[RECORD, SIGNATURE, KEYS]).map_err(SealError::Read)?;
    let keys = keys_member(&links(about.follow, key)?).map_err(SealError::Sign)?;
    let record = record(archive, &members, about, keys.as_deref())?;
    let [bytes, signature] = sign(&record, key).map_err(SealError::Sign)?;
    let mut first: Vec<(&str, &[u8])> = vec![(RECORD, &bytes), (SIGNATURE, &signature)];
    first.extend(keys.as_deref().map(|keys| (KEYS, keys)));
    members.write_behind(&first, out, path).map_err(SealError::Write)?;
    Ok(record)
}

fn links(follow: &[PathBuf], signer: &SecretKey) -> Result<Vec<Link>, SealError> {
    let read = |path: &Path| fs_err::read_to_string(path).map_err(SealError::Chain);
    let link = |new: &PathBuf| {
        let signature = crate::commands::sign::beside(new);
        Ok(Link { key: read(new)?, signature: read(&signature)? })
    };
    let links: Vec<Link> = follow.iter().map(link).collect::<Result<_, SealError>>()?;
    if let Some(link) = links.last() {
        let last = PublicKey::parse(&link.key).map_err(SealError::Sign)?;
        if last != signer.public() {
            return Err(SealError::OtherKey { last: last.id(), signer: signer.id() });
        }
    }
    Ok(links)
}

fn record(
    path: &Path,
    members: &Members,
    about: &About<'_>,
    keys: Option<&[u8]>,
) -> Result<ArchiveRecord, SealError> {
    let archive = Archive::open(path).map_err(SealError::Read)?;
    let (image, tag) =
        name(archive.names(), about.tags).ok_or_else(|| SealError::NoName { path: path.to_owned() })?;
    let label = archive.config().labels.get(VERSION_LABEL).cloned();
    let product_version = label.unwrap_or_else(|| tag.strip_prefix('v').unwrap_or(&tag).to_owned());
    let mut listed: Vec<Member> = members
        .list()
        .map_err(SealError::Read)?
        .into_iter()
        .map(|member| Member { name: member.name, size: member.size, sha256: member.sha256 })
        .collect();
    listed.extend(keys.map(|keys| Member {
        name: KEYS.to_owned(),
        size: keys.len() as u64,
        sha256: Digest::of(keys),
    }));
    let record = ArchiveRecord {
        version: VERSION,
        image,
        tag,
        product_version,
        channel: about.channel.cloned(),
        counter: about.counter,
        created: about.created,
        expires: about.expires,
        members: listed,
    };
    // What nobody could read is not signed.
    ArchiveRecord::parse(&record.canonical()).map_err(SealError::Record)
}

/// Returns repository and tag: of the tags that are asked for, else any but `latest` where there is another.
fn name(names: &[String], tags: &[String]) -> Option<(String, String)> {
    let names: Vec<ImageName> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let wanted = |name: &&ImageName| match tags.is_empty() {
        true => name.tag() != "latest",
        false => tags.iter().any(|tag| tag == name.tag()),
    };
    let name = names.iter().find(wanted).or(names.first())?;
    let familiar = name.familiar();
    let (image, tag) = familiar.rsplit_once(':')?;
    Some((image.to_owned(), tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_version() {
        let names = ["docker.io/vendor/backend:latest", "vendor/backend:v1"].map(str::to_owned);
        let of = |tags: &[&str]| name(&names, &tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        let expected = |tag: &str| Some(("vendor/backend".to_owned(), tag.to_owned()));
        assert_eq!([of(&[]), of(&["1", "v1"]), of(&["latest"])], ["v1", "v1", "latest"].map(expected));
        assert_eq!(name(&names[..1], &[]), expected("latest"));
        assert_eq!(name(&[], &[]), None);
    }
}
