//! A directory that stands for `/`, with an image's plan in it, and the program started on it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use casque_format::image::ImagePlan;
use casque_format::paths;
use fs_err as fs;
use serde_json::{Value, json};
use tempfile::TempDir;

/// An image as the program sees it.
pub struct Instance(TempDir);

impl Instance {
    /// An image with settings of several types, two services and one marked file.
    pub fn new() -> Self {
        let instance = Self(tempfile::tempdir().unwrap());
        instance.write_plan(plan());
        instance.write(
            &format!("{}/etc/app.conf", paths::TEMPLATES),
            "port = @casque{port}\nurl = @casque{smtp-url|json}\nadmin = @casque{admin-password|shell}\n",
        );
        instance.write(
            "/proc/self/mountinfo",
            "1 0 8:1 /var/lib/docker/volumes/named/_data /data rw - ext4 /dev/sda1 rw\n",
        );
        fs::create_dir_all(instance.path("/proc/1")).unwrap();
        fs::create_dir(instance.path("/data")).unwrap();
        instance
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn write_plan(&self, plan: Value) {
        let checked: ImagePlan = serde_json::from_value(plan).unwrap();
        self.write(paths::IMAGE_PLAN, &serde_json::to_string(&checked).unwrap());
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Everything below `path`, sorted.
    pub fn list(&self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        if let Ok(entries) = fs::read_dir(self.path(path)) {
            for entry in entries {
                let below = format!("{path}/{}", entry.unwrap().file_name().display());
                found.extend(self.list(&below));
                found.push(below);
            }
        }
        found.sort();
        found
    }

    /// The program, its environment empty.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_casque-agent"));
        command.env_clear().env("PATH", "/usr/bin:/bin").arg("--root").arg(self.0.path()).args(words);
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> Finished {
        let output = self.command(words).envs(environment.iter().copied()).output().unwrap();
        Finished::new(output, &self.0.path().display().to_string())
    }

    /// Runs the program with something on its stdin.
    pub fn run_with(&self, words: &[&str], environment: &[(&str, &str)], input: &str) -> Finished {
        let mut command = self.command(words);
        command.envs(environment.iter().copied()).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that refuses before it reads has hung up.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Finished::new(child.wait_with_output().unwrap(), &self.0.path().display().to_string())
    }

    /// Runs the program as another user; only root can.
    pub fn run_as(&self, uid: u32, words: &[&str]) -> Finished {
        let (program, uid) = (self.path("/agent"), uid.to_string());
        if !program.exists() {
            // Not by this process: whatever another test starts meanwhile would have it open for writing, and then nobody
            // can execute it.
            let mut copy = Command::new("cp");
            copy.arg(env!("CARGO_BIN_EXE_casque-agent")).arg(&program);
            assert!(copy.status().unwrap().success());
        }
        fs::set_permissions(self.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]);
        command.arg(program).arg("--root").arg(self.0.path()).args(words);
        Finished::new(command.output().unwrap(), &self.0.path().display().to_string())
    }

    /// A socket in the place of PID 1's.
    pub fn control_socket(&self) -> UnixListener {
        fs::create_dir_all(self.path(paths::RUN)).unwrap();
        UnixListener::bind(self.path(paths::CONTROL_SOCKET)).unwrap()
    }
}

/// What a run left, the instance's directory cut out of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    fn new(output: Output, root: &str) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(root, "");
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Asserts success without a word on stderr, and returns stdout.
    pub fn quiet(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }
}

/// The plan of [`Instance::new`].
pub fn plan() -> Value {
    let service = |after: &[&str]| {
        json!({
            "kind": "simple", "command": ["/bin/x"], "after": after, "start_timeout_ms": 1000, "critical": true,
            "stop": {"signal": "TERM", "timeout_ms": 1000},
            "restart": {"policy": "always", "limit": 1, "delay_ms": 1, "max_delay_ms": 1, "stable_ms": 1},
        })
    };
    json!({
        "version": 1,
        "product": {"name": "vendor/backend", "version": "43.4.4", "command": "backend"},
            "reference": "vendor/backend:v43.4.4",
        "expose": [80, 443],
        "env_prefix": "",
        "agent": {"name": "agent", "uid": 910, "gid": 911, "home": "/"},
        "stop_budget_ms": 9000,
        "status_path": "/status",
        "data": [{"path": "/data/mongodb", "uid": 900, "gid": 900, "mode": 0o750}],
        "templates": [{"path": "/etc/app.conf", "uid": 33, "gid": 34, "mode": 0o640}],
        "services": {
            "mongodb": {"service": service(&[]), "unless": "mongodb-url"},
            "web": {"service": service(&["mongodb"]), "environment_settings": {"SMTP_URL": "smtp-url"}},
        },
        "settings": {
            "admin-password": {"type": "password", "description": "First password.", "generate": true},
            "mongodb-url": {"type": "url", "description": "An external MongoDB.", "secret": true},
            "port": {"type": "port", "description": "Where it listens.", "default": "8000"},
            "smtp-url": {"type": "url", "description": "Mail server.", "secret": true},
            "status-agent": {"type": "string", "description": "First word.", "default": "monitor"},
            "status-token": {"type": "password", "description": "Token.", "generate": true, "secret": true},
        },
    })
}
