//! `rig ls`: the events of a recording, one line each.

use anyhow::Result;
use rig_event::ServiceName;
use rig_replay::timeline::Filter;

use crate::Answer;
use crate::output;
use crate::source::Source;
use crate::table::Rows;

/// List events in short form
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig ls session.jsonl
  rig ls session.jsonl --failures
  rig ls http://127.0.0.1:7070/main --types 'drift.*' --service api")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Only these types, separated by commas; a * stands for the rest of a name
    #[arg(long, value_name = "TYPES", value_parser = super::tail::types)]
    types: Option<String>,
    /// Only events about this service, and its traffic
    #[arg(long)]
    service: Option<ServiceName>,
    /// Only failures: *.failed, a status of 500 or more, gRPC not OK, failed assertions
    #[arg(long)]
    failures: bool,
    /// Only with this text, as it is written on the line
    #[arg(long)]
    text: Option<String>,
    /// Print the events as they stand in the log
    #[arg(long)]
    json: bool,
    /// Take a recording that cannot be read to its end for an error
    #[arg(long)]
    strict: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let indexed = args.source.timeline(None).await?;
    let timeline = &indexed.timeline;
    let service = args.service.map(|name| name.to_string());
    let filter = Filter { types: args.types, service, failures: args.failures, text: None };
    let text = args.text.unwrap_or_default();
    let mut matcher = filter.matcher(timeline);
    let mut wanted = Vec::new();
    for at in 0..timeline.len() {
        if matcher.takes(at)? {
            wanted.push(at);
        }
    }
    let coloured = output::is_coloured(&std::io::stdout());
    let mut rows = Rows::default();
    timeline.visit(wanted, |_, line| {
        // The index decides what it can; what only the line tells is looked for as the lines come.
        if !text.is_empty() && !contains(line, &text) {
            return Ok::<_, anyhow::Error>(());
        }
        if args.json {
            rows.bytes(line);
        } else {
            let shown = output::event_of(line, timeline.parse(line).ok());
            if coloured {
                rows.text(&shown);
            } else {
                rows.text(&anstream::adapter::strip_str(&shown).to_string());
            }
        }
        Ok(rows.end()?)
    })?;
    rows.flush()?;
    indexed.notes(args.strict)?;
    Ok(Answer::Fine)
}

fn contains(line: &[u8], text: &str) -> bool {
    memchr::memmem::find(line, text.as_bytes()).is_some()
}
