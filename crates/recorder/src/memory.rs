//! `MemoryLog`: the log of a run that keeps nothing, for `rig record -- CMD`, demonstrations and tests.

use std::sync::{PoisonError, RwLock};

use rig_event::{Epoch, Seq, StreamName};
use tokio::sync::watch;

use crate::batches::Batches;
use crate::error::{AppendError, Error, ReadError};
use crate::lines::Lines;
use crate::log::{BoxFuture, EventLog, MAX_PRUNABLE, Pending, Prunable, Pruned};

/// A log in memory, bounded by nothing but [`EventLog::prune`], which deletes whole batches.
#[derive(Debug)]
pub struct MemoryLog {
    stream: StreamName,
    epoch: Epoch,
    batches: RwLock<Batches>,
    head: watch::Sender<Seq>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(stream: StreamName, epoch: Epoch) -> Self {
        MemoryLog { stream, epoch, batches: RwLock::default(), head: watch::Sender::new(0) }
    }

    fn append_now(&self, batch: Lines) -> Result<(), AppendError> {
        if batch.is_empty() || !batch.is_well_formed() {
            return Err(AppendError::Malformed { first_seq: batch.first_seq });
        }
        debug_assert!(
            batch.is_whole_appends(),
            "seq or `more` do not say that these are whole appends: {batch:?}"
        );
        let mut batches = self.batches.write().unwrap_or_else(PoisonError::into_inner);
        let expected = self.head() + 1;
        if batch.first_seq != expected {
            return Err(AppendError::OutOfOrder { first_seq: batch.first_seq, expected });
        }
        let head = batch.last_seq();
        batches.push(batch);
        // Under the lock, so that the head never runs backwards.
        self.head.send_replace(head);
        Ok(())
    }

    fn read_now(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, ReadError> {
        let batches = self.batches.read().unwrap_or_else(PoisonError::into_inner);
        let from = from.max(1);
        match batches.first_seq() {
            Some(first_seq) if from < first_seq => Err(ReadError::Pruned { from, first_seq }),
            _ if from > to => Ok(Lines::empty(from)),
            _ => Ok(batches.read(from, to, max_bytes).unwrap_or_else(|| Lines::empty(from))),
        }
    }

    fn prune_now(&self, keep_from: Seq) -> Pruned {
        let mut batches = self.batches.write().unwrap_or_else(PoisonError::into_inner);
        let (mut events, mut bytes) = (0, 0);
        // The newest batch stays, as the active segment does: a log that has events keeps a first one.
        while batches.len() > 1 && batches.front().is_some_and(|batch| batch.last_seq() < keep_from) {
            if let Some(batch) = batches.pop() {
                events += batch.len() as u64;
                bytes += batch.bytes.len() as u64;
            }
        }
        Pruned { first_seq: batches.first_seq().unwrap_or(self.head() + 1), events, bytes }
    }
}

impl EventLog for MemoryLog {
    fn stream(&self) -> &StreamName {
        &self.stream
    }

    fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    fn first_seq(&self) -> Seq {
        let batches = self.batches.read().unwrap_or_else(PoisonError::into_inner);
        batches.first_seq().unwrap_or(1)
    }

    fn head(&self) -> Seq {
        *self.head.borrow()
    }

    fn watch(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    fn append(&self, batch: Lines) -> Pending {
        Pending::answered(self.append_now(batch))
    }

    fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> BoxFuture<'_, Result<Lines, ReadError>> {
        Box::pin(std::future::ready(self.read_now(from, to, max_bytes)))
    }

    fn prunable(&self) -> Vec<Prunable> {
        let batches = self.batches.read().unwrap_or_else(PoisonError::into_inner);
        let older = batches.iter().take(batches.len().saturating_sub(1)).take(MAX_PRUNABLE);
        older.map(|batch| Prunable { last_seq: batch.last_seq(), bytes: batch.bytes.len() as u64 }).collect()
    }

    fn prune(&self, keep_from: Seq) -> BoxFuture<'_, Result<Pruned, Error>> {
        Box::pin(std::future::ready(Ok(self.prune_now(keep_from))))
    }

    fn bytes(&self) -> u64 {
        self.batches.read().unwrap_or_else(PoisonError::into_inner).bytes() as u64
    }

    fn queued_bytes(&self) -> u64 {
        0
    }
}
