//! The only place that prints. What was asked for goes to stdout, everything else to stderr.

#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use casque_build::{Event, Observer, Secrets};
use casque_fetch::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How the program talks to its user.
pub(crate) struct Ui {
    bar: ProgressBar,
    json: bool,
    /// Written whole, so that lines of parallel work do not mix.
    out: Mutex<()>,
    /// What was warned of: a build that locks first looks at its steps twice.
    warned: Mutex<BTreeSet<String>>,
    /// What is masked in everything that is printed.
    hidden: OnceLock<Secrets>,
}

impl Ui {
    /// Makes a bar when stderr is a terminal, and prints events as JSON lines when asked.
    pub(crate) fn new(json: bool) -> Self {
        let bar = match std::io::stderr().is_terminal() && !json {
            true => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            false => ProgressBar::hidden(),
        };
        Self { bar, json, out: Mutex::new(()), warned: Mutex::default(), hidden: OnceLock::new() }
    }

    /// Masks these from here on.
    pub(crate) fn hide(&self, secrets: Secrets) {
        // A command reads its secrets once.
        let _ = self.hidden.set(secrets);
    }

    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.hidden.get().map_or(Cow::Borrowed(text), |secrets| Cow::Owned(secrets.mask(text)))
    }

    /// Prints what was asked for.
    pub(crate) fn line(&self, text: &str) {
        let text = self.masked(text);
        let _whole = self.out.lock();
        self.bar.suspend(|| {
            let mut out = std::io::stdout().lock();
            // A reader that went away, as `head` does, is no error of ours.
            let _ = writeln!(out, "{text}");
        });
    }

    /// Says something beside it.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            let text = self.masked(text);
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }

    /// Tells what happens to a release: as an object for a program, or in words.
    pub(crate) fn told(&self, json: &str, words: &str) {
        match self.json {
            true => self.line(json),
            false => self.note(words),
        }
    }

    /// Shows how an upload of so many bytes goes on.
    pub(crate) fn uploading(&self, bytes: u64) -> &Self {
        self.begin_bar(bytes);
        self
    }

    fn begin_bar(&self, bytes: u64) {
        self.bar.reset();
        self.bar.set_length(bytes);
        let template = "  {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
        self.bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
    }

    /// Shows an error in its one shape: what, why, what to do.
    pub(crate) fn error(&self, error: &crate::error::Failure) {
        self.bar.finish_and_clear();
        eprintln!("{}", self.masked(&error.to_string()));
    }
}

impl Observer for Ui {
    fn event(&self, event: &Event) {
        if let Event::Warning { text } = event {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if !warned.insert(text.clone()) {
                return;
            }
        }
        if self.json {
            match serde_json::to_string(event) {
                Ok(line) => self.line(&line),
                Err(error) => eprintln!("cannot write an event: {error}"),
            }
            return;
        }
        match event {
            Event::Layer { name } => self.note(&format!("layer {name}")),
            Event::Cached { name } => self.note(&format!("layer {name}: unchanged")),
            Event::Why { name, rebuilt, reasons } => {
                self.note(&match (rebuilt, reasons.is_empty()) {
                    (true, _) => format!("why: layer {name} is made again:"),
                    (false, true) => format!("why: layer {name} is unchanged"),
                    (false, false) => format!("why: layer {name} is not the last one, but was made before:"),
                });
                reasons.iter().for_each(|reason| self.note(&format!("  - {reason}")));
            }
            Event::Work { what } => self.note(&format!("  {what}")),
            Event::Output { line } => self.note(&format!("  | {line}")),
            Event::Done { name, bytes, milliseconds } => {
                let seconds = Duration::from_millis(*milliseconds).as_secs_f64();
                self.note(&format!("layer {name}: {} in {seconds:.1} s", megabytes(*bytes)));
            }
            Event::Repeated { name, findings } => {
                self.note(&match findings.len() {
                    0 => format!("layer {name}: made again as on another machine, and the same"),
                    1 => format!("layer {name}: made again as on another machine, and a file differs:"),
                    count => {
                        format!("layer {name}: made again as on another machine, and {count} files differ:")
                    }
                });
                findings.iter().for_each(|finding| self.note(&format!("  - {finding}")));
            }
            Event::Detail { .. } => {}
            Event::Warning { text } => self.note(&format!("warning: {text}")),
        }
    }
}

impl Progress for Ui {
    fn expect(&self, files: usize, bytes: u64) {
        if files == 0 {
            return;
        }
        let plural = if files == 1 { "" } else { "s" };
        self.note(&format!("  downloading {files} file{plural}, {}", megabytes(bytes)));
        self.begin_bar(bytes);
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn discard(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    fn done(&self, label: &str) {
        self.bar.set_message(label.to_owned());
    }
}

/// Returns a size for people, in units of a million bytes.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
