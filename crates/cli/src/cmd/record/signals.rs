//! The signals that rig receives while a command runs, which are the command's.

use rig_process::Received;
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// Signals as they come.
pub(super) struct Signals(UnboundedReceiver<Received>);

impl Signals {
    /// Begins to listen. If the system does not allow that, each signal does what it does to any program.
    pub(super) fn listen() -> Signals {
        let (send, signals) = mpsc::unbounded_channel();
        #[cfg(unix)]
        if let Ok(listening) = rig_process::Signals::listen() {
            std::thread::spawn(move || listening.each(|received| send.send(received).is_ok()));
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            let signal = rig_process::Signal::Interrupt;
            while tokio::signal::ctrl_c().await.is_ok()
                && send.send(Received { signal, sender: None }).is_ok()
            {}
        });
        Signals(signals)
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Received {
        match self.0.recv().await {
            Some(received) => received,
            None => std::future::pending().await,
        }
    }
}
