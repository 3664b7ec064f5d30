//! A stream as the routes see it: where to send what is to be written, and what to read from.

use std::sync::Arc;

use rig_event::{Envelope, Epoch, Seq, StreamName};
use rig_recorder::{Chain, EventLog, Lines, ReadError, StreamIndex};
use rig_replay::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::problem::Problem;
use crate::tail::Tail;
use crate::writer::{Appended, Command, Cut, Input, Refused, Write};

/// How many bytes of the log are read at once.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// One open stream.
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    pub(crate) epoch: Epoch,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) tail: Arc<Tail>,
    /// The last event that subscribers may see.
    pub(crate) head: watch::Receiver<Seq>,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Absent for a stream in memory.
    pub(crate) index: Option<StreamIndex>,
    pub(crate) tasks: Mutex<Tasks>,
}

/// What runs for a stream until it is closed.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) indexer: Option<JoinHandle<()>>,
}

impl Stream {
    pub(crate) fn head(&self) -> Seq {
        *self.head.borrow()
    }

    /// Appends, and waits until it is durable.
    pub(crate) async fn write(
        &self,
        command: Command,
        expected: Option<Seq>,
        id: Option<String>,
    ) -> Result<Appended, Refused> {
        let (reply, answer) = oneshot::channel();
        let write = Write { command, expected, id, reply };
        self.inputs.send(Input::Write(write)).await.map_err(|_| Refused::Closed)?;
        answer.await.unwrap_or(Err(Refused::Closed))
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
        if let Some(indexer) = tasks.indexer.take() {
            indexer.abort();
            let _ = indexer.await;
        }
        if let Some(writer) = tasks.writer.take() {
            let _ = self.inputs.send(Input::Close).await;
            let _ = writer.await;
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
        let (log, index) = (self.log.clone(), self.index.clone());
        cut_at(log.as_ref(), index.as_ref(), seq).await.map_err(|e| Problem::internal("damaged-log", e))
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
                break;
            }
            next = lines.last_seq() + 1;
            bytes.extend_from_slice(&lines.bytes);
        }
        Ok(Lines::split(appended.first_seq, bytes))
    }

    pub(crate) async fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, Problem> {
        self.log.read(from, to, max_bytes).await.map_err(|e| match e {
            ReadError::Pruned { .. } => Problem::new(axum::http::StatusCode::GONE, "pruned", e.to_string())
                .with("first_seq", self.log.first_seq()),
            other => Problem::internal("damaged-log", other.to_string()),
        })
    }
}

/// How a cut is kept in the index.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    chain: String,
    state: Box<RawValue>,
}

/// Keeps a cut in the index.
pub(crate) fn put_checkpoint(index: &StreamIndex, stream: &StreamName, cut: &Cut) -> Result<(), String> {
    let state = serde_json::to_string(&cut.state.view(stream.as_str())).and_then(RawValue::from_string);
    let checkpoint =
        state.and_then(|state| serde_json::to_vec(&Checkpoint { chain: cut.chain.to_string(), state }));
    let bytes = checkpoint.map_err(|e| e.to_string())?;
    index.put_checkpoint(cut.state.seq, &bytes).map_err(|e| e.to_string())
}

/// The nearest usable checkpoint at or before `seq`.
fn checkpoint(index: &StreamIndex, seq: Seq) -> Option<Cut> {
    let read = || -> Result<Option<Cut>, String> {
        let Some((at, bytes)) = index.checkpoint(seq).map_err(|e| e.to_string())? else { return Ok(None) };
        let kept: Checkpoint = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
        let state = State::from_json(kept.state.get().as_bytes()).map_err(|e| e.to_string())?;
        let chain: Chain = kept.chain.parse().map_err(|_| "its chain is no hash".to_owned())?;
        if state.seq == at {
            Ok(Some(Cut { state, chain }))
        } else {
            Err("it stands at another seq".to_owned())
        }
    };
    read().unwrap_or_else(|why| {
        tracing::warn!(why, seq, "a checkpoint of the index is of no use; folding from the start");
        None
    })
}

/// State and chain at `seq`, folded from the log.
pub(crate) async fn cut_at(log: &dyn EventLog, index: Option<&StreamIndex>, seq: Seq) -> Result<Cut, String> {
    let found = index.and_then(|index| checkpoint(index, seq));
    let mut cut = match found {
        Some(cut) => cut,
        None => Cut { state: State::default(), chain: Chain::genesis(log.stream(), log.epoch()) },
    };
    while cut.state.seq < seq {
        let lines = log.read(cut.state.seq + 1, seq, READ_BYTES).await.map_err(|e| e.to_string())?;
        if lines.is_empty() {
            return Err(format!("event {} of stream {} is missing", cut.state.seq + 1, log.stream()));
        }
        // Folding keeps the thread; in between others may run.
        for (seq, line) in lines.iter() {
            let at = |e: &dyn std::fmt::Display| format!("stream {}, seq {seq}: {e}", log.stream());
            let envelope = Envelope::parse(line).map_err(|e| at(&e))?;
            cut.state.apply(&envelope).map_err(|e| at(&e))?;
            cut.chain.push(line);
        }
        tokio::task::yield_now().await;
    }
    Ok(cut)
}
