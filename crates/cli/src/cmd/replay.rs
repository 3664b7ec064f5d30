//! `rig replay`: folds a recording, event by event, to the state at its end or at a seq.

use std::time::Duration;

use anyhow::{Result, bail};
use rig_event::{Seq, Timestamp};

use super::{Interrupts, state};
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Replay a recording to the state at its end, or at any seq
///
/// The events are folded here, also those of a hub's stream: the hash is this program's own and can be held against the hub's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig replay session.jsonl --to 42
  rig replay session.jsonl.zst --speed 10x
  rig replay http://127.0.0.1:7070/main --json")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Stop after this event
    #[arg(long, value_name = "SEQ")]
    to: Option<Seq>,
    /// Print the events too, with the pauses between them this many times as short (10x, 0.5x)
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    speed: Option<f64>,
    /// Print the state as JSON
    #[arg(long, conflicts_with = "speed")]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
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

fn factor(text: &str) -> Result<f64> {
    match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= 0.001 => Ok(factor),
        _ => bail!("write a factor such as 10x or 0.5x"),
    }
}
