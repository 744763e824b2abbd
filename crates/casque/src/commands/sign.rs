//! `casque sign`: a signature beside a file, or inside an image archive.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use casque_format::release::Channel;
use casque_format::signing::{Signing, VERSION};
use casque_image::read::ReadError;
use casque_sign::SecretKey;
use clap::Args;
use fs_err::File;
use tempfile::NamedTempFile;

use super::cache::duration;
use super::keygen::{failed, open};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::passphrase::Asked;
use crate::seal::{About, SealError, seal};

/// Sign a file, so that customers can verify it with `minisign -V` or `casque verify`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to sign
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The secret key, as `casque keygen` or minisign wrote it
    #[arg(long, value_name = "NAME.key")]
    key: PathBuf,

    /// Sign the image archive FILE inside, so that the installed image verifies it: it gets a list of all that is in it,
    /// signed, as its first files
    #[arg(long)]
    archive: bool,

    /// Say that the archive is of the release with this number, which grows with each
    #[arg(long, value_name = "NUMBER", requires = "archive")]
    counter: Option<u64>,

    /// Say that the archive is of this channel
    #[arg(long, value_name = "CHANNEL", requires = "archive")]
    channel: Option<Channel>,

    /// Say that nobody should install the archive anew after this time, such as 400d
    #[arg(long, value_name = "TIME", requires = "archive", value_parser = duration)]
    expires_after: Option<Duration>,

    /// Put this public key and NEW.pub.minisig into the archive, for images with the key before it; in the order of the chain
    #[arg(long, value_name = "NEW.pub", requires = "archive")]
    follow: Vec<PathBuf>,

    /// Write the signature there [default: FILE.minisig], or the signed archive [default: FILE]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// One line about the file that the signature covers [default: the time and the file's name, as minisign has it]
    #[arg(long, value_name = "TEXT", conflicts_with = "archive")]
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
    if arguments.archive {
        return archive(arguments, context, &key, &what);
    }
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

/// Signs an archive inside, all of it or nothing.
fn archive(arguments: &Arguments, context: &Context, key: &SecretKey, what: &str) -> Result<(), Failure> {
    let output = arguments.output.as_ref().unwrap_or(&arguments.file);
    let created = seconds(context.now);
    let about = About {
        tags: &[],
        channel: arguments.channel.as_ref(),
        counter: arguments.counter,
        created,
        expires: arguments.expires_after.map(|after| created + after.as_secs()),
        follow: &arguments.follow,
    };
    let failed = |error: std::io::Error| Failure::new(what, &error);
    let mut file = NamedTempFile::new_in(directory(output)).map_err(failed)?;
    let sealed = seal(&arguments.file, &about, key, file.as_file_mut(), output);
    let record = sealed.map_err(|error| unsealed(what, &error))?;
    keep(file, output).map_err(failed)?;
    let signing = Signing {
        version: VERSION,
        key: key.id().to_string(),
        public_key: Some(key.public().line()),
        follows: None,
        files: vec![output.display().to_string()],
        trusted_comment: None,
    };
    context.ui.line(&match arguments.json {
        true => serde_json::to_string(&signing).expect("a result is plain data"),
        false => {
            format!("signed by key {}: {}, {}", signing.key, output.display(), record.reference())
        }
    });
    Ok(())
}

/// Makes words of why an archive could not be signed.
pub(crate) fn unsealed(what: &str, error: &SealError) -> Failure {
    let (code, hint) = match error {
        SealError::Sign(error) => return failed(what, error),
        SealError::Read(ReadError::OddMember { .. }) => {
            (ExitCode::Manifest, Some("only archives as casque writes them can be signed inside"))
        }
        SealError::Read(error) if error.is_damage() => (ExitCode::Trust, None),
        SealError::OtherKey { .. } => (
            ExitCode::Manifest,
            Some("name the public keys from the one after the customers' to the one that signs"),
        ),
        SealError::Read(_) | SealError::Chain(_) | SealError::NoName { .. } | SealError::Record(_) => {
            (ExitCode::Manifest, None)
        }
        SealError::Write(_) => (ExitCode::Unexpected, None),
    };
    Failure::new(what, error).judged(code, hint.map(str::to_owned))
}

/// Returns where the signature of a file is.
pub(crate) fn beside(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.minisig", file.display()))
}

fn usual_comment(file: &Path, now: SystemTime) -> String {
    let seconds = seconds(now);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("timestamp:{seconds}\tfile:{name}\thashed").replace(|c: char| c.is_control() && c != '\t', "?")
}

pub(super) fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = NamedTempFile::new_in(directory(path))?;
    file.write_all(text.as_bytes())?;
    keep(file, path)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Gives a file that is whole its name.
fn keep(file: NamedTempFile, path: &Path) -> std::io::Result<()> {
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
