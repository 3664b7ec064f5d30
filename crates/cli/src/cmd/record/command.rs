//! `rig record -o FILE -- CMD…`: a command's run into a session file, with a private hub for whatever the command has to say.
//!
//! The command comes first: it runs whether there is a recording or not, its output passes unchanged, and its exit code is
//! rig's. What goes wrong with the recording is said on standard error, and counted.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rig_event::session::Outcome;
use rig_event::{Seq, ServiceName, StreamName};
use rig_hub::{Core, READ_BYTES, Stream};
use rig_process::{Change, Group, Place, Signal, not_started};
use rig_recorder::{Feed, Keyring};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::FLUSH;
use super::destination::Destination;
use super::ended::Ended;
use super::posting::{Piece, Pipe, Posted, Poster, Posting};
use super::results::{Tests, Wanted};
use super::signals::Signals;
#[cfg(unix)]
use super::terminal::Tty;
use crate::hub::private;
use crate::output;
use crate::recording::Recording;
use crate::{Answer, keys};

/// Most bytes of a piece of output.
const PIECE: usize = 32 << 10;

/// The most that a pipe holds: what comes beyond it after the command has ended is not the command's.
const LARGEST_PIPE: u64 = 2 << 20;

/// Time for more output after the command has ended, before the processes that it left behind are ended too.
const LINGER: Duration = Duration::from_millis(300);

/// Time for the processes that the command left behind to end after they were asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Time for the command to stop after it was asked to.
const STOPPING: Duration = Duration::from_secs(5);

/// The command to run, and the file to record it to.
pub(super) struct Run {
    pub(super) command: Vec<OsString>,
    pub(super) file: PathBuf,
    pub(super) session: String,
    pub(super) service: ServiceName,
    /// Said instead of what the exit tells.
    pub(super) outcome: Option<Outcome>,
    /// A file with the keys to sign with.
    pub(super) keys: Option<PathBuf>,
    /// A file with the key of fingerprints.
    pub(super) redaction_key: Option<PathBuf>,
    /// A file with values that are hidden wherever they come up.
    pub(super) mask: Option<PathBuf>,
    /// True if the command is to have a terminal.
    pub(super) tty: bool,
    /// Where test results are read from beside the output.
    pub(super) results: Wanted,
}

pub(super) async fn run(mut run: Run) -> Result<Answer> {
    let signals = Signals::listen();
    let to = Destination::of(&run.file);
    let private = match Private::start(&run, to).await {
        Ok(private) => Some(private),
        Err(error) => {
            warn(format!("{}; the command runs without a recording", output::chain(&error)));
            None
        }
    };
    let poster = private
        .as_ref()
        .map(|private| Poster::new(&private.core, private.stream.clone(), run.service.clone(), run.tty));
    let wanted = std::mem::take(&mut run.results);
    let env = wanted.env.clone();
    let poster = poster.map(|poster| poster.reading(Tests::begin(wanted)));
    let (mut posting, recorded) = Posting::begin(poster, command_line(&run.command));
    let ended = match start(&run, private.as_ref(), &env) {
        Ok(started) => supervise(started, to, recorded, signals, &mut posting).await,
        Err(error) => {
            let program = run.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
            output::note(format!("rig: cannot run {}: {error}", output::plain(&program)));
            drop(recorded);
            Ended {
                code: not_started(&error),
                outcome: Outcome::Failed,
                error: Some(format!("it could not be started: {error}")),
            }
        }
    };
    let posted = posting.finish(&ended).await;
    if let Some(private) = private {
        let outcome = run.outcome.unwrap_or(ended.outcome);
        let kept = private.finish(&run.file, outcome, posted).await;
        if let Some(events) = kept.filter(|_| !to.is_stderr) {
            output::note(closing(&run.file, events, outcome, to));
        }
    }
    Ok(Answer::Code(ended.code))
}

