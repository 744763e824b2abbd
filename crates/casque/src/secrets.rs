//! `--secret`: values for steps, from files or variables. None is ever an argument.

use std::collections::BTreeMap;
use std::path::PathBuf;

use casque_build::manifest::Manifest;
use casque_build::{BuildError, Event, Observer as _, Secrets};
use clap::Args;

use crate::context::Context;
use crate::env;
use crate::error::Failure;

/// Where the secrets of steps come from.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// Give steps a secret of the manifest, `id=ID,src=FILE` or `id=ID,env=VARIABLE`; may be given several times
    #[arg(long = "secret", value_name = "SECRET", value_parser = parse)]
    sources: Vec<Source>,
}

/// One `--secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    id: String,
    from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    File(PathBuf),
    Variable(String),
}

/// Takes what Docker takes, too: `source` for `src`, and a `type` that says what the rest says.
fn parse(text: &str) -> Result<Source, String> {
    let mut id = None;
    let mut from = None;
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        if value.is_empty() {
            return Err(format!("`{field}` is not of the form KEY=VALUE"));
        }
        let source = match key {
            "id" => {
                id = Some(value.to_owned());
                continue;
            }
            "type" if matches!(value, "file" | "env") => continue,
            "src" | "source" => From::File(value.into()),
            "env" => From::Variable(value.to_owned()),
            _ => return Err(format!("`{field}` is none of `id=ID`, `src=FILE` and `env=VARIABLE`")),
        };
        if from.replace(source).is_some() {
            return Err("it has more than one of `src` and `env`".to_owned());
        }
    }
    match (id, from) {
        (Some(id), Some(from)) => Ok(Source { id, from }),
        (None, _) => Err("it has no `id=ID`".to_owned()),
        (_, None) => Err("it has neither `src=FILE` nor `env=VARIABLE`".to_owned()),
    }
}

impl Given {
    /// Reads the secrets, and has them masked in everything that is printed from here on; `what` is for messages.
    pub(crate) fn read(
        &self,
        manifest: &Manifest,
        context: &Context,
        what: &str,
    ) -> Result<Secrets, Failure> {
        let mut values = BTreeMap::new();
        for source in &self.sources {
            let value = match &source.from {
                From::File(path) => fs_err::read(path).map_err(|error| {
                    let cause = format!("cannot read the secret `{}`: {error}", source.id);
                    Failure::usage(what, cause, None)
                })?,
                From::Variable(name) => env::secret(name).ok_or_else(|| {
                    let cause = format!(
                        "the secret `{}` is to be in the variable `{name}`, which is not set",
                        source.id
                    );
                    Failure::usage(what, cause, None)
                })?,
            };
            if values.insert(source.id.clone(), value).is_some() {
                return Err(Failure::usage(what, format!("the secret `{}` is given twice", source.id), None));
            }
        }
        let secrets = Secrets::new(values).map_err(|error| Failure::new(what, &BuildError::from(error)))?;
        context.ui.hide(secrets.clone());
        for id in secrets.unused(&manifest.content.layer) {
            let text = format!("the secret `{id}` was given, and no layer of the manifest asks for it");
            context.ui.event(&Event::Warning { text });
        }
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_given_as_to_docker() {
        let file = |id: &str, path: &str| Ok(Source { id: id.to_owned(), from: From::File(path.into()) });
        assert_eq!(parse("id=pip,src=token.txt"), file("pip", "token.txt"));
        assert_eq!(parse("type=file,id=pip,source=/a=b"), file("pip", "/a=b"));
        let variable = Source { id: "vault".to_owned(), from: From::Variable("VAULT".to_owned()) };
        assert_eq!(parse("id=vault,env=VAULT"), Ok(variable));
    }

    #[test]
    fn a_mistake_in_it_is_said() {
        let said = |text: &str| parse(text).unwrap_err();
        assert_eq!(said("token"), "`token` is not of the form KEY=VALUE");
        assert_eq!(said("src=a"), "it has no `id=ID`");
        assert_eq!(said("id=a"), "it has neither `src=FILE` nor `env=VARIABLE`");
        assert_eq!(said("id=a,src=b,env=C"), "it has more than one of `src` and `env`");
        assert_eq!(said("id=a,mode=0400"), "`mode=0400` is none of `id=ID`, `src=FILE` and `env=VARIABLE`");
    }
}
