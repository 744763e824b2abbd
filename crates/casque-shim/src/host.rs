//! What scripts ask of the machine itself, which neither a build nor a container decides: its host name, its
//! firewall, its kernel, its sessions. It is accepted, so that the script goes on, and noted for the build to name.

use std::path::Path;
use std::process::ExitCode;

use fs_err as fs;

use crate::client;
use crate::env::Environment;
use crate::error::ShimError;
use crate::protocol::Request;
use crate::ui;
use crate::unit_files::full_name;

/// The host name of every step.
const HOST_NAME: &str = "build";

/// Has the build name something that was left out.
pub(crate) fn note(environment: &Environment, text: String) -> Result<(), ShimError> {
    client::ask(environment, &Request::Note(text)).map(drop)
}

/// Answers as `hostnamectl` does.
pub(crate) fn hostnamectl(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let given: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    match given.as_slice() {
        ["set-hostname" | "hostname", name] => {
            note(
                environment,
                format!("the host name `{name}` is left out: the engine gives a container its name"),
            )?;
        }
        ["status" | "hostname"] | [] if words.iter().any(|word| word == "--pretty") => ui::out(""),
        ["status"] | [] if words.iter().any(|word| word == "--static" || word == "--transient") => {
            ui::out(HOST_NAME);
        }
        ["hostname"] => ui::out(HOST_NAME),
        ["status"] | [] => {
            ui::out(&format!(" Static hostname: {HOST_NAME}\n       Icon name: computer-container"))
        }
        ["set-icon-name" | "set-chassis" | "set-deployment" | "set-location", ..]
        | ["icon-name" | "chassis" | "deployment" | "location", ..] => {}
        [unknown, ..] => return Err(unknown_verb(unknown)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers as `timedatectl` does; a time zone is a file of the image.
pub(crate) fn timedatectl(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let root = &environment.root;
    let given: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    match given.as_slice() {
        ["set-timezone", zone] => {
            let target = format!("/usr/share/zoneinfo/{zone}");
            if zone.contains("..") || !root.path(&target).is_file() {
                ui::err(&format!("Failed to set time zone: Invalid or not installed time zone '{zone}'"));
                return Ok(ExitCode::FAILURE);
            }
            let link = root.path("/etc/localtime");
            if link.symlink_metadata().is_ok() {
                fs::remove_file(&link).map_err(ShimError::File)?;
            }
            fs::os::unix::fs::symlink(target, link).map_err(ShimError::File)?;
            fs::write(root.path("/etc/timezone"), format!("{zone}\n")).map_err(ShimError::File)?;
        }
        ["set-ntp" | "set-time" | "set-local-rtc", ..] => {
            note(
                environment,
                format!("`timedatectl {}` is left out: the clock is the host's", given.join(" ")),
            )?;
        }
        ["list-timezones"] => {
            let text =
                fs::read_to_string(root.path("/usr/share/zoneinfo/tzdata.zi")).map_err(ShimError::File)?;
            let zone = |line: &str| line.strip_prefix("Z ")?.split(' ').next().map(str::to_owned);
            text.lines().filter_map(zone).for_each(|zone| ui::out(&zone));
        }
        ["show"] => ui::out(&format!(
            "Timezone={}\nLocalRTC=no\nCanNTP=no\nNTP=no\nNTPSynchronized=yes",
            timezone(environment)
        )),
        ["status"] | [] => ui::out(&format!(
            "                Time zone: {} (UTC, +0000)\nSystem clock synchronized: yes\n              NTP service: inactive\n          RTC in local TZ: no",
            timezone(environment)
        )),
        [unknown, ..] => return Err(unknown_verb(unknown)),
    }
    Ok(ExitCode::SUCCESS)
}

fn timezone(environment: &Environment) -> String {
    let target = fs::read_link(environment.root.path("/etc/localtime")).unwrap_or_default();
    let zone = target.strip_prefix("/usr/share/zoneinfo").unwrap_or(Path::new("Etc/UTC"));
    zone.display().to_string()
}

/// Answers as `journalctl` does, from what the services of the step wrote.
pub(crate) fn journalctl(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let mut units = Vec::new();
    let mut lines = usize::MAX;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut value = |prefixes: &[&str]| -> Option<String> {
            let behind = prefixes.iter().find_map(|prefix| word.strip_prefix(prefix))?;
            Some(if behind.is_empty() {
                words.next()?.to_owned()
            } else {
                behind.trim_start_matches('=').to_owned()
            })
        };
        match word {
            "-f" | "--follow" => return Err(unknown_verb(word)),
            _ if word.starts_with("-u") || word.starts_with("--unit") => {
                units.extend(value(&["--unit", "-u"]).map(|unit| full_name(&unit)));
            }
            _ if word.starts_with("-n") || word.starts_with("--lines") => {
                lines = value(&["--lines", "-n"]).and_then(|count| count.parse().ok()).unwrap_or(10);
            }
            _ => {}
        }
    }
    for unit in units {
        let text = fs::read(environment.state.join(format!("{unit}.log"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].iter().for_each(|line| ui::out(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers as `loginctl` does: nobody has logged in.
pub(crate) fn loginctl(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    match words.iter().find(|word| !word.starts_with('-')).map(String::as_str) {
        None | Some("list-sessions" | "list-users" | "list-seats") => ui::out("No sessions."),
        Some("enable-linger" | "disable-linger") => {
            note(
                environment,
                format!("`loginctl {}` is left out: an image has no sessions", words.join(" ")),
            )?;
        }
        Some(unknown) => return Err(unknown_verb(unknown)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers as `ufw` does, with a firewall that is switched off.
pub(crate) fn ufw(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let given: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    if words.iter().any(|word| word == "--version") || given == ["version"] {
        ui::out("ufw 0.36.2");
        return Ok(ExitCode::SUCCESS);
    }
    match given.first() {
        Some(&"status") => ui::out("Status: inactive"),
        _ if words.iter().any(|word| word == "--dry-run") => {}
        Some(_) => {
            let rule = given.join(" ");
            note(environment, format!("`ufw {rule}` is left out: the firewall is the customer's"))?;
            ui::out("Rules updated");
        }
        None => return Err(unknown_verb("")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers as `sysctl` does: parameters can be read, and what would be written is noted.
pub(crate) fn sysctl(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let letters: String = words
        .iter()
        .filter(|word| word.starts_with('-') && !word.starts_with("--"))
        .flat_map(|word| word[1..].chars())
        .collect();
    let quiet = letters.contains('q') || has(&["--quiet"]);
    let only_value = letters.contains('n') || has(&["--values"]);
    let given = words.iter().filter(|word| !word.starts_with('-'));
    if letters.contains('p') || has(&["--load", "--system"]) {
        let files: Vec<&str> = given.map(String::as_str).collect();
        let files = if files.is_empty() { "/etc/sysctl.d".to_owned() } else { files.join(" ") };
        note(
            environment,
            format!("the kernel's parameters in `{files}` are left out: the host decides them"),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for word in given {
        if let Some((key, value)) = word.split_once('=') {
            note(
                environment,
                format!(
                    "the kernel's parameter `{}` is left out: the host decides it",
                    word.replace(' ', "")
                ),
            )?;
            if !quiet {
                ui::out(&format!("{} = {}", key.trim(), value.trim()));
            }
            continue;
        }
        match fs::read_to_string(format!("/proc/sys/{}", word.replace('.', "/"))) {
            Ok(value) if only_value => ui::out(value.trim_end()),
            Ok(value) => ui::out(&format!("{word} = {}", value.trim_end())),
            Err(_) if letters.contains('e') || has(&["--ignore"]) => {}
            Err(_) => {
                ui::err(&format!(
                    "sysctl: cannot stat /proc/sys/{}: No such file or directory",
                    word.replace('.', "/")
                ));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn unknown_verb(verb: &str) -> ShimError {
    ShimError::Usage(format!("`{verb}` is not a verb that works during the build"))
}
