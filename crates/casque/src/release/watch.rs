//! Looks at repositories for new tags, and releases them.
//!
//! What to do is decided by [`Seen::next`], which knows no repository and no clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use casque_format::releasing::Event;
use serde::{Deserialize, Serialize};

use super::config::Watch;
use super::error::ReleaseError;
use super::steps::{Maker, Order};
use super::teller::Teller;
use super::work;
use crate::error::Failure;

/// Number of the format of [`Seen`].
pub(crate) const VERSION: u32 = 1;
/// The wait before another try grows no longer than this.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The tags of a project that somebody has looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// [`VERSION`].
    pub(crate) version: u32,
    pub(crate) tags: BTreeMap<String, Fate>,
}

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub(crate) enum Fate {
    /// It was there before the first look.
    LeftAlone,
    /// It is released.
    Released { commit: String },
    /// It failed so often, the last time at this commit.
    Failed {
        commit: String,
        times: u32,
        /// When it is tried again, in seconds since 1970; none when it is given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<u64>,
    },
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// Release this one.
    Release(usize),
    /// Nothing before this time, in seconds since 1970.
    Wait(Option<u64>),
}

impl Seen {
    /// Leaves these tags alone.
    fn first(tags: &[Order]) -> Self {
        let tags = tags.iter().map(|order| (order.release.to_string(), Fate::LeftAlone));
        Self { version: VERSION, tags: tags.collect() }
    }

    /// Decides what to do about the tags that there are, the lowest version first.
    fn next(&self, tags: &[Order], now: u64) -> Next {
        let mut earliest: Option<u64> = None;
        for (index, order) in tags.iter().enumerate() {
            match self.tags.get(order.release.as_str()) {
                None => return Next::Release(index),
                Some(Fate::LeftAlone | Fate::Released { .. }) => {}
                // A tag that was moved is another try at it.
                Some(Fate::Failed { commit, .. }) if *commit != order.commit => return Next::Release(index),
                Some(Fate::Failed { again_at: None, .. }) => {}
                Some(Fate::Failed { again_at: Some(at), .. }) if *at <= now => return Next::Release(index),
                Some(Fate::Failed { again_at: Some(at), .. }) => {
                    earliest = Some(earliest.map_or(*at, |earliest| earliest.min(*at)));
                }
            }
        }
        Next::Wait(earliest)
    }

    /// Notes a failure, and returns after how many seconds it is tried again.
    fn failed(&mut self, order: &Order, rule: &Watch, now: u64) -> Option<u64> {
        let before = match self.tags.get(order.release.as_str()) {
            Some(Fate::Failed { commit, times, .. }) if *commit == order.commit => *times,
            _ => 0,
        };
        let wait = rule.retry_after.saturating_mul(2_u32.saturating_pow(before)).min(LONGEST).as_secs();
        let again = (before < rule.retries).then_some(wait);
        let (commit, again_at) = (order.commit.clone(), again.map(|wait| now + wait));
        self.tags.insert(order.release.to_string(), Fate::Failed { commit, times: before + 1, again_at });
        again
    }

    /// Returns tags that were moved after they were released.
    fn moved<'a>(&'a self, tags: &'a [Order]) -> impl Iterator<Item = &'a Order> {
        tags.iter().filter(|order| {
            let fate = self.tags.get(order.release.as_str());
            matches!(fate, Some(Fate::Released { commit }) if *commit != order.commit)
        })
    }
}

/// Watches one project.
pub(crate) struct Watcher<'a> {
    maker: Maker<'a>,
    teller: Teller<'a>,
    file: PathBuf,
    /// Only warned of once.
    told: Vec<String>,
}

/// What a look came to.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// The first failure.
    pub(crate) failure: Option<Failure>,
    /// Seconds until something is tried again.
    again_after: Option<u64>,
}

impl<'a> Watcher<'a> {
    /// Begins to watch: the tags that are there are left alone, unless they were seen before.
    pub(crate) fn begin(maker: Maker<'a>, state: &Path) -> Result<Self, ReleaseError> {
        let name = maker.project.name.get_ref().as_str();
        let file = work::directory(state, name)?.join("seen.json");
        let teller = Teller::of_project(&maker.context.ui, name);
        let watcher = Self { maker, teller, file, told: Vec::new() };
        let mut left_alone = 0;
        if work::read::<Seen>(&watcher.file)?.is_none() {
            let (tags, _) = watcher.maker.tags()?;
            left_alone = tags.len();
            work::write(&watcher.file, &Seen::first(&tags))?;
        }
        watcher.teller.event(Event::Watching { left_alone });
        Ok(watcher)
    }

    /// Looks again and again.
    pub(crate) fn watch(&mut self) -> ! {
        loop {
            let every = self.maker.config.watch.every;
            let wait =
                self.look().again_after.map_or(every, |wait| every.min(Duration::from_secs(wait.max(1))));
            thread::sleep(wait);
        }
    }

    /// Looks once, and releases what is new.
    pub(crate) fn look(&mut self) -> Look {
        let mut look = Look::default();
        if let Err(error) = self.release_all(&mut look) {
            let failure = error.failure(format!("cannot look for tags of `{}`", self.maker.project.git));
            self.teller.event(Event::Failed { error: failure.to_string(), again_after: None });
            look.failure.get_or_insert(failure);
        }
        look
    }

    fn release_all(&mut self, look: &mut Look) -> Result<(), ReleaseError> {
        let (tags, odd) = self.maker.tags()?;
        for name in odd {
            self.warn_once(format!("tag `{name}` is left alone: no release can have this name"));
        }
        loop {
            let mut seen = work::read::<Seen>(&self.file)?.unwrap_or_else(|| Seen::first(&tags));
            for order in seen.moved(&tags) {
                self.warn_once(format!(
                    "tag `{}` was moved after its release, which stays what it is",
                    order.release
                ));
            }
            let now = self.now();
            let order = match seen.next(&tags, now) {
                Next::Release(index) => &tags[index],
                Next::Wait(until) => {
                    look.again_after = until.map(|until| until.saturating_sub(now));
                    return Ok(());
                }
            };
            let tag = order.release.to_string();
            match self.maker.make(order) {
                Ok(_) => {
                    seen.tags.insert(tag, Fate::Released { commit: order.commit.clone() });
                }
                Err(error) => {
                    let failure = error.failure(format!("cannot release `{tag}`"));
                    let again_after = seen.failed(order, &self.maker.config.watch, self.now());
                    let teller = Teller::of_tag(self.teller.ui, &self.teller.project, &tag, None)?;
                    teller.event(Event::Failed { error: failure.to_string(), again_after });
                    look.failure.get_or_insert(failure);
                }
            }
            work::write(&self.file, &seen)?;
        }
    }

    fn warn_once(&mut self, text: String) {
        if !self.told.contains(&text) {
            self.teller.warn(text.clone());
            self.told.push(text);
        }
    }

    fn now(&self) -> u64 {
        let now = (self.maker.context.clock)();
        now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

#[cfg(test)]
mod tests;
