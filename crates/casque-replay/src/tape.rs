//! How a request is answered: from the network while recording, from the record when replaying.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use casque_fetch::{Answer, Exchange, FetchError, Network, Store};
use casque_format::digest::Digest;

use crate::pages::{Page, file_name};
use crate::record::{Fetch, KEPT_HEADERS, Key, without_credentials};

/// Up to this size the answer to a request other than `GET` is part of the record.
const LARGEST_TEXT: u64 = 64 << 10;
/// What is read, written and hashed at a time.
const PART: usize = 64 << 10;
/// Of a request, what is about this connection, this cache or a part of the answer is not passed on.
const NOT_PASSED_ON: [&str; 18] = [
    "accept-encoding",
    "cache-control",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A file that is known before it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What this place says to a host so that it answers; programs of a step never see it.
#[derive(Clone)]
pub struct Login {
    /// Addresses that begin with this get it.
    pub prefix: String,
    /// The value of the header `Authorization`.
    pub authorization: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What happened until now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// What was asked for and answered, sorted by address.
    pub fetches: Vec<Fetch>,
    /// What was asked for and is not in the record.
    pub missing: Vec<String>,
    /// What was refused, for it is no request that can be recorded.
    pub refused: Vec<String>,
    /// Hosts whose address a program asked for in place of asking the proxy.
    pub names: Vec<String>,
    /// What could not be reached, with the reason; recorded as such.
    pub unreachable: Vec<String>,
}

/// Answers requests.
#[derive(Debug)]
pub struct Tape {
    store: Store,
    /// None when replaying.
    network: Option<Network>,
    presets: BTreeMap<String, Preset>,
    logins: Vec<Login>,
    /// What addresses begin with, and what to ask in place of that.
    mirrors: Vec<(String, String)>,
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<Key, Fetch>,
    used: BTreeSet<Key>,
    /// Being asked for right now: who asks for the same waits, and gets the same.
    busy: BTreeSet<Key>,
    missing: BTreeSet<String>,
    refused: BTreeSet<String>,
    names: BTreeSet<String>,
    unreachable: BTreeMap<String, String>,
}

/// A request, understood.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Where an answer goes.
pub(crate) trait Reply {
    /// Begins with the status, the headers and the length of the body, where it is known.
    fn begin(
        &mut self,
        status: u16,
        headers: &BTreeMap<String, String>,
        length: Option<u64>,
    ) -> io::Result<()>;
    /// Goes on with a part of the body.
    fn part(&mut self, part: &[u8]) -> io::Result<()>;
    /// Ends the body.
    fn end(&mut self) -> io::Result<()>;
}

impl Tape {
    /// Answers from `fetches`, whose bodies are in `store`, and refuses everything else.
    pub fn replay(store: Store, fetches: &[Fetch]) -> Self {
        Self::new(store, None, fetches)
    }

    /// Answers from `fetches` where it can, and adds what it has to ask the network for.
    pub fn record(store: Store, network: Network, fetches: &[Fetch]) -> Self {
        Self::new(store, Some(network), fetches)
    }

    fn new(store: Store, network: Option<Network>, fetches: &[Fetch]) -> Self {
        let known = fetches.iter().map(|fetch| (fetch.key(), fetch.clone())).collect();
        let state = Mutex::new(State { known, ..State::default() });
        Self {
            store,
            network,
            presets: BTreeMap::new(),
            logins: Vec::new(),
            mirrors: Vec::new(),
            state,
            answered: Condvar::new(),
        }
    }

    /// Takes these addresses for these files, as far as the store has them, rather than asking the network.
    pub fn with_presets(mut self, presets: BTreeMap<String, Preset>) -> Self {
        self.presets = presets;
        self
    }

    /// Logs in where programs do not.
    pub fn with_logins(mut self, logins: Vec<Login>) -> Self {
        self.logins = logins;
        self
    }

    /// Asks mirrors, which are not recorded, in place of what addresses begin with.
    pub fn with_mirrors(mut self, mirrors: Vec<(String, String)>) -> Self {
        self.mirrors = mirrors;
        self
    }

    /// Returns what happened until now, index pages cut down to what was taken from them.
    pub fn told(&self) -> Result<Told, FetchError> {
        let state = self.lock();
        let mut fetches: Vec<Fetch> =
            state.used.iter().filter_map(|key| state.known.get(key)).cloned().collect();
        if self.network.is_some() {
            fetches.iter_mut().for_each(Fetch::clear_credentials);
            self.reduce_pages(&mut fetches)?;
        }
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect();
        let unreachable = state.unreachable.iter().map(|(url, why)| format!("{url}: {why}"));
        Ok(Told {
            fetches,
            missing: list(&state.missing),
            refused: list(&state.refused),
            names: list(&state.names),
            unreachable: unreachable.collect(),
        })
    }

    fn reduce_pages(&self, fetches: &mut [Fetch]) -> Result<(), FetchError> {
        let names =
            fetches.iter().map(|fetch| file_name(&fetch.url).trim_end_matches(".metadata").to_owned());
        let taken: BTreeSet<String> = names.filter(|name| !name.is_empty()).collect();
        for fetch in fetches.iter_mut().filter(|fetch| fetch.is_download()) {
            let kind = fetch.headers.get("content-type").map_or("", String::as_str);
            let (Some(page), Some(digest)) = (Page::of(&fetch.url, kind), fetch.sha256) else { continue };
            let Ok(text) = String::from_utf8(self.store.read(&digest)?) else { continue };
            let Some(text) = page.reduced(&text, &taken) else { continue };
            let text = without_credentials(&text);
            fetch.sha256 = Some(self.store.insert_bytes(text.as_bytes())?);
            fetch.size = text.len() as u64;
            fetch.text = Some(text);
            // Both are of the whole page.
            fetch.headers.remove("etag");
            fetch.headers.remove("last-modified");
        }
        Ok(())
    }

    /// Notes a host that a program wanted to reach by itself.
    pub(crate) fn asked_for_name(&self, host: String) {
        self.lock().names.insert(host);
    }

    /// Notes something that was refused whatever is recorded.
    pub(crate) fn refuse(&self, what: String) {
        self.lock().refused.insert(what);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    ///
    /// # Errors
    /// Whoever asked is gone, the store cannot be used, or an answer from the network broke off.
    pub(crate) fn answer(&self, asked: &Asked, reply: &mut dyn Reply) -> io::Result<()> {
        let key = asked.key();
        let state = self.lock();
        let mut state = self
            .answered
            .wait_while(state, |state| state.busy.contains(&key))
            .unwrap_or_else(PoisonError::into_inner);
        let holds = |fetch: &&Fetch| self.still_holds(fetch) && !(fetch.status == 401 && asked.has_login());
        let known = state.known.get(&key).filter(|fetch| self.network.is_none() || holds(fetch));
        if let Some(fetch) = known.cloned() {
            state.used.insert(key);
            drop(state);
            return self.play(&fetch, reply);
        }
        let Some(network) = &self.network else {
            state.missing.insert(format!("{} {}", key.method, key.url));
            drop(state);
            return refuse(reply);
        };
        state.busy.insert(key.clone());
        drop(state);
        let recorded = self.ask(network, asked, &key, reply);
        let mut state = self.lock();
        state.busy.remove(&key);
        if let Ok(fetch) = &recorded {
            state.known.insert(key.clone(), fetch.clone());
            state.used.insert(key);
        }
        drop(state);
        self.answered.notify_all();
        recorded.map(drop)
    }

    /// Tells whether a recording can go on with an answer. An index page that was cut down is asked for again: this time
    /// something else may be taken from it.
    fn still_holds(&self, fetch: &Fetch) -> bool {
        let cut_down = fetch.method == "GET" && fetch.text.is_some();
        let has_body = fetch.sha256.is_none_or(|digest| self.store.contains(&digest));
        !fetch.may_pass() && !cut_down && has_body
    }

    /// Answers with what is recorded.
    fn play(&self, fetch: &Fetch, reply: &mut dyn Reply) -> io::Result<()> {
        reply.begin(fetch.status, &fetch.headers, Some(fetch.size))?;
        if let Some(digest) = &fetch.sha256 {
            let mut file = fs_err::File::open(self.store.path(digest))?;
            let mut part = vec![0; PART];
            loop {
                match file.read(&mut part)? {
                    0 => break,
                    length => reply.part(&part[..length])?,
                }
            }
        }
        reply.end()
    }

    /// Answers with what the network says, and returns the record of it.
    fn ask(&self, network: &Network, asked: &Asked, key: &Key, reply: &mut dyn Reply) -> io::Result<Fetch> {
        if let Some(preset) = self.preset(asked) {
            let mut fetch = Fetch::new(key.clone(), 200);
            (fetch.sha256, fetch.size) = (Some(preset.sha256), preset.size);
            self.play(&fetch, reply)?;
            return Ok(fetch);
        }
        let headers = self.passed_on(asked);
        let mirrored = self.mirrors.iter().find_map(|(from, to)| {
            let rest = asked.url.strip_prefix(from).filter(|rest| rest.starts_with('/'))?;
            Some(format!("{to}{rest}"))
        });
        let url = mirrored.as_deref().unwrap_or(&asked.url);
        let exchange = Exchange { method: &asked.method, url, headers: &headers, body: &asked.body };
        let answer = match network.exchange(&exchange) {
            Ok(answer) => answer,
            Err(error) => {
                let why = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
                self.lock().unreachable.insert(asked.url.clone(), why);
                let fetch = Fetch::new(key.clone(), 502);
                self.play(&fetch, reply)?;
                return Ok(fetch);
            }
        };
        self.lock().unreachable.remove(&asked.url);
        let mut fetch = Fetch::new(key.clone(), answer.status);
        let kept = answer.headers.iter().filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str()));
        fetch.headers = kept.cloned().collect();
        if let (true, Some(length)) = (asked.method == "HEAD", answer.length) {
            fetch.headers.insert("content-length".to_owned(), length.to_string());
        }
        if asked.method == "HEAD" || !(200..300).contains(&answer.status) || answer.status == 204 {
            // What a server says beside a failure is for people, and another text each time.
            self.play(&fetch, reply)?;
            return Ok(fetch);
        }
        self.keep(answer, &mut fetch, reply)?;
        Ok(fetch)
    }

    /// Passes a body on and keeps it, a part at a time.
    fn keep(&self, mut answer: Answer, fetch: &mut Fetch, reply: &mut dyn Reply) -> io::Result<()> {
        let mut entry = self.store.entry().map_err(io::Error::other)?;
        reply.begin(fetch.status, &fetch.headers, answer.length)?;
        let mut part = vec![0; PART];
        loop {
            let length = answer.read(&mut part)?;
            if length == 0 {
                break;
            }
            entry.write(&part[..length]).map_err(io::Error::other)?;
            fetch.size += length as u64;
            reply.part(&part[..length])?;
        }
        if answer.length.is_some_and(|announced| announced != fetch.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let digest = entry.digest();
        entry.keep(&digest).map_err(io::Error::other)?;
        fetch.sha256 = Some(digest);
        if fetch.method != "GET" && fetch.size <= LARGEST_TEXT {
            let bytes = self.store.read(&digest).map_err(io::Error::other)?;
            fetch.text = String::from_utf8(bytes).ok();
        }
        // Only now: who has the whole answer may count on its being kept.
        reply.end()
    }

    /// Returns the file an address stands for: one that is known, or one that is called by its digest.
    fn preset(&self, asked: &Asked) -> Option<Preset> {
        if asked.method != "GET" {
            return None;
        }
        let here = |preset: &Preset| self.store.contains(&preset.sha256);
        if let Some(preset) = self.presets.get(&asked.url).filter(|preset| here(preset)) {
            return Some(*preset);
        }
        let (_, digest) = asked.url.rsplit_once("/by-hash/SHA256/")?;
        let sha256: Digest = digest.parse().ok()?;
        let size = fs_err::metadata(self.store.path(&sha256)).ok()?.len();
        Some(Preset { sha256, size })
    }

    fn passed_on(&self, asked: &Asked) -> Vec<(String, String)> {
        let kept = asked.headers.iter().filter(|(name, _)| !NOT_PASSED_ON.contains(&name.as_str()));
        let mut headers: Vec<_> = kept.cloned().collect();
        let has = |name: &str| asked.headers.iter().any(|(known, _)| known == name);
        let login = self.logins.iter().find(|login| asked.url.starts_with(&login.prefix));
        if let (Some(login), false) = (login, has("authorization")) {
            headers.push(("authorization".to_owned(), login.authorization.clone()));
        }
        // The bytes as they are kept there.
        headers.push(("accept-encoding".to_owned(), "identity".to_owned()));
        headers
    }
}

impl Asked {
    /// Tells whether the client says who it is. Many do so only when they are asked to, and what they get then is what the
    /// address has; that is recorded, and the login is not.
    fn has_login(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "authorization")
    }

    fn key(&self) -> Key {
        let accept = self.headers.iter().find(|(name, _)| name == "accept").map(|(_, value)| value.clone());
        Key {
            url: self.url.clone(),
            method: self.method.clone(),
            accept: accept.filter(|accept| accept != "*/*"),
            sent: (!self.body.is_empty()).then(|| Digest::of(&self.body)),
        }
    }
}

/// A status that nobody tries again.
fn refuse(reply: &mut dyn Reply) -> io::Result<()> {
    let text = b"casque: this was not there when the step was locked\n";
    let headers = BTreeMap::from([("content-type".to_owned(), "text/plain".to_owned())]);
    reply.begin(403, &headers, Some(text.len() as u64))?;
    reply.part(text)?;
    reply.end()
}
