//! From a program's output to events in its hub: pieces that wait, lines, batches. The program never waits for any of it.

use std::sync::Arc;

use rig_event::ServiceName;
use rig_event::session::Outcome;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::ended::Ended;
use super::lines::LogLines;
use crate::client::{Client, Problem};
use crate::output;

/// Maximum size of output waiting to be recorded, so that the command need not wait. If there is no room,
/// output is left out, and the recording says so.
const WAITING: usize = 64 << 20;

/// Overhead of a piece: some programs write byte by byte.
const OVERHEAD: usize = 128;

/// Events are posted in batches of about so many bytes.
const BATCH: usize = 512 << 10;

/// Most events of a batch.
const MOST_EVENTS: u64 = 4_000;

/// Where a piece of output came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pipe {
    Stdout,
    Stderr,
}

/// A piece of output on its way to the recording.
struct Piece {
    from: Pipe,
    bytes: Vec<u8>,
    /// Lost output of the same pipe before this piece.
    lost: Lost,
    /// Its own room.
    _room: OwnedSemaphorePermit,
}

/// Output that is not recorded.
#[derive(Clone, Copy, Default)]
pub(super) struct Lost {
    lines: u64,
    bytes: u64,
}

/// The pieces that wait to be recorded. Who puts one in never waits.
#[derive(Clone)]
pub(super) struct Waiting {
    pieces: mpsc::UnboundedSender<Piece>,
    room: Arc<Semaphore>,
}

impl Waiting {
    fn new(room: usize) -> (Waiting, mpsc::UnboundedReceiver<Piece>) {
        let (pieces, received) = mpsc::unbounded_channel();
        (Waiting { pieces, room: Arc::new(Semaphore::new(room)) }, received)
    }

    /// Puts a piece in, or adds it to what is lost where there is no room.
    pub(super) fn put(&self, from: Pipe, bytes: &[u8], lost: &mut Lost) {
        // What only says what is lost needs none.
        let room = if bytes.is_empty() { 0 } else { bytes.len() + OVERHEAD };
        match self.room.clone().try_acquire_many_owned(u32::try_from(room).unwrap_or(u32::MAX)) {
            Ok(_room) => {
                let piece = Piece { from, bytes: bytes.to_vec(), lost: std::mem::take(lost), _room };
                // Whether anybody records it or not, the command goes on.
                let _ = self.pieces.send(piece);
            }
            Err(_) => {
                lost.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
                lost.bytes += bytes.len() as u64;
            }
        }
    }
}

impl Pipe {
    fn as_str(self) -> &'static str {
        match self {
            Pipe::Stdout => "stdout",
            Pipe::Stderr => "stderr",
        }
    }
}

/// The task that turns output into events.
pub(super) struct Posting {
    task: JoinHandle<Option<Poster>>,
    /// Set to go on without the rest of the output.
    abandon: watch::Sender<bool>,
    stopping: bool,
}

impl Posting {
    /// Begins with the start of the command; what it writes is put into what waits.
    pub(super) fn begin(poster: Option<Poster>, command: String) -> (Posting, Waiting) {
        let (waiting, mut pieces) = Waiting::new(WAITING);
        let (abandon, mut abandoned) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut poster = poster;
            if let Some(poster) = &mut poster {
                poster.lifecycle("service.starting", &[("command", &command)]);
                poster.send().await;
            }
            let mut lines = [LogLines::default(), LogLines::default()];
            loop {
                let piece = tokio::select! {
                    biased;
                    piece = pieces.recv() => piece,
                    _ = abandoned.wait_for(|abandoned| *abandoned) => None,
                };
                let Some(Piece { from, bytes, lost, .. }) = piece else { break };
                let Some(poster) = &mut poster else { continue };
                if lost.bytes > 0 {
                    lines[from as usize].finish(|text| poster.log(from, text));
                    poster.lost(from, lost);
                }
                lines[from as usize].push(&bytes, |text| poster.log(from, text));
                if pieces.is_empty() || poster.has_full() {
                    poster.send().await;
                }
            }
            if let Some(poster) = &mut poster {
                for from in [Pipe::Stdout, Pipe::Stderr] {
                    lines[from as usize].finish(|text| poster.log(from, text));
                }
            }
            poster
        });
        (Posting { task, abandon, stopping: false }, waiting)
    }

    pub(super) fn abandon(&self) {
        self.abandon.send_replace(true);
    }

    pub(super) fn stopping(&mut self) {
        self.stopping = true;
    }

    /// Posts how it ended. Says the last seq, and how many events are missing.
    pub(super) async fn finish(self, ended: &Ended) -> Posted {
        let Ok(Some(mut poster)) = self.task.await else { return Posted::default() };
        if self.stopping {
            poster
                .lifecycle("service.stopping", &[("message", "rig was asked to end, and asked the command")]);
        }
        match (&ended.error, ended.outcome) {
            (Some(error), Outcome::Failed | Outcome::Crashed) => {
                poster.lifecycle("service.failed", &[("error", error)])
            }
            (Some(error), _) => poster.lifecycle("service.stopped", &[("message", error)]),
            (None, _) => poster.lifecycle("service.stopped", &[]),
        }
        poster.send().await;
        Posted { missing: poster.missing, why: poster.why }
    }
}

