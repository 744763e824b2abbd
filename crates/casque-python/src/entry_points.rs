//! The commands of a distribution: `entry_points.txt` and the scripts made from it.

/// As many bytes as every kernel reads of a script's first line.
const LONGEST_SHEBANG: usize = 127;

/// A command that calls a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// The file in `bin`.
    pub(crate) name: String,
    module: String,
    function: String,
}

/// Reads the commands; `None` when a line of theirs is damaged.
pub(crate) fn commands(entry_points: &str) -> Option<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    let mut inside = false;
    for line in entry_points.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            inside = matches!(section.trim_end_matches(']').trim(), "console_scripts" | "gui_scripts");
        } else if inside {
            commands.push(command(line)?);
        }
    }
    Some(commands)
}

/// Reads `name = module:function [extras]`.
fn command(line: &str) -> Option<Command> {
    let (name, target) = line.split_once('=')?;
    let target = target.split_once('[').map_or(target, |(target, _)| target);
    let (module, function) = target.split_once(':')?;
    let (name, module, function) = (name.trim(), module.trim(), function.trim());
    // What lands in Python source must be names and nothing else.
    let is_dotted = |text: &str| text.split('.').all(is_identifier);
    let is_file = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
    (is_file && is_dotted(module) && is_dotted(function)).then(|| Command {
        name: name.to_owned(),
        module: module.to_owned(),
        function: function.to_owned(),
    })
}

fn is_identifier(text: &str) -> bool {
    let starts = text.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_');
    starts && text.chars().all(|symbol| symbol.is_alphanumeric() || symbol == '_')
}

impl Command {
    /// Returns the script, to be run by the Python at `python`.
    pub(crate) fn script(&self, python: &str) -> String {
        let root = self.function.split('.').next().unwrap_or(&self.function);
        format!(
            "{}import sys\n\nfrom {} import {root}\n\nif __name__ == \"__main__\":\n    sys.exit({}())\n",
            shebang(python),
            self.module,
            self.function
        )
    }
}

/// Returns the first line of a script, or three where the path does not fit into one: a shell reads them as a command,
/// Python as a string.
pub(crate) fn shebang(python: &str) -> String {
    let line = format!("#!{python}\n");
    if line.len() <= LONGEST_SHEBANG && !python.contains(char::is_whitespace) {
        return line;
    }
    format!("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n")
}

/// Returns what a script of a wheel begins with, `first` being its first line; those that are not for Python stay as
/// they are.
pub(crate) fn with_shebang(first: &[u8], python: &str) -> Vec<u8> {
    if first.starts_with(b"#!python") { shebang(python).into_bytes() } else { first.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: &str = "/opt/x/venv/bin/python3";

    #[test]
    fn commands_become_scripts() {
        let text = "[console_scripts]\n# a comment\ngunicorn = gunicorn.app.wsgiapp:run [extra]\n\
            [other]\nstrange line\n[gui_scripts]\nw=a:B.main\n";
        let found = commands(text).unwrap();
        assert_eq!(found.iter().map(|command| command.name.as_str()).collect::<Vec<_>>(), ["gunicorn", "w"]);
        assert_eq!(
            found[1].script(PYTHON),
            "#!/opt/x/venv/bin/python3\nimport sys\n\nfrom a import B\n\nif __name__ == \"__main__\":\n    \
             sys.exit(B.main())\n"
        );
    }

    #[test]
    fn commands_that_would_be_other_code_are_refused() {
        for line in ["a", "a = b", "a = b:", "../a = b:c", "a = b:c()", "a = b; import os:c", "= b:c"] {
            assert_eq!(commands(&format!("[console_scripts]\n{line}")), None, "{line}");
        }
    }

    #[test]
    fn scripts_of_a_wheel_get_the_python_of_the_environment() {
        assert_eq!(with_shebang(b"#!python\n", PYTHON), b"#!/opt/x/venv/bin/python3\n");
        assert_eq!(with_shebang(b"#!pythonw -E\r\n", PYTHON), b"#!/opt/x/venv/bin/python3\n");
        assert_eq!(with_shebang(b"#!/bin/sh\n", PYTHON), b"#!/bin/sh\n");
        assert_eq!(with_shebang(b"", PYTHON), b"");
    }

    #[test]
    fn a_path_too_long_for_the_kernel_goes_through_the_shell() {
        for python in [&format!("/{}/python3", "a".repeat(127)), "/opt/a b/python3"] {
            assert_eq!(shebang(python), format!("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"));
        }
    }
}
