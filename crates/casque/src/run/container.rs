//! Starting a container and staying with it until it ends.

use std::io::PipeReader;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::SystemTime;

use casque_image::config::ImageConfig;
use casque_sandbox::{
    Bind, ContainerNetwork, Exit, FileLock, FirstProcess, Identity, Mounted, Network, Privileges, Running,
    Sandbox, Session, Signaller, Signals, Spec, Streams, Tmpfs, start_time,
};

use super::environment::merge;
use super::error::RunError;
use super::forward::forward;
use super::image::Unpacked;
use super::log::{self, Log};
use super::publish::{Listening, Publish};
use super::rootfs::{self, Supplied};
use super::state::{Place, State, remove};
use super::user::User;

/// Signals by number, as POSIX has them on Linux.
const HUP: i32 = 1;
const INT: i32 = 2;
const QUIT: i32 = 3;
const KILL: i32 = 9;
const TERM: i32 = 15;

/// Where commands are found when the image does not say.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// What becomes `/data`; none takes a directory that is removed with the container.
    pub(crate) data: Option<PathBuf>,
    /// Variables beside those of the image.
    pub(crate) environment: Vec<(String, String)>,
    /// In place of the image's own command, after its entrypoint.
    pub(crate) words: Vec<String>,
    /// The network it sees.
    pub(crate) network: Network,
    /// Who runs it, in place of the image's user.
    pub(crate) user: Option<User>,
    /// What root may do inside.
    pub(crate) privileges: Privileges,
    /// Nothing inside gets more rights than it has.
    pub(crate) no_new_privileges: bool,
    /// Nothing but `/data`, `/run` and `/tmp` can be written.
    pub(crate) read_only: bool,
    /// Where its output goes.
    pub(crate) output: Output,
}

/// Where the output of a container goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// To its log, and to whoever looks on.
    Log,
    /// Straight to this program's own streams, with its terminal.
    Own,
}

/// An image and what it says of itself.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// Its name, for people.
    pub(crate) name: String,
    /// The digest of its configuration.
    pub(crate) id: String,
    /// What to run and how.
    pub(crate) config: &'a ImageConfig,
    /// Its files.
    pub(crate) files: Unpacked,
}

/// A container that runs.
pub(crate) struct Container {
    place: Place,
    parts: Parts,
    anonymous_data: bool,
    /// Released last: whoever waits for it finds everything put away.
    _lock: FileLock,
}

/// What makes a container run.
struct Parts {
    state: State,
    running: Running,
    output: Option<PipeReader>,
    signals: Signals,
    session: Session,
    mounted: Mounted,
}

/// A name and ports that are taken: what can be refused at once, before the long work.
pub(crate) struct Reserved {
    place: Place,
    listening: Vec<Listening>,
    lock: FileLock,
}

/// Takes a container's name and ports.
pub(crate) fn reserve(place: Place, publish: &[Publish]) -> Result<Reserved, RunError> {
    let lock = place.claim()?;
    let listening = publish.iter().map(|publish| publish.listen()).collect::<Result<_, _>>()?;
    Ok(Reserved { place, listening, lock })
}

/// Starts a container. When this returns its process 1 runs and its ports are open.
///
/// The program has mounts of its own and one thread.
pub(crate) fn start(
    reserved: Reserved,
    image: &Image<'_>,
    wishes: Wishes,
    sandbox: &Sandbox,
    now: SystemTime,
) -> Result<Container, RunError> {
    let Reserved { place, listening, lock } = reserved;
    match run(&place, listening, image, &wishes, sandbox, now) {
        Ok(parts) => Ok(Container { place, parts, anonymous_data: wishes.data.is_none(), _lock: lock }),
        Err(error) => {
            // What was made goes with what was wrong; that it cannot be removed is the lesser trouble.
            let _ = place.clear();
            Err(error)
        }
    }
}

fn run(
    place: &Place,
    listening: Vec<Listening>,
    image: &Image<'_>,
    wishes: &Wishes,
    sandbox: &Sandbox,
    now: SystemTime,
) -> Result<Parts, RunError> {
    let anonymous = place.path("data");
    let data = rootfs::data_directory(wishes.data.as_ref().unwrap_or(&anonymous), &image.files)?;
    let host_network = wishes.network == Network::Host;
    let supplied = Supplied {
        hostname: place.name.to_string(),
        resolver: host_network.then(|| PathBuf::from("/etc/resolv.conf")),
    };
    let mounted = rootfs::mount(place, &image.files, &supplied)?;
    let user = wishes.user.map_or_else(|| user_of(image), |user| Ok(Some(user)))?;
    let root = mounted.path().to_path_buf();
    let spec = specification(place, image, wishes, root, data.clone(), user.and_then(User::identity))?;
    let (output, streams) = streams(wishes.output)?;
    // From here on a signal asks for an ordered stop.
    let signals = Signals::take_over(&[HUP, INT, QUIT, TERM]);
    let running = sandbox.spawn_with(&spec, streams)?;
    let pid = running.pid_of_first();
    let state = State {
        pid,
        // One that has ended already is found by `wait`; nobody else can take its number before.
        pid_start: start_time(pid).unwrap_or_default(),
        started: now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        stop_signal: stop_signal(image.config.stop_signal.as_deref()),
        user,
        privileges: wishes.privileges,
        no_new_privileges: wishes.no_new_privileges,
        published: listening.iter().map(|port| port.publish).collect(),
        data,
        ..State::new(image.name.clone(), image.id.clone())
    };
    if !listening.is_empty() {
        forward(listening, ContainerNetwork::of(pid)?)?;
    }
    place.save(&state)?;
    Ok(Parts { state, running, output, signals, session: spec.session, mounted })
}

