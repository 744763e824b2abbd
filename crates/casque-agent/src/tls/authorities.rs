//! Certificate authorities of the customer's own, which services trust beside those of the image.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use casque_format::digest::Digest;
use casque_format::paths;
use fs_err as fs;
use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::root::Root;
use crate::tls::client::Trust;
use crate::tls::pair::shown;

/// What the package ca-certificates brings.
pub const OF_THE_IMAGE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A directory of authorities has a handful; whoever has more mounted something else.
const MOST_BYTES: u64 = 16 << 20;
/// Where OpenSSL and with it Python's `ssl`, then `requests`, then curl look.
const VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// All that services trust.
pub struct Bundle {
    /// Where it is written. Its name changes with its content, since programs read it once, when they start.
    pub path: String,
    /// Certificates in PEM.
    pub text: String,
}

impl Bundle {
    /// Returns the variables that name it.
    pub fn environment(&self) -> BTreeMap<String, String> {
        VARIABLES.map(|variable| (variable.to_owned(), self.path.clone())).into()
    }
}

/// Reads the authorities; nothing when there are none. A file that has none in it is left out, with a warning.
pub fn read(root: &Root, warnings: &mut Vec<String>) -> Option<Bundle> {
    let directory = root.join(paths::AUTHORITIES);
    let files = match list(&directory) {
        Ok(files) => files,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                warnings.push(format!("cannot read the certificate authorities: {error}"));
            }
            return None;
        }
    };
    let mut own = String::new();
    for (name, file) in &files {
        match authorities(file) {
            Ok(text) => own += &text,
            Err(reason) => {
                warnings.push(format!("nobody trusts what is in `{}/{name}`: {reason}", paths::AUTHORITIES))
            }
        }
    }
    if own.is_empty() {
        return None;
    }
    let text = match fs::read_to_string(root.join(OF_THE_IMAGE)) {
        Ok(text) => format!("{}\n{own}", text.trim_end()),
        Err(_) => {
            warnings.push(format!(
                "this image has no certificate authorities of its own (package `ca-certificates`), so that services trust those of `{}` alone",
                paths::AUTHORITIES
            ));
            own
        }
    };
    let digest = Digest::of(text.as_bytes()).to_string();
    let digest = digest.rsplit(':').next().unwrap_or_default();
    Some(Bundle { path: format!("{}{:.16}.pem", paths::TRUSTED, digest), text })
}

/// Returns by whom others have to be vouched for before a start has written what services trust.
pub fn trust(root: &Root, warnings: &mut Vec<String>) -> Trust {
    match read(root, warnings) {
        Some(bundle) => Trust::Text { pem: bundle.text, origin: paths::AUTHORITIES.to_owned() },
        None => Trust::File(root.join(OF_THE_IMAGE)),
    }
}

/// Returns the files of the directory by name. Hidden ones are those that an orchestrator puts links to.
fn list(directory: &std::path::Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && fs::metadata(entry.path())?.is_file() {
            files.insert(name, entry.path());
        }
    }
    Ok(files)
}

/// Returns the certificates of a file, whatever else is in it left out.
fn authorities(file: &std::path::Path) -> Result<String, String> {
    let readable = |error: io::Error| error.to_string();
    if fs::metadata(file).map_err(readable)?.len() > MOST_BYTES {
        return Err(format!("it has more than {} MiB", MOST_BYTES >> 20));
    }
    let content = fs::read(file).map_err(readable)?;
    let found = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>();
    let mut found = found.map_err(|_| "what is in it is not whole".to_owned())?;
    if found.is_empty() {
        // Other systems write the bare certificate into a `.crt` or `.cer`.
        found.push(content.into());
    }
    let mut text = String::new();
    for der in found {
        let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
            return Err("there is no certificate in PEM or DER".to_owned());
        };
        if !certificate.is_ca() && certificate.issuer() != certificate.subject() {
            return Err(format!("`{}` is no authority", shown(certificate.subject())));
        }
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        text += &pem::encode_config(&Pem::new("CERTIFICATE", der.as_ref()), config);
    }
    Ok(text)
}
