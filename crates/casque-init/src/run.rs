//! A container's life from its first to its last instant, and the exit code at the end.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;

use casque_format::capacity::Capacity;
use casque_format::paths;

use crate::arguments::Options;
use crate::control;
use crate::engine::{self, Engine, Parts, PlanSource};
use crate::exit::{INTERNAL, SETTINGS, VOLUME};
use crate::plan::{Place, Plan, PlanError};
use crate::sys;
use crate::volume::Volume;

/// Closes descriptors that whoever started us left open.
pub(crate) fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    // Collected first: the list itself is read through a descriptor.
    let open: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    sys::close_inherited(open.into_iter());
}

/// Runs the image; returns the exit code.
pub(crate) fn run(options: &Options) -> i32 {
    let mut engine = match begin(options) {
        Ok(engine) => engine,
        Err(problem) => return refuse(&problem),
    };
    let code = guarded(&mut engine, |engine| carry_out(engine, options));
    engine.last_words();
    code
}

/// Becomes the agent; returns an exit code only if that is not possible.
pub(crate) fn become_agent(words: &[OsString]) -> i32 {
    let error = Command::new(paths::AGENT).args(words).exec();
    refuse(&format!("cannot execute `{}`: {error}", paths::AGENT));
    if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Says why nothing can be run; returns the exit code.
pub(crate) fn refuse(problem: &str) -> i32 {
    // Nothing is running yet that a blocked output could harm; nobody to tell if it is closed.
    let _ = writeln!(std::io::stdout(), "casque | {problem}");
    INTERNAL
}

fn begin(options: &Options) -> Result<Engine, String> {
    // What a panic has to say is written to the log, where it cannot block.
    std::panic::set_hook(Box::new(|_| {}));
    // The first thing: a signal that comes earlier is lost on PID 1.
    let signals = sys::signal_descriptor().map_err(|error| format!("cannot watch signals: {error}"))?;
    let mut log = engine::standard_log().map_err(|error| format!("cannot write a log: {error}"))?;
    if std::process::id() != 1 {
        sys::become_subreaper().map_err(|error| format!("cannot adopt orphans: {error}"))?;
    }
    if sys::clone3_is_forbidden() {
        log.say(
            "this container engine forbids clone3, so programs of glibc 2.34 or newer cannot make \
             threads; Docker 20.10.10 or newer allows it",
        );
    }
    let control = control::open_or_explain(&options.control);
    let control = control.map_err(|problem| log.say(&problem)).ok();
    let plan = first_plan(options).map_err(|error| error.to_string())?;
    let source = PlanSource {
        path: options.plan.clone().unwrap_or_else(|| PathBuf::from(paths::RUN_PLAN)),
        prepare: plan.services.first().cloned(),
        place: Place { capacity: capacity(), rendered: options.rendered.clone() },
    };
    let parts = Parts { signals, control, log, source, once: options.once.clone() };
    Engine::new(plan, parts).map_err(|error| format!("cannot open `/dev/null`: {error}"))
}

/// Returns the plan that makes the real one.
fn first_plan(options: &Options) -> Result<Plan, PlanError> {
    match options.plan {
        Some(_) => Plan::nothing(),
        None => Plan::prepare(environment()),
    }
}

/// Finds out what the container may use.
fn capacity() -> Capacity {
    Capacity::of(sys::processors(), |path| fs::read_to_string(path).ok())
}

/// Returns the container's environment; what is not UTF-8 can be nobody's setting.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !name.is_empty() && !name.contains('='))
        .collect()
}

/// Prepares the plan and carries it out.
fn carry_out(engine: &mut Engine, options: &Options) -> i32 {
    // Held until the container ends.
    let mut volume = Volume::of(options.lock.as_deref());
    // Before anything is written, where a start before this one has left the file; else as soon as there can be one.
    if let Err(problem) = volume.hold_if_there() {
        engine.say(&problem);
        return VOLUME;
    }
    if let Err(code) = engine.run_until_ready() {
        return code;
    }
    match volume.hold() {
        Ok(None) => {}
        Ok(Some(warning)) => engine.say(&warning),
        Err(problem) => {
            engine.say(&problem);
            return VOLUME;
        }
    }
    let plan = match engine.load_plan() {
        Ok(plan) => plan,
        Err(error) => {
            engine.say(&error.to_string());
            return INTERNAL;
        }
    };
    if let Err(error) = engine.adopt(plan) {
        engine.say(&error.to_string());
        return SETTINGS;
    }
    engine.run()
}

/// Runs `work`. PID 1 must not die of a mistake of its own: the kernel would kill every service
/// that instant. After a panic everything is stopped in order; after a second one, at once.
fn guarded(engine: &mut Engine, work: impl FnOnce(&mut Engine) -> i32) -> i32 {
    let panic = match catch_unwind(AssertUnwindSafe(|| work(engine))) {
        Ok(code) => return code,
        Err(panic) => panic,
    };
    engine.broken(format!("PID 1 has made a mistake: {}", message(panic.as_ref())));
    match catch_unwind(AssertUnwindSafe(|| engine.run())) {
        Ok(code) => code,
        Err(_) => {
            engine::kill_everybody();
            INTERNAL
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::standard_log;

    #[test]
    fn behaviour_30_a_mistake_of_our_own_is_said_and_everything_stops_in_order() {
        let signals = sys::signal_descriptor().unwrap();
        let log = standard_log().unwrap();
        let source = PlanSource {
            path: PathBuf::new(),
            prepare: None,
            place: Place { capacity: Capacity { cpus: 1, memory: 0 }, rendered: PathBuf::new() },
        };
        let parts = Parts { signals, control: None, log, source, once: PathBuf::new() };
        let mut engine = Engine::new(Plan::nothing().unwrap(), parts).unwrap();
        assert_eq!(guarded(&mut engine, |_| panic!("of {}", "ours")), INTERNAL);
        let lines = engine.newest_lines();
        assert_eq!(
            lines,
            [
                "casque | PID 1 has made a mistake: of ours; stopping everything",
                "casque | stopped with 1: PID 1 has made a mistake: of ours",
            ]
        );
    }
}
