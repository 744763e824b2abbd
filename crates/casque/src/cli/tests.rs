//! The reference in `docs/cli.md` is what the program says of itself. `UPDATE_DOCS=1 cargo test -p casque reference`
//! writes it anew.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use super::Cli;

/// Columns of a help text in the page.
const WIDTH: usize = 100;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")
}

/// Returns every command with its help, in the order of the help itself.
fn commands() -> String {
    let mut program = Cli::command().term_width(WIDTH);
    program.build();
    let mut text = format!("```text\n{}```\n", trimmed(&program.render_help().to_string()));
    program.get_subcommands_mut().for_each(|command| describe(command, "casque", &mut text));
    text
}

fn describe(command: &mut clap::Command, above: &str, text: &mut String) {
    let name = format!("{above} {}", command.get_name());
    let help = trimmed(&command.render_help().to_string());
    *text += &format!("\n### `{name}`\n\n```text\n{help}```\n");
    command.get_subcommands_mut().for_each(|command| describe(command, &name, text));
}

/// Removes blanks at the ends of lines, which no editor keeps.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Returns the table of exit codes, made from the enum and its comments.
fn exit_codes() -> String {
    let source = include_str!("../error.rs");
    let body = source.split("enum ExitCode {\n").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
    let mut text = String::from("| code | means |\n| --- | --- |\n| 0 | Done. |\n");
    let mut meaning = Vec::new();
    for line in body.lines().map(str::trim) {
        match (line.strip_prefix("/// "), line.split_once(" = ")) {
            (Some(words), _) => meaning.push(words),
            (None, Some((_, code))) => {
                text += &format!("| {} | {} |\n", code.trim_end_matches(','), meaning.join(" "));
                meaning.clear();
            }
            _ => panic!("neither a comment nor a code: {line}"),
        }
    }
    text
}

/// Replaces what is between the two comments of that name.
fn replaced(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->\n"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no `{begin}`"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("the page has no `{end}`"));
    format!("{before}{begin}{text}{end}{after}")
}

#[test]
fn the_reference_is_what_the_program_says_of_itself() {
    let page = page();
    let old = fs_err::read_to_string(&page).unwrap();
    let new = replaced(&replaced(&old, "commands", &commands()), "exit codes", &exit_codes());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs_err::write(&page, &new).unwrap();
    }
    let current = fs_err::read_to_string(&page).unwrap();
    assert!(current == new, "docs/cli.md is out of date: UPDATE_DOCS=1 cargo test -p casque reference");
}

#[test]
fn every_variable_that_is_read_is_described() {
    let page = fs_err::read_to_string(page()).unwrap();
    let texts = include_str!("../env.rs").split('"').skip(1).step_by(2);
    let is_variable = |text: &&str| {
        text.contains('_') && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphabetic())
    };
    let missing: Vec<&str> =
        texts.filter(is_variable).filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [""; 0]);
}
