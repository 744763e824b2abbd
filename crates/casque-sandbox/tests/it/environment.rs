//! A small root file system made of the host's `/usr`, and a way to run a command in it.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use casque_sandbox::{Bind, Error, Exit, Helper, Sandbox, Spec, Streams};
use tempfile::TempDir;

/// A root file system with a shell.
pub struct Environment {
    /// Its directory.
    pub root: TempDir,
}

/// What a command left.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to stdout and stderr.
    pub text: String,
}

impl Environment {
    pub fn new() -> Self {
        let root = TempDir::new().unwrap();
        for directory in ["usr", "etc", "tmp", "data", "run"] {
            std::fs::create_dir(root.path().join(directory)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            if Path::new("/usr").join(link).exists() {
                symlink(format!("usr/{link}"), root.path().join(link)).unwrap();
            }
        }
        Self { root }
    }

    /// Returns a specification of a shell script in this root.
    pub fn script(&self, script: &str) -> Spec {
        self.command(&["/bin/sh", "-c", script])
    }

    pub fn command(&self, command: &[&str]) -> Spec {
        let command = command.iter().map(ToString::to_string).collect();
        let mut spec = Spec::new(self.root.path(), command);
        spec.binds.push(Bind { from: "/usr".into(), to: "/usr".into(), read_only: true });
        spec
    }
}

pub fn sandbox() -> Sandbox {
    Sandbox::new(Helper { program: env!("CARGO_BIN_EXE_casque-sandbox-helper").into() })
}

/// Runs to the end.
pub fn output(spec: &Spec) -> Result<Output, Error> {
    let (mut reader, streams) = captured();
    let mut running = sandbox().spawn_with(spec, streams)?;
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    Ok(Output { exit: running.wait()?, text })
}

/// Returns streams whose output comes out of the reader.
pub fn captured() -> (std::io::PipeReader, Streams) {
    let (reader, writer) = std::io::pipe().unwrap();
    let streams =
        Streams { stdin: Stdio::null(), stdout: writer.try_clone().unwrap().into(), stderr: writer.into() };
    (reader, streams)
}

/// Runs a script that must end with code 0, and returns what it wrote.
pub fn text(spec: &Spec) -> String {
    let output = output(spec).unwrap();
    assert_eq!(output.exit, Exit::Code(0), "{}", output.text);
    output.text
}
