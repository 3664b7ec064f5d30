//! Other programs: started in a process group of their own, so that what they start in turn ends with them.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How often it is looked whether a group has ended.
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
    /// The end, without being asked.
    Kill,
}

/// A program and what it started.
#[derive(Clone, Debug)]
pub struct Group {
    id: u32,
    /// Whether the group is the program's own; else only the program itself can be signalled.
    own: bool,
}

impl Group {
    /// Starts a program. With `own` it leads a new process group, which a terminal does not know: it must then not read from one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(command: &mut Command, own: bool) -> io::Result<(Child, Group)> {
        #[cfg(unix)]
        if own {
            std::os::unix::process::CommandExt::process_group(command, 0);
        }
        let child = command.spawn()?;
        let group = Group { id: child.id(), own };
        Ok((child, group))
    }

    /// Sends a signal to every process of the group. One that is gone already is no error.
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

    /// Nothing but the program itself can be ended here, by its handle.
    #[cfg(not(unix))]
    pub fn signal(&self, _: Signal) {}

    /// Passes a signal on that rig got. One that a terminal sends goes to the whole foreground group, of which the program is
    /// where it has none of its own: it has it already.
    pub fn pass(&self, signal: Signal) {
        if self.own || !matches!(signal, Signal::Interrupt | Signal::Quit) {
            self.signal(signal);
        }
    }

    /// Whether a process of the group is left, once the program itself was waited for.
    #[cfg(unix)]
    pub fn has_members(&self) -> bool {
        use rustix::process::{Pid, test_kill_process_group};
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        self.own && id.is_some_and(|id| test_kill_process_group(id).is_ok())
    }

    /// Groups are not known here.
    #[cfg(not(unix))]
    pub fn has_members(&self) -> bool {
        false
    }

    /// Ends what is left of the group once the program itself was waited for: asked first, after `grace` without being asked.
    /// Says whether there was anything.
    pub fn end(&self, grace: Duration) -> bool {
        if !self.has_members() {
            return false;
        }
        self.signal(Signal::Terminate);
        if !self.gone_within(grace) {
            // Nothing withstands that; what is still seen is dead, and waits for its parent to look.
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

/// The number of the signal that ended a program, if one did.
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}

/// The exit code that a shell would give: the program's own, or 128 and the signal's number.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| signal_of(status).map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// The exit code of a shell for a program that could not be started: 127 where there is none, else 126.
pub fn not_started(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}
