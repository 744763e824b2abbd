//! The record of a release, and the signatures that belong to it.

use casque_format::release::{Artefact, Channel, Kind, Product, Release, ReleaseName, Signed, VERSION};
use casque_sign::SecretKey;
use fs_err::File;

use super::error::ReleaseError;
use super::work::Workshop;
use crate::seal;

/// What a record says beside its files.
pub(crate) struct About<'a> {
    pub(crate) product: &'a Product,
    pub(crate) channel: &'a Channel,
    pub(crate) release: &'a ReleaseName,
    pub(crate) commit: &'a str,
    pub(crate) counter: u64,
    /// In seconds since 1970.
    pub(crate) created: u64,
    pub(crate) expires: Option<u64>,
    pub(crate) notes: String,
}

/// Puts into each image archive a signed list of what is in it, for the image that it replaces to verify.
pub(crate) fn sealed(
    files: &[Artefact],
    about: &seal::About<'_>,
    key: &SecretKey,
    workshop: &Workshop,
) -> Result<Vec<Artefact>, ReleaseError> {
    let seal = |file: &Artefact| {
        if file.kind != Kind::Image {
            return Ok(file.clone());
        }
        let mut temporary =
            tempfile::NamedTempFile::new_in(&workshop.directory).map_err(ReleaseError::State)?;
        let (path, place) = (workshop.store.path(&file.sha256), temporary.path().to_owned());
        let sealed = seal::seal(&path, about, key, temporary.as_file_mut(), &place);
        sealed.map_err(|source| ReleaseError::Seal { name: file.name.to_string(), source })?;
        let (size, sha256) = workshop.take_in(&place)?;
        Ok(Artefact { size, sha256, ..file.clone() })
    };
    files.iter().map(seal).collect()
}

/// Signs each file, and returns the files with their signatures.
///
/// The library hedges with random numbers: made again, a signature is another file that is as good.
pub(crate) fn with_signatures(
    files: &[Artefact],
    about: (&Product, &ReleaseName),
    key: &SecretKey,
    workshop: &Workshop,
) -> Result<Vec<Artefact>, ReleaseError> {
    let mut all = files.to_vec();
    for file in files {
        let content = File::open(workshop.store.path(&file.sha256)).map_err(ReleaseError::State)?;
        let comment = format!("{} {}, {}", about.0, about.1, file.name);
        let text = key.sign(content, &comment).map_err(ReleaseError::Sign)?;
        let sha256 = workshop.store.insert_bytes(text.as_bytes()).map_err(ReleaseError::Depot)?;
        let name = format!("{}.minisig", file.name).parse().map_err(ReleaseError::Name)?;
        all.push(Artefact {
            name,
            kind: Kind::Signature,
            size: text.len() as u64,
            sha256,
            blobs: Vec::new(),
        });
    }
    Ok(all)
}

/// Writes and signs the record.
pub(crate) fn signed(
    about: About<'_>,
    artefacts: Vec<Artefact>,
    key: &SecretKey,
) -> Result<Signed, ReleaseError> {
    let release = Release {
        version: VERSION,
        product: about.product.clone(),
        channel: about.channel.clone(),
        release: about.release.clone(),
        counter: about.counter,
        created: about.created,
        expires: about.expires,
        commit: Some(about.commit.to_owned()),
        artefacts,
        notes: about.notes,
    };
    let record = release.canonical();
    let comment = format!("{} {}, release record", about.product, about.release);
    let signature = key.sign(record.as_slice(), &comment).map_err(ReleaseError::Sign)?;
    let record = String::from_utf8(record).expect("JSON is text");
    Ok(Signed { record, signature })
}

/// Reads a record that this run, an earlier one or the depot has.
pub(crate) fn read(tag: &str, signed: &Signed) -> Result<Release, ReleaseError> {
    Release::parse(signed.record.as_bytes())
        .map_err(|source| ReleaseError::Record { tag: tag.to_owned(), source })
}
