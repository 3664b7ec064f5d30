//! One stream as the rest of the hub sees it: where to send what is to be written, and what to read from.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::StatusCode;
use rig_config::Redactor;
use rig_event::{Draft, Epoch, Head, Seq, StreamName, Timestamp};
use rig_recorder::{EventLog, Lines, ReadError, StreamIndex};
use rig_replay::{State, Timeline};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::announcer::{News, Rounds};
use super::cut::{Cut, cut_at};
use super::indexed::Indexed;
use super::meters::Meters;
use super::playback::PlaybackLog;
use super::tail::{Stretches, Tail};
use super::viewed::{Subject, View, Viewed};
use super::writer::{Appended, Command, Input, Refused, Write};
use crate::data::{io_error, write_private};
use crate::options::READ_BYTES;
use crate::originals::Blobs;
use crate::permit::Permit;
use crate::problem::Problem;

/// One open stream.
pub struct Stream {
    /// Its name.
    pub name: StreamName,
    /// Its epoch: a stream that is made anew under the same name has another one.
    pub epoch: Epoch,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) tail: Arc<Tail>,
    /// What subscribers read who are behind.
    pub(crate) stretches: Stretches,
    /// The last durable event.
    pub(crate) head: watch::Receiver<Seq>,
    /// News for subscribers; it follows the head.
    pub(crate) news: watch::Receiver<News>,
    /// Where subscribers tell the announcer that they are served.
    pub(crate) rounds: Arc<Rounds>,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Where the fold of what is left begins: the genesis, or the state before the oldest event after a prune.
    pub(crate) base: RwLock<Arc<Cut>>,
    /// Where the state at a cut is kept, for a stream in a data directory.
    pub(crate) cut_file: Option<PathBuf>,
    pub(crate) meters: Arc<Meters>,
    /// Absent for a stream in memory.
    pub(crate) index: Option<StreamIndex>,
    /// The progress of the index. It catches up while requests are answered.
    pub(crate) indexed: Indexed,
    /// The originals of its documents; absent where none are kept.
    pub(crate) blobs: Option<Arc<Blobs>>,
    pub(crate) tasks: Mutex<Tasks>,
    /// Set for a recording that is played: nothing can be written to it.
    pub(crate) recording: Option<Arc<PlaybackLog>>,
    /// Its timeline, while somebody looks at it.
    pub(crate) viewed: Viewed,
    /// Replaces secrets with fingerprints of the stream's own key, and knows the values that were secrets in it.
    pub(crate) redactor: Arc<Redactor>,
}

/// The tasks of a stream, until it is closed.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) announcer: Option<JoinHandle<()>>,
    pub(crate) indexer: Option<JoinHandle<()>>,
    pub(crate) keepers: Vec<JoinHandle<()>>,
}

impl Stream {
    /// Returns the redactor of what is written to it.
    pub fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    /// Returns the seq of the last durable event; 0 before the first.
    pub fn head(&self) -> Seq {
        *self.head.borrow()
    }

