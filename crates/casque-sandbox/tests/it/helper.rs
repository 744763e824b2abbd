//! The smallest program with a helper: the tests start their sandboxes through it.

use std::process::ExitCode;

fn main() -> ExitCode {
    casque_sandbox::helper_main().unwrap_or(ExitCode::FAILURE)
}
