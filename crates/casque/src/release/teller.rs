//! Tells what happens: the user, and the log that each run has.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use casque_format::releasing::{Event, Told, VERSION};
use fs_err::File;

use super::error::ReleaseError;
use crate::ui::{Ui, megabytes};

/// Tells what happens to one project, or to one tag of it.
pub(crate) struct Teller<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) project: String,
    pub(crate) tag: Option<String>,
    log: Option<Mutex<File>>,
}

impl<'a> Teller<'a> {
    /// Tells about a project as a whole.
    pub(crate) fn of_project(ui: &'a Ui, project: &str) -> Self {
        Self { ui, project: project.to_owned(), tag: None, log: None }
    }

    /// Tells about a tag, and writes it down; without a log it only tells.
    pub(crate) fn of_tag(
        ui: &'a Ui,
        project: &str,
        tag: &str,
        log: Option<&Path>,
    ) -> Result<Self, ReleaseError> {
        let log = log.map(|log| File::options().create(true).append(true).open(log)).transpose();
        let log = log.map_err(ReleaseError::State)?.map(Mutex::new);
        Ok(Self { ui, project: project.to_owned(), tag: Some(tag.to_owned()), log })
    }

    pub(crate) fn event(&self, event: Event) {
        let told = Told { version: VERSION, project: self.project.clone(), tag: self.tag.clone(), event };
        let words = words(&told.event);
        if let Some(log) = &self.log {
            // A disk that is full shows itself where it matters.
            let _ = writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{words}");
        }
        let json = serde_json::to_string(&told).expect("an event is plain data");
        let about = told.tag.map_or_else(|| told.project.clone(), |tag| format!("{} {tag}", told.project));
        self.ui.told(&json, &format!("{about}: {words}"));
    }

    /// Writes down why it did not work; whoever asked says it.
    pub(crate) fn note_failure(&self, text: &str) {
        if let Some(log) = &self.log {
            let _ = writeln!(log.lock().unwrap_or_else(PoisonError::into_inner), "{text}");
        }
    }

    pub(crate) fn work(&self, what: impl Into<String>) {
        self.event(Event::Work { what: what.into() });
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.event(Event::Warning { text: text.into() });
    }
}

fn words(event: &Event) -> String {
    match event {
        Event::Watching { left_alone: 0 } => "watching for tags".to_owned(),
        Event::Watching { left_alone } => {
            format!(
                "watching for tags; {left_alone} that are there already are left alone, `casque release run --tag` makes one"
            )
        }
        Event::Begun { commit, channel, log } => {
            format!("commit {commit} goes into {channel}; the log is `{log}`")
        }
        Event::Work { what } => what.clone(),
        Event::Output { line } => format!("| {line}"),
        Event::File { name, size, sha256, .. } => format!("{name}: {}, SHA-256 {sha256}", megabytes(*size)),
        Event::Uploaded { name, sent: 0 } => format!("{name} is at the depot already"),
        Event::Uploaded { name, sent } => format!("{name} is uploaded, {}", megabytes(*sent)),
        Event::Published { counter, before: false } => format!("published, counter {counter}"),
        Event::Published { counter, before: true } => format!("was published before, counter {counter}"),
        Event::Failed { error, again_after: Some(seconds) } => format!("{error}\ntried again in {seconds} s"),
        Event::Failed { error, again_after: None } => error.clone(),
        Event::Warning { text } => format!("warning: {text}"),
    }
}
