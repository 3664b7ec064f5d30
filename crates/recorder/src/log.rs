//! `EventLog`: what an engine under the hub's writer must do, whether it is files, memory or later JetStream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rig_event::{Epoch, Head, Seq, StreamName};
use tokio::sync::{oneshot, watch};

use crate::batches::joined;
use crate::error::{AppendError, Error, ReadError};
use crate::lines::Lines;

/// A future as a trait object, so that the log can be one.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An ordered, durable store of the lines of one stream.
///
/// It knows nothing of what the lines say. Who appends (the hub's single writer) has given them their seqs, has
/// marked every event of an append but the last with `more`, and keeps idempotency and the hash chain. A batch is one
/// append or several: after a crash an append is there as a whole or not at all.
pub trait EventLog: Send + Sync + 'static {
    /// The stream whose log this is.
    fn stream(&self) -> &StreamName;

    /// The life of the stream whose log this is.
    fn epoch(&self) -> &Epoch;

    /// The seq of the oldest event there is; `head() + 1` when there is none.
    fn first_seq(&self) -> Seq;

    /// The seq of the last durable event; 0 when there was none yet.
    fn head(&self) -> Seq;

    /// Wakes followers when the durable head moves, and tells it.
    fn watch(&self) -> watch::Receiver<Seq>;

    /// Enqueues a batch of whole appends.
    ///
    /// It is enqueued by the call, not by the first poll: the order of the calls is the order of the log, and
    /// the next batch can be prepared while this one is synced. A batch whose `first_seq` is not the seq after
    /// the last one enqueued is refused.
    fn append(&self, batch: Lines) -> Pending;

    /// The durable lines from `from` to `to`, both included: one at least if there is one, and no more bytes
    /// than `max_bytes` beyond that.
    ///
    /// It may give fewer than fit (at the end of a segment, or after some thousand lines), also when asked again with a
    /// larger `max_bytes`: whoever wants all reads on from `last_seq() + 1` until `to` or until nothing comes, and
    /// whoever wants whole appends calls [`read_appends`]. Past the head nothing comes.
    fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> BoxFuture<'_, Result<Lines, ReadError>>;

    /// Returns what can be deleted, oldest first and at most [`MAX_PRUNABLE`] of it: a prune gives back whole units.
    fn prunable(&self) -> Vec<Prunable>;

    /// Deletes events before `keep_from`, in the engine's own units: some of them may stay.
    fn prune(&self, keep_from: Seq) -> BoxFuture<'_, Result<Pruned, Error>>;

    /// Deletes what recovery found to be in the way and has kept so far. The caller has checked that the state before the oldest event
    /// fits the log. An engine that keeps nothing of the kind does nothing.
    ///
    /// # Errors
    /// Something cannot be deleted.
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The number of bytes the events take where that they are kept.
    fn bytes(&self) -> u64;

    /// The number of bytes that are enqueued and not yet answered. Keeping that bounded is the caller's part.
    fn queued_bytes(&self) -> u64;
}

/// Reads whole appends from `from` on, where one must begin: one at least if there is one, and no more bytes than
/// `max_bytes` beyond that.
///
/// The number of lines that one [`EventLog::read`] gives is the engine's business, and an append may have more. Its first event says
/// how many follow, so the rest of it is read piece by piece.
///
/// # Errors
///
/// As [`EventLog::read`], and when the log ends within the append.
pub async fn read_appends(log: &dyn EventLog, from: Seq, max_bytes: usize) -> Result<Lines, ReadError> {
    let first = log.read(from, log.head(), max_bytes).await?;
    let Some(line) = first.get(first.first_seq) else { return Ok(first) };
    let broken = |seq, why| ReadError::BrokenAppend { stream: log.stream().clone(), seq, why };
    let head = Head::parse(line).map_err(|e| broken(first.first_seq, e.to_string()))?;
    let last = first.first_seq + Seq::from(head.more);
    if first.last_seq() >= last {
        let ends_append = |&seq: &Seq| {
            first.get(seq).is_some_and(|line| Head::parse(line).is_ok_and(|head| head.more == 0))
        };
        // Damage behind the first append is for the caller to find: it reads every line.
        let end = (last..=first.last_seq()).rev().find(ends_append).unwrap_or(last);
        return Ok(first.slice(first.first_seq, end));
    }
    let (mut next, mut bytes, mut pieces) = (first.last_seq() + 1, first.bytes.len(), vec![first]);
    while next <= last {
        // It is read whole however much it is.
        let piece = log.read(next, last, usize::MAX).await?;
        if piece.is_empty() {
            return Err(broken(
                next,
                format!("the append that ends with seq {last} is not there as a whole"),
            ));
        }
        next = piece.last_seq() + 1;
        bytes += piece.bytes.len();
        pieces.push(piece);
    }
    Ok(joined(pieces, bytes))
}

/// Most units that [`EventLog::prunable`] names at once.
pub const MAX_PRUNABLE: usize = 1024;

/// A run of the oldest events that an engine can delete: a segment, a batch in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prunable {
    /// Its last event.
    pub last_seq: Seq,
    /// The number of bytes that it takes.
    pub bytes: u64,
}

/// The result of a prune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The oldest event that is left.
    pub first_seq: Seq,
    /// The number of events that are gone.
    pub events: u64,
    /// Bytes that were given back.
    pub bytes: u64,
}

/// An append that is enqueued and not yet answered.
///
/// Dropping it does not take the append back.
#[derive(Debug)]
#[must_use = "an append is durable only once this has answered"]
pub struct Pending(State);

#[derive(Debug)]
enum State {
    Answered(Result<(), AppendError>),
    Waiting(oneshot::Receiver<Result<(), AppendError>>),
}

impl Pending {
    /// An append that was answered at once.
    pub fn answered(answer: Result<(), AppendError>) -> Self {
        Pending(State::Answered(answer))
    }

    /// An append that the engine answers through the sender.
    pub fn channel() -> (oneshot::Sender<Result<(), AppendError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Pending(State::Waiting(receiver)))
    }

    /// Blocks the thread until the answer is there.
    ///
    /// # Panics
    ///
    /// In asynchronous code, where it is awaited instead.
    pub fn wait(self) -> Result<(), AppendError> {
        match self.0 {
            State::Answered(answer) => answer,
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or_else(|_| Err(unanswered())),
        }
    }
}

impl Future for Pending {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Answered(answer) => Poll::Ready(answer.clone()),
            State::Waiting(receiver) => {
                Pin::new(receiver).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(unanswered())))
            }
        }
    }
}

fn unanswered() -> AppendError {
    AppendError::Poisoned { why: "the log stopped without an answer".into() }
}
