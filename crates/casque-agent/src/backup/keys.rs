//! Encryption in the form of age (age-encryption.org/v1), so that its own program opens a backup too.

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use thiserror::Error;

use super::{Trouble, Unusable};
use crate::env::Environment;

/// The variable that may hold the passphrase.
pub const PASSPHRASE: &str = "CASQUE_BACKUP_PASSPHRASE";
/// 2 to this power is what scrypt costs: half a second and 128 MiB, as OWASP asks for at least.
const WORK: u8 = 17;
/// What a backup may cost that somebody else encrypted.
const MOST_WORK: u8 = 22;
const AGE: &[u8] = b"age-encryption.org/";
const ARMOR: &[u8] = b"-----BEGIN AGE ENCR";

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Its file cannot be read; the source names it.
    #[error("cannot read a key: {0}")]
    Read(io::Error),
    /// There is nothing in it.
    #[error("the passphrase in `{0}` is empty")]
    Empty(PathBuf),
    /// Not a recipient.
    #[error("`{text}` is no recipient of age, which begins with `age1`: {reason}")]
    Recipient {
        /// What was given.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// Not an identity.
    #[error("`{0}` has no identity of age, a line that begins with `AGE-SECRET-KEY-1`")]
    Identity(PathBuf),
}

/// How a backup is encrypted.
pub enum Lock {
    /// Not at all.
    None,
    /// With a passphrase.
    Passphrase(SecretString),
    /// For the holders of these keys.
    Recipients(Vec<Recipient>),
}

impl Lock {
    /// Takes what was given: recipients, or the passphrase of a file, or that of the environment.
    pub fn of(
        recipients: &[String],
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, KeyError> {
        if recipients.is_empty() {
            return Ok(passphrase(file, environment)?.map_or(Self::None, Self::Passphrase));
        }
        let parse =
            |text: &String| text.parse().map_err(|reason| KeyError::Recipient { text: text.clone(), reason });
        recipients.iter().map(parse).collect::<Result<_, _>>().map(Self::Recipients)
    }

    /// Begins to encrypt what goes to `output`.
    pub fn lock<W: Write>(self, output: W) -> io::Result<Locked<W>> {
        let encryptor = match &self {
            Self::None => return Ok(Locked::Plain(output)),
            Self::Passphrase(passphrase) => {
                let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            }
            Self::Recipients(recipients) => {
                Encryptor::with_recipients(recipients.iter().map(|one| one as &dyn age::Recipient))
            }
        };
        let encryptor = encryptor.map_err(io::Error::other)?;
        Ok(Locked::Age(Box::new(encryptor.wrap_output(output)?)))
    }
}

/// What is written, encrypted or not.
pub enum Locked<W: Write> {
    /// As it is.
    Plain(W),
    /// Encrypted.
    Age(Box<age::stream::StreamWriter<W>>),
}

impl<W: Write> Locked<W> {
    /// Writes what is left.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut output) => output.flush(),
            Self::Age(writer) => writer.finish()?.flush(),
        }
    }
}

impl<W: Write> Write for Locked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Age(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Age(writer) => writer.flush(),
        }
    }
}

/// What may open a backup.
pub struct Keys {
    passphrase: Option<SecretString>,
    identities: Vec<Identity>,
}

impl Keys {
    /// Takes what was given: a file of identities, the passphrase of a file, or that of the environment.
    pub fn of(
        identity: Option<&Path>,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, KeyError> {
        let identities = identity.map(identities).transpose()?.unwrap_or_default();
        Ok(Self { passphrase: passphrase(file, environment)?, identities })
    }

    /// Returns the backup in `input`, decrypted if it is encrypted.
    pub fn open(self, mut input: impl BufRead + 'static) -> Result<Box<dyn BufRead>, Trouble> {
        let mut begin = Vec::new();
        let read = (&mut input).take(AGE.len() as u64).read_to_end(&mut begin);
        read.map_err(|error| Unusable::because(&error))?;
        if begin.is_empty() {
            return Err(Unusable::Empty.into());
        }
        let is_age = begin == AGE;
        let is_armored = begin == ARMOR;
        let whole = Cursor::new(begin).chain(input);
        if is_armored {
            return Err(Unusable::Locked("as text: pass it through `age --decrypt` first").into());
        }
        if !is_age {
            return Ok(Box::new(whole));
        }
        let decryptor = Decryptor::new_buffered(whole).map_err(|error| unusable(&error))?;
        let reader = match decryptor.is_scrypt() {
            true => {
                let missing = "with a passphrase: give it by `--passphrase-file` or CASQUE_BACKUP_PASSPHRASE";
                let passphrase = self.passphrase.ok_or(Unusable::Locked(missing))?;
                let mut identity = age::scrypt::Identity::new(passphrase);
                identity.set_max_work_factor(MOST_WORK);
                decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
            }
            false if self.identities.is_empty() => {
                return Err(Unusable::Locked("for a key: give its file by `--identity`").into());
            }
            false => decryptor.decrypt(self.identities.iter().map(|one| one as &dyn age::Identity)),
        };
        Ok(Box::new(BufReader::with_capacity(1 << 16, reader.map_err(|error| unusable(&error))?)))
    }
}

/// The library's own texts are sentences for its program.
fn unusable(error: &DecryptError) -> Unusable {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            Unusable::WrongKey("the passphrase is another".to_owned())
        }
        DecryptError::NoMatchingKeys => Unusable::WrongKey("it was made for another key".to_owned()),
        DecryptError::ExcessiveWork { .. } => Unusable::WrongKey(
            "its passphrase takes too long; pass it through `age --decrypt` first".to_owned(),
        ),
        DecryptError::Io(error) => Unusable::because(error),
        _ => Unusable::Damaged("its encryption has another beginning".to_owned()),
    }
}

fn passphrase(file: Option<&Path>, environment: &Environment) -> Result<Option<SecretString>, KeyError> {
    let Some(path) = file else {
        let given = environment.get(PASSPHRASE).map(|text| text.to_string_lossy().into_owned());
        return Ok(given.map(SecretString::from));
    };
    let text = read(path)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    match text.strip_suffix('\r').unwrap_or(text) {
        "" => Err(KeyError::Empty(path.to_owned())),
        text => Ok(Some(SecretString::from(text.to_owned()))),
    }
}

fn identities(path: &Path) -> Result<Vec<Identity>, KeyError> {
    let text = read(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed: Result<Vec<Identity>, _> = lines.map(str::parse).collect();
    parsed.ok().filter(|all| !all.is_empty()).ok_or_else(|| KeyError::Identity(path.to_owned()))
}

fn read(path: &Path) -> Result<String, KeyError> {
    fs_err::read_to_string(path).map_err(KeyError::Read)
}
