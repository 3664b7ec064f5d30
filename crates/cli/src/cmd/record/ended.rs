//! The end of a recorded command: its exit code, the outcome of the recording, and the error in words.

use std::process::ExitStatus;

use rig_event::session::Outcome;
use rig_process::{exit_code, signal_of};

/// The end of a command.
pub(super) struct Ended {
    pub(super) code: u8,
    pub(super) outcome: Outcome,
    pub(super) error: Option<String>,
}

impl Ended {
    pub(super) fn of(status: ExitStatus, interrupted: bool) -> Ended {
        let code = exit_code(status);
        let outcome = match signal_of(status) {
            _ if code == 0 => Outcome::Passed,
            _ if interrupted => Outcome::Interrupted,
            Some(_) => Outcome::Crashed,
            None => Outcome::Failed,
        };
        let error = match signal_of(status) {
            Some(signal) => Some(format!("ended by signal {signal}")),
            None if code != 0 => Some(format!("exit code {code}")),
            None => None,
        };
        Ended { code, outcome, error }
    }
}
