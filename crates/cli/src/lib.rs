//! What the program `rig` is made of, `rig-diff` being its other name: the only place that wires the crates together.
//!
//! In reading order: [`cmd`] (one file a command; each parses its own arguments, which are checked before anything runs),
//! [`source`] (where a reading command reads from: a session file, standard input or a hub's stream), [`timeline`] (the
//! same with an index), [`player`] (the same for somebody who watches), [`client`] (the hub's HTTP interface), [`follow`] and [`sse`] (its live stream), [`recording`] (a
//! session file being made), [`mod@verify`] (what can be proven of a session file), [`scrub`] (secrets taken out of one), [`hub`] (hubs that are run), [`telemetry`] (what the libraries tell), [`keys`] and [`policy`] (the keys of baselines and the policy of a command), [`output`] and [`table`] (what a person
//! sees).
//!
//! Every command answers with an [`Answer`] or an error; [`exit`] turns that into the exit code, the same everywhere:
//! 0 fine, 1 a difference found, 2 trouble.

pub mod client;
pub mod cmd;
pub mod follow;
pub mod hub;
pub mod keys;
pub mod output;
pub mod player;
pub mod policy;
pub mod recording;
pub mod scrub;
pub mod source;
pub mod sse;
pub mod table;
pub mod telemetry;
pub mod timeline;
pub mod verify;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

/// Runs the program: as `rig diff` alone where the file that was started has the name `rig-diff`.
///
/// Or becomes the command that is recorded, if it was started for that.
pub fn main() -> ExitCode {
    #[cfg(unix)]
    if let Some((code, why)) = rig_process::launch::become_command() {
        output::note(format!("rig: {}", output::plain(&why)));
        return ExitCode::from(code);
    }
    let started = std::env::args_os().next().unwrap_or_default();
    let is_diff = Path::new(&started).file_stem() == Some(OsStr::new(cmd::diff::ALONE));
    exit(if is_diff { cmd::run_diff(cmd::diff::Alone::parse()) } else { cmd::run(cmd::Rig::parse()) })
}

/// What a command that did its work found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, or nothing to worry about.
    Fine,
    /// A difference, a drift, a failure.
    Difference,
    /// The exit code of a command that was run: it is passed on.
    Code(u8),
}

/// The exit code for a command's answer; an error is told on standard error.
pub fn exit(answer: anyhow::Result<Answer>) -> ExitCode {
    match answer {
        Ok(Answer::Fine) => ExitCode::SUCCESS,
        Ok(Answer::Difference) => ExitCode::from(1),
        Ok(Answer::Code(code)) => ExitCode::from(code),
        // Who closed the pipe has read enough; that is no trouble.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format!("{} {}", output::styled(output::HEADING, "error:"), output::chain(&error)));
            ExitCode::from(2)
        }
    }
}
