//! `rig compare`: the first thing that a bad run did and a good one did not.

use anyhow::Result;
use rig_replay::compare::{Compared, Difference, Seen, Side, compare};

use super::blame::values;
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Compare a run that went well with one that did not
///
/// Events are aligned by what they are: ids, ports, times and counts of one run are left out, and the order of what ran at the same
/// time does not matter. It tells the first failure that only BAD has (or else the first other difference), what GOOD has in its
/// place, and how the configs differ there. Order, repetitions and chatter are counted, not blamed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the same; 1 they differ; 2 the same as far as they could be read.

Examples:
  rig compare monday.jsonl.zst today.jsonl.zst
  rig compare good.jsonl http://127.0.0.1:7070/main --json")]
pub struct Args {
    /// The recording of the run that went well
    good: Source,
    /// The recording of the one that did not
    bad: Source,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let (good, bad) = (args.good.timeline(None).await?, args.bad.timeline(None).await?);
    let found = compare(&good.timeline, &bad.timeline)?;
    let mut out = Out::new();
    if args.json {
        let mut value = rig_event::spelled::to_value(&found)?;
        value["good"] = good.what.as_str().into();
        value["bad"] = bad.what.as_str().into();
        out.json(&value)?;
    } else {
        print(&mut out, &found)?;
    }
    let differs = found.divergence.is_some() || !found.config.is_empty();
    good.judged(differs)?;
    bad.judged(differs)
}

fn print(out: &mut Out, found: &Compared) -> Result<()> {
    match &found.divergence {
        None => out.line("what happened is the same in both")?,
        Some(divergence) => {
            let what = match (divergence.difference.only_in, divergence.difference.failure) {
                (Side::Bad, true) => "first failure that only BAD has",
                (Side::Bad, false) => "first thing that only BAD has",
                (Side::Good, _) => "first thing that BAD lacks",
            };
            out.line(output::styled(
                output::HEADING,
                format!("{what}, in {}", output::plain(&divergence.difference.lane)),
            ))?;
            for before in &divergence.context {
                out.line(format!("    {}", output::styled(output::DIM, seen(before))))?;
            }
            out.line(format!("  > {}", seen(&divergence.difference.event)))?;
            if let Some(instead) = &divergence.instead {
                let other = if divergence.difference.only_in == Side::Bad { "GOOD" } else { "BAD" };
                out.line(format!("    {other} has in its place: {}", seen(instead)))?;
            }
        }
    }
    if !found.config.is_empty() {
        out.line("")?;
        let place = if found.divergence.is_some() { "there" } else { "at the end" };
        out.line(output::styled(
            output::HEADING,
            format!("how the configs differ {place}, from GOOD to BAD"),
        ))?;
        for change in &found.config {
            let field = format!("{} {}", output::plain(&change.service), output::plain(&change.change.path));
            out.line(format!("  {field}: {}", values(&change.change)))?;
        }
        if found.more_config > 0 {
            out.line(format!("  and {} more", output::count(found.more_config, "field")))?;
        }
    } else if found.divergence.is_some() {
        out.line("the configs do not differ there")?;
    }
    if !found.others.is_empty() {
        out.line("")?;
        out.line(output::styled(output::HEADING, "other differences"))?;
        for other in &found.others {
            out.line(format!("  {}", difference(other)))?;
        }
        if found.more > 0 {
            out.line(format!("  and {} more", found.more))?;
        }
    }
    out.line("")?;
    let mut told = format!(
        "{} in both; not blamed: {} in order or number",
        output::count(found.aligned, "event"),
        output::count(found.noise, "difference")
    );
    let lines = if found.output_lines == 1 { "line" } else { "lines" };
    told.push_str(&format!(", {} {lines} of output that only one has", found.output_lines));
    out.line(told)?;
    if found.incomparable > 0 {
        out.line(format!(
            "{} under different redaction keys: whether they differ cannot be said",
            output::count(found.incomparable, "secret")
        ))?;
    }
    if found.cut {
        output::note("the recordings are so different that their ends were not aligned");
    }
    Ok(())
}

fn difference(difference: &Difference) -> String {
    let sign = if difference.only_in == Side::Bad { "only BAD" } else { "only GOOD" };
    let failure = if difference.failure { ", a failure" } else { "" };
    format!("{sign}{failure}: {}: {}", output::plain(&difference.lane), seen(&difference.event))
}

fn seen(seen: &Seen) -> String {
    format!("{:>6}  {}", seen.seq, output::short(&output::plain(&seen.what), 160))
}
