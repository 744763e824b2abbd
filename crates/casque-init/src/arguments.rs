//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use casque_format::paths;

/// What to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// The supervisor.
    Run(Options),
    /// The agent, with these words.
    Agent(Vec<OsString>),
}

/// How to be the supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// A plan that is there already; none means that the agent prepares it.
    pub(crate) plan: Option<PathBuf>,
    /// Where to listen for requests.
    pub(crate) control: PathBuf,
    /// Where it is written down what one-shots have done.
    pub(crate) once: PathBuf,
    /// The files that services may read.
    pub(crate) rendered: PathBuf,
    /// What is held as long as the volume is used; none with a plan that came without a volume.
    pub(crate) lock: Option<PathBuf>,
}

impl Arguments {
    /// Reads the arguments after the program's name, or says what is wrong with them.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut options = Options {
            plan: None,
            control: PathBuf::from(paths::CONTROL_SOCKET),
            once: PathBuf::from(paths::ONCE),
            rendered: PathBuf::from(paths::RENDERED),
            lock: None,
        };
        let words: Vec<OsString> = arguments.collect();
        let hidden = |word: &OsString| {
            ["--plan", "--control", "--once", "--rendered", "--lock"].iter().any(|known| word == known)
        };
        if words.first().is_some_and(|word| !hidden(word)) {
            return Ok(Self::Agent(words));
        }
        for pair in words.chunks(2) {
            match pair {
                [flag, value] if flag == "--plan" => options.plan = Some(value.into()),
                [flag, value] if flag == "--control" => options.control = value.into(),
                [flag, value] if flag == "--once" => options.once = value.into(),
                [flag, value] if flag == "--rendered" => options.rendered = value.into(),
                [flag, value] if flag == "--lock" => options.lock = Some(value.into()),
                [flag] if hidden(flag) => {
                    return Err(format!("`{}` needs a path", flag.to_string_lossy()));
                }
                _ => return Err(format!("`{}` is not known here", pair[0].to_string_lossy())),
            }
        }
        if options.plan.is_none() && options.lock.is_none() {
            options.lock = Some(PathBuf::from(paths::LOCK));
        }
        Ok(Self::Run(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Options {
        Options {
            plan: None,
            control: paths::CONTROL_SOCKET.into(),
            once: paths::ONCE.into(),
            rendered: paths::RENDERED.into(),
            lock: Some(paths::LOCK.into()),
        }
    }

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn words_go_to_the_agent_and_nothing_runs_the_image() {
        assert_eq!(
            parse(&["status", "--plan"]),
            Ok(Arguments::Agent(vec!["status".into(), "--plan".into()]))
        );
        assert_eq!(parse(&[]), Ok(Arguments::Run(usual())));
    }

    #[test]
    fn a_plan_may_be_given() {
        assert_eq!(
            parse(&["--plan", "/p", "--control", "/c"]),
            Ok(Arguments::Run(Options {
                plan: Some("/p".into()),
                control: "/c".into(),
                lock: None,
                ..usual()
            }))
        );
        assert_eq!(parse(&["--plan"]), Err("`--plan` needs a path".to_owned()));
        assert_eq!(parse(&["--plan", "p", "x", "y"]), Err("`x` is not known here".to_owned()));
    }
}
