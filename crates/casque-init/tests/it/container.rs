//! One run of `casque-init`, watched through its control socket and its output.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use casque_format::control::{Reply, Request, ServiceState, ServiceStatus, Snapshot};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Whatever takes longer than this does not happen at all.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How a run ended.
pub struct End {
    /// Its exit code.
    pub code: Option<i32>,
    /// All that it wrote.
    pub output: String,
    directory: TempDir,
}

impl End {
    /// Returns a path in the test's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the text of a file in the test's own directory.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

/// What a run has written so far.
#[derive(Default)]
struct Output {
    text: Mutex<String>,
    more: Condvar,
}

/// The words that begin a command which runs as PID 1 of namespaces of its own.
const AS_PID_1: [&str; 5] = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// A run.
pub struct Container {
    directory: Option<TempDir>,
    started: Child,
    reader: Option<JoinHandle<()>>,
    output: Arc<Output>,
    /// The process number of `casque-init`.
    pub pid: u32,
}

/// Returns a plan of these services; what a service does not say has a default that suits a test.
pub fn plan(services: &Value) -> Value {
    let mut plan = json!({
        "version": 1, "product": { "name": "vendor/backend", "version": "1", "command": "backend" },
        "listen": [], "services": {}, "stop_budget_ms": 9000, "mask": [], "agent_uid": 64999,
    });
    for (name, change) in services.as_object().unwrap() {
        let mut service = json!({
            "kind": "simple", "command": ["true"], "start_timeout_ms": 20_000,
            "restart": { "policy": "always", "limit": 3, "delay_ms": 10, "max_delay_ms": 10, "stable_ms": 60_000 },
            "stop": { "signal": "TERM", "timeout_ms": 5_000 }, "critical": true,
        });
        for (key, value) in change.as_object().unwrap() {
            service[key] = value.clone();
        }
        plan["services"][name] = service;
    }
    plan
}

/// Returns a service's command: a shell script.
pub fn sh(script: &str) -> Value {
    json!(["sh", "-c", script])
}

impl Container {
    /// Starts a plan; `DIR` in it becomes this test's own directory.
    pub fn start(plan: &Value) -> Self {
        Self::start_with(plan, |_| {})
    }

    /// Starts a plan by a command that `change` has changed.
    pub fn start_with(plan: &Value, change: impl FnOnce(&mut Command)) -> Self {
        Self::launch(plan, &[], change)
    }

    /// Starts a plan by a program that does something first and then becomes `casque-init`.
    pub fn start_below(plan: &Value, wrapper: &[&str]) -> Self {
        Self::launch(plan, wrapper, |_| {})
    }

    /// Starts a plan as PID 1 of namespaces of its own.
    pub fn start_as_pid_1(plan: &Value) -> Self {
        let mut container = Self::launch(plan, &AS_PID_1, |_| {});
        container.services_snapshot();
        container.find_pid_1();
        container
    }

    /// As [`Self::start_as_pid_1`], for a plan that ends by itself, perhaps before anybody could ask anything.
    pub fn start_as_pid_1_to_its_end(plan: &Value) -> Self {
        Self::launch(plan, &AS_PID_1, |_| {})
    }

    /// Starts a plan that shares with others what its one-shots have done.
    pub fn start_in(plan: &Value, once: &Path) -> Self {
        // The last one counts.
        Self::start_with(plan, |command| {
            command.arg("--once").arg(once);
        })
    }

    /// Starts a plan as this user, in a root filesystem that is `rw`, `ro`, or `ro` with a `/run` that can be written.
    pub fn start_surrounded(plan: &Value, uid: &str, mount: &str, pid_1: bool, no_new_privs: bool) -> Self {
        let options = if mount == "ro" { "ro" } else { "mode=1777" };
        let mut script = format!("set -e; mount -t tmpfs -o {options} tmpfs /run; ");
        if mount != "rw" {
            script += "mount -o remount,bind,ro /; ";
        }
        script += &format!("exec setpriv --reuid={uid} --regid=0 --clear-groups ");
        if no_new_privs {
            script += "--no-new-privs ";
        }
        script += "\"$@\" --control /run/casque/control.sock";
        let mut wrapper = if pid_1 { AS_PID_1.to_vec() } else { vec!["unshare"] };
        wrapper.extend(["--mount", "sh", "-c", &script, "sh"]);
        let mut container = Self::launch(plan, &wrapper, |_| {});
        if pid_1 {
            container.wait_for_lines("casque | ", 1);
            container.find_pid_1();
        }
        container
    }

