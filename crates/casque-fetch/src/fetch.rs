//! Many files at once, each verified while it arrives.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use casque_format::digest::Digest;

use crate::credentials::plain;
use crate::network::Request;
use crate::retry::Tries;
use crate::store::Entry;
use crate::{FetchError, Network, Store};

/// What a file of unknown size may have at most.
const LARGEST: u64 = 8 << 30;

/// A file to have in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is to people, such as `nginx-light 1.22.1-9`.
    pub label: String,
    /// Where it can be had, best first.
    pub urls: Vec<String>,
    /// What it must be.
    pub digest: Digest,
    /// How large it is, when that is known.
    pub size: Option<u64>,
    /// What the first address holds is replaced from time to time, so another file there is nobody's attack.
    pub moving: bool,
}

/// What [`fetch_all`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// Files that came over the network.
    pub fetched: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that the store had.
    pub present: usize,
}

/// Is told how the downloads go on, from several threads.
pub trait Progress: Sync {
    /// So many files will be fetched, with so many bytes as far as sizes are known.
    fn expect(&self, files: usize, bytes: u64);
    /// So many bytes arrived.
    fn advance(&self, bytes: u64);
    /// So many of the bytes that arrived were of no use and come again.
    fn discard(&self, bytes: u64);
    /// The file with this label is in the store.
    fn done(&self, label: &str);
}

/// Progress that nobody looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn expect(&self, _files: usize, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn discard(&self, _bytes: u64) {}
    fn done(&self, _label: &str) {}
}

/// Fetches what the store does not have, over at most `parallel` connections.
///
/// The first file that cannot be had ends the others; what arrived whole until then stays in the store.
pub fn fetch_all(
    network: &Network,
    store: &Store,
    wanted: &[Wanted],
    parallel: usize,
    progress: &dyn Progress,
) -> Result<FetchSummary, FetchError> {
    let mut seen = HashSet::new();
    let missing: Vec<&Wanted> =
        wanted.iter().filter(|file| seen.insert(file.digest) && !store.contains(&file.digest)).collect();
    let present = seen.len() - missing.len();
    progress.expect(missing.len(), missing.iter().filter_map(|file| file.size).sum());

    let next = AtomicUsize::new(0);
    let outcome = Outcome::default();
    let job = Job { network, store, progress, outcome: &outcome };
    thread::scope(|scope| {
        // Without a network the first file that is missing is the one to name.
        let parallel = if network.is_offline() { 1 } else { parallel };
        for _ in 0..parallel.clamp(1, missing.len().max(1)) {
            scope.spawn(|| {
                while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match job.fetch(file) {
                        Ok(bytes) => {
                            outcome.add(bytes);
                            progress.done(&file.label);
                        }
                        Err(error) => {
                            outcome.fail(FetchError::File {
                                label: file.label.clone(),
                                source: Box::new(error),
                            });
                            return;
                        }
                    }
                }
            });
        }
    });
    let (fetched, bytes) = outcome.into_result()?;
    Ok(FetchSummary { fetched, bytes, present })
}

/// What the threads share.
struct Job<'a> {
    network: &'a Network,
    store: &'a Store,
    progress: &'a dyn Progress,
    outcome: &'a Outcome,
}

impl<'a> Job<'a> {
    fn fetch(&self, file: &Wanted) -> Result<u64, FetchError> {
        let mut worst = FetchError::NoUrl;
        let mut known = false;
        for (index, url) in file.urls.iter().enumerate() {
            let fetched = self.fetch_from(file, url).map_err(|error| match error {
                other if !file.moving || index > 0 => other,
                FetchError::TooLarge { url, .. }
                | FetchError::SizeMismatch { url, .. }
                | FetchError::HashMismatch { url, .. } => FetchError::Superseded { url },
                other => other,
            });
            match fetched {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.is_final() => return Err(error),
                Err(error) if !known || error.weight() > worst.weight() => (worst, known) = (error, true),
                Err(_) => {}
            }
        }
        Err(worst)
    }

    fn fetch_from(&self, file: &Wanted, url: &str) -> Result<u64, FetchError> {
        let mut tries = Tries::default();
        let mut part = Part::new(self)?;
        loop {
            let resumed = part.size > 0;
            let error = match self.attempt(file, url, &mut part) {
                Ok(received) => return part.entry.keep(&file.digest).map(|()| received),
                Err(error) => error,
            };
            // The file may have changed between two parts, so what was put together is tried once in one piece.
            if resumed && !error.is_transient() && !error.is_final() {
                self.progress.discard(part.size);
                part = Part::new(self)?;
                continue;
            }
            let wait = tries.wait_after(error).inspect_err(|_| self.progress.discard(part.size))?;
            self.outcome.wait(wait)?;
        }
    }

    /// Asks for what `part` lacks, and checks the whole.
    fn attempt(&self, file: &Wanted, url: &str, part: &mut Part<'a>) -> Result<u64, FetchError> {
        self.outcome.check()?;
        let limit = file.size.unwrap_or(LARGEST);
        let request = Request { url, accept: None, from: part.size, limit };
        let received = self.network.stream(&request, &mut |offset, chunk| {
            self.outcome.check()?;
            if offset != part.size {
                self.progress.discard(part.size);
                *part = Part::new(self)?;
            }
            part.entry.write(chunk)?;
            part.size += chunk.len() as u64;
            self.progress.advance(chunk.len() as u64);
            Ok(())
        })?;
        let url = plain(url);
        if let Some(expected) = file.size.filter(|size| *size != received) {
            return Err(FetchError::SizeMismatch { url, expected, received });
        }
        let digest = part.entry.digest();
        if digest != file.digest {
            return Err(FetchError::HashMismatch { url, expected: file.digest, received: digest });
        }
        Ok(received)
    }
}

/// What has arrived of a file.
struct Part<'a> {
    entry: Entry<'a>,
    size: u64,
}

impl<'a> Part<'a> {
    fn new(job: &Job<'a>) -> Result<Self, FetchError> {
        Ok(Self { entry: job.store.entry()?, size: 0 })
    }
}

/// The shared result: sums, or the first failure, which the other threads stop at.
#[derive(Default)]
struct Outcome {
    state: Mutex<State>,
    failed: Condvar,
}

#[derive(Default)]
struct State {
    fetched: usize,
    bytes: u64,
    failure: Option<FetchError>,
}

impl Outcome {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: u64) {
        let mut state = self.lock();
        state.fetched += 1;
        state.bytes += bytes;
    }

    fn fail(&self, error: FetchError) {
        self.lock().failure.get_or_insert(error);
        self.failed.notify_all();
    }

    fn check(&self) -> Result<(), FetchError> {
        if self.lock().failure.is_some() { Err(FetchError::Stopped) } else { Ok(()) }
    }

    /// Waits before another attempt, unless another file fails meanwhile.
    fn wait(&self, delay: Duration) -> Result<(), FetchError> {
        let guard = self.lock();
        let waited = self.failed.wait_timeout_while(guard, delay, |state| state.failure.is_none());
        drop(waited);
        self.check()
    }

    fn into_result(self) -> Result<(usize, u64), FetchError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.failure {
            Some(error) => Err(error),
            None => Ok((state.fetched, state.bytes)),
        }
    }
}
