//! `--check-reproducible`: what programs made is made a second time, as on another machine, and compared.
//!
//! Each stage is repeated on top of what the first build has below it, so that a difference is named once and where it
//! arises. The repetition has a cache of its own, in another directory, and takes nothing from the first but downloads.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use crate::builder::Builder;
use crate::cache::Cache;
use crate::elsewhere::Elsewhere;
use crate::error::BuildError;
use crate::event::Event;
use crate::stage::Stage;

mod compare;
mod day;
mod reason;

/// From here on a clock that shows seconds shows another one.
const LATER: Duration = Duration::from_millis(1100);

/// One file that is not the same, or would not be on another day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its path in the image.
    pub path: String,
    /// What differs.
    pub what: Vec<Aspect>,
    /// Where the contents first differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Place>,
    /// What that looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What of a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// It is there the second time only.
    Added,
    /// It is there the first time only.
    Gone,
    /// It is a file, a directory, a link or something else.
    Kind,
    /// Its bytes, or where it leads.
    Content,
    /// Its permission bits.
    Mode,
    /// Its user or group.
    Owner,
    /// Its time.
    Time,
    /// Its extended attributes.
    Attributes,
    /// It is the same, and holds the day of this build.
    Day,
    /// Its names, in one layer or in several.
    Layers,
}

/// Where two contents first differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "in")]
pub enum Place {
    /// A line, counted from 1, as it is here and elsewhere.
    Text {
        /// Its number.
        line: usize,
        /// What it is.
        here: String,
        /// What it became.
        elsewhere: String,
    },
    /// A byte, counted from 0.
    Binary {
        /// Its number.
        byte: u64,
    },
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "is there the second time only",
            Self::Gone => "is there the first time only",
            Self::Kind => "another kind",
            Self::Content => "other content",
            Self::Mode => "another mode",
            Self::Owner => "another owner",
            Self::Time => "another time",
            Self::Attributes => "other extended attributes",
            Self::Day => "another day",
            Self::Layers => "another layer",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what: Vec<String> = self.what.iter().map(ToString::to_string).collect();
        write!(f, "`{}`: {}", self.path, what.join(", "))?;
        match &self.first {
            Some(Place::Text { line, here, elsewhere }) if here == elsewhere => {
                write!(f, "; line {line}: `{here}`")?
            }
            Some(Place::Text { line, here, elsewhere }) => {
                write!(f, "; line {line}: `{here}` became `{elsewhere}`")?;
            }
            Some(Place::Binary { byte }) => write!(f, "; from byte {byte} on")?,
            None => {}
        }
        match &self.reason {
            Some(reason) => write!(f, "; {reason}"),
            None => Ok(()),
        }
    }
}

/// Repeats what programs made of `stages`, and says of each what is not the same; `now` is the time.
pub(crate) fn repeat(builder: &Builder<'_>, stages: &[Stage], now: OffsetDateTime) -> Result<(), BuildError> {
    let workspace = builder.cache.workspace()?;
    let place = workspace.path().join("another/place");
    fs_err::create_dir_all(&place).map_err(BuildError::Cache)?;
    let downloads = builder.cache.directory.join("store");
    fs_err::os::unix::fs::symlink(downloads, place.join("store")).map_err(BuildError::Cache)?;
    let cache = Cache::open(&place)?;
    let work = cache.workspace()?;
    let elsewhere = Elsewhere::new().map_err(BuildError::Root)?;
    let other = Builder {
        cache: &cache,
        work: work.path(),
        base: builder.base.clone(),
        carried: builder.carried.clone(),
        shares: builder.shares.clone(),
        elsewhere: Some(elsewhere.clone()),
        recording: None,
        explains: false,
        ..*builder
    };
    sleep(LATER);
    let mut layers = Vec::new();
    let mut files = 0;
    for (index, stage) in stages.iter().enumerate() {
        let Some(again) = other.again(stage, &stages[..index])? else { continue };
        let mut findings = compare::findings((builder.cache, stage), (&cache, &again), &elsewhere)?;
        if stage.record.vendor {
            findings.extend(day::findings(&cache, &again, builder.epoch, now)?);
        }
        let name = stage.record.name.clone();
        if !findings.is_empty() {
            layers.push(name.clone());
            files += findings.len();
        }
        builder.observer.event(&Event::Repeated { name, findings });
    }
    match layers.is_empty() {
        true => Ok(()),
        false => Err(BuildError::NotReproducible { layers, files }),
    }
}

impl Builder<'_> {
    /// Makes a stage that programs made once more; none when it is none of these.
    fn again(&self, stage: &Stage, below: &[Stage]) -> Result<Option<Stage>, BuildError> {
        let name = stage.record.name.as_str();
        for layer in &self.manifest.content.layer {
            let own = layer.name.get_ref();
            if name == own
                && let Some(run) = &layer.run
            {
                return self.step_stage(layer, run, below).map(Some);
            }
            if name == format!("{own}/packages") {
                return self.packages_stage(layer, below).map(Some);
            }
            if name == format!("{own}/python") {
                return self.python_stage(layer, below).map(Some);
            }
        }
        Ok(None)
    }
}
