//! `rig logs`: what services wrote.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use rig_event::Seq;
use rig_replay::Timeline;
use rig_replay::logs::{Output, Wanted};

use super::ReadArgs;
use crate::Answer;
use crate::output;
use crate::table::{self, Rows};

/// Show what services wrote to stdout and stderr
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig logs session.jsonl --service api --stderr
  rig logs session.jsonl --text 'connection refused' --last 50
  rig logs session.jsonl --detail 42")]
pub struct Args {
    /// Only of this service; may be given more than once
    #[arg(long)]
    service: Vec<String>,
    /// Only stderr
    #[arg(long, conflicts_with = "stdout")]
    stderr: bool,
    /// Only what is not stderr
    #[arg(long)]
    stdout: bool,
    /// Only with this text in it
    #[arg(long, alias = "grep")]
    text: Option<String>,
    /// Upper and lower case are the same
    #[arg(short, long, requires = "text")]
    ignore_case: bool,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Only this event, whatever else is wanted
    #[arg(long, value_name = "SEQ")]
    detail: Option<Seq>,
    /// Print an object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let stderr = if args.stderr { Some(true) } else { args.stdout.then_some(false) };
    let wanted = Wanted { services: args.service, stderr, text: args.text, ignore_case: args.ignore_case };
    args.read
        .read(|timeline| match args.detail {
            Some(seq) => detail(timeline, seq, args.json),
            None => list(timeline, &wanted, args.last, args.json),
        })
        .await?;
    Ok(Answer::Fine)
}

fn detail(timeline: &Timeline, seq: Seq, json: bool) -> Result<()> {
    let Some(at) = timeline.position(seq) else { bail!("there is no event {seq} in it") };
    let entry = timeline.entry(at);
    if !Wanted::default().may_take(&entry) {
        bail!(
            "event {seq} is no output but {}; `rig ls --detail {seq}` shows it",
            output::plain(entry.type_name)
        );
    }
    print(timeline, &Wanted::default(), std::iter::once(at), json)
}

fn list(timeline: &Timeline, wanted: &Wanted, last: Option<usize>, json: bool) -> Result<()> {
    let may = || (0..timeline.len()).filter(|at| wanted.may_take(&timeline.entry(*at)));
    let Some(last) = last else { return print(timeline, wanted, may(), json) };
    // The last of those that are wanted, which only the lines tell when a text is asked for.
    let mut kept = VecDeque::new();
    timeline.visit(may(), |at, line| {
        if Output::read(line).is_some_and(|output| wanted.takes(&output)) {
            kept.push_back(at);
            if kept.len() > last {
                kept.pop_front();
            }
        }
        Ok::<_, rig_replay::Error>(())
    })?;
    print(timeline, wanted, kept.into_iter(), json)
}

fn print(
    timeline: &Timeline,
    wanted: &Wanted,
    positions: impl Iterator<Item = usize>,
    json: bool,
) -> Result<()> {
    const NAME: usize = 40;
    let mut rows = Rows::default();
    let services = timeline
        .services()
        .filter(|name| wanted.services.is_empty() || wanted.services.iter().any(|s| s == name));
    let width = services.map(|name| table::width(name, NAME)).max().unwrap_or(1);
    let seq = timeline.seq(timeline.len().saturating_sub(1)).to_string().len();
    timeline.visit(positions, |_, line| {
        let Some(output) = Output::read(line).filter(|output| wanted.takes(output)) else {
            return Ok::<_, anyhow::Error>(());
        };
        if json {
            rows.writer().extend_from_slice(output::plain_json(serde_json::to_string(&output)?).as_bytes());
            return Ok(rows.end()?);
        }
        // Every line of a piece has the service before it, as if it had come alone.
        let text = output.data.strip_suffix('\n').unwrap_or(&output.data);
        for line in text.split('\n') {
            rows.number(output.seq, seq);
            rows.text("  ");
            rows.time(output.ts);
            rows.text("  ");
            rows.cell(&output.service, width);
            rows.text(if output.stream == "stderr" { " ! " } else { "   " });
            rows.foreign(line.strip_suffix('\r').unwrap_or(line));
            rows.end()?;
        }
        Ok(())
    })?;
    Ok(rows.flush()?)
}