/// Says where the recording is, and what to do with it.
fn closing(file: &Path, events: u64, outcome: Outcome, to: Destination) -> String {
    let shown = output::plain(&file.to_string_lossy());
    let recorded =
        format!("rig: {} recorded to {shown}: {}", output::count(events, "event"), outcome.as_str());
    let next = if outcome == Outcome::Passed { "replay" } else { "explain" };
    if to.is_kept && !to.is_stdout {
        format!("{recorded}; next: rig {next} {}", quoted(&shown))
    } else {
        recorded
    }
}

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_safe) {
        word.to_owned()
    } else if word.starts_with('-') {
        quoted(&format!("./{word}"))
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A command that has been started.
struct Started {
    child: Child,
    group: Group,
    /// Its terminal, if it was given one.
    #[cfg(unix)]
    tty: Option<Tty>,
}

/// Starts the command where its signals and its terminal reach it as they would without rig.
#[cfg(unix)]
fn start(run: &Run, private: Option<&Private>, env: &[(&'static str, OsString)]) -> io::Result<Started> {
    use rig_process::{launch, terminal};
    let (program, args) = run.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = launch::command(program, args, run.tty)?;
    told(&mut command, private);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let tty = if run.tty {
        Some(Tty::open(&mut command)?)
    } else {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        None
    };
    // From a terminal only its foreground group may read, which is rig's.
    let place = if tty.is_some() {
        Place::Session
    } else if terminal::has_terminal() {
        Place::Shared
    } else {
        Place::Own
    };
    let (child, group) = Group::spawn(&mut command, place)?;
    launch::expect_child()?;
    // The command's end of the terminal goes with it, or there would be no end of output.
    drop(command);
    Ok(Started { child, group, tty })
}

/// Starts the command in a group of its own.
#[cfg(not(unix))]
fn start(run: &Run, private: Option<&Private>, env: &[(&'static str, OsString)]) -> io::Result<Started> {
    let (program, args) = run.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    told(&mut command, private);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let (child, group) = Group::spawn(&mut command, Place::Own)?;
    Ok(Started { child, group })
}

/// Tells the command where its hub is.
fn told(command: &mut Command, private: Option<&Private>) {
    if let Some(private) = private {
        command
            .env("RIG_URL", &private.url)
            .env("RIG_HUB", &private.url)
            .env("RIG_STREAM", private.stream.name.as_str());
    }
}

/// Passes output and signals on until the command and its output are at their end.
async fn supervise(
    started: Started,
    to: Destination,
    recorded: Feed<Piece>,
    mut signals: Signals,
    posting: &mut Posting,
) -> Ended {
    #[cfg(unix)]
    let Started { mut child, group, mut tty } = started;
    #[cfg(not(unix))]
    let Started { mut child, group } = started;
    let flow = Arc::new(Flow::default());
    // Dropped when all ends of output are reached.
    let (open, mut closed) = mpsc::channel::<()>(1);
    // What is the recording is not mixed with anything.
    let stdout: Box<dyn Write + Send> =
        if to.is_stdout { Box::new(io::sink()) } else { Box::new(io::stdout()) };
    let stderr: Box<dyn Write + Send> =
        if to.is_stderr { Box::new(io::sink()) } else { Box::new(io::stderr()) };
    #[cfg(unix)]
    let stdout = match tty.as_mut().map(Tty::begin) {
        Some(Ok(written)) => {
            pass_on(written, stdout, Pipe::Stdout, recorded.clone(), open.clone(), flow.clone());
            None
        }
        Some(Err(error)) => {
            warn(format!("the command's terminal cannot be read: {error}"));
            None
        }
        None => Some(stdout),
    };
    #[cfg(not(unix))]
    let stdout = Some(stdout);
    if let Some((pipe, stdout)) = child.stdout.take().zip(stdout) {
        pass_on(pipe, stdout, Pipe::Stdout, recorded.clone(), open.clone(), flow.clone());
    }
    if let Some(pipe) = child.stderr.take() {
        pass_on(pipe, stderr, Pipe::Stderr, recorded.clone(), open.clone(), flow.clone());
    }
    drop((recorded, open));
    let (changed, mut changes) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        loop {
            let change = rig_process::next_change(&mut child);
            let is_last = matches!(change, Ok(Change::Ended(_)) | Err(_));
            if changed.send(change).is_err() || is_last {
                return;
            }
        }
    });
    let mut interrupted = false;
    let mut job = Job::default();
    let status = loop {
        tokio::select! {
            change = changes.recv() => match change {
                Some(Ok(Change::Ended(status))) => break Ok(status),
                Some(Ok(change)) => job.changed(change),
                Some(Err(error)) => break Err(Some(error)),
                None => break Err(None),
            },
            received = signals.next() => {
                if received.signal.asks_to_end() {
                    interrupted = true;
                    posting.stopping();
                }
                #[cfg(unix)]
                if let Some(tty) = tty.as_ref().filter(|_| received.signal == Signal::Resize) {
                    tty.resize();
                    continue;
                }
                group.pass(received);
                job.told(received.signal);
            }
        }
    };
    let mut ended = match status {
        Ok(status) => Ended::of(status, interrupted),
        Err(error) => Ended {
            code: 1,
            outcome: Outcome::Crashed,
            error: error.map(|error| format!("its end was missed: {error}")),
        },
    };
    // What it wrote last is on its way. What it left running is ended, or it would hold the output open for ever.
    let drained = drained(&mut closed, &flow, Some(&group)).await;
    if group.has_members() {
        let left = Group::clone(&group);
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

/// Stopping and going on, as Ctrl-Z and `fg` have it: rig stops when the command has, so that the shell sees that.
#[derive(Default)]
struct Job {
    is_stopped: bool,
    /// When rig was last asked to stop.
    asked: Option<Instant>,
}

impl Job {
    fn told(&mut self, signal: Signal) {
        match signal {
            Signal::Suspend if self.is_stopped => rig_process::stop_here(),
            Signal::Suspend => self.asked = Some(Instant::now()),
            Signal::Continue => self.asked = None,
            _ => {}
        }
    }

    fn changed(&mut self, change: Change) {
        self.is_stopped = change == Change::Stopped;
        // A command may not stop, and be stopped for another reason later.
        if self.is_stopped && self.asked.take().is_some_and(|asked| asked.elapsed() < STOPPING) {
            rig_process::stop_here();
        }
    }
}

/// The progress of the output.
#[derive(Default)]
struct Flow {
    /// Bytes that were read.
    read: AtomicU64,
    /// Number of outputs with bytes that are not yet passed on.
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
    recorded: Feed<Piece>,
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
            // Before it is passed on, which may take its time: what was read first is recorded first.
            recorded.offer(Piece { from: name, bytes: buffer[..read].to_vec() });
            let passed = to.write_all(&buffer[..read]).and_then(|()| to.flush());
            flow.busy.fetch_sub(1, Ordering::SeqCst);
            if passed.is_err() {
                // Nobody reads any more. The command is to learn of it, as it would without rig.
                break;
            }
        }
        drop((recorded, open));
    });
}

/// The command in one line. The hub hides what looks like a secret in it.
fn command_line(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    output::short(&words.join(" "), 4_096)
}

/// A hub of the command's own, and the file that its stream goes to.
struct Private {
    core: Core,
    stream: Arc<Stream>,
    url: String,
    stop: oneshot::Sender<()>,
    hub: JoinHandle<Result<(), rig_hub::Error>>,
    /// The last event that the file must have, once it is known.
    last: watch::Sender<Option<Seq>>,
    recorder: JoinHandle<Recorded>,
    /// The keys to sign with, if there are any.
    keys: Option<Keyring>,
    /// The lines on their way to the file. Removed with everything in it.
    _lines: tempfile::TempDir,
}

/// A recording at its end, or why it ended before.
struct Recorded {
    recording: Option<Recording>,
    last: Seq,
    trouble: Option<String>,
}

impl Private {
    async fn start(run: &Run, to: Destination) -> Result<Private> {
        let lines = tempfile::Builder::new()
            .prefix("rig-record-")
            .tempdir()
            .context("there is no folder for the events on their way to the file")?;
        let keys = run.keys.as_deref().map(keys::signing).transpose().unwrap_or_else(|error| {
            warn(format!("{}; the recording will be unsigned", output::chain(&error)));
            None
        });
        let redaction_key = run.redaction_key.as_deref().map(keys::redaction).transpose()?;
        let masked = run.mask.as_deref().map(|file| {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        });
        let masked = Zeroizing::new(masked.transpose()?.unwrap_or_default());
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the private hub cannot listen")?;
        let address = listener.local_addr()?;
        let options = rig_hub::Options {
            // A key that is gone with the hub proves nothing to anybody: without one that stays, the recording is unsigned, and
            // says so.
            signing_keys: Some(keys.clone().unwrap_or_default()),
            redaction_key,
            // The file is the copy that counts.
            durability: rig_recorder::Durability::Interval(Duration::from_millis(50)),
            shutdown_deadline: Duration::from_secs(1),
            ..Default::default()
        };
        let opened = private(options, lines.path()).open(Some(address)).await;
        let opened = opened.context("the private hub cannot run")?;
        let core = opened.core().clone();
        let stream = core.streams().get(&StreamName::main()).context("the private hub has no stream")?;
        learn(stream.redactor(), &masked);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let hub = tokio::spawn(opened.serve(listener, shutdown));
        let (last, wanted) = watch::channel(None);
        let recorder =
            tokio::spawn(record(stream.clone(), run.file.clone(), run.session.clone(), to, wanted));
        let url = format!("http://{address}");
        Ok(Private { core, stream, url, stop, hub, last, recorder, keys, _lines: lines })
    }

    /// Waits until everything is in the file, and says what is not. Returns how many events are in it, if it was made at all.
    async fn finish(self, file: &Path, outcome: Outcome, posted: Posted) -> Option<u64> {
        let head = self.stream.head();
        self.last.send_replace(Some(head));
        let mut missing = posted.missing;
        let mut why = posted.why.map(|why| why.to_string());
        let mut events = None;
        match self.recorder.await {
            Ok(Recorded { recording, last, trouble }) => {
                missing += head.saturating_sub(last);
                why = why.or(trouble);
                if let Some(mut recording) = recording {
                    if let Some(keys) = &self.keys
                        && !recording.sign_with(keys, &self.stream, outcome).await
                    {
                        warn(
                            "the recording is unsigned: the last of the keys cannot sign, or the end was not reached",
                        );
                    }
                    events = Some(recording.events());
                    if let Err(error) = recording.finish(outcome) {
                        why.get_or_insert(error.to_string());
                    }
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
        events
    }
}

/// Makes known what is secret: the lines of the mask, and what stands in environment variables whose name says so.
fn learn(redactor: &rig_config::Redactor, masked: &str) {
    for value in masked.lines() {
        // A value that is too short to be told from words stays.
        let _ = redactor.learn(value);
    }
    let learning = redactor.learning();
    for (name, value) in std::env::vars_os() {
        if let (Some(name), Ok(value)) = (name.to_str(), value.into_string()) {
            learning.redact_value(name, &mut serde_json::Value::from(value));
        }
    }
}

/// Opens the file, and copies the stream to it until it has the last event. Whatever goes wrong, the hub is there for the command.
async fn record(
    stream: Arc<Stream>,
    file: PathBuf,
    session: String,
    to: Destination,
    mut wanted: watch::Receiver<Option<Seq>>,
) -> Recorded {
    let opened = if to.is_fifo {
        let (send, opened) = oneshot::channel();
        let of = stream.clone();
        std::thread::spawn(move || send.send(Box::new(Recording::of(&of, &file, session))).is_ok());
        tokio::select! {
            opened = opened => opened.map_or_else(|error| Err(error.into()), |opened| *opened),
            () = nobody_reads(wanted.clone()) => Err(anyhow!("nobody reads from that pipe")),
        }
    } else {
        Recording::of(&stream, &file, session)
    };
    let mut recording = match opened {
        Ok(recording) => recording,
        Err(error) => return Recorded { recording: None, last: 0, trouble: Some(output::chain(&error)) },
    };
    let trouble = copy(&stream, &mut recording, &mut wanted).await.err();
    let last = recording.last_seq();
    Recorded { recording: Some(recording), last, trouble: trouble.map(|error| output::chain(&error)) }
}

/// Waits until the command has ended, and then for a reader to come.
async fn nobody_reads(mut wanted: watch::Receiver<Option<Seq>>) {
    let _ = wanted.wait_for(Option::is_some).await;
    tokio::time::sleep(GRACE).await;
}

async fn copy(
    stream: &Stream,
    recording: &mut Recording,
    wanted: &mut watch::Receiver<Option<Seq>>,
) -> Result<()> {
    let mut head = stream.watch();
    let mut tick = tokio::time::interval(FLUSH);
    while wanted.borrow_and_update().is_none_or(|last| recording.last_seq() < last) {
        let (last, to) = (recording.last_seq(), *head.borrow_and_update());
        tokio::select! {
            biased;
            _ = tick.tick() => recording.flush()?,
            lines = stream.read(last + 1, to, READ_BYTES), if to > last => {
                let lines = lines.map_err(|problem| anyhow!("{}", problem.detail()))?;
                if lines.is_empty() {
                    bail!("the private hub lost event {}", last + 1);
                }
                recording.append(&lines)?;
            }
            changed = head.changed() => changed.context("the private hub ended the stream")?,
            changed = wanted.changed() => changed?,
        }
    }
    Ok(recording.flush()?)
}

fn warn(text: impl std::fmt::Display) {
    output::note(format!("{} {text}", output::styled(output::HEADING, "rig: warning:")));
}
