//! `rig replay`: the player, and without a terminal the state that a recording leads to, event by event.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig_event::{Seq, Timestamp};
use rig_tui::{Options, Player};

use super::{Interrupts, dash, serve, state};
use crate::Answer;
use crate::output::{self, Out};
use crate::player;
use crate::source::{Moment, NoRecording, Source};

/// Step through a recording or a live stream in the player, or print the state at any seq
///
/// In a terminal it opens the player: ? shows its keys, q quits. Without one, and with --to or --json, it prints the state. The
/// events are folded here, also those of a hub's stream: the hash is this program's own and can be held against the hub's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig replay session.jsonl
  rig replay session.jsonl --at 42
  rig replay session.jsonl --to 42
  rig replay session.jsonl.zst --speed 10x
  rig replay session.jsonl --web
  rig replay http://127.0.0.1:7070/main --json")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Print the state after this event
    #[arg(long, value_name = "SEQ")]
    to: Option<Seq>,
    /// Begin after this event; without a terminal the same as --to
    #[arg(long, value_name = "SEQ", conflicts_with = "to")]
    at: Option<Seq>,
    /// Play, with the pauses between the events this many times as short (10x, 0.5x); without a terminal, print the events
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    speed: Option<f64>,
    /// Print the state as JSON
    #[arg(long, conflicts_with = "speed")]
    json: bool,
    /// A recording that is damaged, cut or readable only in part is an error
    #[arg(long)]
    strict: bool,
    /// Show it in the browser instead, until Ctrl-C; prints the address
    #[arg(long, conflicts_with_all = ["to", "speed", "json", "strict"])]
    web: bool,
    /// With --web: where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", requires = "web")]
    listen: String,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    if args.web {
        return web(args).await;
    }
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if std::io::stdout().is_terminal() && args.to.is_none() && !args.json && !is_dumb {
        return play(args).await;
    }
    let args = Args { to: args.to.or(args.at), ..args };
    if args.strict {
        if args.speed.is_some() {
            bail!("--strict reads the whole recording first, --speed as it comes: take one of them");
        }
        let indexed = args.source.timeline(None).await?;
        indexed.notes(true)?;
        let timeline = &indexed.timeline;
        let state = args.to.map_or_else(|| Ok(timeline.tip().clone()), |seq| timeline.state_at(seq))?;
        let (passed_over, _) = timeline.passed_over();
        let at = Moment { stream: timeline.stream().to_owned(), state, passed_over };
        state::print(&at, None, args.json)?;
        return Ok(Answer::Fine);
    }
    let mut recording = args.source.open(args.to).await?;
    let Some(speed) = args.speed else {
        let at = recording.fold(args.to)?;
        state::print(&at, None, args.json)?;
        return Ok(Answer::Fine);
    };
    let mut interrupts = Interrupts::listen()?;
    let mut before: Option<Timestamp> = None;
    while args.to.is_none_or(|to| recording.state().seq < to) {
        let Some(event) = recording.step()? else { break };
        let pause =
            before.map_or(0, |before| event.envelope.ts.as_micros().saturating_sub(before.as_micros()));
        before = Some(event.envelope.ts);
        let pause = Duration::from_micros(u64::try_from(pause).unwrap_or(0)).div_f64(speed);
        tokio::select! {
            () = interrupts.wait() => return Ok(Answer::Fine),
            () = tokio::time::sleep(pause) => {}
        }
        // Not held over the pause: another thread may wake.
        Out::new().line(output::event(&event.line))?;
    }
    let at = recording.fold(args.to)?;
    Out::new().line("")?;
    state::print(&at, None, false)?;
    Ok(Answer::Fine)
}

/// Shows the source in the browser: a hub's stream by the hub, everything else by a hub of this program.
async fn web(args: Args) -> Result<Answer> {
    let Source::Stream(client) = &args.source else {
        return serve::show(args.source, args.at, args.listen).await;
    };
    let at = args.at.map_or_else(String::new, |seq| format!("?seq={seq}"));
    let address = format!("{}{at}", client.page());
    Out::new().line(&address)?;
    dash::open(&address);
    Ok(Answer::Fine)
}

async fn play(args: Args) -> Result<Answer> {
    let feed = player::open(&args.source)?;
    let options = Options {
        source: args.source.to_string(),
        total: feed.total,
        live: feed.live,
        follow: feed.follow,
        at: args.at,
        speed: args.speed,
        colour: output::is_coloured(&std::io::stdout()),
    };
    let mut player = Player::new(feed.timeline, options)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    let mut interrupts = Interrupts::listen()?;
    let (news, what) = (feed.news, args.source.to_string());
    // It waits for keys, and so has a thread of its own.
    let mut playing = tokio::task::spawn_blocking(move || {
        let result = rig_tui::run(&mut player, &news, &stopping);
        (result, player.trouble())
    });
    let (result, trouble) = tokio::select! {
        ended = &mut playing => ended,
        () = interrupts.wait() => {
            stop.store(true, Ordering::Relaxed);
            playing.await
        }
    }
    .context("the player broke off")?;
    match result {
        Ok(()) => {}
        Err(rig_tui::Error::NoRecording) => {
            return Err(anyhow::Error::from(NoRecording::new(None)).context(what));
        }
        Err(error) => return Err(error.into()),
    }
    match trouble {
        Some(trouble) if args.strict => bail!("{what}: {trouble}"),
        _ => Ok(Answer::Fine),
    }
}

fn factor(text: &str) -> Result<f64> {
    match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= 0.001 => Ok(factor),
        _ => bail!("write a factor such as 10x or 0.5x"),
    }
}
