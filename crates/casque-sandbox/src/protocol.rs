//! What the program and its helper say to each other: one JSON document per line.

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::spec::{Join, Spec};

/// The descriptor on which a helper finds its end of the socket.
pub(crate) const CONTROL: i32 = 3;

/// From the program, once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Makes a sandbox.
    Spawn(Spec),
    /// Enters one.
    Join(Join),
}

/// From the program, any number of times after the answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Sends this signal to the first process.
    Signal(i32),
}

/// From the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The command was executed as this process.
    Started(i32),
    /// It was not.
    NotStarted(Trouble),
    /// It ended.
    Ended(Exit),
}

/// Why a command did not start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Trouble {
    /// A step before it did not work.
    Step(Failure),
    /// The command itself could not be executed.
    Command {
        /// Its first word.
        command: String,
        /// The kernel's error number.
        errno: i32,
    },
    /// There is no command.
    NoCommand,
    /// The process to join is gone.
    Gone(i32),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Step(failure)
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

impl Exit {
    /// Returns the code, or 128 and the signal's number, as a shell does.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Tells whether it ended with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}
