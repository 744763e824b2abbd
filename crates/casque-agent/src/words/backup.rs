//! `backup`: all data as one stream on stdout, while nothing writes to them.

use std::fs::File;
use std::io::{self, Write};

use casque_format::backup::{self as format, Header, Told};
use casque_format::control::{Overall, Reply, Request, ServiceState};
use casque_format::paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::backup::{Contents, Lock, Trouble, measure, write};
use crate::cli::Backup;
use crate::control::{Maintenance, listen};
use crate::env::Environment;
use crate::error::Error;
use crate::prepare::read_plan;
use crate::root::Root;
use crate::serve::Clock;
use crate::{stamp, ui, update};

/// What a pipe takes without anybody waiting, when it takes anything: PIPE_BUF.
const PIECE: usize = 4096;

/// Writes the backup; the services run again afterwards, whatever becomes of it.
pub fn run(root: &Root, options: &Backup, environment: &Environment, clock: Clock) -> Result<(), Error> {
    let teller = Teller { json: options.json };
    let output = ui::output().ok_or(Error::NoOutput("backup"))?;
    let lock = Lock::of(&options.recipient, options.passphrase_file.as_deref(), environment)
        .map_err(Error::BackupKey)?;
    let plan = read_plan(root)?;
    let stamp = stamp::read(root, &plan.product).map_err(Error::Stamp)?.ok_or(Error::NoData)?;
    if matches!(lock, Lock::None) {
        teller.warn(
            "the backup is not encrypted and has every secret of this instance: keep it like a password, or use \
             --recipient or --passphrase-file",
        );
    }
    let mut maintenance = Maintenance::begin(root)?;
    teller.tell(&Told::Stopped, "all services are stopped");
    let contents = Contents { logs: options.logs };
    let measured = measure(root, contents).map_err(Error::Backup)?;
    for socket in &measured.sockets {
        teller.warn(&format!("`{}` is a socket and is left out", socket.display()));
    }
    let header = Header {
        version: format::VERSION,
        // With the services stopped, nobody ends a migration any more.
        product_version: update::version(root, &stamp).to_owned(),
        stamp,
        made: clock(),
        logs: options.logs,
        entries: measured.entries,
        bytes: measured.bytes,
        room: measured.room,
        secrets: secrets(root).map_err(Error::Backup)?,
    };
    let output = Output { to: File::from(output), patience: options.patience };
    let locked = lock.lock(output).map_err(|error| Error::Backup(Trouble::Output(error)))?;
    let mut ended = None;
    let still_stopped = || {
        maintenance.check().map_err(|why| {
            ended = Some(why.clone());
            Trouble::Output(io::Error::other(why))
        })
    };
    let mut shown = Shown::of(header.bytes);
    let mut progress = |bytes| shown.step(bytes, &teller);
    let written = write(root, contents, &header, locked, still_stopped, &mut progress);
    let (locked, bytes) = match (written, ended) {
        (_, Some(why)) => return Err(Error::NotHeld(why)),
        (written, None) => written.map_err(Error::Backup)?,
    };
    locked.finish().map_err(|error| Error::Backup(Trouble::Output(error)))?;
    drop(maintenance);
    teller.tell(&Told::Written { bytes }, &format!("the backup is written, {} MiB", bytes.div_ceil(1 << 20)));
    wait(root, &teller)
}

/// Returns the settings with a generated secret, sorted.
fn secrets(root: &Root) -> Result<Vec<String>, Trouble> {
    let entries = match fs_err::read_dir(root.join(paths::SECRETS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Trouble::File { what: "read", path: paths::SECRETS.into(), source }),
    };
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// Returns when every service is ready again, or cannot be.
fn wait(root: &Root, teller: &Teller) -> Result<(), Error> {
    let mut not_ready = Vec::new();
    listen(root, &Request::Watch, |reply| {
        let Reply::Status { snapshot } = reply else { return Err(Error::Protocol) };
        let open =
            |state| !matches!(state, ServiceState::Ready | ServiceState::Failed | ServiceState::Stopped);
        let waits =
            snapshot.state == Overall::Maintenance || snapshot.services.iter().any(|one| open(one.state));
        let down = snapshot.services.into_iter().filter(|service| service.state != ServiceState::Ready);
        not_ready = down.map(|service| service.name).collect();
        Ok(waits)
    })?;
    if !not_ready.is_empty() {
        teller.warn(&format!("these are not ready: `{}`", not_ready.join("`, `")));
    }
    teller.tell(&Told::Started { not_ready }, "the services run again");
    Ok(())
}

/// Stdout, and for how many seconds it may take nothing.
struct Output {
    to: File,
    patience: u32,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = Timespec { tv_sec: self.patience.into(), tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.to, PollFlags::OUT)];
        if poll(&mut fds, Some(&limit))? == 0 {
            let text = format!("nobody has read for {} s", self.patience);
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.to.write(&bytes[..bytes.len().min(PIECE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Tells an operator, or a program, what happens.
pub struct Teller {
    /// A program.
    pub json: bool,
}

impl Teller {
    /// Tells an event, in words or as a document.
    pub fn tell(&self, event: &Told, text: &str) {
        match self.json {
            true => ui::tell(&serde_json::to_string(event).unwrap_or_default()),
            false => ui::tell(text),
        }
    }

    /// Tells something that should be known.
    pub fn warn(&self, text: &str) {
        match self.json {
            true => self.tell(&Told::Warning { text: text.to_owned() }, ""),
            false => ui::warning(text),
        }
    }
}

/// Progress that is told at each twentieth.
pub struct Shown {
    total: u64,
    steps: u64,
}

impl Shown {
    /// Begins, with so many bytes to come.
    pub fn of(total: u64) -> Self {
        Self { total, steps: 0 }
    }

    /// So many have passed.
    pub fn step(&mut self, bytes: u64, teller: &Teller) {
        let steps = bytes.saturating_mul(20).checked_div(self.total).unwrap_or_default();
        if steps > self.steps {
            self.steps = steps;
            let text = format!("{} of {} MiB, {} %", bytes >> 20, self.total.div_ceil(1 << 20), steps * 5);
            teller.tell(&Told::Progress { bytes, total: self.total }, &text);
        }
    }
}
