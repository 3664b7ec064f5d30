//! A message in work. One that was taken and is dropped without an answer is given back to the server.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_nats::jetstream::{self, AckKind};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use super::message::{Malformed, Snapshot};

/// A message in work.
pub(super) struct Job {
    pub(super) message: jetstream::Message,
    pub(super) read: Result<Snapshot, Malformed>,
    /// Its place in the stream of JetStream.
    pub(super) seq: u64,
    /// The number of times it was given out, this time included.
    pub(super) delivered: u32,
    /// Tells the server that it is in work, until it is not.
    pub(super) alive: Alive,
    /// True if the server was told what became of it.
    pub(super) answered: AtomicBool,
    /// Its share of what may be in work.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Drop for Job {
    /// Gives back a message that was taken and not worked on.
    fn drop(&mut self) {
        if !self.answered.load(Relaxed) {
            let message = self.message.clone();
            tokio::spawn(async move { message.ack_with(AckKind::Nak(None)).await });
        }
    }
}

/// A task that ends with this.
pub(super) struct Alive(pub(super) AbortHandle);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.abort();
    }
}
