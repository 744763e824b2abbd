//! Suggestions as TOML to paste into a manifest.

use std::collections::BTreeSet;

use super::{Environment, Suggestion};
use crate::manifest::Manifest;
use crate::proposal::{list, quote};

pub(super) fn of(suggestions: &[Suggestion], manifest: &Manifest) -> String {
    let layers = &manifest.content.layer;
    let mut names: BTreeSet<String> = layers.iter().map(|layer| layer.name.get_ref().clone()).collect();
    let mut text = String::new();
    for suggestion in suggestions.iter().filter(|suggestion| !suggestion.is_empty()) {
        text += &format!(
            "# To paste before the layer `{}`, which then finds all of it present.\n",
            suggestion.layer
        );
        if !suggestion.packages.is_empty() {
            text += &format!(
                "\n# {}, {}: what the step asks apt for, and what that needs.\n[[layer]]\nname = {}\npackages = {}\n",
                counted(suggestion.package_count, "package"),
                megabytes(suggestion.package_bytes),
                quote(&free("packages", &mut names)),
                list(&suggestion.packages.iter().map(String::as_str).collect::<Vec<_>>())
            );
        }
        if !suggestion.foreign.is_empty() {
            text += &format!(
                "\n# From archives that the manifest does not name, so a layer needs a `[[base.archive]]` first:\n# {}\n",
                suggestion.foreign.join(", ")
            );
        }
        for environment in &suggestion.python {
            text += &python(environment, &mut names);
        }
    }
    text
}

fn python(environment: &Environment, names: &mut BTreeSet<String>) -> String {
    let Environment { venv, requirements, lines, built, count, bytes } = environment;
    let head = format!(
        "\n# {}, {}: what the step installs into `{venv}`",
        counted(*count, "distribution"),
        megabytes(*bytes)
    );
    if !built.is_empty() {
        return format!(
            "{head}. A layer cannot hold it, because these came as no wheel:\n# {}\n# Build wheels of them, have them in an index, and pin all with `pip-compile --generate-hashes`.\n",
            built.join(", ")
        );
    }
    let parent = venv.trim_end_matches("/venv").rsplit('/').next().unwrap_or_default();
    let layer = |file: &str, names: &mut BTreeSet<String>| {
        format!(
            "[[layer]]\nname = {}\npython = {{ venv = {}, requirements = {} }}\n",
            quote(&free(&format!("python-{parent}"), names)),
            quote(venv),
            quote(file)
        )
    };
    match requirements {
        Some(file) => format!("{head}, which is what `{file}` says.\n{}", layer(file, names)),
        None => {
            let file = format!("requirements-{parent}.lock");
            let lines: String = lines.iter().map(|line| format!("#   {line}\n")).collect();
            format!(
                "{head}. No file of the project says that with hashes; this one would, as\n# `{file}`, and the step should install from it too:\n{lines}{}",
                layer(&file, names)
            )
        }
    }
}

fn free(name: &str, names: &mut BTreeSet<String>) -> String {
    let all = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    let free = all.into_iter().find(|name| !names.contains(name)).unwrap_or_default();
    names.insert(free.clone());
    free
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