    /// Returns a receiver that wakes whenever the head moves. Its sender is gone once the stream is removed or the hub has stopped.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.head.clone()
    }

    /// Returns true for a recording, which can be read and not changed.
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Returns the index of the recording that this stream plays.
    pub fn timeline(&self) -> Option<&Arc<Timeline>> {
        self.recording.as_ref().map(|log| &log.0.timeline)
    }

    /// Appends, and waits until it is durable. An append with an idempotency key first waits until the index knows the keys that were
    /// used before the stream was opened.
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
        let write = Write { command, expected, id, permit: Permit::current(), reply };
        self.inputs.send(Input::Write(Box::new(write))).await.map_err(|_| Refused::Closed)?;
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
        let keepers = std::mem::take(&mut tasks.keepers);
        for task in tasks.indexer.take().into_iter().chain(keepers) {
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

    /// Returns the state at `seq`.
    ///
    /// # Errors
    /// `past-head`, `pruned`, `damaged-log`.
    pub async fn state_at(&self, seq: Seq) -> Result<State, Problem> {
        match &self.recording {
            Some(log) if (log.first_seq() - 1..=self.head()).contains(&seq) => {
                log.state(seq).map_err(|e| Problem::internal("damaged-log", e.to_string()))
            }
            _ => match self.viewed.state(self.base().state.seq + 1, seq) {
                Some(state) => Ok(state),
                None => Ok(self.cut_at(seq).await?.state),
            },
        }
    }

    /// Lets `see` look at the whole stream: its timeline, which has everything up to the head as it is now. That of a recording that is being
    /// played has also what has not happened yet.
    ///
    /// # Errors
    /// `too-large`, `damaged-log`, `busy`, and what `see` returns.
    pub async fn look<T>(&self, see: impl FnOnce(&View) -> Result<T, Problem>) -> Result<T, Problem> {
        let subject = Subject {
            name: &self.name,
            epoch: &self.epoch,
            log: &self.log,
            base: self.base(),
            head: self.head(),
            recording: self.recording.as_deref(),
        };
        self.viewed.look(subject, see).await
    }

    /// Returns for how long nobody has looked at the whole stream; `None` if nobody has, or somebody does now.
    pub fn unseen(&self) -> Option<Duration> {
        self.viewed.idle()
    }

    /// Gives back what looking at the whole stream took, unless somebody looks at it now.
    pub fn forget_view(&self) {
        self.viewed.close();
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

    /// Returns the seq of the oldest event that stays: a prune moves the base first, and deletes events only after it has written so into
    /// the log.
    pub fn first_seq(&self) -> Seq {
        self.log.first_seq().max(self.base().state.seq + 1)
    }

    /// Returns the first event that is not older than `time`, or the next one that will come.
    ///
    /// # Errors
    /// `damaged-log`.
    pub(crate) async fn first_since(&self, time: Timestamp) -> Result<Seq, Problem> {
        // Times in a log never run backwards.
        let (mut from, mut to) = (self.first_seq(), self.head() + 1);
        while from < to {
            let middle = from + (to - from) / 2;
            let lines = self.read(middle, middle, 0).await?;
            let line = lines.get(middle).filter(|line| !line.is_empty());
            let is_older = match line.map(Head::parse) {
                Some(Ok(head)) => head.ts < time,
                // A recording may lack it.
                None => true,
                Some(Err(e)) => return Err(Problem::internal("damaged-log", e.to_string())),
            };
            if is_older {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        Ok(from)
    }

    /// Returns the state before the oldest event: where a fold of what is left begins.
    pub fn base_state(&self) -> State {
        self.base().state.clone()
    }

    /// Returns the state at the head, of everything that is durable.
    ///
    /// # Errors
    /// `log-failed`, `closed`.
    pub async fn state(&self) -> Result<State, Problem> {
        Ok(self.inspect().await?.state)
    }

    /// Returns the events of a service in a range of seqs: at most `most` of them, newest first if `backwards`. `None` for a stream
    /// that has no index: it began with this hub, or is a recording. Waits up to ten seconds until the index knows what was there when
    /// the stream was opened.
    ///
    /// # Errors
    /// `busy`, `storage`.
    pub async fn seqs_of(
        &self,
        service: &str,
        range: RangeInclusive<Seq>,
        most: usize,
        backwards: bool,
    ) -> Result<Option<Vec<Seq>>, Problem> {
        let Some(index) = &self.index else { return Ok(None) };
        if !self.indexed.caught_up().await {
            return Err(Refused::Behind(self.indexed.lag(self.head())).into());
        }
        let seqs = index.seqs_of(service, range, most, backwards);
        seqs.map(Some).map_err(|e| Problem::internal("storage", e.to_string()))
    }

    /// Counts a document that was refused with that code.
    pub fn count_rejected(&self, code: &'static str) {
        self.meters.rejected(code);
    }

    /// Keeps the state at a cut, so that the events before it can be deleted.
    pub(crate) fn keep_cut(&self, cut: Cut) -> Result<(), String> {
        if let Some(path) = &self.cut_file {
            let json = cut.to_json(&self.name)?;
            write_private(path, &json).map_err(|e| io_error("write", path)(e).to_string())?;
        }
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(cut);
        Ok(())
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

    /// Reads lines of a range, one at least if there is one, and no more than `max_bytes` beyond that. A reader of all goes on after
    /// the last of them until nothing comes.
    ///
    /// # Errors
    /// `pruned`, `damaged-log`.
    pub async fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, Problem> {
        self.lines(from, to, max_bytes).await.map_err(|e| match e {
            ReadError::Pruned { .. } => Problem::new(StatusCode::GONE, "pruned", e.to_string())
                .with("first_seq", self.log.first_seq()),
            other => Problem::internal("damaged-log", other.to_string()),
        })
    }

    /// Reads lines as [`Stream::read`] does, with the error of the log.
    ///
    /// # Errors
    /// The events are pruned or damaged.
    pub async fn lines(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, ReadError> {
        self.log.read(from, to, max_bytes).await
    }
}
