//! Where passphrases come from: a file, the environment or the terminal, never an argument.

use std::path::Path;

use casque_sign::Passphrase;

use crate::error::{ExitCode, Failure};

/// One passphrase that a command needs.
pub(crate) struct Asked<'a> {
    /// What it is asked for with, and named by in messages.
    pub(crate) prompt: &'a str,
    /// `--passphrase-file`, and the option's name.
    pub(crate) file: Option<&'a Path>,
    pub(crate) option: &'a str,
    /// The variable's value, and its name.
    pub(crate) variable: Option<&'a Passphrase>,
    pub(crate) name: &'a str,
}

/// Returns the passphrase from where it is.
pub(crate) fn find(asked: &Asked<'_>, what: &str) -> Result<Passphrase, Failure> {
    if let Some(file) = asked.file {
        let text =
            fs_err::read_to_string(file).map_err(|error| Failure::usage(what, error.to_string(), None))?;
        return Ok(Passphrase::new(&text));
    }
    match asked.variable {
        Some(passphrase) => Ok(passphrase.clone()),
        None => prompt(asked, asked.prompt, what),
    }
}

/// Returns a passphrase for a new key, which on a terminal is typed twice.
pub(crate) fn find_new(asked: &Asked<'_>, what: &str) -> Result<Passphrase, Failure> {
    let passphrase = find(asked, what)?;
    if asked.file.is_none() && asked.variable.is_none() {
        let again = prompt(asked, "the same again", what)?;
        if again != passphrase {
            return Err(Failure::usage(what, "the two passphrases differ", None));
        }
    }
    Ok(passphrase)
}

fn prompt(asked: &Asked<'_>, words: &str, what: &str) -> Result<Passphrase, Failure> {
    match rpassword::prompt_password(format!("{words}: ")) {
        Ok(text) => Ok(Passphrase::new(&text)),
        Err(error) => {
            let hint = format!("without a terminal it comes from `{}` or `{}`", asked.option, asked.name);
            let missing = Failure::new(format!("{what}: no terminal to ask for {}", asked.prompt), &error);
            Err(missing.judged(ExitCode::Manifest, Some(hint)))
        }
    }
}
