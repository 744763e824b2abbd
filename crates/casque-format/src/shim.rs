//! What the stand-in for the service managers saw during a step, for the build to report.

use serde::{Deserialize, Serialize};

/// The version of [`Report`] this code writes.
pub const VERSION: u32 = 1;

/// Written when a step has ended, whatever its exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// Services that were started at least once, in the order of their first start.
    pub started: Vec<StartedService>,
    /// Units that are enabled now, sorted by name.
    pub enabled: Vec<EnabledUnit>,
    /// Programs of supervisor that are configured now, in the order supervisor starts them.
    pub programs: Vec<SupervisorProgram>,
    /// Starts that did not succeed, one sentence each.
    pub failures: Vec<String>,
    /// What the step asked for and a build cannot give it, one sentence each, in the order it was first asked.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Report {
    /// Returns a report that holds nothing but notes.
    pub fn of_notes(notes: Vec<String>) -> Self {
        Self {
            version: VERSION,
            started: Vec::new(),
            enabled: Vec::new(),
            programs: Vec::new(),
            failures: Vec::new(),
            notes,
        }
    }
}

/// A service that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedService {
    /// Such as `nginx.service`, or `web` for a program.
    pub name: String,
    /// Who would run it on a host.
    pub manager: Manager,
    /// The file that describes it.
    pub file: String,
}

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// A unit.
    Systemd,
    /// A program.
    Supervisor,
    /// A script in `/etc/init.d`.
    Sysv,
}

/// A unit that would start with the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnabledUnit {
    /// Such as `nginx.service`.
    pub unit: String,
    /// The file that describes it.
    pub file: String,
    /// Whether this step enabled it.
    pub new: bool,
}

/// A program that supervisor knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorProgram {
    /// Such as `web`, or `group:web` where the group has another name.
    pub name: String,
    /// The file that describes it.
    pub file: String,
    /// Whether supervisor starts it by itself.
    pub autostart: bool,
}
