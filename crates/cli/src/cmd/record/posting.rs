//! From a program's output to events in its hub: pieces that wait, lines, events. The program never waits for any of it.

use std::ops::AddAssign;
use std::sync::Arc;

use rig_event::event::{Lifecycle, ProgressMissing, ServiceLog};
use rig_event::session::Outcome;
use rig_event::{Draft, Event, ServiceName};
use rig_hub::{Core, Stream};
use rig_recorder::Feed;
use rig_recorder::feed::{Batch, Closer, Load, Lost};
use tokio::task::JoinHandle;

use super::ended::Ended;
use super::lines::LogLines;
use super::results::{self, Tests};
use super::terminal;

/// Maximum size of output waiting to be recorded, so that the command need not wait. If there is no room,
/// output is left out, and the recording says so.
const WAITING: usize = 64 << 20;

/// Overhead of a piece: some programs write byte by byte.
const OVERHEAD: usize = 128;

/// Room for events on their way to the log. A line takes many times its size as an event, so it is the output that waits, and the task
/// between waits for the log when this room is half full.
const EVENTS: usize = 8 << 20;

/// Why output is missing.
const TOO_FAST: &str = "output came faster than it could be recorded";

/// Where a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pipe {
    Stdout,
    Stderr,
}

/// Both of them.
const PIPES: [Pipe; 2] = [Pipe::Stdout, Pipe::Stderr];

/// A piece of output on its way to the recording.
pub(super) struct Piece {
    pub(super) from: Pipe,
    pub(super) bytes: Vec<u8>,
}

/// Output of one pipe that is not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    lines: u64,
    bytes: u64,
}

/// Output that is not recorded, by pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing([Output; PIPES.len()]);

impl AddAssign for Missing {
    fn add_assign(&mut self, more: Missing) {
        for (output, more) in self.0.iter_mut().zip(more.0) {
            output.lines += more.lines;
            output.bytes += more.bytes;
        }
    }
}

impl Load for Piece {
    type Lost = Missing;

    fn weigh(&self) -> (usize, Missing) {
        let mut missing = Missing::default();
        let lines = memchr::memchr_iter(b'\n', &self.bytes).count() as u64;
        missing.0[self.from as usize] = Output { lines, bytes: self.bytes.len() as u64 };
        (self.bytes.len() + OVERHEAD, missing)
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
    output: Closer<Piece>,
    stopping: bool,
}

impl Posting {
    /// Begins with the start of the command. What it writes is offered to the feed that is returned.
    pub(super) fn begin(poster: Option<Poster>, command: String) -> (Posting, Feed<Piece>) {
        let (output, mut intake) = Feed::with_room(WAITING);
        let closer = intake.closer();
        let task = tokio::spawn(async move {
            let mut poster = poster;
            if let Some(poster) = &mut poster {
                poster.lifecycle(Event::ServiceStarting, Lifecycle { command: Some(command), ..life() });
                poster.send().await;
            }
            let mut lines = [LogLines::default(), LogLines::default()];
            while let Some(batch) = intake.next().await {
                if let Some(poster) = &mut poster {
                    poster.output(batch, &mut lines).await;
                }
            }
            if let Some(poster) = &mut poster {
                PIPES.into_iter().for_each(|from| poster.finish_line(from, &mut lines));
            }
            poster
        });
        (Posting { task, output: closer, stopping: false }, output)
    }

    /// Goes on without output that comes from now on.
    pub(super) fn abandon(&self) {
        self.output.close();
    }

    pub(super) fn stopping(&mut self) {
        self.stopping = true;
    }

    /// Appends how it ended. Returns once everything is in the log, with the number of events that are not.
    pub(super) async fn finish(self, ended: &Ended) -> Posted {
        let Ok(Some(mut poster)) = self.task.await else { return Posted::default() };
        poster.results(ended).await;
        if self.stopping {
            let message = Some("rig was asked to end, and asked the command".to_owned());
            poster.lifecycle(Event::ServiceStopping, Lifecycle { message, ..life() });
        }
        match (ended.error.clone(), ended.outcome) {
            (error @ Some(_), Outcome::Failed | Outcome::Crashed) => {
                poster.lifecycle(Event::ServiceFailed, Lifecycle { error, ..life() });
            }
            (message, _) => poster.lifecycle(Event::ServiceStopped, Lifecycle { message, ..life() }),
        }
        poster.send().await;
        let report = poster.feed.flush().await;
        let why = poster.lost.then(|| TOO_FAST.into()).or(report.why);
        Posted { missing: poster.missing + report.lost.events, why }
    }
}

fn life() -> Lifecycle {
    Lifecycle::default()
}

/// The result of recording the events.
#[derive(Default)]
pub(super) struct Posted {
    pub(super) missing: u64,
    pub(super) why: Option<Arc<str>>,
}

/// Makes events and gives them to the hub.
pub(super) struct Poster {
    feed: Feed,
    service: ServiceName,
    /// True if the output was written to a terminal, and is to be recorded as it is read there.
    tty: bool,
    /// Events to offer.
    drafts: Vec<Draft>,
    /// The lines that had no room.
    missing: u64,
    /// True if any output had no room.
    lost: bool,
    /// Reads the results of tests, and the stream whose seqs they name.
    tests: Option<Tests>,
    stream: Option<Arc<Stream>>,
}

impl Poster {
    /// Reads the results of tests from the output, too.
    pub(super) fn reading(mut self, tests: Tests) -> Poster {
        self.tests = Some(tests);
        self
    }

