//! Documents that are signed as the bytes they are: one way to write them, and one to read them once their signature was verified.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Why some bytes are no such document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Not of this form.
    Unreadable { reason: String },
    /// Of a later form.
    Format { version: u32 },
}

/// Returns the bytes that are signed: JSON without blanks, keys in the order of the type, one line.
pub(crate) fn write(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(document).expect("a record is plain data");
    bytes.push(b'\n');
    bytes
}

/// Reads a document of this version and of so many bytes at most.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], version: u32, most: usize) -> Result<T, Unread> {
    if bytes.len() > most {
        return Err(Unread::Unreadable { reason: format!("it has more than {most} bytes") });
    }
    // The version first: a later form may lack what this type wants.
    let unreadable = |error: serde_json::Error| Unread::Unreadable { reason: error.to_string() };
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(unreadable)?;
    if versioned.version != version {
        return Err(Unread::Format { version: versioned.version });
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}
