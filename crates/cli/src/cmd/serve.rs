//! `rig serve`: plays a recording back as a hub's stream.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig_event::{Epoch, Seq, StreamName};
use rig_hub::{Hub, Playback};
use rig_recorder::Chain;
use rig_replay::Timeline;
use rig_replay::timeline::{Dialect, Pace};
use tokio::sync::watch;

use super::Interrupts;
use crate::Answer;
use crate::hub::{self, listen};
use crate::output::{self, Out};
use crate::source::Source;
use crate::telemetry::{self, LogFormat};

/// Play a recording back as a hub's stream
///
/// Every subscriber can be tried against an incident: lines, seqs, times and the epoch are those of the recording, and everything that
/// can be read from a hub can be read here, as far as it has happened. What would change something is refused with 403. The
/// first line on standard output is the address, once it is ready; it goes on until Ctrl-C or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig serve incident.jsonl.zst --speed max
  rig serve incident.jsonl --listen 127.0.0.1:0 --speed 10x --idle 2s --from 400")]
pub struct Args {
    /// A session file, -, or a log
    session: Source,
    /// The speed: 1x, 10x, 0.5x; max: everything is there at once
    #[arg(long, value_name = "SPEED", default_value = "1x", value_parser = speed)]
    speed: Speed,
    /// Everything before this event has happened already
    #[arg(long, value_name = "SEQ")]
    from: Option<Seq>,
    /// Wait for Enter before the first of them
    #[arg(long)]
    paused: bool,
    /// The longest pause between two events (ms, s, m)
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    idle: Option<Duration>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "RIG_LISTEN", default_value = "127.0.0.1:7070")]
    listen: String,
}

/// Most events that a log of rigd may lack: subscribers are told of each.
const MOST_MISSING: u64 = 10_000;

/// A speed; `None`: as fast as can be.
type Speed = Option<f64>;

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(None);
    }
    let speed = text.strip_suffix('x').and_then(|times| times.parse::<f64>().ok());
    match speed {
        Some(speed) if speed.is_finite() && (0.001..=1_000_000.0).contains(&speed) => Ok(Some(speed)),
        _ => Err("write 10x, 0.5x or max".to_owned()),
    }
}

/// Shows a recording in the browser, until Ctrl-C: all of it has happened. The first line on standard output is the address of the page.
pub(super) async fn show(session: Source, at: Option<Seq>, listen: String) -> Result<Answer> {
    let args = Args { session, speed: None, from: None, paused: false, idle: None, listen };
    serve(args, Some(at)).await
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    serve(args, None).await
}

/// Serves a recording. With `page`, it is for the page, which opens at that event.
async fn serve(args: Args, page: Option<Option<Seq>>) -> Result<Answer> {
    let _telling = telemetry::begin(LogFormat::Text)?;
    let indexed = args.session.timeline(None).await?;
    indexed.notes(false)?;
    let timeline = Arc::new(indexed.timeline);
    let (stream, epoch, chain) = named(&timeline, &indexed.what)?;
    // Of an empty recording, the place before its first event.
    let (first, last) = (timeline.seq(0).max(1), timeline.seq(timeline.len()) - 1);
    if let Some(from) = args.from.filter(|from| !(first..=last + 1).contains(from)) {
        bail!("{} has the events {first} to {last}; there is no {from} in it", indexed.what);
    }
    if args.paused && matches!(args.session, Source::Stdin) {
        bail!("--paused waits for Enter, but standard input is the recording: name a file");
    }
    let begin = match args.speed {
        None if !args.paused => last,
        _ => args.from.unwrap_or(first) - 1,
    };
    let (head, heads) = watch::channel(begin);
    let playback = Playback { stream: stream.clone(), epoch, timeline: timeline.clone(), chain, head: heads };
    let listener = listen(&args.listen, false).await?;
    let address = listener.local_addr()?;
    let mut interrupts = Interrupts::listen()?;
    let hub = Hub::of_recordings(Default::default(), vec![playback]);
    let hub = hub.mount(rig_query::component()).mount(hub::page());
    let hub = hub.open(Some(address)).await?;
    let address = hub.url(address);
    let serving = hub.serve(listener, async move { interrupts.wait().await });
    tokio::pin!(serving);
    let events = output::count(timeline.len() as u64, "event");
    match page {
        Some(at) => {
            let at = at.map_or_else(String::new, |seq| format!("?seq={seq}"));
            let shown = format!("{address}/s/{stream}{at}");
            Out::new().line(&shown)?;
            output::note(format!("{} with {events} is shown there until Ctrl-C", indexed.what));
            super::dash::open(&shown);
        }
        None => {
            Out::new().line(&address)?;
            output::note(format!("{} plays as {address}/{stream}, {events}", indexed.what));
            output::note(format!("its page is {address}/s/{stream}"));
        }
    }
    let pace = args.speed.map(|speed| Pace { speed, longest: args.idle });
    let play = async {
        if args.paused {
            output::note("paused; Enter plays");
            enter().await;
        }
        match pace {
            Some(pace) => advance(&timeline, pace, &head).await,
            None => {
                head.send_replace(last);
            }
        }
        if page.is_none() {
            output::note("everything was played; it stays to be read until Ctrl-C");
        }
        // The sender stays: without it subscribers would be told that the stream ended.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = &mut serving => ended?,
        () = play => {}
    }
    drop(head);
    Ok(Answer::Fine)
}

