//! A command that runs as a service does, for a while, and what it says.

use std::io::{self, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use casque_format::run::RunPlan;
use rustix::process::{Pid, Signal, kill_process_group};

/// Runs `words` as the service `name` of `plan` does, whether that runs or not; kills it after `limit`.
pub fn run(plan: &RunPlan, name: &str, words: &[String], limit: Duration) -> io::Result<Output> {
    let plan = serde_json::to_vec(plan)?;
    let mut own = Command::new("/proc/self/exe");
    own.args(["exec-as", "--plan", name, "--"]).args(words);
    own.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = own.spawn()?;
    let pid = Pid::from_child(&child);
    let input = child.stdin.take();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // It reads all of the plan before it becomes the command; one that does not has said why.
        let _ = input.map(|mut input| input.write_all(&plan));
        sender.send(child.wait_with_output())
    });
    receiver.recv_timeout(limit).unwrap_or_else(|_| {
        let _ = kill_process_group(pid, Signal::KILL);
        Err(io::Error::other(format!("takes longer than {limit:?}")))
    })
}

/// Says how it ended.
pub fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(number)) => format!("was killed by signal {number}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Cuts secrets out of what somebody repeats who was given them.
pub fn masked(text: String, secrets: &[String]) -> String {
    let mut secrets: Vec<&String> = secrets.iter().collect();
    // A secret may be part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "********"))
}
