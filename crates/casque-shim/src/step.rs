//! The first process of a vendor's step: starts its command, owns the services, reaps every orphan.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use casque_format::shim::{EnabledUnit, Report, SupervisorProgram, VERSION};
use casque_units::supervisor::Program;
use fs_err as fs;

use crate::client::SOCKET;
use crate::error::ShimError;
use crate::manager::Manager;
use crate::protocol::{Reply, Request};
use crate::root::Root;
use crate::sys::{self, Exit, Settings, Signals};
use crate::take_over::TakeOver;
use crate::{enabling, procfs, programs};

/// What the builder asks for.
#[derive(Debug)]
pub(crate) struct Step {
    /// The root filesystem, `/` in a sandbox.
    pub(crate) root: Root,
    /// Where socket, logs and report are.
    pub(crate) state: PathBuf,
    /// Whether the real commands are put aside while the step runs.
    pub(crate) take_over: bool,
    /// The vendor's command.
    pub(crate) command: Vec<OsString>,
}

/// How long what is left at the end may take to end by itself.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the command may take to end after a signal that is passed on to it.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to accept an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

impl Step {
    /// Runs the step to its end and returns its command's exit code.
    pub(crate) fn run(self) -> Result<ExitCode, ShimError> {
        fs::create_dir_all(&self.state).map_err(ShimError::File)?;
        fs::set_permissions(&self.state, std::fs::Permissions::from_mode(0o755)).map_err(ShimError::File)?;
        let system = |action| move |source| ShimError::System { action, source };
        let signals = Signals::open().map_err(system("take signals"))?;
        sys::adopt_orphans().map_err(system("adopt orphans"))?;
        // Ansible takes the service manager from the name of process 1.
        sys::set_name(c"systemd").map_err(system("set the process name"))?;
        let listener = self.listen()?;
        let before = enabling::enabled(&self.root);
        let taken = if self.take_over { Some(TakeOver::begin(&self.root)?) } else { None };

        let mut running = Running {
            manager: Manager::new(self.root.clone(), self.state.clone()),
            clients: BTreeMap::new(),
            next_client: 0,
            begun: Instant::now(),
            command: self.start()?,
            phase: Phase::Command,
            exit: None,
        };
        while running.phase != Phase::Done {
            running.turn(&signals, &listener)?;
        }
        let exit = running.exit.unwrap_or(Exit::Code(1));
        let report = report(&self.root, running.manager, &before);
        if let Some(taken) = taken {
            taken.end()?;
        }
        self.write(&report)?;
        fs::remove_file(self.state.join(SOCKET)).map_err(ShimError::File)?;
        Ok(code(exit))
    }

    fn listen(&self) -> Result<UnixListener, ShimError> {
        let path = self.state.join(SOCKET);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).map_err(ShimError::File)?;
        }
        let cannot = |source| ShimError::System { action: "open the socket for clients", source };
        let listener = UnixListener::bind(&path).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        // Anybody may ask; who may change something is judged by the peer's user.
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).map_err(ShimError::File)?;
        Ok(listener)
    }

    fn start(&self) -> Result<i32, ShimError> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| ShimError::Usage("a step needs a command".to_owned()))?;
        let mut command = Command::new(program);
        command.args(arguments);
        sys::prepare(&mut command, Settings::default());
        let child = command
            .spawn()
            .map_err(|source| ShimError::System { action: "start the step's command", source })?;
        i32::try_from(child.id()).map_err(|error| ShimError::System {
            action: "watch the step's command",
            source: std::io::Error::other(error),
        })
    }

    fn write(&self, report: &Report) -> Result<(), ShimError> {
        let cannot = |source| ShimError::System { action: "write the report", source };
        let mut text = serde_json::to_vec_pretty(report).map_err(std::io::Error::from).map_err(cannot)?;
        text.push(b'\n');
        let path = self.state.join("report.json");
        let temporary = self.state.join("report.json.new");
        fs::write(&temporary, text).map_err(ShimError::File)?;
        fs::rename(temporary, path).map_err(ShimError::File)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The command runs.
    Command,
    /// It got a signal and has until then.
    Signalled(Duration),
    /// The services are being stopped.
    Stopping,
    /// What is left has until then.
    Leftovers {
        kill_at: Duration,
        killed: bool,
    },
    Done,
}

struct Running {
    manager: Manager,
    clients: BTreeMap<usize, Client>,
    next_client: usize,
    begun: Instant,
    command: i32,
    phase: Phase,
    exit: Option<Exit>,
}

struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
    asked: bool,
}

