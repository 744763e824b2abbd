//! Directives without a counterpart: which of them matter in a container, and why.

use super::unit::Unit;
use crate::Note;

/// Notes every directive of `unit` that nothing else carries over.
pub(super) fn note(unit: &Unit, notes: &mut Vec<Note>) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (section, key) in unit.keys() {
        if seen.contains(&(section, key)) {
            continue;
        }
        seen.push((section, key));
        // An empty assignment took back what was said before.
        let Some(value) = unit.value(section, key) else { continue };
        match section {
            "Service" if CARRIED.contains(&key) || (key == "Type" && value != "dbus") => {}
            "Service" if is_off(value) => {}
            "Service" => notes.push(directive(key, value)),
            "Unit" => notes.extend(of_unit(key, value)),
            _ => {}
        }
    }
}

fn directive(key: &str, value: &str) -> Note {
    let subject = format!("{key}={value}");
    if key == "DynamicUser" {
        return Note::lost(subject, "it runs as its `User=`, else as root; say `user` in the manifest");
    }
    if key == "Type" {
        return Note::lost(subject, "no message bus; it counts as ready at once");
    }
    if key.starts_with("Watchdog") {
        return Note::lost(subject, "nothing watches for its sign of life");
    }
    if ["CPU", "IO", "BlockIO", "Memory", "Tasks", "IP", "StartupCPU"]
        .iter()
        .any(|start| key.starts_with(start))
        || ["Slice", "Delegate"].contains(&key)
    {
        return Note::lost(subject, "the engine limits the container as a whole");
    }
    if is_hardening(key) {
        return Note::hardening(key);
    }
    if ["Standard", "Syslog", "Log", "TTY"].iter().any(|start| key.starts_with(start)) || MOOT.contains(&key)
    {
        return Note::moot(subject, "it has no meaning in a container");
    }
    Note::simply_lost(subject)
}

fn of_unit(key: &str, value: &str) -> Option<Note> {
    let subject = format!("{key}={value}");
    if key.starts_with("Condition") || key.starts_with("Assert") {
        return Some(Note::lost(subject, "it starts in any case; `when` and `unless` are in the manifest"));
    }
    match key {
        "OnFailure" | "OnSuccess" | "PartOf" | "Conflicts" | "PropagatesReloadTo" | "Upholds"
            if value != "shutdown.target" =>
        {
            Some(Note::simply_lost(subject))
        }
        "StartLimitBurst" | "StartLimitInterval" | "StartLimitIntervalSec" => {
            Some(Note::moot(subject, "PID 1 has its own pauses"))
        }
        _ => None,
    }
}

fn is_off(value: &str) -> bool {
    ["no", "false", "off", "0"].contains(&value)
}

fn is_hardening(key: &str) -> bool {
    let families = ["Protect", "Private", "Restrict", "SystemCall", "Capability", "Device", "NoExec", "Exec"];
    (families.iter().any(|family| key.starts_with(family)) && key != "ExecCondition")
        || [
            "AppArmorProfile",
            "InaccessiblePaths",
            "KeyringMode",
            "LockPersonality",
            "MemoryDenyWriteExecute",
            "ProcSubset",
            "ReadOnlyPaths",
            "ReadWritePaths",
            "ReadWriteDirectories",
            "ReadOnlyDirectories",
            "InaccessibleDirectories",
            "RemoveIPC",
            "SecureBits",
            "SELinuxContext",
            "TemporaryFileSystem",
            "UtmpIdentifier",
        ]
        .contains(&key)
}

/// Directives that need no counterpart: a container has one log, one control group and no restarts of its own manager.
const MOOT: &[&str] = &[
    "FileDescriptorStoreMax",
    "GuessMainPID",
    "NotifyAccess",
    "OOMPolicy",
    "RestartMode",
    "RuntimeDirectoryPreserve",
    "SendSIGHUP",
    "SendSIGKILL",
    "TimeoutAbortSec",
];

/// Directives of `[Service]` that are carried over, or judged where they are.
const CARRIED: &[&str] = &[
    "BusName",
    "CacheDirectory",
    "CacheDirectoryMode",
    "Environment",
    "EnvironmentFile",
    "ExecReload",
    "ExecStart",
    "ExecStartPost",
    "ExecStartPre",
    "ExecStop",
    "ExecStopPost",
    "Group",
    "KillMode",
    "KillSignal",
    "LimitAS",
    "LimitCORE",
    "LimitCPU",
    "LimitDATA",
    "LimitFSIZE",
    "LimitMEMLOCK",
    "LimitNOFILE",
    "LimitNPROC",
    "LimitSTACK",
    "LogsDirectory",
    "LogsDirectoryMode",
    "Nice",
    "NoNewPrivileges",
    "OOMScoreAdjust",
    "PIDFile",
    "PermissionsStartOnly",
    "RemainAfterExit",
    "Restart",
    "RestartSec",
    "RuntimeDirectory",
    "RuntimeDirectoryMode",
    "StateDirectory",
    "StateDirectoryMode",
    "SupplementaryGroups",
    "TimeoutSec",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "UMask",
    "User",
    "WorkingDirectory",
];
