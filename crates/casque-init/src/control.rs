//! The control socket: who may ask what, and clients that never hold anybody up.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::control::{Event, Reply, Request, Snapshot};

use crate::net;
use crate::sys;

/// The longest request.
const LONGEST_REQUEST: usize = 64 * 1024;
/// Clients at one time; the agent and a few commands are what is expected.
const MOST_CLIENTS: usize = 64;
/// How long a client may leave an answer unread.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may take to ask something.
const LONGEST_QUESTION: Duration = Duration::from_secs(10);
/// What waits for one that follows lines or events before it is sent away, and how long it has to read that.
const MOST_BEHIND: usize = 1 << 20;
const FAREWELL: Duration = Duration::from_secs(60);
/// Requests that wait their turn on one connection.
const MOST_QUEUED: usize = 16;

/// The socket and who is connected to it.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    /// A descriptor for when there is no other left.
    reserve: Option<fs::File>,
}

fn reserve() -> Option<fs::File> {
    fs::File::open("/dev/null").ok()
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    uid: u32,
    received: Vec<u8>,
    queued: VecDeque<Vec<u8>>,
    answer: Vec<u8>,
    /// When the answer must be read.
    until: Option<Duration>,
    /// A request is being carried out.
    busy: bool,
    wants: Wants,
    /// Has had its last word.
    leaving: bool,
}

/// What a client gets without asking again.
#[derive(Debug, PartialEq, Eq)]
enum Wants {
    /// Nothing.
    Nothing,
    /// A snapshot after each change; the revision of the last it got.
    Snapshots(Option<u64>),
    /// The lines of one label, or of all.
    Lines(Option<String>),
    /// Changes of state.
    Events,
    /// That everything stays stopped until it hangs up.
    Maintenance,
}

/// Who may ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    /// Our own user; it and root may ask for everything.
    pub(crate) own_uid: u32,
    /// May ask for the status, and for a reload.
    pub(crate) agent_uid: Option<u32>,
}

impl Rights {
    fn allow(self, uid: u32, request: &Request) -> bool {
        // A reload does nothing that the files in the volume do not say.
        let for_the_agent = matches!(request, Request::Status | Request::Watch | Request::Reload);
        uid == 0 || uid == self.own_uid || (for_the_agent && Some(uid) == self.agent_uid)
    }
}

