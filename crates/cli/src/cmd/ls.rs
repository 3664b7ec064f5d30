//! `rig ls`: the events of a recording, one line each.

use anyhow::Result;

use super::tail::Filter;
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// List events in short form
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig ls session.jsonl
  rig ls http://127.0.0.1:7070/main --types 'drift.*' --service api")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    #[command(flatten)]
    filter: Filter,
    /// Print the events as they stand in the log
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let mut recording = args.source.open(None).await?;
    let mut out = Out::new();
    while let Some(event) = recording.next()? {
        if args.filter.takes(&event.envelope) {
            out.line(if args.json {
                String::from_utf8_lossy(&event.line)
            } else {
                output::event(&event.line).into()
            })?;
        }
    }
    recording.notes();
    Ok(Answer::Fine)
}
