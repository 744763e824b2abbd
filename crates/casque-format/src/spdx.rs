//! A bill of materials: the part of SPDX 2.3 as JSON that `casque build` writes and `casque inspect` reads.

use serde::{Deserialize, Serialize};

/// What SPDX writes where something is not known.
pub const NOT_KNOWN: &str = "NOASSERTION";
/// The document's own identifier.
pub const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The element that is the image it starts from.
pub const BASE: &str = "SPDXRef-base";
/// The image, which contains the rest.
pub const IMAGE: &str = "SPDXRef-Image";

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// `SPDX-2.3`.
    pub spdx_version: String,
    /// The licence of the document itself.
    pub data_license: String,
    /// [`DOCUMENT`].
    #[serde(rename = "SPDXID")]
    pub id: String,
    /// The image's name and tag.
    pub name: String,
    /// An address that no other document has; nothing needs to be there.
    pub document_namespace: String,
    /// Who wrote it and when.
    pub creation_info: CreationInfo,
    /// Sorted by identifier.
    pub packages: Vec<Package>,
    /// Sorted by identifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Licences that SPDX has no identifier for, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub has_extracted_licensing_infos: Vec<ExtractedLicence>,
    /// Sorted.
    pub relationships: Vec<Relationship>,
}

impl Document {
    /// Returns the image that this one starts from.
    pub fn base(&self) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == BASE)
    }
}

/// Who wrote a document and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreationInfo {
    /// As `2026-11-23T08:00:00Z`.
    pub created: String,
    /// As `Tool: casque-0.1.0`.
    pub creators: Vec<String>,
}

/// Something with a name and a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its identifier in the document.
    #[serde(rename = "SPDXID")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_info: Option<String>,
    /// The name of the file it came as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_file_name: Option<String>,
    /// Who gave it out, as `Organization: NAME (MAIL)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// Where the file can be had.
    pub download_location: String,
    /// Its files are in the document.
    pub files_analyzed: bool,
    /// Of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_verification_code: Option<VerificationCode>,
    /// Of the file it came as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<Checksum>,
    /// Its address for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Where it came from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_info: Option<String>,
    /// What somebody who judged the licences concluded.
    pub license_concluded: String,
    /// What it says of its licences itself.
    pub license_declared: String,
    /// What else is known of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_comments: Option<String>,
    /// Whose it is.
    pub copyright_text: String,
    /// One line on what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What others call it, such as a package URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_refs: Vec<ExternalRef>,
    /// What it is for, such as `CONTAINER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_package_purpose: Option<String>,
}

/// A digest over the digests of a package's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationCode {
    /// Hexadecimal SHA-1.
    pub package_verification_code_value: String,
}

/// A digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checksum {
    /// `SHA1` or `SHA256`.
    pub algorithm: String,
    /// Hexadecimal.
    pub checksum_value: String,
}

/// What others call a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRef {
    /// `PACKAGE-MANAGER`.
    pub reference_category: String,
    /// `purl`.
    pub reference_type: String,
    /// The name there.
    pub reference_locator: String,
}

/// A file of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its identifier in the document.
    #[serde(rename = "SPDXID")]
    pub id: String,
    /// As `./etc/motd`.
    pub file_name: String,
    /// Of its content.
    pub checksums: Vec<Checksum>,
    /// What somebody who judged the licences concluded.
    pub license_concluded: String,
    /// What the file says itself.
    pub license_info_in_files: Vec<String>,
    /// Whose it is.
    pub copyright_text: String,
}

/// A licence that SPDX has no identifier for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtractedLicence {
    /// `LicenseRef-` and a name.
    pub license_id: String,
    /// What the package calls it.
    pub name: String,
    /// Its words.
    pub extracted_text: String,
}

/// What one element is to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relationship {
    /// Of which something is said.
    pub spdx_element_id: String,
    /// Such as `CONTAINS`.
    pub relationship_type: String,
    /// To what.
    pub related_spdx_element: String,
}