    fn find_pid_1(&mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.started.id());
        self.pid = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    }

    /// Writes the plan that counts when it is asked for.
    pub fn write_plan(&self, plan: &Value) {
        let directory = self.directory.as_ref().unwrap().path();
        let text = plan.to_string().replace("DIR", directory.to_str().unwrap());
        std::fs::write(directory.join("plan.json"), text).unwrap();
    }

    /// Waits until something has been written so many times.
    pub fn wait_for_lines(&self, text: &str, count: usize) {
        let until = Instant::now() + PATIENCE;
        let mut output = self.output.text.lock().unwrap();
        while output.matches(text).count() < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody wrote {text:?} {count} times: {output}");
            output = self.output.more.wait_timeout(output, left).unwrap().0;
        }
    }

    /// Waits until something has been written.
    pub fn wait_for_line(&self, text: &str) {
        self.wait_for_lines(text, 1);
    }

    fn launch(plan: &Value, wrapper: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let wrap =
            |words: &[String]| wrapper.iter().map(|&word| word.to_owned()).chain(words.to_vec()).collect();
        Self::launch_words(plan, wrap, change)
    }

    /// Starts a plan by other words than those of `casque-init`, its standard input being a pipe.
    pub fn start_with_words(plan: &Value, wrap: impl FnOnce(&[String]) -> Vec<String>) -> Self {
        Self::launch_words(plan, wrap, |command| {
            command.stdin(Stdio::piped());
        })
    }

    fn launch_words(
        plan: &Value,
        wrap: impl FnOnce(&[String]) -> Vec<String>,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        make_public(directory.path());
        let place = directory.path().to_str().unwrap();
        std::fs::write(directory.path().join("plan.json"), plan.to_string().replace("DIR", place)).unwrap();
        let program = env!("CARGO_BIN_EXE_casque-init").to_owned();
        let (plan, control) = (format!("{place}/plan.json"), format!("{place}/control.sock"));
        let (once, rendered) = (format!("{place}/once"), format!("{place}/rendered"));
        let mut words = vec![program];
        for (option, value) in
            [("--plan", plan), ("--control", control), ("--once", once), ("--rendered", rendered)]
        {
            words.extend([option.to_owned(), value]);
        }
        let words = wrap(&words);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
        change(&mut command);
        let mut started = command.spawn().unwrap();
        let output = Arc::new(Output::default());
        let reader = started.stdout.take().map(|pipe| {
            let output = Arc::clone(&output);
            spawn(move || {
                // As fast as a log driver: PID 1 waits for its reader no longer than it must.
                let mut pipe = BufReader::with_capacity(1 << 16, pipe);
                let mut read = Vec::new();
                loop {
                    let piece = pipe.fill_buf().unwrap();
                    let (count, is_end) = (piece.len(), piece.is_empty());
                    read.extend_from_slice(piece);
                    pipe.consume(count);
                    let lines = if is_end {
                        Some(read.len())
                    } else {
                        read.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1)
                    };
                    if let Some(end) = lines {
                        output.text.lock().unwrap().push_str(std::str::from_utf8(&read[..end]).unwrap());
                        output.more.notify_all();
                        read.drain(..end);
                    }
                    if is_end {
                        break;
                    }
                }
            })
        });
        Self { directory: Some(directory), pid: started.id(), started, reader, output }
    }

    /// Writes to standard input.
    pub fn type_keys(&self, keys: &[u8]) {
        self.started.stdin.as_ref().unwrap().write_all(keys).unwrap();
    }

    /// Returns a path in this test's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.as_ref().unwrap().path().join(name)
    }

    /// Returns the text of a file in this test's own directory.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Waits for something that nobody announces.
    pub fn until(&self, what: &str, mut happened: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !happened() {
            assert!(Instant::now() < until, "it never came that {what}");
            std::thread::yield_now();
        }
    }

    /// Waits until a process executes a program of this name. PID 1 knows that it will a moment earlier: the descriptors
    /// of its own are closed one after the other then, and what there is to read of the program comes last.
    pub fn until_executed(&self, pid: u32, name: &str) {
        let words = format!("/proc/{pid}/cmdline");
        self.until("its program runs", || std::fs::read_to_string(&words).unwrap().starts_with(name));
    }

    /// Connects to the control socket once it is there.
    pub fn connect(&self) -> UnixStream {
        let until = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(self.path("control.sock")) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_write_timeout(Some(PATIENCE)).unwrap();
                    return stream;
                }
                Err(error) if Instant::now() > until => panic!("no control socket: {error}"),
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    /// Asks something and returns the answer.
    pub fn ask(&self, request: &Request) -> Reply {
        let mut stream = self.connect();
        let mut line = serde_json::to_string(request).unwrap();
        line.push('\n');
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer:?}: {error}"))
    }

    /// Watches until `enough`, and returns that snapshot.
    pub fn wait(&self, enough: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let mut stream = self.connect();
        stream.write_all(b"{\"command\":\"watch\"}\n").unwrap();
        let mut last = None;
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap_or_else(|error| panic!("{error}; the last was {last:#?}"));
            let Reply::Status { snapshot } = serde_json::from_str(&line).unwrap() else {
                panic!("not a snapshot: {line}");
            };
            if enough(&snapshot) {
                return snapshot;
            }
            last = Some(snapshot);
        }
        panic!("it has ended; the last was {last:#?}")
    }

    /// Watches until every service is ready.
    pub fn wait_ready(&self) -> Snapshot {
        self.wait(|snapshot| {
            !snapshot.services.is_empty()
                && snapshot.services.iter().all(|service| service.state == ServiceState::Ready)
        })
    }

    /// Watches until a service is `enough`, and returns it.
    pub fn wait_for(&self, name: &str, enough: impl Fn(&ServiceStatus) -> bool) -> ServiceStatus {
        let snapshot = self.wait(|snapshot| snapshot.services.iter().any(|s| s.name == name && enough(s)));
        snapshot.services.into_iter().find(|service| service.name == name).unwrap()
    }

    fn services_snapshot(&self) {
        self.wait(|snapshot| !snapshot.services.is_empty());
    }

    /// Sends a signal to `casque-init`.
    pub fn signal(&self, signal: &str) {
        kill(signal, self.pid);
    }

    /// Asks it to stop and returns how it ended.
    pub fn stop(self) -> End {
        self.signal("TERM");
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> End {
        let until = Instant::now() + PATIENCE;
        let code = loop {
            match self.started.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() > until => panic!("it does not end"),
                None => std::thread::yield_now(),
            }
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let output = self.output.text.lock().unwrap().clone();
        End { code, output, directory: self.directory.take().unwrap() }
    }

    /// Returns its children that are zombies.
    pub fn zombies(&self) -> Vec<u32> {
        processes().into_iter().filter(|p| p.parent == self.pid && p.zombie).map(|p| p.pid).collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        if matches!(self.started.try_wait(), Ok(None)) {
            let below = descendants(self.started.id());
            let _ = self.started.kill();
            let _ = self.started.wait();
            for pid in below {
                kill("KILL", pid);
            }
        }
    }
}

