//! `rig record -o FILE -- CMD…`: a command's run into a session file, with a private hub for whatever the command has to say.
//!
//! The command comes first: it runs whether there is a recording or not, its output passes unchanged, and its exit code is
//! rig's. What goes wrong with the recording is said on standard error, and counted.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig_event::session::Outcome;
use rig_event::{Seq, ServiceName};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::FLUSH;
use super::lines::LogLines;
use crate::Answer;
use crate::client::{Client, Problem};
use crate::follow::{Follow, News, Wanted};
use crate::output;
use crate::process::{Group, Signal, exit_code, not_started, signal_of};
use crate::recording::Recording;

/// How many pieces of output may wait to be recorded; a command that is faster than the disk then waits.
const WAITING: usize = 256;

/// Most bytes of a piece of output.
const PIECE: usize = 32 << 10;

/// Events are posted in batches of about so many bytes.
const BATCH: usize = 512 << 10;

/// Most events of a batch.
const MOST_EVENTS: u64 = 4_000;

/// The most that a pipe holds: what comes beyond it after the command has ended is not the command's.
const LARGEST_PIPE: u64 = 2 << 20;

/// How long output may still come after the command has ended, before what it started is ended too.
const LINGER: Duration = Duration::from_millis(300);

/// How long what the command left behind may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// What to run, and where to record it.
pub(super) struct Run {
    pub(super) command: Vec<OsString>,
    pub(super) file: PathBuf,
    pub(super) session: String,
    pub(super) service: ServiceName,
    /// Said instead of what the exit tells.
    pub(super) outcome: Option<Outcome>,
}

/// Where a piece of output came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pipe {
    Stdout,
    Stderr,
}

pub(super) async fn run(run: Run) -> Result<Answer> {
    let signals = Signals::listen();
    let private = match Private::start(&run).await {
        Ok(private) => Some(private),
        Err(error) => {
            warn(format!("{}; the command runs without a recording", output::chain(&error)));
            None
        }
    };
    let (program, args) = run.command.split_first().context("name the command to run")?;
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(private) = &private {
        command
            .env("RIG_URL", &private.url)
            .env("RIG_HUB", &private.url)
            .env("RIG_STREAM", private.client.stream.as_str());
    }
    let poster = private.as_ref().map(|private| Poster::new(private.client.clone(), run.service.clone()));
    let (pieces, received) = mpsc::channel(WAITING);
    let mut posting = Posting::begin(poster, received, command_line(&run.command));
    // From a terminal only its foreground group may read: there the command stays in rig's own group.
    let own = !std::io::stdin().is_terminal();
    let ended = match Group::spawn(&mut command, own) {
        Ok((child, group)) => supervise(child, &group, pieces, signals, &mut posting).await,
        Err(error) => {
            output::note(format!("rig: cannot run {}: {error}", output::plain(&program.to_string_lossy())));
            drop(pieces);
            Ended {
                code: not_started(&error),
                outcome: Outcome::Failed,
                error: Some(format!("it could not be started: {error}")),
            }
        }
    };
    let posted = posting.finish(&ended).await;
    if let Some(private) = private {
        private.finish(&run.file, run.outcome.unwrap_or(ended.outcome), posted).await;
    }
    Ok(Answer::Code(ended.code))
}

/// How the command ended.
struct Ended {
    code: u8,
    outcome: Outcome,
    error: Option<String>,
}

impl Ended {
    fn of(status: ExitStatus, interrupted: bool) -> Ended {
        let code = exit_code(status);
        let outcome = match signal_of(status) {
            _ if code == 0 => Outcome::Passed,
            _ if interrupted => Outcome::Interrupted,
            Some(_) => Outcome::Crashed,
            None => Outcome::Failed,
        };
        let error = match signal_of(status) {
            Some(signal) => Some(format!("ended by signal {signal}")),
            None if code != 0 => Some(format!("exit code {code}")),
            None => None,
        };
        Ended { code, outcome, error }
    }
}

