//! An environment that holds nothing of the machine's: own home, own cache, a fixed time of building.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory with all a program under test may know.
pub struct TestEnv {
    directory: TempDir,
}

/// What a program left.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
}

/// Returns the program of this name beside the tests; `cargo build -p NAME` makes it.
pub fn program(name: &str) -> PathBuf {
    // The test runs as `deps/it-HASH` in the directory of programs.
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "`{}` is missing: build it with `cargo build -p {name}`", path.display());
    path
}

impl Default for TestEnv {
    fn default() -> Self {
        Self { directory: TempDir::with_prefix("casque-test-").unwrap() }
    }
}

impl TestEnv {
    /// Returns a path in this environment.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, whose directory may be new.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Returns a casque that knows nothing but this environment. Relative paths are in it.
    pub fn casque(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&program("casque"));
        command.args(arguments);
        command
    }

    /// Returns any program that knows nothing but this environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.directory.path()).env("SOURCE_DATE_EPOCH", "1735689600");
        command.env("CASQUE_STATE", self.path("state")).env("CASQUE_CACHE", self.path("cache"));
        command
    }

    /// Runs casque to its end.
    pub fn run(&self, arguments: &[&str]) -> Seen {
        self.see(&mut self.casque(arguments))
    }

    /// Runs a command to its end; where this environment is does not show in what it wrote.
    pub fn see(&self, command: &mut Command) -> Seen {
        let seen = Seen::from(command.output().unwrap());
        let hide = |text: &str| text.replace(self.directory.path().to_str().unwrap(), "/env");
        Seen { code: seen.code, stdout: hide(&seen.stdout), stderr: hide(&seen.stderr) }
    }

    /// Returns every file below a directory, by its path from there; none when there is no such directory.
    pub fn files(&self, directory: &str) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let start = self.path(directory);
        let mut open = vec![start.clone()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(&directory).into_iter().flatten() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                } else {
                    files.insert(entry.path().strip_prefix(&start).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files
    }
}

impl From<Output> for Seen {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl fmt::Display for Seen {
    /// Everything, for a snapshot: stdout, stderr, and how it ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.stdout.lines() {
            writeln!(f, "stdout: {line}")?;
        }
        f.write_str(&self.stderr)?;
        match self.code {
            Some(code) => write!(f, "exit code {code}"),
            None => f.write_str("killed"),
        }
    }
}
