//! The command line of `systemctl`.

use crate::error::ShimError;

/// What was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// The verb, `list-units` when there is none.
    pub(super) verb: String,
    /// Names and patterns behind it.
    pub(super) names: Vec<String>,
    /// `--quiet`.
    pub(super) quiet: bool,
    /// `--no-block`.
    pub(super) no_block: bool,
    /// `--now`.
    pub(super) now: bool,
    /// `--value`.
    pub(super) value: bool,
    /// `--version`.
    pub(super) version: bool,
    /// `--no-legend`.
    pub(super) no_legend: bool,
    /// `--all`.
    pub(super) all: bool,
    /// `--property`, in the order given.
    pub(super) properties: Vec<String>,
    /// `--type`.
    pub(super) types: Vec<String>,
    /// `--state`.
    pub(super) states: Vec<String>,
    /// `--signal`.
    pub(super) signal: Option<String>,
    /// `--root`, which `deb-systemd-helper` gives as `/`.
    pub(super) root: Option<String>,
    /// `--preset-mode=enable-only` or `disable-only`.
    pub(super) preset_mode: Option<String>,
}

/// Options that change nothing here, without and with a value.
const IGNORED: [&str; 14] = [
    "--force",
    "--full",
    "--legend",
    "--no-ask-password",
    "--no-pager",
    "--no-reload",
    "--no-wall",
    "--no-warn",
    "--plain",
    "--recursive",
    "--runtime",
    "--show-types",
    "--system",
    "--wait",
];
const IGNORED_VALUES: [&str; 4] = ["--job-mode", "--kill-who", "--lines", "--output"];

impl Options {
    pub(super) fn read(words: &[String]) -> Result<Self, ShimError> {
        let mut options = Self::default();
        let mut positional = Vec::new();
        let mut words = words.iter().flat_map(|word| expand(word)).peekable();
        let mut only_names = false;
        while let Some(word) = words.next() {
            if only_names || !word.starts_with('-') {
                positional.push(word);
                continue;
            }
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.clone(), None),
            };
            let mut take = || {
                value
                    .take()
                    .or_else(|| words.next())
                    .ok_or_else(|| ShimError::Usage(format!("option `{name}` needs a value")))
            };
            match name.as_str() {
                "--" => only_names = true,
                "--quiet" => options.quiet = true,
                "--no-block" => options.no_block = true,
                "--now" => options.now = true,
                "--value" => options.value = true,
                "--version" => options.version = true,
                "--no-legend" => options.no_legend = true,
                "--all" => options.all = true,
                "--property" => options.properties.extend(list(&take()?)),
                "--type" => options.types.extend(list(&take()?)),
                "--state" => options.states.extend(list(&take()?)),
                "--signal" => options.signal = Some(take()?),
                "--root" => options.root = Some(take()?),
                "--preset-mode" => options.preset_mode = Some(take()?),
                ignored if IGNORED.contains(&ignored) => {}
                ignored if IGNORED_VALUES.contains(&ignored) => drop(take()?),
                unknown => {
                    return Err(ShimError::Usage(format!(
                        "option `{unknown}` does not work during the build"
                    )));
                }
            }
        }
        let mut positional = positional.into_iter();
        options.verb = positional.next().unwrap_or_else(|| "list-units".to_owned());
        options.names = positional.collect();
        Ok(options)
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::to_owned).collect()
}

/// Turns `-qn5` into the long options it stands for.
fn expand(word: &str) -> Vec<String> {
    let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty() && !rest.starts_with('-'))
    else {
        return vec![word.to_owned()];
    };
    let mut options = Vec::new();
    for (at, letter) in letters.char_indices() {
        let (long, takes) = match letter {
            'q' => ("--quiet", false),
            'f' => ("--force", false),
            'l' => ("--full", false),
            'a' => ("--all", false),
            'r' => ("--recursive", false),
            'p' => ("--property", true),
            't' => ("--type", true),
            's' => ("--signal", true),
            'n' => ("--lines", true),
            'o' => ("--output", true),
            _ => {
                options.push(format!("-{letter}"));
                continue;
            }
        };
        let rest = &letters[at + letter.len_utf8()..];
        if takes && !rest.is_empty() {
            options.push(format!("{long}={rest}"));
            break;
        }
        options.push(long.to_owned());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, ShimError> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_before_and_behind_the_verb() {
        let options = read("--no-pager show -pMainPID -p LoadState,ActiveState web --value").unwrap();
        assert_eq!((options.verb.as_str(), options.names), ("show", vec!["web".to_owned()]));
        assert_eq!(options.properties, ["MainPID", "LoadState", "ActiveState"]);
        assert!(options.value);
        assert!(read("is-enabled web -l").unwrap().names == ["web"]);
        assert!(read("-q is-active web").unwrap().quiet);
        assert_eq!(read("").unwrap().verb, "list-units");
    }

    #[test]
    fn an_option_that_cannot_work_is_refused_by_name() {
        let message = |line| read(line).unwrap_err().to_string();
        assert_eq!(message("--user start web"), "option `--user` does not work during the build");
        assert_eq!(message("show -p"), "option `--property` needs a value");
    }
}
