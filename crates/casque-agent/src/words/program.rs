//! Any other first word: a program of the image, or a mistake.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::error::Error;
use crate::settings::closest;

/// Becomes the program, if the first word is a shell or an absolute path; returns only with an error.
pub fn run(words: &[OsString], commands: Vec<String>) -> Error {
    let Some((first, rest)) = words.split_first() else {
        return Error::UnknownCommand { word: String::new(), closest: None, commands };
    };
    let word = first.to_string_lossy().into_owned();
    if !matches!(word.as_str(), "bash" | "sh") && !word.starts_with('/') {
        let closest = closest(&word, commands.iter().map(String::as_str)).map(str::to_owned);
        return Error::UnknownCommand { word, closest, commands };
    }
    Error::Exec { program: word, source: Command::new(first).args(rest).exec() }
}