impl Control {
    /// Opens the socket. One that nobody listens to is replaced.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if UnixStream::connect(path).is_ok() {
                    return Err(error);
                }
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            result => result?,
        };
        // Each request is judged by who asks, too.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let reserve = reserve();
        Ok(Self { listener, path: path.to_owned(), clients: BTreeMap::new(), next_client: 0, reserve })
    }

    /// Lets a group connect: that of the agent, when it has a user of its own.
    pub(crate) fn admit(&self, gid: u32) {
        let given = std::os::unix::fs::chown(&self.path, None, Some(gid));
        // Without the right to give it away, everybody may connect, and is judged by each request.
        let mode = if given.is_ok() { 0o660 } else { 0o666 };
        // The status page says so when it cannot ask; there is nobody else to tell.
        let _ = fs::set_permissions(&self.path, fs::Permissions::from_mode(mode));
    }

    /// Returns the listening descriptor, to poll for connections.
    pub(crate) fn listener(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// Returns each client's descriptor, with whether it has something to write.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (u64, RawFd, bool)> {
        self.clients.iter().map(|(&id, client)| (id, client.stream.as_raw_fd(), !client.answer.is_empty()))
    }

    /// Takes everybody who knocks.
    pub(crate) fn accept(&mut self, now: Duration) {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                // Whoever knocks would make poll(2) return at once, again and again.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    if self.make_room() || self.turn_away() {
                        continue;
                    }
                    return;
                }
                Err(_) => return,
            };
            let Ok(uid) = net::peer_uid(&stream) else {
                continue;
            };
            if self.clients.len() >= MOST_CLIENTS {
                self.make_room();
            }
            if stream.set_nonblocking(true).is_err() || self.clients.len() >= MOST_CLIENTS {
                // Hanging up is the one answer that cannot block.
                continue;
            }
            self.next_client += 1;
            self.clients.insert(
                self.next_client,
                Client {
                    stream,
                    uid,
                    received: Vec::new(),
                    queued: VecDeque::new(),
                    answer: Vec::new(),
                    until: Some(now + LONGEST_QUESTION),
                    busy: false,
                    wants: Wants::Nothing,
                    leaving: false,
                },
            );
        }
    }

    /// Hangs up on somebody who only holds the line, if there is one.
    fn make_room(&mut self) -> bool {
        let idle = self.clients.iter().find(|(_, client)| !client.busy && client.wants == Wants::Nothing);
        let idle = idle.map(|(&id, _)| id);
        idle.is_some_and(|id| self.clients.remove(&id).is_some())
    }

    /// Takes a connection by the descriptor kept for this, and ends it.
    fn turn_away(&mut self) -> bool {
        let had = self.reserve.take().is_some();
        let taken = had && self.listener.accept().is_ok();
        self.reserve = reserve();
        taken
    }

    /// Reads what a client sent.
    pub(crate) fn read(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let mut buffer = [0; 4096];
        match client.stream.read(&mut buffer) {
            Ok(0) => {
                self.clients.remove(&id);
            }
            Ok(count) => {
                for &byte in &buffer[..count] {
                    if byte == b'\n' {
                        client.queued.push_back(std::mem::take(&mut client.received));
                    } else {
                        client.received.push(byte);
                    }
                }
                if client.received.len() > LONGEST_REQUEST || client.queued.len() > MOST_QUEUED {
                    self.clients.remove(&id);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => {
                self.clients.remove(&id);
            }
        }
    }

    /// Returns the next request of a client that is not busy; wrong ones are answered here.
    pub(crate) fn next_request(&mut self, id: u64, rights: Rights, now: Duration) -> Option<Request> {
        loop {
            let client = self.clients.get_mut(&id)?;
            if client.busy {
                return None;
            }
            let line = client.queued.pop_front()?;
            let problem = match serde_json::from_slice::<Request>(&line) {
                Ok(request) if rights.allow(client.uid, &request) => {
                    client.busy = true;
                    client.until = None;
                    return Some(request);
                }
                Ok(_) => {
                    format!("user {} may not ask for this; root and the container's own user may", client.uid)
                }
                Err(error) => format!("cannot understand the request: {error}"),
            };
            client.queue(&Reply::Error { message: problem }, now);
            self.write(id, now);
        }
    }

    /// Answers a client's request. Who has hung up misses it.
    pub(crate) fn answer(&mut self, id: u64, reply: &Reply, now: Duration) {
        if let Some(client) = self.clients.get_mut(&id) {
            if matches!(reply, Reply::Error { .. }) {
                client.wants = Wants::Nothing;
            }
            client.busy = client.wants == Wants::Maintenance;
            client.queue(reply, now);
            self.write(id, now);
        }
    }

    /// Makes a client one that gets a snapshot after each change.
    pub(crate) fn watch(&mut self, id: u64) {
        self.subscribe(id, Wants::Snapshots(None));
    }

    /// Makes a client one that gets the lines of one label, or of all.
    pub(crate) fn follow(&mut self, id: u64, label: Option<String>) {
        self.subscribe(id, Wants::Lines(label));
    }

    /// Makes a client one that gets changes of state.
    pub(crate) fn tell_events(&mut self, id: u64) {
        self.subscribe(id, Wants::Events);
    }

    /// Makes a client one that holds the line, for as long as it likes and without another word.
    pub(crate) fn hold(&mut self, id: u64) {
        self.subscribe(id, Wants::Maintenance);
    }

    /// Says whether a client has not hung up.
    pub(crate) fn knows(&self, id: u64) -> bool {
        self.clients.contains_key(&id)
    }

    fn subscribe(&mut self, id: u64, wants: Wants) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.busy = true;
            client.until = None;
            client.wants = wants;
        }
    }

    /// Says whether somebody follows lines.
    pub(crate) fn has_followers(&self) -> bool {
        self.clients.values().any(|client| matches!(client.wants, Wants::Lines(_)))
    }

    /// Says whether somebody wants changes of state.
    pub(crate) fn has_listeners(&self) -> bool {
        self.clients.values().any(|client| client.wants == Wants::Events)
    }

    /// Sends new lines of one label to those that follow them.
    pub(crate) fn send_lines(&mut self, label: &str, lines: &[String], now: Duration) {
        let wanted = |wants: &Wants| match wants {
            Wants::Lines(Some(wanted)) => wanted == label,
            Wants::Lines(None) => true,
            _ => false,
        };
        self.send(wanted, now, || Reply::Logs { lines: lines.to_vec() });
    }

    /// Sends a change of state to those that want them.
    pub(crate) fn send_event(&mut self, event: &Event, now: Duration) {
        self.send(|wants| *wants == Wants::Events, now, || Reply::Event { event: event.clone() });
    }

    fn send(&mut self, wanted: impl Fn(&Wants) -> bool, now: Duration, reply: impl Fn() -> Reply) {
        let to: Vec<u64> =
            self.clients.iter().filter(|(_, client)| wanted(&client.wants)).map(|(&id, _)| id).collect();
        for id in to {
            if let Some(client) = self.clients.get_mut(&id) {
                if client.answer.len() > MOST_BEHIND {
                    client.wants = Wants::Nothing;
                    client.leaving = true;
                    let message = "this end read too slowly and is left behind; ask again".to_owned();
                    client.queue(&Reply::Error { message }, now);
                    client.until = Some(now + FAREWELL);
                } else {
                    client.queue(&reply(), now);
                    client.until = None;
                }
            }
            self.write(id, now);
        }
    }

    /// Returns the clients that have requests to be carried out.
    pub(crate) fn asking(&self) -> Vec<u64> {
        let asking = self.clients.iter().filter(|(_, c)| !c.busy && !c.queued.is_empty());
        asking.map(|(&id, _)| id).collect()
    }

    /// Sends the snapshot of `revision` to the watchers that have read all before it. A slow one
    /// thus misses what was in between, and never the newest.
    pub(crate) fn publish(&mut self, revision: u64, now: Duration, mut snapshot: impl FnMut() -> Snapshot) {
        let due = |client: &Client| {
            client.answer.is_empty()
                && matches!(client.wants, Wants::Snapshots(last) if last != Some(revision))
        };
        let ready: Vec<u64> = self.clients.iter().filter(|(_, c)| due(c)).map(|(&id, _)| id).collect();
        for id in ready {
            if let Some(client) = self.clients.get_mut(&id) {
                client.wants = Wants::Snapshots(Some(revision));
                client.queue(&Reply::Status { snapshot: snapshot() }, now);
            }
            self.write(id, now);
        }
    }

    /// Sends what a client takes.
    pub(crate) fn write(&mut self, id: u64, now: Duration) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        while !client.answer.is_empty() {
            match client.stream.write(&client.answer) {
                Ok(written) => {
                    client.answer.drain(..written);
                    if !client.leaving && client.until.is_some() {
                        client.until = Some(now + PATIENCE);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.clients.remove(&id);
                    return;
                }
            }
        }
        if client.leaving {
            self.clients.remove(&id);
        } else {
            // A client that keeps the line without a word may do so for a while.
            client.until = (!client.busy).then_some(now + LONGEST_QUESTION);
        }
    }

    /// Hangs up on clients that do not read their answers.
    pub(crate) fn due(&mut self, now: Duration) {
        self.clients.retain(|_, client| client.until.is_none_or(|until| until > now));
    }

    /// Returns when [`Self::due`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.clients.values().filter_map(|client| client.until).min()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Without a listener it would only mislead; /run may outlive us when we are not PID 1.
        let _ = fs::remove_file(&self.path);
    }
}

impl Client {
    fn queue(&mut self, reply: &Reply, now: Duration) {
        match serde_json::to_vec(reply) {
            Ok(text) => self.answer.extend(text),
            Err(error) => {
                let text = format!(r#"{{"reply":"error","message":"cannot answer: {error}"}}"#);
                self.answer.extend(text.bytes());
            }
        }
        self.answer.push(b'\n');
        self.until = Some(now + PATIENCE);
    }
}

/// Opens the control socket, or returns why there is none and what that means.
pub(crate) fn open_or_explain(path: &Path) -> Result<Control, String> {
    Control::open(path).map_err(|error| {
        format!(
            "cannot open the control socket `{}`: {error}; `status`, `logs` and `restart` will not \
             work (user {})",
            path.display(),
            sys::effective_uid()
        )
    })
}

#[cfg(test)]
mod tests;
