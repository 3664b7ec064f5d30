//! Other programs: started in a process group of their own, so that the processes that they start end with them.
//!
//! It knows nothing of events or hubs: `rig record`, `rig bisect` and test environments use it alike. [`Group`] is a program with what it
//! started, [`Signals`] what this process is told to pass on, [`launch`] what must be done in the program's own process before it runs, and
//! [`terminal`] its pseudo-terminal.

#[cfg(unix)]
pub mod launch;
mod signals;
#[cfg(unix)]
mod start;
#[cfg(unix)]
pub mod terminal;

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

#[cfg(unix)]
pub use signals::Signals;
pub use signals::{Received, Signal};

/// The interval at which a group is checked for its end.
const LOOK: Duration = Duration::from_millis(5);

/// The process group of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of its own. A terminal does not know that group, so a program that reads from a terminal would be stopped.
    Own,
    /// That of this process: for a program that may read from the terminal.
    Shared,
    /// That of a session that the program begins by [`launch`].
    Session,
}

/// A change in what a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was stopped, and may go on.
    Stopped,
    /// It goes on.
    Continued,
    /// It has ended.
    Ended(ExitStatus),
}

/// A program and the processes that it started. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Group {
    id: u32,
    /// True if the group is the program's own; else only the program itself can be signalled.
    own: bool,
}

impl Group {
    /// Starts a program in a process group.
    ///
    /// # Errors
    /// If it cannot be started; [`not_started`] gives the exit code for that.
    pub fn spawn(command: &mut Command, place: Place) -> io::Result<(Child, Group)> {
        #[cfg(unix)]
        if place == Place::Own {
            std::os::unix::process::CommandExt::process_group(command, 0);
        }
        let child = command.spawn()?;
        let group = Group { id: child.id(), own: place != Place::Shared };
        Ok((child, group))
    }

    /// Sends a signal to every process of the group. Does nothing if they are gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: Signal) {
        use rustix::process::{kill_process, kill_process_group};
        let Some(id) = self.pid() else { return };
        // A program that is about to begin a session has no group yet.
        if !(self.own && kill_process_group(id, signal.sent()).is_ok()) {
            let _ = kill_process(id, signal.sent());
        }
    }

    /// Does nothing: on this system only the program itself can be ended, by its handle.
    #[cfg(not(unix))]
    pub fn signal(&self, _: Signal) {}

    #[cfg(unix)]
    fn pid(&self) -> Option<rustix::process::Pid> {
        i32::try_from(self.id).ok().and_then(rustix::process::Pid::from_raw)
    }

    /// Passes on a signal that rig received: what is about the whole run to the group, what only a program can understand to the program.
    /// Not what the program sent itself, and not what has reached it already: a terminal sends to every process of its foreground group.
    #[cfg(unix)]
    pub fn pass(&self, Received { signal, sender }: Received) {
        let is_known = match sender {
            Some(sender) => sender == self.id || sender == std::process::id(),
            None => !self.own,
        };
        if is_known {
            return;
        }
        if signal.is_for_all() {
            self.signal(signal);
        } else if let Some(id) = self.pid() {
            let _ = rustix::process::kill_process(id, signal.sent());
        }
    }

    /// Does nothing: this system has no signals to pass on.
    #[cfg(not(unix))]
    pub fn pass(&self, _: Received) {}

    /// Returns true if a process of the group is left. Call it after the program itself was waited for.
    #[cfg(unix)]
    pub fn has_members(&self) -> bool {
        self.own && self.pid().is_some_and(|id| rustix::process::test_kill_process_group(id).is_ok())
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

/// Waits until something becomes of a program. Do not wait for it in another way after it has ended.
///
/// # Errors
/// If the system does not know the program any more.
#[cfg(unix)]
pub fn next_change(child: &mut Child) -> io::Result<Change> {
    use rustix::process::{Pid, WaitOptions, waitpid};
    use std::os::unix::process::ExitStatusExt as _;
    let id = Pid::from_child(child);
    loop {
        let status = match waitpid(Some(id), WaitOptions::UNTRACED | WaitOptions::CONTINUED) {
            Ok(Some((_, status))) => status,
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if status.stopped() {
            return Ok(Change::Stopped);
        } else if status.continued() {
            return Ok(Change::Continued);
        }
        return Ok(Change::Ended(ExitStatus::from_raw(status.as_raw())));
    }
}

/// Waits until a program has ended.
///
/// # Errors
/// If the system does not know the program any more.
#[cfg(not(unix))]
pub fn next_change(child: &mut Child) -> io::Result<Change> {
    child.wait().map(Change::Ended)
}

/// Stops this process until it is told to go on, as Ctrl-Z would.
pub fn stop_here() {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
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
