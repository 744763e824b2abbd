//! `supervisorctl`, with the real tool's words and exit codes, and `supervisord`.

mod words;

use std::process::ExitCode;

use fs_err as fs;

use self::words::{describe, display, is_selected, say, selection, unknown, word};
use crate::client;
use crate::env::Environment;
use crate::error::ShimError;
use crate::protocol::{Outcome, ProgramInfo, ProgramResult, ProgramVerb, Reply, Request, Selection, State};
use crate::ui;

/// Exit codes of the real tool.
const GENERIC: u8 = 1;
const INVALID_ARGUMENTS: u8 = 2;
const STATUS_NOT_RUNNING: u8 = 3;
const STATUS_UNKNOWN: u8 = 4;
const NOT_RUNNING: u8 = 7;

const VERSION: &str = "4.2.5";
/// How many bytes of a log `tail` shows when it is not told.
const TAIL: usize = 1600;

/// Answers as `supervisorctl` does.
pub(crate) fn run(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let (verb, arguments) = read(words)?;
    if environment.passive {
        return Ok(ExitCode::SUCCESS);
    }
    let tool = Tool { environment };
    let code = match verb.as_str() {
        "status" => tool.status(&arguments),
        "start" => tool.change(&ProgramVerb::Start, &arguments),
        "stop" => tool.change(&ProgramVerb::Stop, &arguments),
        "restart" => tool.restart(&arguments),
        "signal" => tool.signal(&arguments),
        "reread" => tool.reread(),
        "update" => tool.update(&arguments),
        "add" => tool.add(&arguments),
        "remove" => tool.remove(&arguments),
        "reload" => tool.simple(&Request::StartSupervisor, "Restarted supervisord"),
        "shutdown" => tool.simple(&Request::StopSupervisor, "Shut down"),
        "avail" => tool.avail(),
        "pid" => tool.pid(&arguments),
        "version" => {
            ui::out(VERSION);
            Ok(0)
        }
        "tail" => tool.tail(&arguments),
        unknown => {
            ui::out(&format!("*** Unknown syntax: {unknown}"));
            Ok(GENERIC)
        }
    };
    match code {
        Err(Failure::Said(code)) | Ok(code) => Ok(ExitCode::from(code)),
        Err(Failure::Error(error)) => Err(error),
    }
}

/// Answers as `supervisord` does when it puts itself into the background.
pub(crate) fn daemon(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    if words.iter().any(|word| word == "--version" || word == "-v") {
        ui::out(VERSION);
        return Ok(ExitCode::SUCCESS);
    }
    if words.iter().any(|word| word == "--nodaemon" || word == "-n") {
        return Err(ShimError::Usage(
            "supervisord does not run in the foreground during the build; use `service supervisor start`"
                .to_owned(),
        ));
    }
    if environment.passive {
        return Ok(ExitCode::SUCCESS);
    }
    match client::ask(environment, &Request::StartSupervisor)? {
        Reply::Done => Ok(ExitCode::SUCCESS),
        Reply::Failed { message, .. } => Err(ShimError::Usage(message)),
        _ => Err(ShimError::Answer),
    }
}

/// Returns the verb and what is behind it.
fn read(words: &[String]) -> Result<(String, Vec<String>), ShimError> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            // Where the real one finds its server; here there is one.
            "-c" | "--configuration" | "-s" | "--serverurl" | "-u" | "--username" | "-p" | "--password" => {
                words.next();
            }
            "-i" | "--interactive" => break,
            option if option.starts_with("--") && option.contains('=') => {}
            option if option.starts_with('-') => {
                return Err(ShimError::Usage(format!("option `{option}` does not work during the build")));
            }
            verb => return Ok((verb.to_owned(), words.cloned().collect())),
        }
    }
    Err(ShimError::Usage(
        "there is no interactive mode during the build; name a command such as `status`".to_owned(),
    ))
}

/// Why a command ends early: it has said why, or it could not ask.
enum Failure {
    Said(u8),
    Error(ShimError),
}

impl From<ShimError> for Failure {
    fn from(error: ShimError) -> Self {
        Self::Error(error)
    }
}

struct Tool<'a> {
    environment: &'a Environment,
}

