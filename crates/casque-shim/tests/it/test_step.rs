//! A step in a temporary root filesystem.
//!
//! The services run as the tests' own user, on the real root; only unit files, supervisor's
//! configuration and the links of enabled units are in the temporary one.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use casque_format::shim::Report;
use tempfile::TempDir;

pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_casque-shim");

/// A root filesystem with a state directory and the shim's other names.
pub(crate) struct TestStep {
    directory: TempDir,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestStep {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let step = Self { directory };
        fs_err::create_dir_all(step.path("bin")).unwrap();
        let names = [
            "deb-systemd-invoke",
            "hostnamectl",
            "journalctl",
            "loginctl",
            "policy-rc.d",
            "service",
            "sudo",
            "supervisorctl",
            "supervisord",
            "sysctl",
            "systemctl",
            "timedatectl",
            "ufw",
        ];
        for name in names {
            symlink(SHIM, step.path("bin").join(name)).unwrap();
        }
        step
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Writes a file of the root; `@` in the text stands for the test's directory.
    pub(crate) fn file(&self, path: &str, text: &str) -> &Self {
        let to = self.root().join(path.trim_start_matches('/'));
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        fs_err::write(to, text.replace('@', &self.directory.path().display().to_string())).unwrap();
        self
    }

    /// Writes a unit.
    pub(crate) fn unit(&self, name: &str, text: &str) -> &Self {
        self.file(&format!("/lib/systemd/system/{name}"), text)
    }

    /// Writes supervisor's main file and a program file.
    pub(crate) fn programs(&self, text: &str) -> &Self {
        self.file("/etc/supervisor/supervisord.conf", "[supervisord]\n[include]\nfiles = conf.d/*.conf\n")
            .file("/etc/supervisor/conf.d/all.conf", text)
    }

    /// Returns the command that runs `script` as a step. In the script `await` waits for a command to
    /// succeed, for half a minute at most.
    pub(crate) fn command(&self, script: &str) -> Command {
        let script = format!(
            "await() {{ n=0; until \"$@\"; do n=$((n+1)); test $n -lt 3000 || exit 99; sleep 0.01; done; }}\n{script}"
        );
        let mut command = Command::new(SHIM);
        command
            .args(["step", "--state"])
            .arg(self.path("state"))
            .args(["--", "sh", "-c", &script])
            .current_dir(self.directory.path());
        self.surround(&mut command);
        command
    }

    /// Gives a command the environment of a step.
    pub(crate) fn surround(&self, command: &mut Command) {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display());
        command
            .env_clear()
            .env("PATH", path)
            .env("T", self.directory.path())
            .env("CASQUE_SHIM_ROOT", self.root())
            .env("CASQUE_SHIM_STATE", self.path("state"));
    }

    /// Runs `script` as a step.
    pub(crate) fn run(&self, script: &str) -> Ended {
        Ended::from(self.command(script).output().unwrap())
    }

    pub(crate) fn report(&self) -> Report {
        serde_json::from_slice(&fs_err::read(self.path("state/report.json")).unwrap()).unwrap()
    }

    pub(crate) fn text(&self, relative: &str) -> String {
        fs_err::read_to_string(self.path(relative)).unwrap()
    }

    /// Returns where a link of the root leads.
    pub(crate) fn link(&self, path: &str) -> Option<PathBuf> {
        fs_err::read_link(self.root().join(path.trim_start_matches('/'))).ok()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    /// Checks that the step succeeded and returns what it printed.
    #[track_caller]
    pub(crate) fn printed(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}

/// Says whether a process, named by its number in a file, is alive.
pub(crate) fn is_alive(pid_file: &Path) -> bool {
    let pid = fs_err::read_to_string(pid_file).unwrap();
    Path::new(&format!("/proc/{}", pid.trim())).exists()
}
