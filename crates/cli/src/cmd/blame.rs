//! `rig blame`: who set a field, when, and from what.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use rig_config::Pattern;
use rig_event::{Change, Seq, ServiceName, Severity};
use rig_replay::Timeline;
use rig_replay::blame::{Blame, Field, Set, blame};
use serde_json::json;

use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Show who set a field, when, and from what
///
/// It tells the event since which the field is what it is, who captured the document, what was said with it, and the value before.
/// A field that was removed is known too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig blame session.jsonl api database.host
  rig blame http://127.0.0.1:7070/main api 'database.**' --all --json")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Whose config
    service: ServiceName,
    /// The field, or a pattern: * for one step, ** for any number
    path: String,
    /// As it was after this event [default: now, or the end of the file]
    #[arg(long, value_name = "SEQ")]
    at: Option<Seq>,
    /// Every change, not only the last
    #[arg(long)]
    all: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let pattern: Pattern = args.path.parse()?;
    let indexed = args.source.timeline(args.at).await?;
    indexed.notes(false)?;
    let timeline = &indexed.timeline;
    let n = events_until(timeline, args.at, &indexed.what)?;
    let service = args.service.as_str();
    let found = blame(timeline, service, &pattern, n, args.all)?;
    if found.fields.is_empty() {
        bail!("{}", nothing(timeline, n, &args)?);
    }
    if args.json {
        let mut value =
            json!({ "stream": timeline.stream(), "service": service, "seq": last_seq(timeline, n) });
        value["fields"] = rig_event::spelled::to_value(&found.fields)?;
        value["left_out"] = found.left_out.into();
        Out::new().json(&value)?;
    } else {
        print(&found, args.all)?;
    }
    Ok(Answer::Fine)
}

/// How many events there are up to a seq.
pub(super) fn events_until(timeline: &Timeline, at: Option<Seq>, what: &str) -> Result<usize> {
    let Some(at) = at else { return Ok(timeline.len()) };
    let first = timeline.seq(0);
    match timeline.position(at) {
        Some(position) => Ok(position + 1),
        None if at + 1 == first => Ok(0),
        None => match timeline.len().checked_sub(1) {
            Some(last) => {
                bail!("{what} has the events {first} to {}; there is no {at} in it", timeline.seq(last))
            }
            None => bail!("{what} has no events"),
        },
    }
}

/// The seq of the last of the first `n` events.
pub(super) fn last_seq(timeline: &Timeline, n: usize) -> Seq {
    n.checked_sub(1).map_or_else(|| timeline.seq(0).saturating_sub(1), |last| timeline.seq(last))
}

/// Why there is nothing to tell, with what there is instead.
fn nothing(timeline: &Timeline, n: usize, args: &Args) -> Result<String> {
    let state = timeline.state(n)?;
    let name = output::plain(args.service.as_str());
    let Some(service) = state.service(args.service.as_str()) else {
        let known: Vec<String> = state.services.keys().map(|known| output::plain(known.as_str())).collect();
        let known = if known.is_empty() { "none".to_owned() } else { output::short(&known.join(", "), 400) };
        return Ok(format!("there is no service {name} in it; there is: {known}"));
    };
    let last = args.path.rsplit('.').next().unwrap_or_default().to_lowercase();
    let like: Vec<String> = service
        .config
        .keys()
        .filter(|path| path.to_lowercase().contains(&last))
        .take(5)
        .map(|path| output::plain(path))
        .collect();
    let hint = if like.is_empty() { String::new() } else { format!("; perhaps {}", like.join(", ")) };
    Ok(format!("{name} has no field {} and never had one{hint}", output::plain(&args.path)))
}

fn print(found: &Blame, all: bool) -> Result<()> {
    let mut out = Out::new();
    for field in &found.fields {
        let now = field.value.as_ref().map_or_else(|| "not there any more".to_owned(), output::value);
        let path = output::styled(output::HEADING, output::plain(&field.path));
        out.line(format!("{path} = {now}"))?;
        for set in &field.changes {
            let (line, below) = line(field, set);
            out.line(format!("  {line}"))?;
            below.iter().try_for_each(|line| out.line(format!("{:12}{line}", "")))?;
        }
        if field.changes.is_empty() {
            out.line("  as it was when the recording began")?;
        } else if field.older > 0 && all {
            out.line(format!("  and {} before", output::count(field.older, "change")))?;
        } else if field.older > 0 {
            out.line(format!("  {} before; --all shows them", output::count(field.older, "change")))?;
        }
    }
    if found.left_out > 0 {
        out.line(format!("and {} more", output::count(found.left_out, "field")))?;
    }
    Ok(())
}

/// One change: where, when, what, by whom, from what; and the lines of a long value.
fn line(field: &Field, set: &Set) -> (String, Vec<String>) {
    let change = Change {
        op: set.op,
        path: field.path.clone(),
        before: set.before.clone(),
        after: set.after.clone(),
        severity: set.severity.unwrap_or(Severity::Medium),
    };
    let time = set.ts.to_string();
    let (values, below) = output::values(&change);
    let time = output::styled(output::DIM, time.get(..23).unwrap_or(&time));
    let mut text = format!("{:>6}  {time}  {values}", set.seq);
    if let Some(actor) = &set.actor {
        let _ = write!(text, "  by {}", output::plain(actor));
    }
    for (key, value) in &set.meta {
        let _ = write!(text, ", {}={}", output::plain(key), output::short(&output::plain(value), 40));
    }
    if let Some(origin) = &set.origin {
        let origin = origin.as_str().map_or_else(|| origin.to_string(), str::to_owned);
        let _ = write!(text, ", from {}", output::short(&output::plain(&origin), 120));
    }
    let _ = write!(text, "  (snapshot {}, {})", set.snapshot, output::digest(&set.digest));
    if let Some(cause) = set.cause {
        let _ = write!(text, ", caused by {cause}");
    }
    (text, below)
}
