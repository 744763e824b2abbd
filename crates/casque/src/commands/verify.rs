//! `casque verify`: whether a file is what a trusted key signed.

use std::path::{Path, PathBuf};

use casque_format::archive::{ArchiveRecord, Expected, Installed};
use casque_format::signing::{Signing, VERSION};
use casque_sign::archive::{ArchiveError, verify};
use casque_sign::{KeyRing, PublicKey};
use clap::Args;
use fs_err::File;
use serde::Serialize;

use super::keygen::failed;
use super::sign::{beside, seconds};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Verify the signature of a file
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What was signed
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Trust this public key: a file, or the key in one line; may be given several times
    #[arg(long, value_name = "NAME.pub", required = true)]
    key: Vec<String>,

    /// Trust this public key too if a trusted one signed it in NEW.pub.minisig; in the order of the chain
    #[arg(long, value_name = "NEW.pub")]
    follow: Vec<PathBuf>,

    /// The signature [default: FILE.minisig]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,

    /// Verify the signature inside the image archive FILE, and all of it, as the installed image would; `-` is stdin
    #[arg(long, conflicts_with = "signature")]
    archive: bool,

    /// Refuse an archive of another image
    #[arg(long, value_name = "NAME", requires = "archive")]
    image: Option<String>,

    /// Refuse an archive that was released before the release with this number
    #[arg(long, value_name = "NUMBER", requires = "archive")]
    counter: Option<u64>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot verify `{}`", arguments.file.display());
    let mut ring =
        KeyRing::new(arguments.key.iter().map(|key| read_key(key, &what)).collect::<Result<Vec<_>, _>>()?);
    for new in &arguments.follow {
        let (file, signature) = (read(new, &what)?, read(&beside(new), &what)?);
        let followed = ring.follow(&file, &signature);
        followed.map_err(|error| failed(&format!("{what}: cannot follow to `{}`", new.display()), &error))?;
    }
    if arguments.archive {
        return archive(arguments, context, &ring, &what);
    }
    let signature = arguments.signature.clone().unwrap_or_else(|| beside(&arguments.file));
    let signature = read(&signature, &what)?;
    let content =
        File::open(&arguments.file).map_err(|error| Failure::usage(&what, error.to_string(), None))?;
    let verified = ring.verify(content, &signature).map_err(|error| failed(&what, &error))?;
    let signing = Signing {
        version: VERSION,
        key: verified.key.to_string(),
        public_key: None,
        follows: None,
        files: Vec::new(),
        trusted_comment: Some(verified.trusted_comment),
    };
    context.ui.line(&match arguments.json {
        true => serde_json::to_string(&signing).expect("a result is plain data"),
        false => format!(
            "`{}` is signed by key {}\ntrusted comment: {}",
            arguments.file.display(),
            signing.key,
            signing.trusted_comment.as_deref().unwrap_or_default()
        ),
    });
    Ok(())
}

/// What `--archive --json` prints.
#[derive(Serialize)]
struct VerifiedJson {
    #[serde(flatten)]
    signing: Signing,
    archive: ArchiveRecord,
}

/// Verifies an archive by what is in it.
fn archive(arguments: &Arguments, context: &Context, ring: &KeyRing, what: &str) -> Result<(), Failure> {
    let installed = Installed { counter: arguments.counter, ..Installed::default() };
    let expected = Expected { now: seconds(context.now), image: arguments.image.as_deref(), installed };
    let verified = match arguments.file == Path::new("-") {
        true => verify(std::io::stdin().lock(), ring, &expected),
        false => {
            let file = File::open(&arguments.file);
            verify(file.map_err(|error| Failure::usage(what, error.to_string(), None))?, ring, &expected)
        }
    };
    let verified = verified.map_err(|error| {
        let code = match error {
            ArchiveError::Read(_) => ExitCode::Unexpected,
            ArchiveError::Empty | ArchiveError::NotTar => ExitCode::Manifest,
            _ => ExitCode::Trust,
        };
        Failure::new(what, &error).judged(code, Some(error.remedy().to_owned()))
    })?;
    let record = verified.record;
    if arguments.json {
        let signing = Signing {
            version: VERSION,
            key: verified.key.to_string(),
            public_key: None,
            follows: None,
            files: Vec::new(),
            trusted_comment: None,
        };
        let json = VerifiedJson { signing, archive: record };
        context.ui.line(&serde_json::to_string(&json).expect("a result is plain data"));
        return Ok(());
    }
    let (file, reference) = (arguments.file.display(), record.reference());
    context.ui.line(&format!("`{file}` is `{reference}`, signed by key {}", verified.key));
    let counter =
        record.counter.map_or_else(|| "no counter".to_owned(), |counter| format!("counter {counter}"));
    let (count, size) = (record.members.len(), record.size());
    context.ui.line(&format!(
        "{counter}; {count} files, {size} bytes: each is what was signed, and there is nothing else"
    ));
    Ok(())
}

/// Reads a key in one line, as `minisign -P` takes it, or a file.
fn read_key(text: &str, what: &str) -> Result<PublicKey, Failure> {
    if text.starts_with("RW") && !text.contains(['/', '.']) {
        return PublicKey::parse(text).map_err(|error| failed(&format!("{what} with key `{text}`"), &error));
    }
    let file = read(Path::new(text), what)?;
    PublicKey::parse(&file).map_err(|error| failed(&format!("{what} with `{text}`"), &error))
}

fn read(path: &Path, what: &str) -> Result<String, Failure> {
    fs_err::read_to_string(path).map_err(|error| Failure::usage(what, error.to_string(), None))
}
