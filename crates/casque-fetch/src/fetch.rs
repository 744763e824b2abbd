//! Many files at once, each verified while it arrives.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use casque_format::digest::Digest;

use crate::network::{ATTEMPTS, FIRST_DELAY};
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

impl Job<'_> {
    fn fetch(&self, file: &Wanted) -> Result<u64, FetchError> {
        let mut worst = FetchError::NoUrl;
        let mut known = false;
        for url in &file.urls {
            match self.fetch_from(file, url) {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.is_final() => return Err(error),
                Err(error) if !known || error.weight() > worst.weight() => (worst, known) = (error, true),
                Err(_) => {}
            }
        }
        Err(worst)
    }

    fn fetch_from(&self, file: &Wanted, url: &str) -> Result<u64, FetchError> {
        let mut delay = FIRST_DELAY;
        let mut attempt = 1;
        loop {
            match self.attempt(file, url) {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    self.outcome.wait(delay)?;
                    delay *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn attempt(&self, file: &Wanted, url: &str) -> Result<u64, FetchError> {
        self.outcome.check()?;
        let mut entry = self.store.entry()?;
        let mut arrived = 0;
        let streamed = self.network.stream(url, file.size.unwrap_or(LARGEST), &mut |chunk| {
            self.outcome.check()?;
            entry.write(chunk)?;
            arrived += chunk.len() as u64;
            self.progress.advance(chunk.len() as u64);
            Ok(())
        });
        let verified = streamed.and_then(|received| {
            let url = || url.to_owned();
            if let Some(expected) = file.size.filter(|size| *size != received) {
                return Err(FetchError::SizeMismatch { url: url(), expected, received });
            }
            let digest = entry.digest();
            if digest != file.digest {
                return Err(FetchError::HashMismatch { url: url(), expected: file.digest, received: digest });
            }
            Ok(received)
        });
        match verified {
            Ok(received) => entry.keep(&file.digest).map(|()| received),
            Err(error) => {
                self.progress.discard(arrived);
                Err(error)
            }
        }
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
