//! A stream as the routes see it: where to send what is to be written, and what to read from.

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::StatusCode;
use rig_event::{Draft, Epoch, Seq, StreamName};
use rig_recorder::{EventLog, Lines, ReadError, StreamIndex};
use rig_replay::State;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::READ_BYTES;
use crate::announcer::{News, Rounds};
use crate::cut::{Cut, cut_at};
use crate::indexer::Indexed;
use crate::metrics::Meters;
use crate::playback::PlaybackLog;
use crate::problem::Problem;
use crate::secrecy::Blobs;
use crate::tail::Tail;
use crate::writer::{Appended, Command, Input, Refused, Write};

/// One open stream.
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    pub(crate) epoch: Epoch,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) tail: Arc<Tail>,
    /// The last durable event.
    pub(crate) head: watch::Receiver<Seq>,
    /// What subscribers are told; it follows the head.
    pub(crate) news: watch::Receiver<News>,
    /// Where subscribers tell the announcer that they are served.
    pub(crate) rounds: Arc<Rounds>,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Where the fold of what is left begins: the genesis, or the state before the oldest event after a prune.
    pub(crate) base: RwLock<Arc<Cut>>,
    pub(crate) meters: Arc<Meters>,
    /// Absent for a stream in memory.
    pub(crate) index: Option<StreamIndex>,
    /// How far the index has come. It catches up while requests are answered.
    pub(crate) indexed: Indexed,
    /// The originals of its documents; absent where none are kept.
    pub(crate) blobs: Option<Arc<Blobs>>,
    pub(crate) tasks: Mutex<Tasks>,
    /// Set for a recording that is played: nothing can be written to it.
    pub(crate) recording: Option<Arc<PlaybackLog>>,
}

/// What runs for a stream until it is closed.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) announcer: Option<JoinHandle<()>>,
    pub(crate) indexer: Option<JoinHandle<()>>,
    pub(crate) retention: Option<JoinHandle<()>>,
    pub(crate) sweeper: Option<JoinHandle<()>>,
}

impl Stream {
    pub(crate) fn head(&self) -> Seq {
        *self.head.borrow()
    }

    /// Appends, and waits until it is durable. What carries an idempotency key waits before that until the index knows the keys
    /// that were used before the stream was opened.
    pub(crate) async fn write(
        &self,
        command: Command,
        expected: Option<Seq>,
        id: Option<String>,
    ) -> Result<Appended, Refused> {
        if self.recording.is_some() {
            return Err(Refused::ReadOnly);
        }
        let keyed = match &command {
            Command::Append(bodies) => bodies.iter().any(|body| body.draft.id.is_some()),
            _ => false,
        };
        if (keyed || id.is_some()) && !self.indexed.caught_up().await {
            return Err(Refused::Behind(self.indexed.lag(self.head())));
        }
        let (reply, answer) = oneshot::channel();
        let write = Write { command, expected, id, reply };
        self.inputs.send(Input::Write(write)).await.map_err(|_| Refused::Closed)?;
        answer.await.unwrap_or(Err(Refused::Closed))
    }

    /// Appends one event of the hub's own, and waits until it is durable.
    pub(crate) async fn tell(&self, draft: Draft) -> Result<Appended, Problem> {
        let body = draft.encode().map_err(|e| Problem::internal("defect", e.to_string()))?;
        Ok(self.write(Command::Append(vec![body]), None, None).await?)
    }

    /// State and chain at the head.
    pub(crate) async fn inspect(&self) -> Result<Cut, Refused> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Inspect(reply)).await.map_err(|_| Refused::Closed)?;
        answer.await.unwrap_or(Err(Refused::Closed))
    }

    /// Ends the stream's tasks once everything is durable; after that nothing of them holds the log or the index.
    pub(crate) async fn close(&self) {
        let mut tasks = self.tasks.lock().await;
        let ended = [tasks.indexer.take(), tasks.retention.take(), tasks.sweeper.take()];
        for task in ended.into_iter().flatten() {
            task.abort();
            let _ = task.await;
        }
        if let Some(writer) = tasks.writer.take() {
            let _ = self.inputs.send(Input::Close).await;
            let _ = writer.await;
        }
        // It ends by itself once the writer is gone and everybody knows of the last event.
        if let Some(announcer) = tasks.announcer.take() {
            let _ = announcer.await;
        }
    }

    /// The state at `seq`.
    pub(crate) async fn state_at(&self, seq: Seq) -> Result<State, Problem> {
        match &self.recording {
            Some(log) if (log.first_seq() - 1..=self.head()).contains(&seq) => {
                log.state(seq).map_err(|e| Problem::internal("damaged-log", e.to_string()))
            }
            _ => Ok(self.cut_at(seq).await?.state),
        }
    }

    /// State and chain at `seq`: folded from the nearest checkpoint before it.
    pub(crate) async fn cut_at(&self, seq: Seq) -> Result<Cut, Problem> {
        if seq > self.head() {
            let detail =
                format!("seq {seq} lies past the head of stream {}, which is {}", self.name, self.head());
            return Err(Problem::not_found("past-head", detail).with("head", self.head()));
        }
        if seq == self.head()
            && let Ok(cut) = self.inspect().await
            && cut.state.seq == seq
        {
            return Ok(cut);
        }
        loop {
            let base = self.base();
            if seq < base.state.seq {
                let first = base.state.seq + 1;
                let detail = format!("the state at seq {seq} is gone: events before {first} are pruned");
                return Err(Problem::new(StatusCode::GONE, "pruned", detail).with("first_seq", first));
            }
            match cut_at(self.log.as_ref(), self.index.as_ref(), &base, seq).await {
                Ok(cut) => return Ok(cut),
                // Pruned in between, and what it read is gone: once more, from where the log begins now.
                Err(_) if !Arc::ptr_eq(&base, &self.base()) => {}
                Err(e) => return Err(Problem::internal("damaged-log", e)),
            }
        }
    }

    /// The oldest event that will stay: a prune moves the base first, and deletes only after it has told so in the log.
    pub(crate) fn first_seq(&self) -> Seq {
        self.log.first_seq().max(self.base().state.seq + 1)
    }

    pub(crate) fn base(&self) -> Arc<Cut> {
        self.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines of an append, from the log where they were not at hand.
    pub(crate) async fn lines_of(&self, appended: &Appended) -> Result<Lines, Problem> {
        if let Some(lines) = &appended.lines {
            return Ok(lines.clone());
        }
        let (mut next, mut bytes) = (appended.first_seq, Vec::new());
        while next <= appended.last_seq {
            let lines = self.read(next, appended.last_seq, READ_BYTES).await?;
            if lines.is_empty() {
                return Err(Problem::internal("damaged-log", format!("event {next} is missing")));
            }
            next = lines.last_seq() + 1;
            bytes.extend_from_slice(&lines.bytes);
        }
        Ok(Lines::split(appended.first_seq, bytes))
    }

    pub(crate) async fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, Problem> {
        self.log.read(from, to, max_bytes).await.map_err(|e| match e {
            ReadError::Pruned { .. } => Problem::new(StatusCode::GONE, "pruned", e.to_string())
                .with("first_seq", self.log.first_seq()),
            other => Problem::internal("damaged-log", other.to_string()),
        })
    }
}
