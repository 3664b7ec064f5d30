//! Other programs: started in a process group of their own, so that the processes that they start end with them.
//!
//! It knows nothing of events or hubs: `rig record`, `rig bisect` and test environments use it alike.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// The interval at which a group is checked for its end.
const LOOK: Duration = Duration::from_millis(5);

/// A signal that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The usual request to end.
    Terminate,
    /// The terminal is gone.
    Hangup,
    /// Ctrl-\.
    Quit,
    /// Ends the process without asking it.
    Kill,
}

/// A program and the processes that it started. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Group {
    id: u32,
    /// True if the group is the program's own; else only the program itself can be signalled.
    own: bool,
}

impl Group {
    /// Starts a program. With `own` it leads a new process group. A terminal does not know that group, so the program must not read
    /// from a terminal.
    ///
    /// # Errors
    /// If it cannot be started; [`not_started`] gives the exit code for that.
    pub fn spawn(command: &mut Command, own: bool) -> io::Result<(Child, Group)> {
        #[cfg(unix)]
        if own {
            std::os::unix::process::CommandExt::process_group(command, 0);
        }
        let child = command.spawn()?;
        let group = Group { id: child.id(), own };
        Ok((child, group))
    }

    /// Sends a signal to every process of the group. Does nothing if they are gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: Signal) {
        use rustix::process::{Pid, Signal as Sent, kill_process, kill_process_group};
        let signal = match signal {
            Signal::Interrupt => Sent::INT,
            Signal::Terminate => Sent::TERM,
            Signal::Hangup => Sent::HUP,
            Signal::Quit => Sent::QUIT,
            Signal::Kill => Sent::KILL,
        };
        let Some(id) = i32::try_from(self.id).ok().and_then(Pid::from_raw) else { return };
        let _ = if self.own { kill_process_group(id, signal) } else { kill_process(id, signal) };
    }

    /// Does nothing: on this system only the program itself can be ended, by its handle.
    #[cfg(not(unix))]
    pub fn signal(&self, _: Signal) {}

    /// Passes on a signal that rig received. A terminal sends its signals to the whole foreground group; a program without a group of
    /// its own is in that group, so it is not sent those again.
    pub fn pass(&self, signal: Signal) {
        if self.own || !matches!(signal, Signal::Interrupt | Signal::Quit) {
            self.signal(signal);
        }
    }

    /// Returns true if a process of the group is left. Call it after the program itself was waited for.
    #[cfg(unix)]
    pub fn has_members(&self) -> bool {
        use rustix::process::{Pid, test_kill_process_group};
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        self.own && id.is_some_and(|id| test_kill_process_group(id).is_ok())
    }

    /// Returns false: this system has no process groups.
    #[cfg(not(unix))]
    pub fn has_members(&self) -> bool {
        false
    }

    /// Ends the processes that are left in the group: asks them first, and kills them after `grace`. Blocks until then. Call it after the
    /// program itself was waited for. Returns false if none was left.
    pub fn end(&self, grace: Duration) -> bool {
        if !self.has_members() {
            return false;
        }
        self.signal(Signal::Terminate);
        if !self.gone_within(grace) {
            // No process survives that. One that is still seen is dead, and its parent has not waited for it yet.
            self.signal(Signal::Kill);
        }
        true
    }

    fn gone_within(&self, time: Duration) -> bool {
        let begun = Instant::now();
        while self.has_members() {
            if begun.elapsed() >= time {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }
}

/// Returns the number of the signal that ended a program, if one did.
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}

/// Returns the exit code that a shell would give: the program's own, or 128 plus the number of the signal.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| signal_of(status).map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Returns the exit code of a shell for a program that could not be started: 127 if it does not exist, else 126.
pub fn not_started(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}