/// Returns what a container reads and writes, and where its log comes from.
fn streams(output: Output) -> Result<(Option<PipeReader>, Streams), RunError> {
    if output == Output::Own {
        return Ok((None, Streams::inherit()));
    }
    let (reader, writer) = std::io::pipe().map_err(RunError::File)?;
    let second = writer.try_clone().map_err(RunError::File)?;
    Ok((Some(reader), Streams { stdin: Stdio::null(), stdout: writer.into(), stderr: second.into() }))
}

impl Container {
    /// Returns what is known of it.
    pub(crate) fn state(&self) -> &State {
        &self.parts.state
    }

    /// Shows what it writes, passes signals on, and puts everything away when it has ended.
    pub(crate) fn supervise(self, show: &(dyn Fn(&str) + Sync)) -> Result<Exit, RunError> {
        let Parts { mut state, mut running, output, signals, session, mounted } = self.parts;
        let signaller = running.signaller()?;
        let stop = state.stop_signal;
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || pass_on(&signals, &signaller, session, stop))
            .map_err(RunError::File)?;
        if let Some(output) = output {
            // Ends when the last process inside has closed it, at the latest by dying.
            Log::create(&self.place.directory, log::MOST)?.copy(output, show);
        }
        let exit = running.wait()?;
        mounted.unmount()?;
        for entry in ["changes", "work", "root"] {
            remove(&self.place.path(entry))?;
        }
        if self.anonymous_data {
            remove(&self.place.path("data"))?;
        }
        state.ended = Some(exit.code());
        self.place.save(&state)?;
        Ok(exit)
    }
}

/// Makes an ordered stop of what asks this program to end, and a kill of the second time.
fn pass_on(signals: &Signals, signaller: &Signaller, session: Session, stop: i32) {
    let mut asked = false;
    loop {
        let signal = signals.next();
        // A terminal tells the programs inside itself, and some of them live with it, as shells do.
        if session == Session::Caller && matches!(signal, INT | QUIT) {
            continue;
        }
        // When the container has ended meanwhile there is nobody to tell.
        let _ = signaller.send(if asked { KILL } else { stop });
        asked = true;
    }
}

fn specification(
    place: &Place,
    image: &Image<'_>,
    wishes: &Wishes,
    root: PathBuf,
    data: PathBuf,
    identity: Option<Identity>,
) -> Result<Spec, RunError> {
    let config = image.config;
    let words = if wishes.words.is_empty() { &config.command } else { &wishes.words };
    let command: Vec<String> = config.entrypoint.iter().chain(words).cloned().collect();
    if command.is_empty() {
        return Err(RunError::NoCommand { image: image.name.clone() });
    }
    // Whoever has no entry among the image's users has no home.
    let home = if identity.is_none() { "/root" } else { "/" };
    let usual = [("HOME", home), ("HOSTNAME", place.name.as_str()), ("PATH", USUAL_PATH)];
    let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let of_image = config.environment.clone();
    let mut spec = Spec::new(root, command);
    spec.environment = merge(usual.into_iter().chain(of_image).chain(wishes.environment.iter().cloned()));
    spec.binds = vec![Bind { from: data, to: "/data".into(), read_only: false }];
    spec.network = wishes.network;
    spec.hostname = place.name.to_string();
    spec.identity = identity;
    spec.privileges = wishes.privileges;
    spec.no_new_privileges = wishes.no_new_privileges;
    spec.first_process = FirstProcess::Command;
    spec.session = match wishes.output {
        Output::Own => Session::Caller,
        Output::Log => Session::Own,
    };
    if let Some(directory) = &config.working_directory {
        spec.working_directory = PathBuf::from(directory);
    }
    if wishes.read_only {
        spec.read_only_root = true;
        spec.tmpfs = vec![
            // The image's own mode, which engines give it, too.
            Tmpfs { at: "/run".into(), mode: rootfs::mode_of_run(&image.files)?, size: None },
            Tmpfs { at: "/tmp".into(), mode: 0o1777, size: None },
        ];
    }
    Ok(spec)
}

/// Returns the image's own user.
fn user_of(image: &Image<'_>) -> Result<Option<User>, RunError> {
    match image.config.user.as_deref() {
        None | Some("" | "root" | "root:root") => Ok(None),
        Some(user) => user
            .parse()
            .map(Some)
            .map_err(|_| RunError::UserName { image: image.name.clone(), user: user.to_owned() }),
    }
}

/// Reads the stop signal of an image, such as `SIGTERM`, `QUIT` or `15`.
fn stop_signal(text: Option<&str>) -> i32 {
    let Some(text) = text else { return TERM };
    match text.strip_prefix("SIG").unwrap_or(text) {
        "HUP" => HUP,
        "INT" => INT,
        "QUIT" => QUIT,
        "USR1" => 10,
        "USR2" => 12,
        number => number.parse().ok().filter(|number| (1..=31).contains(number)).unwrap_or(TERM),
    }
}
