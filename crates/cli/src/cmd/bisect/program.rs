//! A check that is a program: the state on its standard input, its exit code the answer.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rig_process::{Group, Place, Signal, signal_of};
use rig_replay::State;
use rig_replay::bisect::Verdict;

/// How often it is looked whether the program has ended, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// What is left of a check's group may take so long to end.
const GRACE: Duration = Duration::from_millis(500);

/// A command line that is asked again and again.
pub(super) struct Program {
    pub(super) command: String,
    pub(super) timeout: Duration,
    /// Whether what it prints is shown, on standard error.
    pub(super) verbose: bool,
    pub(super) stream: String,
    /// How many checks took too long.
    pub(super) timed_out: u64,
    /// What is running, for whoever is asked to end.
    pub(super) running: Arc<Mutex<Option<Group>>>,
}

impl Program {
    /// Asks about a state: 0 good, 125 skip, anything else up to 124 bad, as `git bisect run` has it. A check that takes too long is
    /// skipped.
    pub(super) fn ask(&mut self, state: &State) -> Result<Verdict> {
        let json = serde_json::to_vec(&state.view(&self.stream))?;
        let mut file = tempfile::Builder::new()
            .prefix("rig-state-")
            .suffix(".json")
            .tempfile()
            .context("no room for the state")?;
        file.write_all(&json).and_then(|()| file.flush()).context("no room for the state")?;
        let output = || if self.verbose { Stdio::from(std::io::stderr()) } else { Stdio::null() };
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.command])
            .env("RIG_STATE", file.path())
            .env("RIG_SEQ", state.seq.to_string())
            .stdin(Stdio::piped())
            .stdout(output())
            .stderr(output());
        let (mut child, group) = Group::spawn(&mut command, Place::Own).context("sh cannot be started")?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(group.clone());
        let stdin = child.stdin.take();
        // It need not read what it is given.
        std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&json)));
        let begun = Instant::now();
        let mut pause = LOOK.0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if begun.elapsed() >= self.timeout {
                group.signal(Signal::Kill);
                child.kill().ok();
                child.wait()?;
                break None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK.1);
        };
        group.end(GRACE);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let Some(status) = status else {
            self.timed_out += 1;
            return Ok(Verdict::Skip);
        };
        match status.code() {
            Some(0) => Ok(Verdict::Good),
            Some(125) => Ok(Verdict::Skip),
            Some(code @ (126 | 127)) => bail!("the check cannot be run (exit code {code}): {}", self.command),
            Some(code) if code < 128 => Ok(Verdict::Bad),
            _ => {
                let how =
                    signal_of(status).map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
                bail!("the check was ended by {how}; an exit code from 1 to 124 says that the state is bad")
            }
        }
    }
}
