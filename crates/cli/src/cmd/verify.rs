//! `rig verify`: whether a session file is whole and unchanged.

use anyhow::{Result, bail};
use rig_recorder::session::Ending;
use serde_json::json;

use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Check that a session file is whole: its order, its counts, and its hash chain
///
/// Exit code 1 when it is unfinished, cut, altered or damaged. Signatures are not checked by this version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rig verify session.jsonl.zst")]
pub struct Args {
    /// A session file, or -
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let mut recording = args.source.open(None).await?;
    if recording.header().is_none() {
        bail!("{} has no header, so there is nothing to verify it by; is it a session file?", args.source);
    }
    let mut damage = None;
    loop {
        match recording.step() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                damage = Some(format!("{error:#}"));
                break;
            }
        }
    }
    let (verdict, why) = match (damage, recording.ending()) {
        (Some(why), _) => ("damaged", Some(why)),
        (None, Some(Ending::Finished(_))) => ("whole", None),
        (None, Some(Ending::Altered { why, .. })) => ("altered", Some(why.clone())),
        (None, Some(Ending::Torn { bytes })) => {
            ("truncated", Some(format!("it ends within a line of {bytes} bytes")))
        }
        (None, _) => ("unfinished", Some("it ends without a footer".to_owned())),
    };
    let outcome = match recording.ending() {
        Some(Ending::Finished(footer)) => Some(footer.outcome),
        _ => None,
    };
    let (state, mut out) = (recording.state(), Out::new());
    if args.json {
        let source = args.source.to_string();
        out.json(&json!({
            "source": source, "verdict": verdict, "why": why, "last_seq": state.seq, "hash": state.hash(), "outcome": outcome,
        }))?;
    } else {
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        out.line(format!("{verdict}{}", output::plain(&why)))?;
        out.line(format!("readable up to seq {}, state {}", state.seq, state.hash()))?;
    }
    Ok(if verdict == "whole" { Answer::Fine } else { Answer::Difference })
}
