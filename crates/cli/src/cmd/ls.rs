//! `rig ls`: the events of a recording, one line each.

use anyhow::{Context as _, Result, bail};
use rig_event::{Seq, ServiceName, spelled};
use rig_replay::Timeline;
use rig_replay::timeline::Filter;
use rig_replay::traffic::{Protocol, Row};

use super::{ReadArgs, event_line, traffic};
use crate::Answer;
use crate::output::{self, Out};
use crate::table::Rows;

/// List events in short form
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig ls session.jsonl
  rig ls session.jsonl --failures
  rig ls session.jsonl --edge 'web->api' --status 5xx
  rig ls session.jsonl --detail 42
  rig ls http://127.0.0.1:7070/main --types 'drift.*' --service api")]
pub struct Args {
    /// Only these types, separated by commas; a * stands for the rest of a name
    #[arg(long, value_name = "TYPES", value_parser = super::tail::types)]
    types: Option<String>,
    /// Only events about this service, and its traffic
    #[arg(long)]
    service: Option<ServiceName>,
    /// Only failures: *.failed, a status of 500 or more, gRPC not OK, failed assertions
    #[arg(long)]
    failures: bool,
    #[command(flatten)]
    traffic: traffic::Filter,
    /// Only with this text, as it is written on the line
    #[arg(long)]
    text: Option<String>,
    /// Show everything about this one
    #[arg(long, value_name = "SEQ")]
    detail: Option<Seq>,
    /// Print the events as they stand in the log
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    args.read
        .read(|timeline| match args.detail {
            Some(seq) => detail(timeline, seq, args.json),
            None => list(timeline, &args),
        })
        .await?;
    Ok(Answer::Fine)
}

fn list(timeline: &Timeline, args: &Args) -> Result<()> {
    let service = args.service.as_ref().map(ToString::to_string);
    let filter = Filter { types: args.types.clone(), service, failures: args.failures, text: None };
    let exchanges = args.traffic.wanted();
    let text = args.text.as_deref().unwrap_or_default();
    let mut matcher = filter.matcher(timeline);
    let mut wanted = Vec::new();
    for at in 0..timeline.len() {
        if matcher.takes(at)? && exchanges.as_ref().is_none_or(|it| it.may_take(&timeline.entry(at))) {
            wanted.push(at);
        }
    }
    let coloured = output::is_coloured(&std::io::stdout());
    let mut rows = Rows::default();
    timeline.visit(wanted, |_, line| {
        // The index decides what it can; what only the line tells is looked for as the lines come.
        let is_wanted = (text.is_empty() || contains(line, text))
            && exchanges.as_ref().is_none_or(|it| Row::read(line).is_some_and(|row| it.takes(&row, line)));
        if !is_wanted {
            return Ok::<_, anyhow::Error>(());
        }
        if args.json {
            return Ok(rows.recorded(line)?);
        }
        let shown = output::event_of(line, timeline.parse(line).ok());
        if coloured {
            rows.text(&shown);
        } else {
            rows.text(&anstream::adapter::strip_str(&shown).to_string());
        }
        Ok(rows.end()?)
    })?;
    Ok(rows.flush()?)
}

/// Everything about one event: an exchange with its headers and bodies decoded, any other with all its fields.
fn detail(timeline: &Timeline, seq: Seq, json: bool) -> Result<()> {
    let Some(at) = timeline.position(seq) else { bail!("there is no event {seq} in it") };
    let line = timeline.line(at)?;
    if json {
        let mut rows = Rows::default();
        rows.recorded(&line)?;
        return Ok(rows.flush()?);
    }
    if Protocol::of(timeline.entry(at).type_name).is_some() {
        return traffic::detail(timeline, seq, false);
    }
    let mut out = Out::new();
    out.line(event_line(timeline, at)?)?;
    out.json(&spelled::from_str(std::str::from_utf8(&line)?).context("the event cannot be shown")?)
}

fn contains(line: &[u8], text: &str) -> bool {
    memchr::memmem::find(line, text.as_bytes()).is_some()
}