/// A line of the process table.
struct Process {
    pid: u32,
    parent: u32,
    zombie: bool,
}

fn processes() -> Vec<Process> {
    let pids = std::fs::read_dir("/proc").unwrap();
    pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let zombie = fields.next()? == "Z";
            Some(Process { pid, parent: fields.next()?.parse().ok()?, zombie })
        })
        .collect()
}

fn descendants(root: u32) -> BTreeSet<u32> {
    let processes = processes();
    let mut below = BTreeSet::from([root]);
    loop {
        let more: Vec<u32> = processes
            .iter()
            .filter(|p| below.contains(&p.parent) && !below.contains(&p.pid))
            .map(|p| p.pid)
            .collect();
        if more.is_empty() {
            below.remove(&root);
            return below;
        }
        below.extend(more);
    }
}

/// Sends a signal; whether anybody is there to get it does not matter.
pub fn kill(signal: &str, pid: u32) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("kill -{signal} {pid} 2>&-")]);
    command.status().unwrap();
}

/// Says whether a process runs.
pub fn runs(pid: u32) -> bool {
    processes().iter().any(|process| process.pid == pid && !process.zombie)
}

/// Says whether this test may use other users and namespaces.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|line| line.strip_prefix("Uid:").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0")))
}

fn make_public(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
}
