//! How the real `supervisorctl` names programs and says what became of them.

use std::time::Duration;

use super::GENERIC;
use crate::protocol::{Outcome, ProgramInfo, ProgramResult, Selection, State};
use crate::ui;

/// Returns which programs a name means: `web`, `group:web` or `group:*`.
pub(super) fn selection(name: &str) -> Selection {
    match name.split_once(':') {
        None => Selection::One { group: name.to_owned(), name: name.to_owned() },
        Some((group, "" | "*")) => Selection::Group(group.to_owned()),
        Some((group, process)) => Selection::One { group: group.to_owned(), name: process.to_owned() },
    }
}

pub(super) fn is_selected(program: &ProgramInfo, which: &Selection) -> bool {
    match which {
        Selection::All => true,
        Selection::Group(group) => program.group == *group,
        Selection::One { group, name } => program.group == *group && program.name == *name,
    }
}

/// Returns what is said about a name that nothing has.
pub(super) fn unknown(which: &Selection, code: &mut u8) -> Vec<ProgramResult> {
    match which {
        Selection::All => Vec::new(),
        Selection::Group(group) => {
            ui::out(&format!("{group}: ERROR (no such group)"));
            *code = GENERIC;
            Vec::new()
        }
        Selection::One { group, name } => {
            vec![ProgramResult { group: group.clone(), name: name.clone(), outcome: Outcome::NoSuchProcess }]
        }
    }
}

pub(super) fn say(result: &ProgramResult, done: &str) {
    let what = match result.outcome {
        Outcome::Done => done,
        Outcome::NoSuchProcess => "ERROR (no such process)",
        Outcome::AlreadyStarted => "ERROR (already started)",
        Outcome::NotRunning => "ERROR (not running)",
        Outcome::NoSuchFile => "ERROR (no such file)",
        Outcome::SpawnError => "ERROR (spawn error)",
        Outcome::BadSignal => "ERROR (bad signal name)",
    };
    ui::out(&format!("{}: {what}", display(&result.group, &result.name)));
}

pub(super) fn display(group: &str, name: &str) -> String {
    if group == name { name.to_owned() } else { format!("{group}:{name}") }
}

pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Inactive => "STOPPED",
        State::Starting => "STARTING",
        State::Running | State::Reloading => "RUNNING",
        State::Backoff => "BACKOFF",
        State::Stopping => "STOPPING",
        State::Exited => "EXITED",
        State::Failed => "FATAL",
    }
}

pub(super) fn describe(program: &ProgramInfo) -> String {
    match (program.state, program.pid, &program.message) {
        (State::Running | State::Reloading, Some(pid), _) => {
            format!("pid {pid}, uptime {}", uptime(Duration::from_secs(program.uptime)))
        }
        (State::Backoff | State::Failed, _, message) => {
            message.clone().unwrap_or_else(|| "Exited too quickly (process log may have details)".to_owned())
        }
        (State::Inactive, _, _) => "Not started".to_owned(),
        (State::Exited, _, Some(message)) => message.clone(),
        _ => String::new(),
    }
}

/// Returns a duration as Python writes it, such as `0:00:05`.
pub(super) fn uptime(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_real_tool_reads_them() {
        let one = |group: &str, name: &str| Selection::One { group: group.to_owned(), name: name.to_owned() };
        assert_eq!(selection("web"), one("web", "web"));
        assert_eq!(selection("jobs:a"), one("jobs", "a"));
        assert_eq!(selection("jobs:*"), Selection::Group("jobs".to_owned()));
    }

    #[test]
    fn an_uptime_is_written_as_python_writes_it() {
        assert_eq!(uptime(Duration::from_secs(5)), "0:00:05");
        assert_eq!(uptime(Duration::from_secs(36_061)), "10:01:01");
    }
}