/// The result of posting the events.
#[derive(Default)]
pub(super) struct Posted {
    pub(super) missing: u64,
    pub(super) why: Option<String>,
}

/// A line of output as an event.
#[derive(Serialize)]
struct Log<'a> {
    r#type: &'static str,
    service: &'a ServiceName,
    stream: &'static str,
    data: &'a str,
}

/// Collects events and posts them.
pub(super) struct Poster {
    client: Client,
    service: ServiceName,
    /// Batches to post, each with the number of its events. The last one takes more.
    batches: Vec<(Vec<u8>, u64)>,
    missing: u64,
    /// Why the first of them is missing.
    why: Option<String>,
    /// After a failed append the hub takes no more; asking it again for every line would only slow the command down.
    broken: bool,
}

impl Poster {
    pub(super) fn new(client: Client, service: ServiceName) -> Poster {
        Poster { client, service, batches: Vec::new(), missing: 0, why: None, broken: false }
    }

    fn has_full(&self) -> bool {
        self.batches.len() > 1
    }

    fn log(&mut self, from: Pipe, data: &str) {
        let service = self.service.clone();
        self.put(&Log { r#type: "service.log", service: &service, stream: from.as_str(), data });
    }

    /// Output that had no room: the recording says where it is missing.
    fn lost(&mut self, from: Pipe, Lost { lines, bytes }: Lost) {
        let why = "output came faster than it could be recorded";
        self.put(&json!({
            "type": "progress.missing", "service": self.service, "stream": from.as_str(), "lines": lines, "bytes": bytes,
            "message": why,
        }));
        self.missing += lines.max(1);
        self.why.get_or_insert_with(|| why.to_owned());
    }

    fn lifecycle(&mut self, kind: &str, fields: &[(&str, &str)]) {
        let mut event = json!({ "type": kind, "service": self.service });
        for (key, value) in fields {
            event[*key] = (*value).into();
        }
        self.put(&event);
    }

    fn put(&mut self, event: &impl Serialize) {
        if self.batches.last().is_none_or(|(batch, events)| batch.len() >= BATCH || *events >= MOST_EVENTS) {
            self.batches.push((Vec::new(), 0));
        }
        let Some((batch, events)) = self.batches.last_mut() else { return };
        // Strings and numbers can be written.
        if serde_json::to_writer(&mut *batch, event).is_ok() {
            batch.push(b'\n');
            *events += 1;
        }
    }

    async fn send(&mut self) {
        for (batch, events) in std::mem::take(&mut self.batches) {
            let Err(error) =
                (if self.broken { Err(None) } else { self.client.append(batch).await.map_err(Some) })
            else {
                continue;
            };
            self.missing += events;
            if let Some(error) = error {
                self.broken = error.downcast_ref::<Problem>().is_none_or(|problem| problem.status >= 500);
                self.why.get_or_insert_with(|| output::chain(&error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted_and_told_where_it_is_missing() {
        let (waiting, mut pieces) = Waiting::new(2 * (OVERHEAD + 4));
        let mut lost = [Lost::default(), Lost::default()];
        for (from, text) in [
            (Pipe::Stdout, "one\n"),
            (Pipe::Stderr, "two\n"),
            (Pipe::Stdout, "no\nroom\n"),
            (Pipe::Stdout, "nor here\n"),
        ] {
            waiting.put(from, text.as_bytes(), &mut lost[from as usize]);
        }
        let order: Vec<_> = (0..2).map(|_| pieces.try_recv().unwrap()).map(|piece| piece.bytes).collect();
        assert_eq!(order, [b"one\n", b"two\n"]);
        waiting.put(Pipe::Stdout, b"six\n", &mut lost[0]);
        let after = pieces.try_recv().unwrap();
        assert_eq!((after.lost.lines, after.lost.bytes, lost[0].bytes), (3, 17, 0));

        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        let mut poster = Poster::new(client, "test".parse().unwrap());
        poster.lost(Pipe::Stdout, after.lost);
        let told = String::from_utf8(poster.batches[0].0.clone()).unwrap();
        assert!(told.contains("progress.missing") && told.contains("\"lines\":3"), "{told}");
        assert_eq!(poster.missing, 3);
    }
}