impl Tool<'_> {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        match client::ask(self.environment, request)? {
            Reply::Failed { message, .. } => {
                ui::out(&message);
                let down = message.ends_with("no such file");
                let code = if matches!(request, Request::Available) { STATUS_UNKNOWN } else { NOT_RUNNING };
                Err(Failure::Said(if down { code } else { GENERIC }))
            }
            Reply::Denied => {
                ui::out("error: <class 'PermissionError'>, [Errno 13] Permission denied");
                Err(Failure::Said(GENERIC))
            }
            reply => Ok(reply),
        }
    }

    fn simple(&self, request: &Request, done: &str) -> Result<u8, Failure> {
        self.ask(request)?;
        ui::out(done);
        Ok(0)
    }

    fn programs(&self) -> Result<Vec<ProgramInfo>, Failure> {
        match self.ask(&Request::Available)? {
            Reply::Programs(programs) => Ok(programs),
            _ => Err(ShimError::Answer.into()),
        }
    }

    fn in_use(&self) -> Result<Vec<ProgramInfo>, Failure> {
        Ok(self.programs()?.into_iter().filter(|program| program.in_use).collect())
    }

    fn results(&self, request: &Request) -> Result<Vec<ProgramResult>, Failure> {
        match self.ask(request)? {
            Reply::Results(results) => Ok(results),
            _ => Err(ShimError::Answer.into()),
        }
    }

    fn status(&self, names: &[String]) -> Result<u8, Failure> {
        let all = self.in_use()?;
        let mut code = 0;
        let mut shown: Vec<&ProgramInfo> = Vec::new();
        if names.is_empty() || names.iter().any(|name| name == "all") {
            shown.extend(&all);
        } else {
            for name in names {
                let which = selection(name);
                let before = shown.len();
                shown.extend(all.iter().filter(|program| is_selected(program, &which)));
                if shown.len() == before {
                    ui::out(&match which {
                        Selection::Group(group) => format!("{group}: ERROR (no such group)"),
                        _ => format!("{name}: ERROR (no such process)"),
                    });
                    code = STATUS_UNKNOWN;
                }
            }
        }
        let width = shown
            .iter()
            .map(|program| display(&program.group, &program.name).len())
            .max()
            .unwrap_or(0)
            .max(30)
            + 3;
        for program in shown {
            let name = display(&program.group, &program.name);
            ui::out(&format!("{name:<width$}{:<10}{}", word(program.state), describe(program)));
            if matches!(program.state, State::Inactive | State::Exited | State::Failed) {
                code = STATUS_NOT_RUNNING;
            }
        }
        Ok(code)
    }

    fn change(&self, verb: &ProgramVerb, names: &[String]) -> Result<u8, Failure> {
        let (missing, done) = match verb {
            ProgramVerb::Start => ("Error: start requires a process name", "started"),
            ProgramVerb::Stop => ("Error: stop requires a process name", "stopped"),
            ProgramVerb::Signal(_) => {
                ("Error: signal requires a signal name and a process name", "signalled")
            }
        };
        if names.is_empty() {
            ui::out(missing);
            return Ok(if *verb == ProgramVerb::Start { INVALID_ARGUMENTS } else { GENERIC });
        }
        let mut code = 0;
        let all = names.iter().any(|name| name == "all");
        let which: Vec<Selection> =
            if all { vec![Selection::All] } else { names.iter().map(|name| selection(name)).collect() };
        for which in which {
            let mut results =
                self.results(&Request::Programs { verb: verb.clone(), which: which.clone() })?;
            if results.is_empty() && which != Selection::All {
                results = unknown(&which, &mut code);
            }
            for result in results {
                say(&result, done);
                code = match (&result.outcome, verb) {
                    (Outcome::Done, _) | (Outcome::AlreadyStarted, ProgramVerb::Start) => code,
                    (Outcome::NotRunning, ProgramVerb::Stop) => code,
                    (Outcome::SpawnError | Outcome::NotRunning, _) => NOT_RUNNING,
                    _ => GENERIC,
                };
            }
        }
        Ok(code)
    }

    fn restart(&self, names: &[String]) -> Result<u8, Failure> {
        if names.is_empty() {
            ui::out("Error: restart requires a process name");
            return Ok(GENERIC);
        }
        let stopped = self.change(&ProgramVerb::Stop, names)?;
        let started = self.change(&ProgramVerb::Start, names)?;
        Ok(if started == 0 { stopped } else { started })
    }

    fn signal(&self, arguments: &[String]) -> Result<u8, Failure> {
        let (signal, names) =
            arguments.split_first().map_or(("", arguments), |(signal, names)| (signal, names));
        let Some(name) = casque_units::signal_name(signal) else {
            for name in names {
                ui::out(&format!("{name}: ERROR (bad signal name)"));
            }
            return Ok(GENERIC);
        };
        self.change(&ProgramVerb::Signal(name.to_owned()), names)
    }

    fn changes(&self) -> Result<[Vec<String>; 3], Failure> {
        match self.ask(&Request::Changes)? {
            Reply::Changes { added, changed, removed } => Ok([added, changed, removed]),
            _ => Err(ShimError::Answer.into()),
        }
    }

    fn reread(&self) -> Result<u8, Failure> {
        let [added, changed, removed] = self.changes()?;
        let mut lines: Vec<(String, &str)> = Vec::new();
        for (names, what) in [(added, "available"), (changed, "changed"), (removed, "disappeared")] {
            lines.extend(names.into_iter().map(|name| (name, what)));
        }
        lines.sort();
        if lines.is_empty() {
            ui::out("No config updates to processes");
        }
        for (name, what) in lines {
            ui::out(&format!("{name}: {what}"));
        }
        Ok(0)
    }

    fn update(&self, names: &[String]) -> Result<u8, Failure> {
        let [added, changed, removed] = self.changes()?;
        let all = names.is_empty() || names.iter().any(|name| name == "all");
        let wanted = |group: &String| all || names.contains(group);
        let mut code = 0;
        if !all {
            let known = self.in_use()?;
            for name in names {
                if !added.contains(name) && !known.iter().any(|program| program.group == *name) {
                    ui::out(&format!("ERROR: no such group: {name}"));
                    code = GENERIC;
                }
            }
        }
        for group in removed.iter().filter(|group| wanted(group)) {
            self.stop_group(group)?;
            self.results(&Request::RemoveGroup(group.clone()))?;
            ui::out(&format!("{group}: removed process group"));
        }
        for group in changed.iter().filter(|group| wanted(group)) {
            self.stop_group(group)?;
            self.results(&Request::RemoveGroup(group.clone()))?;
            self.results(&Request::AddGroup(group.clone()))?;
            ui::out(&format!("{group}: updated process group"));
        }
        for group in added.iter().filter(|group| wanted(group)) {
            self.results(&Request::AddGroup(group.clone()))?;
            ui::out(&format!("{group}: added process group"));
        }
        Ok(code)
    }

    fn stop_group(&self, group: &str) -> Result<(), Failure> {
        self.results(&Request::Programs {
            verb: ProgramVerb::Stop,
            which: Selection::Group(group.to_owned()),
        })?;
        ui::out(&format!("{group}: stopped"));
        Ok(())
    }

    fn add(&self, groups: &[String]) -> Result<u8, Failure> {
        let mut code = 0;
        for group in groups {
            for result in self.results(&Request::AddGroup(group.clone()))? {
                match result.outcome {
                    Outcome::Done => ui::out(&format!("{group}: added process group")),
                    Outcome::AlreadyStarted => ui::out("ERROR: process group already active"),
                    _ => {
                        ui::out(&format!("ERROR: no such process/group: {group}"));
                        code = GENERIC;
                    }
                }
            }
        }
        Ok(code)
    }

    fn remove(&self, groups: &[String]) -> Result<u8, Failure> {
        let mut code = 0;
        for group in groups {
            for result in self.results(&Request::RemoveGroup(group.clone()))? {
                match result.outcome {
                    Outcome::Done => {
                        ui::out(&format!("{group}: removed process group"));
                        continue;
                    }
                    Outcome::AlreadyStarted => {
                        ui::out(&format!("ERROR: process/group still running: {group}"))
                    }
                    _ => ui::out(&format!("ERROR: no such process/group: {group}")),
                }
                code = GENERIC;
            }
        }
        Ok(code)
    }

    fn avail(&self) -> Result<u8, Failure> {
        for program in self.programs()? {
            let in_use = if program.in_use { "in use" } else { "avail" };
            let start = if program.autostart { "auto" } else { "manual" };
            let name = display(&program.group, &program.name);
            ui::out(&format!("{name:<32} {in_use:<9} {start:<9} {}:{}", program.priority, program.priority));
        }
        Ok(0)
    }

    fn pid(&self, names: &[String]) -> Result<u8, Failure> {
        let programs = self.in_use()?;
        if names.is_empty() {
            // The step's first process is what supervisord would be.
            ui::out("1");
            return Ok(0);
        }
        let mut code = 0;
        for name in names {
            let which = if name == "all" { Selection::All } else { selection(name) };
            let mut found = programs.iter().filter(|program| is_selected(program, &which)).peekable();
            if found.peek().is_none() && which != Selection::All {
                ui::out(&format!("No such process {name}"));
                code = GENERIC;
            }
            for program in found {
                ui::out(&program.pid.unwrap_or(0).to_string());
                if program.pid.is_none() && which != Selection::All {
                    code = NOT_RUNNING;
                }
            }
        }
        Ok(code)
    }

    fn tail(&self, arguments: &[String]) -> Result<u8, Failure> {
        let (count, rest) = match arguments.split_first() {
            Some((option, rest)) if option.starts_with('-') => match option[1..].parse::<usize>() {
                Ok(count) => (count, rest),
                Err(_) => {
                    ui::out(&format!("Error: bad argument {option}"));
                    return Ok(GENERIC);
                }
            },
            _ => (TAIL, arguments),
        };
        let Some(name) = rest.first() else {
            ui::out("Error: too few arguments");
            return Ok(GENERIC);
        };
        let which = selection(name);
        let programs = self.in_use()?;
        let Some(program) = programs.iter().find(|program| is_selected(program, &which)) else {
            ui::out(&format!("{name}: ERROR (no such process name)"));
            return Ok(GENERIC);
        };
        let Ok(bytes) = fs::read(&program.log) else {
            ui::out(&format!("{name}: ERROR (no log file)"));
            return Ok(GENERIC);
        };
        ui::out(&String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(count)..]));
        Ok(0)
    }
}
