//! `casque sign`: a signature beside a file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use casque_format::signing::{Signing, VERSION};
use clap::Args;
use fs_err::File;
use tempfile::NamedTempFile;

use super::keygen::{failed, open};
use crate::context::Context;
use crate::error::Failure;
use crate::passphrase::Asked;

/// Sign a file, so that customers can verify it with `minisign -V` or `casque verify`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to sign
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The secret key, as `casque keygen` or minisign wrote it
    #[arg(long, value_name = "NAME.key")]
    key: PathBuf,

    /// Write the signature there [default: FILE.minisig]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// One line about the file that the signature covers [default: the time and the file's name, as minisign has it]
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    /// Open the key with the first line of this file [default: $CASQUE_PASSPHRASE, or asked for]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot sign `{}`", arguments.file.display());
    let content =
        File::open(&arguments.file).map_err(|error| Failure::usage(&what, error.to_string(), None))?;
    let asked = Asked {
        prompt: "passphrase of the key",
        file: arguments.passphrase_file.as_deref(),
        option: "--passphrase-file",
        variable: context.environment.passphrase.as_ref(),
        name: "CASQUE_PASSPHRASE",
    };
    let key = open(&arguments.key, &asked, &what)?;
    let comment = arguments.comment.clone().unwrap_or_else(|| usual_comment(&arguments.file, context.now));
    let signature = key.sign(content, &comment).map_err(|error| failed(&what, &error))?;
    let output = arguments.output.clone().unwrap_or_else(|| beside(&arguments.file));
    write(&output, &signature).map_err(|error| Failure::new(&what, &error))?;
    let signing = Signing {
        version: VERSION,
        key: key.id().to_string(),
        public_key: Some(key.public().line()),
        follows: None,
        files: vec![output.display().to_string()],
        trusted_comment: Some(comment),
    };
    context.ui.line(&match arguments.json {
        true => serde_json::to_string(&signing).expect("a result is plain data"),
        false => format!("signed by key {}: {}", signing.key, output.display()),
    });
    Ok(())
}

/// Returns where the signature of a file is.
pub(super) fn beside(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.minisig", file.display()))
}

fn usual_comment(file: &Path, now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("timestamp:{seconds}\tfile:{name}\thashed").replace(|c: char| c.is_control() && c != '\t', "?")
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
