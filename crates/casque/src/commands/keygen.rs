//! `casque keygen`: a pair of keys, and who vouches for them.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use casque_format::signing::{Signing, VERSION};
use casque_sign::{SecretKey, SignError, rotate};
use clap::Args;
use tempfile::NamedTempFile;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::passphrase::{self, Asked};

/// Make a pair of keys to sign releases with, in the files of minisign
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write NAME.key, which is secret, and NAME.pub
    #[arg(value_name = "NAME")]
    name: PathBuf,

    /// Have this secret key vouch for the new one in NAME.pub.minisig: whoever trusts the old follows to the new
    #[arg(long, value_name = "OLD.key")]
    rotate_from: Option<PathBuf>,

    /// Protect the new key with the first line of this file [default: $CASQUE_PASSPHRASE, or asked for]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Open the old key with the first line of this file [default: $CASQUE_OLD_PASSPHRASE, or asked for]
    #[arg(long, value_name = "FILE", requires = "rotate_from")]
    old_passphrase_file: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot make the keys `{}`", arguments.name.display());
    let beside = |ending: &str| PathBuf::from(format!("{}{ending}", arguments.name.display()));
    let (secret_path, public_path, link_path) = (beside(".key"), beside(".pub"), beside(".pub.minisig"));
    for path in [&secret_path, &public_path, &link_path] {
        if path.symlink_metadata().is_ok() {
            let hint = "choose another name: a key that is lost cannot be made again".to_owned();
            return Err(Failure::usage(what, format!("`{}` is there already", path.display()), Some(hint)));
        }
    }
    let old =
        arguments.rotate_from.as_deref().map(|old| open_old(arguments, old, context, &what)).transpose()?;
    let asked = Asked {
        prompt: "passphrase of the new key",
        file: arguments.passphrase_file.as_deref(),
        option: "--passphrase-file",
        variable: context.environment.passphrase.as_ref(),
        name: "CASQUE_PASSPHRASE",
    };
    let passphrase = passphrase::find_new(&asked, &what)?;
    let (key, secret_file) = SecretKey::generate(&passphrase).map_err(|error| failed(&what, &error))?;
    let public = key.public();
    let link =
        old.as_ref().map(|old| rotate(old, &public)).transpose().map_err(|error| failed(&what, &error))?;

    // The secret key comes last: whoever finds it finds what belongs to it.
    let write = |path: &Path, text: &str, mode| {
        write_new(path, text, mode).map_err(|error| Failure::new(what.clone(), &error))
    };
    let mut files = vec![public_path.clone()];
    write(&public_path, &public.file(), 0o644)?;
    if let Some(link) = &link {
        write(&link_path, link, 0o644)?;
        files.push(link_path);
    }
    write(&secret_path, &secret_file, 0o600)?;
    files.push(secret_path);

    let signing = Signing {
        version: VERSION,
        key: key.id().to_string(),
        public_key: Some(public.line()),
        follows: old.map(|old| old.id().to_string()),
        files: files.iter().map(|file| file.display().to_string()).collect(),
        trusted_comment: None,
    };
    context.ui.line(&match arguments.json {
        true => serde_json::to_string(&signing).expect("a result is plain data"),
        false => text(&signing),
    });
    Ok(())
}

fn open_old(arguments: &Arguments, old: &Path, context: &Context, what: &str) -> Result<SecretKey, Failure> {
    let asked = Asked {
        prompt: "passphrase of the old key",
        file: arguments.old_passphrase_file.as_deref(),
        option: "--old-passphrase-file",
        variable: context.environment.old_passphrase.as_ref(),
        name: "CASQUE_OLD_PASSPHRASE",
    };
    open(old, &asked, what)
}

/// Opens a secret key's file.
pub(crate) fn open(path: &Path, asked: &Asked<'_>, what: &str) -> Result<SecretKey, Failure> {
    let file = fs_err::read_to_string(path).map_err(|error| Failure::usage(what, error.to_string(), None))?;
    let passphrase = passphrase::find(asked, what)?;
    SecretKey::open(&file, &passphrase)
        .map_err(|error| failed(&format!("{what} with `{}`", path.display()), &error))
}

/// Makes words of what is wrong with a key.
pub(crate) fn failed(what: &str, error: &SignError) -> Failure {
    let (code, hint) = match error {
        SignError::PassphraseEmpty => {
            (ExitCode::Manifest, Some("a key needs a passphrase of at least one character"))
        }
        SignError::WrongPassphrase | SignError::NoSecretKey { .. } | SignError::NoPublicKey { .. } => {
            (ExitCode::Manifest, None)
        }
        SignError::UnknownKey { .. } => {
            (ExitCode::Trust, Some("a key that follows a trusted one is named with `--follow NEW.pub`"))
        }
        SignError::Mismatch { .. } | SignError::NoRotation { .. } | SignError::NoSignature { .. } => {
            (ExitCode::Trust, None)
        }
        SignError::Comment | SignError::Make { .. } | SignError::Read(_) => (ExitCode::Unexpected, None),
    };
    Failure::new(what, error).judged(code, hint.map(str::to_owned))
}

/// Writes a file that nobody has yet.
fn write_new(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(PermissionsExt::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

fn text(signing: &Signing) -> String {
    let mut text = format!("key {}\n", signing.key);
    if let Some(old) = &signing.follows {
        text += &format!("follows key {old}\n");
    }
    for file in &signing.files {
        text += &format!("wrote {file}\n");
    }
    text + &format!(
        "customers verify with: minisign -V -P {} -m FILE",
        signing.public_key.as_deref().unwrap_or_default()
    )
}
