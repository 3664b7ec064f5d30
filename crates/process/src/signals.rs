//! The signals that a wrapper passes on, and who sent them.

#[cfg(unix)]
use std::io;

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
    /// Ctrl-Z: the process is to stop for a while.
    Suspend,
    /// A stopped process goes on.
    Continue,
    /// The terminal has another size.
    Resize,
    /// Whatever the program makes of it.
    User1,
    /// Whatever the program makes of it.
    User2,
    /// A timer.
    Alarm,
    /// A timer of processor time.
    VirtualAlarm,
    /// A profiler's timer.
    Profile,
    /// Something can be read or written.
    Io,
    /// The limit of processor time is reached.
    CpuLimit,
    /// The limit of a file's size is reached.
    FileLimit,
}

impl Signal {
    /// Returns true for a request to end.
    pub fn asks_to_end(self) -> bool {
        matches!(self, Signal::Interrupt | Signal::Terminate | Signal::Hangup | Signal::Quit)
    }

    /// Returns true for a signal that is meant for a program and everything that it started.
    #[cfg(unix)]
    pub(crate) fn is_for_all(self) -> bool {
        self.asks_to_end() || self == Signal::Kill
    }
}

/// Each of them by its name on this system; `Kill` cannot be listened for.
#[cfg(unix)]
const NAMES: [(Signal, rustix::process::Signal); 16] = {
    use rustix::process::Signal as Sent;
    [
        (Signal::Interrupt, Sent::INT),
        (Signal::Terminate, Sent::TERM),
        (Signal::Hangup, Sent::HUP),
        (Signal::Quit, Sent::QUIT),
        (Signal::Kill, Sent::KILL),
        (Signal::Suspend, Sent::TSTP),
        (Signal::Continue, Sent::CONT),
        (Signal::Resize, Sent::WINCH),
        (Signal::User1, Sent::USR1),
        (Signal::User2, Sent::USR2),
        (Signal::Alarm, Sent::ALARM),
        (Signal::VirtualAlarm, Sent::VTALARM),
        (Signal::Profile, Sent::PROF),
        (Signal::Io, Sent::IO),
        (Signal::CpuLimit, Sent::XCPU),
        (Signal::FileLimit, Sent::XFSZ),
    ]
};

#[cfg(unix)]
impl Signal {
    /// Returns the system's own name of it.
    pub(crate) fn sent(self) -> rustix::process::Signal {
        NAMES.iter().find(|(name, _)| *name == self).map_or(rustix::process::Signal::TERM, |(_, sent)| *sent)
    }
}

/// A signal that this process received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The signal.
    pub signal: Signal,
    /// The process that sent it; `None` if the system did, as a terminal does to its foreground group.
    pub sender: Option<u32>,
}

/// The signals of this process, from the moment that it is made on.
#[cfg(unix)]
pub struct Signals(signal_hook::iterator::SignalsInfo<signal_hook::iterator::exfiltrator::WithOrigin>);

#[cfg(unix)]
impl Signals {
    /// Begins to listen, but not for a signal that was ignored when this process started: that stays ignored, here and in the programs
    /// that it starts.
    ///
    /// # Errors
    /// If the system allows no handler.
    pub fn listen() -> io::Result<Signals> {
        let wanted =
            NAMES.iter().filter(|(name, sent)| *name != Signal::Kill && !crate::start::ignores(*sent));
        signal_hook::iterator::SignalsInfo::new(wanted.map(|(_, sent)| sent.as_raw())).map(Signals)
    }

    /// Waits for signals, and gives each to `take` until that returns false.
    pub fn each(mut self, mut take: impl FnMut(Received) -> bool) {
        for origin in self.0.forever() {
            let Some((signal, _)) = NAMES.iter().find(|(_, sent)| sent.as_raw() == origin.signal) else {
                continue;
            };
            let sender =
                origin.process.and_then(|process| u32::try_from(process.pid).ok()).filter(|pid| *pid > 0);
            if !take(Received { signal: *signal, sender }) {
                return;
            }
        }
    }
}