/// Passes output and signals on until the command and its output are at their end.
async fn supervise(
    mut child: Child,
    group: &Group,
    pieces: mpsc::Sender<(Pipe, Vec<u8>)>,
    mut signals: Signals,
    posting: &mut Posting,
) -> Ended {
    let flow = Arc::new(Flow::default());
    // Dropped when both ends of output are reached.
    let (open, mut closed) = mpsc::channel::<()>(1);
    if let Some(stdout) = child.stdout.take() {
        pass_on(stdout, std::io::stdout(), Pipe::Stdout, pieces.clone(), open.clone(), flow.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        pass_on(stderr, std::io::stderr(), Pipe::Stderr, pieces.clone(), open.clone(), flow.clone());
    }
    drop((pieces, open));
    let (exited, mut exit) = oneshot::channel();
    std::thread::spawn(move || exited.send(child.wait()));
    let mut interrupted = false;
    let status = loop {
        tokio::select! {
            status = &mut exit => break status,
            signal = signals.next() => {
                interrupted = true;
                posting.stopping();
                group.pass(signal);
            }
        }
    };
    let mut ended = match status {
        Ok(Ok(status)) => Ended::of(status, interrupted),
        Ok(Err(error)) => {
            Ended { code: 1, outcome: Outcome::Crashed, error: Some(format!("its end was missed: {error}")) }
        }
        Err(_) => Ended { code: 1, outcome: Outcome::Crashed, error: None },
    };
    // What it wrote last is on its way. What it left running is ended, or it would hold the output open for ever.
    let drained = drained(&mut closed, &flow, Some(group)).await;
    if group.has_members() {
        let left = Group::clone(group);
        let _ = tokio::task::spawn_blocking(move || left.end(GRACE)).await;
    }
    if !drained && !self::drained(&mut closed, &flow, None).await {
        warn(
            "a process that the command started still holds its output; what it writes from now on is not recorded",
        );
        posting.abandon();
    }
    if interrupted && ended.outcome == Outcome::Failed {
        ended.outcome = Outcome::Interrupted;
    }
    ended
}

/// How far the output has come.
#[derive(Default)]
struct Flow {
    /// Bytes that were read.
    read: AtomicU64,
    /// How many outputs have bytes that are not yet where they should be.
    busy: AtomicUsize,
}

/// Waits until all output was read to its end. `false`: nothing has come for a while though it is open, or, which the command itself
/// cannot have written, more than a pipe holds; with `group`, also when some of that is left, which may write for ever.
async fn drained(closed: &mut mpsc::Receiver<()>, flow: &Flow, group: Option<&Group>) -> bool {
    let read = || flow.read.load(Ordering::SeqCst);
    let (first, mut last) = (read(), read());
    loop {
        if tokio::time::timeout(LINGER, closed.recv()).await.is_ok() {
            return true;
        }
        let now = read();
        let is_still = flow.busy.load(Ordering::SeqCst) == 0 && now == last;
        if is_still || now - first > LARGEST_PIPE || group.is_some_and(Group::has_members) {
            return false;
        }
        last = now;
    }
}

/// Copies an output to its place byte by byte, and to the recording.
fn pass_on(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    name: Pipe,
    pieces: mpsc::Sender<(Pipe, Vec<u8>)>,
    open: mpsc::Sender<()>,
    flow: Arc<Flow>,
) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            flow.busy.fetch_add(1, Ordering::SeqCst);
            flow.read.fetch_add(read as u64, Ordering::SeqCst);
            let passed = to.write_all(&buffer[..read]).and_then(|()| to.flush());
            // The other side has only to drain it: whether there is a recording or not, it takes what comes.
            let _ = pieces.blocking_send((name, buffer[..read].to_vec()));
            flow.busy.fetch_sub(1, Ordering::SeqCst);
            if passed.is_err() {
                // Nobody reads any more. The command is to learn of it, as it would without rig.
                break;
            }
        }
        drop(open);
    });
}

/// The command in one line. The hub hides what looks like a secret in it.
fn command_line(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    output::short(&words.join(" "), 4_096)
}

/// The task that turns output into events.
struct Posting {
    task: JoinHandle<Option<Poster>>,
    /// Whether to go on without what is still to come.
    abandon: watch::Sender<bool>,
    stopping: bool,
}

