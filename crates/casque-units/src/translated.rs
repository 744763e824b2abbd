//! The result of a translation.

use casque_format::run::{Kind, Ready, Service};

use crate::{Note, UnitError};

/// A service as its own tool describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The part every casque program understands. `user` is none, see [`Translated::user`]; `after`
    /// is empty, it is the manifest's to say.
    pub service: Service,
    /// Name or number of the user that runs it.
    pub user: Option<String>,
    /// Name or number of its primary group, when it is not the user's own.
    pub group: Option<String>,
    /// Further groups by name or number.
    pub supplementary_groups: Vec<String>,
    /// How the tool learns that it runs.
    pub startup: Startup,
    /// Commands that run to their end before each start.
    pub start_pre: Vec<Step>,
    /// Commands that make the running service read its configuration again.
    pub reload: Vec<Step>,
    /// Commands that ask it to stop; the stop signal follows when they did not suffice.
    pub stop_commands: Vec<Step>,
    /// Commands that run to their end when it has started.
    pub start_post: Vec<Step>,
    /// Units that it needs, whatever the order.
    pub needs: Vec<String>,
    /// Units it starts after.
    pub after: Vec<String>,
    /// What could not be carried over.
    pub notes: Vec<Note>,
}

/// How a tool learns that a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// It runs as soon as it was started.
    Simple,
    /// It has done its work when it has exited; with `remains` it counts as active afterwards.
    Oneshot {
        /// `RemainAfterExit=`.
        remains: bool,
    },
    /// It says `READY=1` on the socket in `NOTIFY_SOCKET`.
    Notify,
    /// The process that was started ends, its child stays; the file, where given, names that child.
    Forking {
        /// `PIDFile=`.
        pid_file: Option<String>,
    },
}

/// A command beside the service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Argument vector; may hold `$MAINPID`.
    pub command: Vec<String>,
    /// Whether its failure does not matter.
    pub ignore_failure: bool,
    /// Whether it runs as root whatever the service's user.
    pub privileged: bool,
}

impl Translated {
    /// Returns the form that stays in the foreground, as PID 1 of an image needs it.
    ///
    /// Of the services that fork, two are known by their program: nginx is told `daemon off;` and
    /// stopped with QUIT, redis is told `--daemonize no --supervised no`. Any other is an error,
    /// since a supervisor cannot watch what it cannot wait for. One that notifies is
    /// ready when it says so.
    pub fn in_foreground(mut self, unit: &str) -> Result<Self, UnitError> {
        self.note_what_an_image_lacks();
        match &self.startup {
            Startup::Simple | Startup::Oneshot { .. } => return Ok(self),
            // It would say that it is ready before it has read its data.
            Startup::Notify if is_program(&self.service.command, "redis-server") => {
                self.notes.push(Note::lost(
                    "Type=notify",
                    "it counts as ready at once; say `ready = { ... }` in the manifest",
                ));
                redis_in_foreground(&mut self.service.command);
            }
            Startup::Notify => self.service.ready = Some(Ready::Notify),
            Startup::Forking { .. } if is_program(&self.service.command, "nginx") => {
                nginx_in_foreground(&mut self.service.command);
                self.service.stop.signal = "QUIT".to_owned();
            }
            Startup::Forking { .. } if is_program(&self.service.command, "redis-server") => {
                redis_in_foreground(&mut self.service.command);
            }
            Startup::Forking { .. } => {
                let program = self.service.command.first().cloned().unwrap_or_default();
                return Err(UnitError::Forking { unit: unit.to_owned(), program });
            }
        }
        self.startup = Startup::Simple;
        self.service.kind = Kind::Simple;
        Ok(self)
    }

    /// Notes what PID 1 of an image does not carry out.
    fn note_what_an_image_lacks(&mut self) {
        for step in &self.start_post {
            let subject = format!("ExecStartPost={}", step.command.join(" "));
            self.notes.push(Note::lost(subject, "make it a one-shot that comes `after` this service"));
        }
        for step in &self.stop_commands {
            // Of a service that forks, this only sends a signal to the process in its PID file.
            if !matches!(self.startup, Startup::Forking { .. }) {
                let subject = format!("ExecStop={}", step.command.join(" "));
                self.notes.push(Note::lost(subject, "it is stopped by its signal"));
            }
        }
        for step in &self.reload {
            let subject = format!("ExecReload={}", step.command.join(" "));
            self.notes.push(Note::moot(subject, "what an image runs is not reloaded"));
        }
    }
}

fn is_program(command: &[String], name: &str) -> bool {
    command.first().is_some_and(|path| path.rsplit('/').next() == Some(name))
}

/// Removes every `daemon ...;` from the `-g` directives and adds `daemon off;`.
fn nginx_in_foreground(command: &mut Vec<String>) {
    let mut directives = Vec::new();
    let mut rest = Vec::new();
    let mut words = command.drain(..);
    while let Some(word) = words.next() {
        if word == "-g" {
            directives.extend(words.next());
        } else {
            rest.push(word);
        }
    }
    drop(words);
    let kept = directives
        .iter()
        .flat_map(|text| text.split(';'))
        .map(str::trim)
        .filter(|directive| !directive.is_empty() && directive.split_whitespace().next() != Some("daemon"))
        .map(|directive| format!(" {directive};"))
        .collect::<String>();
    rest.push("-g".to_owned());
    rest.push(format!("daemon off;{kept}"));
    *command = rest;
}

/// Removes what the unit says about daemonizing and supervision and says `no` to both.
fn redis_in_foreground(command: &mut Vec<String>) {
    let mut rest = Vec::new();
    let mut words = command.drain(..);
    while let Some(word) = words.next() {
        if word == "--daemonize" || word == "--supervised" {
            words.next();
        } else {
            rest.push(word);
        }
    }
    drop(words);
    rest.extend(["--daemonize", "no", "--supervised", "no"].map(str::to_owned));
    *command = rest;
}
