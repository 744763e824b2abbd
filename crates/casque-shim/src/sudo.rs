//! `sudo` where there is none: root becomes another user, as Ansible's `become_user` and deploy scripts ask for.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::accounts::Accounts;
use crate::env::{Environment, those_set};
use crate::error::ShimError;
use crate::take_over;
use crate::{sys, ui};

/// Where it is; a real one that is installed during the step is beside it.
pub(crate) const PATH: &str = "/usr/bin/sudo";
/// What a command keeps of the environment, beside the variables of a login; `-E` keeps all.
const KEPT: [&str; 24] = [
    "CASQUE_SHIM_ROOT",
    "CASQUE_SHIM_STATE",
    "CURL_CA_BUNDLE",
    "DEBCONF_NONINTERACTIVE_SEEN",
    "DEBIAN_FRONTEND",
    "DPKG_FORCE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "NO_PROXY",
    "PATH",
    "PIP_CACHE_DIR",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PYTHONHASHSEED",
    "REQUESTS_CA_BUNDLE",
    "SOURCE_DATE_EPOCH",
    "SSL_CERT_FILE",
    "TERM",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What was asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    user: Option<String>,
    group: Option<String>,
    directory: Option<String>,
    keep: bool,
    login: bool,
    nothing: bool,
    variables: Vec<(String, String)>,
    command: Vec<String>,
}

/// Runs a command as another user.
pub(crate) fn run(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let real = take_over::aside(&environment.root.path(PATH));
    if real.exists() {
        let source = Command::new(real).args(words).exec();
        return Err(ShimError::System { action: "run the real `sudo`", source });
    }
    let asked = read(words)?;
    if sys::effective_uid() != 0 {
        return Err(ShimError::Usage("only root may use it during the build".to_owned()));
    }
    if asked.nothing {
        return Ok(ExitCode::SUCCESS);
    }
    let accounts = Accounts::read(&environment.root);
    let user = asked.user.as_deref().unwrap_or("root").trim_start_matches('#');
    let identity = accounts
        .identity(user, asked.group.as_deref(), &[])
        .map_err(|error| ShimError::Usage(error.to_string()))?;
    let shell = ["/bin/sh".to_owned()];
    let (program, arguments) =
        asked.command.split_first().or(shell.split_first()).expect("a shell has a name");
    let mut command = Command::new(program);
    command.args(arguments);
    if !asked.keep {
        command.env_clear();
        command.envs(those_set(&KEPT));
    }
    let login = [("HOME", identity.home.as_str()), ("USER", &identity.name), ("LOGNAME", &identity.name)];
    command.envs(login).envs([("SUDO_USER", "root"), ("SUDO_UID", "0"), ("SUDO_GID", "0")]);
    command.env("SUDO_COMMAND", asked.command.join(" "));
    command.envs(asked.variables);
    if let Some(directory) =
        asked.directory.map(PathBuf::from).or(asked.login.then(|| identity.home.clone().into()))
    {
        command.current_dir(directory);
    }
    sys::prepare(&mut command, sys::Settings { identity: Some(identity), ..sys::Settings::default() });
    let error = command.exec();
    ui::err(&format!("sudo: {program}: {error}"));
    Ok(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }))
}

fn read(words: &[String]) -> Result<Asked, ShimError> {
    let mut asked = Asked::default();
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next_if(|word| word.starts_with('-') && *word != "-") {
        if word == "--" {
            break;
        }
        let (name, given) = match word.strip_prefix("--") {
            Some(_) => match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            },
            None => short(word, &mut asked)?,
        };
        let mut value = || {
            given
                .clone()
                .or_else(|| words.next().map(str::to_owned))
                .ok_or_else(|| ShimError::Usage(format!("option `{name}` needs a value")))
        };
        match name.as_str() {
            "" | "--non-interactive" | "--set-home" | "--stdin" | "--reset-timestamp" => {}
            "-u" | "--user" => asked.user = Some(value()?),
            "-g" | "--group" => asked.group = Some(value()?),
            "-D" | "--chdir" => asked.directory = Some(value()?),
            "-p" | "--prompt" | "-C" | "--close-from" | "-h" | "--host" => drop(value()?),
            "--preserve-env" => asked.keep = true,
            "--login" => asked.login = true,
            "--shell" => {}
            "--validate" | "--list" | "--version" => asked.nothing = true,
            unknown => {
                return Err(ShimError::Usage(format!("option `{unknown}` does not work during the build")));
            }
        }
    }
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        if name.is_empty() || name.contains('/') {
            break;
        }
        asked.variables.push((name.to_owned(), value.to_owned()));
        words.next();
    }
    asked.command = words.map(str::to_owned).collect();
    Ok(asked)
}

/// Reads letters in one word, such as `-nHu`; returns the one that takes a value, with what stands behind it.
fn short(word: &str, asked: &mut Asked) -> Result<(String, Option<String>), ShimError> {
    for (at, letter) in word.char_indices().skip(1) {
        match letter {
            'n' | 'H' | 'S' | 's' | 'k' | 'b' => {}
            'E' => asked.keep = true,
            'i' => asked.login = true,
            'v' | 'l' | 'V' | 'K' => asked.nothing = true,
            'u' | 'g' | 'D' | 'p' | 'C' | 'h' => {
                let behind = &word[at + 1..];
                return Ok((format!("-{letter}"), (!behind.is_empty()).then(|| behind.to_owned())));
            }
            unknown => {
                return Err(ShimError::Usage(format!("option `-{unknown}` does not work during the build")));
            }
        }
    }
    Ok((String::new(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Asked {
        read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_words_of_ansible_are_read() {
        let ansible = asked("-H -S -n -u postgres /bin/sh -c id");
        assert_eq!(ansible.user.as_deref(), Some("postgres"));
        assert_eq!(ansible.command, ["/bin/sh", "-c", "id"]);
        let short = asked("-nHuweb LANG=C env -i");
        assert_eq!(short.user.as_deref(), Some("web"));
        assert_eq!(short.variables, [("LANG".to_owned(), "C".to_owned())]);
        assert_eq!(short.command, ["env", "-i"]);
        let long = asked("--user=web --preserve-env -i -- ls -l");
        assert_eq!((long.user.as_deref(), long.keep, long.login), (Some("web"), true, true));
        assert_eq!(long.command, ["ls", "-l"]);
    }

    #[test]
    fn an_option_that_cannot_work_is_refused_by_name() {
        let message = |word: &str| read(&[word.to_owned()]).unwrap_err().to_string();
        assert_eq!(message("-A"), "option `-A` does not work during the build");
        assert_eq!(message("--askpass"), "option `--askpass` does not work during the build");
        assert_eq!(message("-u"), "option `-u` needs a value");
    }
}