impl Posting {
    fn begin(
        poster: Option<Poster>,
        mut pieces: mpsc::Receiver<(Pipe, Vec<u8>)>,
        command: String,
    ) -> Posting {
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
                let Some((from, bytes)) = piece else { break };
                let Some(poster) = &mut poster else { continue };
                lines[from as usize].push(&bytes, |text| poster.log(from, &text));
                if pieces.is_empty() || poster.has_full() {
                    poster.send().await;
                }
            }
            if let Some(poster) = &mut poster {
                for from in [Pipe::Stdout, Pipe::Stderr] {
                    lines[from as usize].finish(|text| poster.log(from, &text));
                }
            }
            poster
        });
        Posting { task, abandon, stopping: false }
    }

    fn abandon(&self) {
        self.abandon.send_replace(true);
    }

    fn stopping(&mut self) {
        self.stopping = true;
    }

    /// Posts how it ended. Says the last seq, and how many events are missing.
    async fn finish(self, ended: &Ended) -> Posted {
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

/// What became of the events.
#[derive(Default)]
struct Posted {
    missing: u64,
    why: Option<String>,
}

/// Collects events and posts them.
struct Poster {
    client: Client,
    service: ServiceName,
    /// What is to be posted: each batch with the number of its events. The last takes more.
    batches: Vec<(Vec<u8>, u64)>,
    missing: u64,
    /// Why the first of them is missing.
    why: Option<String>,
    /// After a failed append the hub takes no more; asking it again for every line would only slow the command down.
    broken: bool,
}

impl Poster {
    fn new(client: Client, service: ServiceName) -> Poster {
        Poster { client, service, batches: Vec::new(), missing: 0, why: None, broken: false }
    }

    fn has_full(&self) -> bool {
        self.batches.len() > 1
    }

    fn log(&mut self, from: Pipe, data: &str) {
        let stream = if from == Pipe::Stdout { "stdout" } else { "stderr" };
        self.put(&json!({ "type": "service.log", "service": self.service, "stream": stream, "data": data }));
    }

    fn lifecycle(&mut self, kind: &str, fields: &[(&str, &str)]) {
        let mut event = json!({ "type": kind, "service": self.service });
        for (key, value) in fields {
            event[*key] = (*value).into();
        }
        self.put(&event);
    }

    fn put(&mut self, event: &serde_json::Value) {
        if self.batches.last().is_none_or(|(batch, events)| batch.len() >= BATCH || *events >= MOST_EVENTS) {
            self.batches.push((Vec::new(), 0));
        }
        let Some((batch, events)) = self.batches.last_mut() else { return };
        // A `Value` of strings can be written.
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

/// A hub of the command's own, and the file that its stream goes to.
struct Private {
    client: Client,
    url: String,
    stop: oneshot::Sender<()>,
    hub: JoinHandle<Result<(), rig_hub::Error>>,
    /// The last event that the file must have, once it is known.
    last: watch::Sender<Option<Seq>>,
    recorder: JoinHandle<Recorded>,
    /// Removed with everything in it.
    _data: tempfile::TempDir,
}

/// A recording at its end, or why it ended before.
struct Recorded {
    recording: Option<Recording>,
    last: Seq,
    trouble: Option<String>,
}

impl Private {
    async fn start(run: &Run) -> Result<Private> {
        let data = tempfile::Builder::new()
            .prefix("rig-record-")
            .tempdir()
            .context("there is no folder for the events on their way to the file")?;
        // A key that is gone with the hub proves nothing to anybody: the recording is unsigned, and says so.
        let keys = data.path().join("keys");
        std::fs::create_dir(&keys)
            .and_then(|()| std::fs::write(keys.join("signing"), "# none\n"))
            .context("the private hub has no room")?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the private hub cannot listen")?;
        let url = format!("http://{}", listener.local_addr()?);
        let options = rig_hub::Options {
            data: Some(data.path().to_owned()),
            // The file is the copy that counts.
            durability: rig_recorder::Durability::Interval(Duration::from_millis(50)),
            shutdown_deadline: Duration::from_secs(1),
            ..Default::default()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let mut hub = tokio::spawn(rig_hub::serve(listener, shutdown, options));
        let client = Client::new(&url, None)?;
        tokio::select! {
            ended = &mut hub => {
                ended.context("the private hub ended")?.context("the private hub cannot run")?;
            }
            ready = client.ready() => ready.context("the private hub does not answer")?,
        }
        let (last, wanted) = watch::channel(None);
        let begun = Recording::begin(&client, 1, &run.file, run.session.clone()).await;
        let recorder = match begun {
            Ok(recording) => tokio::spawn(follow(client.clone(), recording, wanted)),
            // The hub is there for the command all the same.
            Err(error) => {
                let trouble = Some(output::chain(&error));
                tokio::spawn(async { Recorded { recording: None, last: 0, trouble } })
            }
        };
        Ok(Private { client, url, stop, hub, last, recorder, _data: data })
    }

    /// Waits until everything is in the file, and says what is not.
    async fn finish(self, file: &Path, outcome: Outcome, posted: Posted) {
        let head = self.client.head().await;
        self.last.send_replace(Some(head.as_ref().copied().unwrap_or(0)));
        let mut missing = posted.missing;
        let mut why = posted.why;
        match self.recorder.await {
            Ok(Recorded { recording, last, trouble }) => {
                missing += head.unwrap_or(last).saturating_sub(last);
                why = why.or(trouble);
                if let Some(recording) = recording
                    && let Err(error) = recording.finish(outcome)
                {
                    why.get_or_insert(error.to_string());
                }
            }
            Err(error) => why = why.or(Some(error.to_string())),
        }
        if let Some(why) = why {
            let missing = match missing {
                0 => "no event is missing".to_owned(),
                n => format!("{} missing", output::count(n, "event")),
            };
            warn(format!("the recording {} is not whole: {why}; {missing}", file.display()));
        }
        let _ = self.stop.send(());
        let _ = self.hub.await;
    }
}

/// Copies the stream to the file, until it has the last event.
async fn follow(
    client: Client,
    mut recording: Recording,
    mut wanted: watch::Receiver<Option<Seq>>,
) -> Recorded {
    let trouble = copy(&client, &mut recording, &mut wanted).await.err();
    let last = recording.last_seq();
    Recorded { recording: Some(recording), last, trouble: trouble.map(|error| output::chain(&error)) }
}

async fn copy(
    client: &Client,
    recording: &mut Recording,
    wanted: &mut watch::Receiver<Option<Seq>>,
) -> Result<()> {
    let epoch = recording.header().epoch.clone();
    let mut follow = Follow::resume(client.clone(), Wanted::default(), &epoch, 0).await?;
    let mut tick = tokio::time::interval(FLUSH);
    while wanted.borrow_and_update().is_none_or(|last| recording.last_seq() < last) {
        let news = tokio::select! {
            changed = wanted.changed() => { changed?; continue }
            _ = tick.tick() => { recording.flush()?; continue }
            news = follow.next() => news?,
        };
        match news {
            Some(News::Event(line)) => recording.write(&line)?,
            Some(News::CaughtUp { .. } | News::Heartbeat { .. }) => {}
            Some(lost @ News::Lost { .. }) => Follow::wait(&lost).await,
            Some(other) => anyhow::bail!("{other}"),
            None => anyhow::bail!("the private hub ended the stream"),
        }
    }
    Ok(recording.flush()?)
}

fn warn(text: impl std::fmt::Display) {
    output::note(format!("{} {text}", output::styled(output::HEADING, "rig: warning:")));
}

/// Requests to end, which are the command's.
struct Signals {
    #[cfg(unix)]
    asked: Vec<(Signal, tokio::signal::unix::Signal)>,
}

impl Signals {
    /// Begins to listen; what cannot be listened for does what it always does.
    fn listen() -> Signals {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let kinds = [
                (Signal::Interrupt, SignalKind::interrupt()),
                (Signal::Terminate, SignalKind::terminate()),
                (Signal::Hangup, SignalKind::hangup()),
                (Signal::Quit, SignalKind::quit()),
            ];
            Signals {
                asked: kinds
                    .into_iter()
                    .filter_map(|(name, kind)| Some((name, signal(kind).ok()?)))
                    .collect(),
            }
        }
        #[cfg(not(unix))]
        Signals {}
    }

    /// The next one.
    async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        {
            std::future::poll_fn(|context| {
                for (name, signal) in &mut self.asked {
                    if signal.poll_recv(context).is_ready() {
                        return std::task::Poll::Ready(*name);
                    }
                }
                std::task::Poll::Pending
            })
            .await
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            Signal::Interrupt
        }
    }
}