impl Running {
    fn turn(&mut self, signals: &Signals, listener: &UnixListener) -> Result<(), ShimError> {
        let system = |source| ShimError::System { action: "wait for events", source };
        let asking: Vec<usize> =
            self.clients.iter().filter(|(_, client)| !client.asked).map(|(id, _)| *id).collect();
        let mut fds = vec![signals.fd(), listener.as_raw_fd()];
        fds.extend(
            asking.iter().filter_map(|id| self.clients.get(id)).map(|client| client.stream.as_raw_fd()),
        );
        fds.extend(self.manager.notify_fds());
        let readable = sys::poll(&fds, self.timeout()).map_err(system)?;
        let now = self.begun.elapsed();

        while let Some(signal) = signals.next() {
            if matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGHUP) {
                self.interrupted(now, signal);
            }
        }
        // Once everything is being killed, nothing comes back.
        let serves = !matches!(self.phase, Phase::Leftovers { .. });
        if serves {
            // A service said that it is ready before it ended: hear it first.
            self.manager.tick(now);
        }
        while let Some((pid, exit)) = sys::reap() {
            if pid == self.command {
                self.exit = Some(exit);
            }
            if serves {
                self.manager.exited(now, pid, exit);
            }
        }
        if readable[1] {
            self.accept(listener);
        }
        for (id, _) in asking.iter().zip(&readable[2..]).filter(|(_, readable)| **readable) {
            self.read(now, *id);
        }
        if serves {
            self.manager.tick(now);
            for (client, reply) in self.manager.advance(now) {
                self.answer(client, &reply);
            }
        }
        self.next_phase(now);
        Ok(())
    }

    fn timeout(&self) -> Option<i32> {
        let own = match self.phase {
            Phase::Signalled(at) | Phase::Leftovers { kill_at: at, .. } => Some(at),
            _ => None,
        };
        let services = match self.phase {
            Phase::Leftovers { .. } => None,
            _ => self.manager.due(),
        };
        let due = [services, own].into_iter().flatten().min()?;
        let left = due.saturating_sub(self.begun.elapsed());
        // Rounded up, or the wait would end just before the time has come, again and again.
        Some(i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX))
    }

    fn interrupted(&mut self, now: Duration, signal: i32) {
        match self.phase {
            Phase::Command => {
                sys::kill(self.command, signal);
                self.phase = Phase::Signalled(now + SIGNAL_TIMEOUT);
            }
            // Asked twice: no more waiting.
            Phase::Signalled(_) => sys::kill(self.command, libc::SIGKILL),
            _ => {}
        }
    }

    fn next_phase(&mut self, now: Duration) {
        match self.phase {
            Phase::Command if self.exit.is_some() => {
                self.manager.begin_stop();
                self.phase = Phase::Stopping;
                // The first stage begins now, not when something else happens.
                drop(self.manager.advance(now));
                self.next_phase(now);
            }
            Phase::Signalled(_) if self.exit.is_some() => {
                self.phase = Phase::Leftovers { kill_at: now, killed: false };
                self.next_phase(now);
            }
            Phase::Signalled(at) if at <= now => sys::kill(self.command, libc::SIGKILL),
            Phase::Stopping if self.manager.is_idle() => {
                for pid in leftovers() {
                    sys::kill(pid, libc::SIGTERM);
                }
                self.phase = Phase::Leftovers { kill_at: now + LEFTOVER_TIMEOUT, killed: false };
                self.next_phase(now);
            }
            Phase::Leftovers { kill_at, killed } => {
                let left = leftovers();
                if !sys::has_children() || (killed && kill_at <= now) {
                    self.phase = Phase::Done;
                } else if kill_at <= now {
                    for pid in left {
                        sys::kill(pid, libc::SIGKILL);
                    }
                    self.phase = Phase::Leftovers { kill_at: now + LEFTOVER_TIMEOUT, killed: true };
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, listener: &UnixListener) {
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.clients.insert(self.next_client, Client { stream, buffer: Vec::new(), asked: false });
                self.next_client += 1;
            }
        }
    }

    /// Reads what a client sent; a whole line is its request.
    fn read(&mut self, now: Duration, id: usize) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let mut chunk = [0; 4096];
        loop {
            match client.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => client.buffer.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if client.buffer.ends_with(b"\n") {
                        break;
                    }
                    return;
                }
                Err(_) => {
                    self.clients.remove(&id);
                    return;
                }
            }
        }
        client.asked = true;
        let Ok(request) = serde_json::from_slice::<Request>(&client.buffer) else {
            self.clients.remove(&id);
            return;
        };
        let uid = sys::peer_uid(&client.stream).unwrap_or(u32::MAX);
        let reply = if request.is_harmless() || uid == 0 || uid == sys::effective_uid() {
            match self.phase {
                Phase::Command => self.manager.request(now, id, request),
                _ => Some(Reply::Failed { message: "the step is over".to_owned(), log: Vec::new() }),
            }
        } else {
            Some(Reply::Denied)
        };
        if let Some(reply) = reply {
            self.answer(id, &reply);
        }
    }

    fn answer(&mut self, id: usize, reply: &Reply) {
        let Some(mut client) = self.clients.remove(&id) else { return };
        let Ok(mut text) = serde_json::to_vec(reply) else { return };
        text.push(b'\n');
        // A client that does not wait for the answer (`--no-block`) is no concern of the step.
        let ready = client
            .stream
            .set_nonblocking(false)
            .and_then(|()| client.stream.set_write_timeout(Some(CLIENT_TIMEOUT)));
        drop(ready.and_then(|()| client.stream.write_all(&text)));
    }
}

/// Returns the processes that descend from this one.
fn leftovers() -> Vec<i32> {
    i32::try_from(std::process::id()).map(procfs::descendants).unwrap_or_default()
}

fn report(root: &Root, manager: Manager, before: &BTreeMap<String, String>) -> Report {
    let (started, mut failures, mut notes) = manager.into_history();
    let enabled = enabling::enabled(root)
        .into_iter()
        .map(|(unit, file)| EnabledUnit { new: !before.contains_key(&unit), unit, file })
        .collect();
    let configured = programs::configured(root).unwrap_or_else(|error| {
        failures.push(format!("supervisor: {}", error.line()));
        None
    });
    let about = |program: &Program| SupervisorProgram {
        name: program.display_name(),
        file: program.file.clone(),
        autostart: program.autostart,
    };
    let programs = configured.unwrap_or_default().iter().map(about).collect();
    let unsupported = programs::unsupported(root);
    notes.extend(
        unsupported
            .into_iter()
            .map(|name| format!("supervisor's `[{name}]` did not run and is not carried over")),
    );
    Report { version: VERSION, started, enabled, programs, failures, notes }
}

fn code(exit: Exit) -> ExitCode {
    let code = match exit {
        Exit::Code(code) => code,
        Exit::Signal(number) => 128 + number,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
