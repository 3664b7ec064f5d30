//! `rig ls`: the events of a recording, or the recordings of a folder, one line each.

mod recordings;

use anyhow::{Context as _, Result, bail};
use rig_event::{Seq, ServiceName, spelled};
use rig_replay::Timeline;
use rig_replay::timeline::Filter;
use rig_replay::traffic::{Protocol, Row};

use super::{event_line, traffic};
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;
use crate::table::Rows;

/// List the events of a recording, or recordings
///
/// Of one recording it lists the events. Of a folder, a pattern or several files it lists the recordings, the newest first: when,
/// outcome, test or environment, duration, services, file, and what failed first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 listed; 2 a recording could not be read.

Examples:
  rig ls session.jsonl
  rig ls session.jsonl --failures
  rig ls session.jsonl --edge 'web->api' --status 5xx
  rig ls session.jsonl --detail 42
  rig ls http://127.0.0.1:7070/main --types 'drift.*' --service api
  rig ls runs --failed
  rig ls 'runs/**/*.jsonl.zst' -n 20")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream; or a folder of session files, a pattern, or several
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Source>,
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
    /// Of recordings: only those in which something failed
    #[arg(long)]
    failed: bool,
    /// Of recordings: only so many
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// Print the events as they stand in the log, or an object for each recording
    #[arg(long)]
    json: bool,
    /// Fail if a recording cannot be read to its end
    #[arg(long)]
    strict: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    if let Some(files) = recordings::meant(&args.sources)? {
        return list_recordings(&args, &files);
    }
    if args.failed || args.limit.is_some() {
        bail!("--failed and --limit are about recordings: name a folder, a pattern or several files");
    }
    let source = args.sources.first().context("name a recording")?;
    let indexed = source.timeline(None).await?;
    match args.detail {
        Some(seq) => detail(&indexed.timeline, seq, args.json)?,
        None => list(&indexed.timeline, &args)?,
    }
    indexed.notes(args.strict)?;
    Ok(Answer::Fine)
}

fn list_recordings(args: &Args, files: &[std::path::PathBuf]) -> Result<Answer> {
    if args.types.is_some()
        || args.service.is_some()
        || args.failures
        || args.text.is_some()
        || args.detail.is_some()
    {
        bail!("--types, --service, --failures, --text and --detail are about events: name one recording");
    }
    let mut overviews = recordings::read(files);
    let unreadable = overviews.iter().filter(|it| it.is_unreadable()).count() as u64;
    let in_part = overviews.iter().filter(|it| it.is_in_doubt()).count() as u64;
    overviews.retain(|it| it.failed || !args.failed);
    overviews.truncate(args.limit.unwrap_or(usize::MAX));
    if args.json {
        let mut rows = Rows::default();
        for it in &overviews {
            rows.recorded(&serde_json::to_vec(it)?)?;
        }
        rows.flush()?;
    } else {
        recordings::print(&overviews)?;
    }
    if unreadable > 0 {
        bail!("{} could not be read", output::count(unreadable, "recording"));
    }
    if args.strict && in_part > 0 {
        bail!("{} could not be read to the end", output::count(in_part, "recording"));
    }
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