/// Waits until a line comes on standard input; for ever where none can come any more.
async fn enter() {
    let (pressed, is_pressed) = tokio::sync::oneshot::channel();
    // The read cannot be given up: a thread of the runtime would keep the program from ending.
    std::thread::spawn(move || {
        if let Ok(1..) = std::io::stdin().read_line(&mut String::new()) {
            let _ = pressed.send(());
        }
    });
    if is_pressed.await.is_err() {
        output::note("standard input is closed: it stays paused");
        std::future::pending::<()>().await;
    }
}

/// Moves the head on as time goes by, faster or slower.
async fn advance(timeline: &Timeline, pace: Pace, head: &watch::Sender<Seq>) {
    let begin = *head.borrow() + 1;
    let mut at = (begin..timeline.seq(timeline.len()))
        .find_map(|seq| timeline.position(seq))
        .unwrap_or(timeline.len());
    let mut due = tokio::time::Instant::now();
    while at < timeline.len() {
        if at > 0 {
            due += pace.pause(timeline.entry(at - 1).ts, timeline.entry(at).ts);
        }
        tokio::time::sleep_until(due).await;
        // Whatever is due by now goes out together.
        let now = tokio::time::Instant::now();
        while at + 1 < timeline.len() {
            let pause = pace.pause(timeline.entry(at).ts, timeline.entry(at + 1).ts);
            if due + pause > now {
                break;
            }
            due += pause;
            at += 1;
        }
        head.send_replace(timeline.seq(at));
        at += 1;
    }
}

/// Returns the stream's name, its epoch, and the chain before its first event.
fn named(timeline: &Timeline, what: &str) -> Result<(StreamName, Epoch, Chain)> {
    let Some(header) = timeline.header() else {
        // A log says neither; its lines are the same all the same.
        let (first, len) = (timeline.seq(0), timeline.len() as u64);
        let missing = timeline.seq(timeline.len()) - first - len;
        let is_rigd = timeline.dialect() == Some(Dialect::Rigd);
        if missing > if is_rigd { MOST_MISSING } else { 0 } {
            bail!(
                "{what} has gaps ({}): as a stream it would promise what it does not have",
                output::count(missing, "event")
            );
        }
        if first > 1 && !is_rigd {
            bail!(
                "{what} begins with seq {first} and has not the state before it: as a stream it would tell wrong states. A session file \
                 (`rig record --from`) carries it"
            );
        }
        let stream: StreamName = timeline.stream().parse().unwrap_or_else(|_| StreamName::main());
        let epoch: Epoch = "replayed".parse()?;
        let chain = Chain::genesis(&stream, &epoch);
        return Ok((stream, epoch, chain));
    };
    let chain =
        header.chain.parse().ok().with_context(|| format!("{what}: the header's chain is no hash"))?;
    Ok((header.stream.clone(), header.epoch.clone(), chain))
}
