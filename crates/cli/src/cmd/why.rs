//! `rig why`: the config changes and failures in the past of an event.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use rig_event::Seq;
use rig_replay::Timeline;
use rig_replay::explain::{Limits, explain};
use rig_replay::why::{Reason, why};

use super::blame::events_until;
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Show what may have led to an event
///
/// It ranks the config changes and failures before the event: what the event names as its cause, then what happened to the same
/// services and to those that they call; what happened after the same last worked, speaks of the same thing, and is near, comes
/// first. Each says what speaks for it. It is a guess, except where a cause is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig why session.jsonl
  rig why session.jsonl 412 --json")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// The event [default: the first failure]
    seq: Option<Seq>,
    /// How many reasons at most
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let indexed = args.source.timeline(args.seq).await?;
    indexed.notes(false)?;
    let timeline = &indexed.timeline;
    let at = match args.seq {
        Some(seq) => events_until(timeline, Some(seq), &indexed.what)?.checked_sub(1),
        None => first_failure(timeline)?,
    };
    let at = at.with_context(|| match args.seq {
        Some(seq) => format!("there is no event {seq} in {}", indexed.what),
        None => format!("nothing failed in {}; name the seq of an event", indexed.what),
    })?;
    let found = why(timeline, at, args.limit)?;
    let mut out = Out::new();
    if args.json {
        out.json(&found)?;
        return Ok(Answer::Fine);
    }
    out.line(super::event_line(timeline, at)?)?;
    if let (Some(worked), Some(since)) = (found.worked, found.failed_since) {
        out.line(format!("        the same worked at {worked}; since {since} it has failed"))?;
    }
    if found.reasons.is_empty() {
        out.line("        nothing that could have led to it was recorded")?;
    }
    for (place, reason) in found.reasons.iter().enumerate() {
        out.line("")?;
        print(&mut out, place + 1, reason)?;
    }
    if found.more > 0 {
        out.line("")?;
        out.line(format!("and {} less likely; --limit shows more", output::count(found.more, "reason")))?;
    }
    if found.cut {
        output::note("the past is longer than what was looked at");
    }
    Ok(Answer::Fine)
}

/// The first failure as `rig explain` has it: probes before everything was up do not count.
fn first_failure(timeline: &Timeline) -> Result<Option<usize>> {
    let first = explain(timeline, Limits { items: 1, lines: 0, bytes: 100 })?.first_failure;
    Ok(first.and_then(|first| timeline.position(first.seq)))
}

fn print(out: &mut Out, place: usize, reason: &Reason) -> Result<()> {
    let mut head =
        format!("{place:>2}. {} at {}", output::styled(output::HEADING, &reason.r#type), reason.seq);
    if let Some(service) = &reason.service {
        let _ = write!(head, ", {}", output::plain(service));
    }
    if let Some(actor) = &reason.actor {
        let _ = write!(head, ", by {}", output::plain(actor));
    }
    if reason.times > 1 {
        let _ = write!(head, ", the last of {}", reason.times);
    }
    out.line(head)?;
    for change in &rig_config::told::grouped(&reason.changes) {
        out.line(format!("      {}", output::indented(&output::change(change), 6)))?;
    }
    if reason.more_changes > 0 {
        out.line(format!("      and {} more", output::count(reason.more_changes, "field")))?;
    }
    for because in &reason.because {
        out.line(format!("    {}", output::styled(output::DIM, format!("- {}", output::plain(because)))))?;
    }
    Ok(())
}