    /// Appends the results of tests, now that the command has ended.
    async fn results(&mut self, ended: &Ended) {
        let Some(tests) = self.tests.take() else { return };
        let command = self.service.as_str().to_owned();
        let end = Ended { code: ended.code, outcome: ended.outcome, error: None };
        // It reads files.
        let read = tokio::task::spawn_blocking(move || tests.finish(&command, &end)).await;
        let Ok(mut cases) = read else { return };
        if cases.is_empty() {
            return;
        }
        self.feed.flush().await;
        if let Some(stream) = &self.stream {
            results::place(&mut cases, stream, &self.service).await;
        }
        for case in cases {
            self.put(case.event());
            self.send().await;
        }
    }

    /// Opens a feed into a stream, for events of a service.
    pub(super) fn new(core: &Core, stream: Arc<Stream>, service: ServiceName, tty: bool) -> Poster {
        let name = service.clone();
        let lost = move |Lost { events, bytes }| {
            Draft::new(Some(name.clone()), missing(String::new(), Output { lines: events, bytes }))
        };
        let of = Some(stream.clone());
        Poster { tty, stream: of, ..Poster::of(core.feed(stream, EVENTS, lost), service) }
    }

    fn of(feed: Feed, service: ServiceName) -> Poster {
        Poster {
            feed,
            service,
            tty: false,
            drafts: Vec::new(),
            missing: 0,
            lost: false,
            tests: None,
            stream: None,
        }
    }

    /// Turns pieces of output into events.
    async fn output(&mut self, batch: Batch<Piece>, lines: &mut [LogLines; PIPES.len()]) {
        for (from, output) in PIPES.into_iter().zip(batch.lost.0) {
            if output.bytes > 0 {
                // What follows is not the rest of its line.
                self.finish_line(from, lines);
                self.lost(from, output);
            }
        }
        for (Piece { from, bytes }, _) in batch.items {
            lines[from as usize].push(&bytes, |text| self.log(from, text));
            self.send().await;
        }
        self.send().await;
    }

    fn finish_line(&mut self, from: Pipe, lines: &mut [LogLines; PIPES.len()]) {
        lines[from as usize].finish(|text| self.log(from, text));
    }

    fn log(&mut self, from: Pipe, data: &str) {
        let data = if self.tty { terminal::plain(data) } else { data.into() };
        if let Some(tests) = &mut self.tests {
            let stream = match from {
                Pipe::Stdout => rig_results::Stream::Stdout,
                Pipe::Stderr => rig_results::Stream::Stderr,
            };
            tests.text(stream, &data);
        }
        self.put(Event::ServiceLog(ServiceLog { stream: from.as_str().to_owned(), data: data.into_owned() }));
    }

    /// Output that had no room: the recording says where it is missing.
    fn lost(&mut self, from: Pipe, output: Output) {
        self.put(missing(from.as_str().to_owned(), output));
        self.missing += output.lines.max(1);
        self.lost = true;
    }

    fn lifecycle(&mut self, kind: fn(Lifecycle) -> Event, life: Lifecycle) {
        self.put(kind(life));
    }

    fn put(&mut self, event: Event) {
        self.drafts.push(Draft::new(Some(self.service.clone()), event));
    }

    /// Offers the events. Waits for the log where it is behind, so that none of them is lost.
    async fn send(&mut self) {
        for draft in self.drafts.drain(..) {
            if self.feed.fill() >= 50 {
                self.feed.flush().await;
            }
            self.feed.offer(draft);
        }
    }
}

fn missing(stream: String, Output { lines, bytes }: Output) -> Event {
    Event::ProgressMissing(ProgressMissing { stream, lines, bytes, message: Some(TOO_FAST.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_no_room_is_counted_and_told_where_it_is_missing() {
        let (output, mut intake) = Feed::with_room(2 * (OVERHEAD + 4));
        let put = |from, text: &str| output.offer(Piece { from, bytes: text.as_bytes().to_vec() });
        for (from, text, fits) in [
            (Pipe::Stdout, "one\n", true),
            (Pipe::Stderr, "two\n", true),
            (Pipe::Stdout, "no\nroom\n", false),
            (Pipe::Stdout, "nor here\n", false),
        ] {
            assert_eq!(put(from, text), fits);
        }
        let batch = intake.next().await.unwrap();
        let order: Vec<_> = batch.items.iter().map(|(piece, _)| piece.bytes.clone()).collect();
        assert_eq!((order, batch.lost), (vec![b"one\n".to_vec(), b"two\n".to_vec()], Missing::default()));
        let after = intake.next().await.unwrap();
        assert_eq!(after.lost.0, [Output { lines: 3, bytes: 17 }, Output::default()]);

        let (feed, mut events) = Feed::with_room(EVENTS);
        let mut poster = Poster::of(feed, "test".parse().unwrap());
        let mut lines = [LogLines::default(), LogLines::default()];
        lines[0].push(b"cut", |_| panic!("its line has no end"));
        assert!(put(Pipe::Stdout, "six\n"));
        poster.output(after, &mut lines).await;
        poster.output(intake.next().await.unwrap(), &mut lines).await;
        let told = events.next().await.unwrap().items.into_iter().map(|(draft, _)| draft.event);
        let text =
            |data: &str| Event::ServiceLog(ServiceLog { stream: "stdout".to_owned(), data: data.to_owned() });
        let lost = missing("stdout".to_owned(), Output { lines: 3, bytes: 17 });
        assert_eq!(told.collect::<Vec<_>>(), [text("cut"), lost, text("six")]);
        assert_eq!(poster.missing, 3);
    }
}
