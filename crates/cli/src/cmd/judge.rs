//! `rig judge`: what another policy would have made of a history.

use std::path::PathBuf;

use anyhow::{Result, bail};
use rig_event::event::Against;
use rig_event::{Head, ServiceName, spelled};
use rig_replay::judge::{Decision, Outcome, Rejudge};
use serde_json::{Value, json};

use crate::output::{self, Out};
use crate::source::Source;
use crate::{Answer, policy};

/// Judge a history again under another policy, and show which decisions would flip
///
/// Every verdict that was given, or was due, is given again by the policy, with the fields, baselines, acceptances and times
/// of the recording. A decision flips when the verdict or its severity would be another.
///
/// Exit code 1 when a decision would flip.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig judge session.jsonl.zst --policy new.toml
  rig judge http://127.0.0.1:7070/main --policy new.toml --service api --json")]
pub struct Args {
    /// A session file, -, or a hub's stream
    source: Source,
    /// The other policy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Only this service
    #[arg(long)]
    service: Option<ServiceName>,
    /// Show also the decisions that stay
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let policy = policy::load(Some(&args.policy))?;
    let mut recording = args.source.open(None).await?;
    let mut again = Rejudge::new(&policy, recording.state());
    let (mut decisions, mut flips, mut shown) = (0u64, 0u64, Vec::new());
    while let Some(event) = recording.step()? {
        let more = Head::parse(&event.line).map_or(0, |head| head.more);
        for decision in again.observe(&event.envelope, more, recording.state()) {
            if args.service.as_ref().is_some_and(|service| *service != decision.service) {
                continue;
            }
            decisions += 1;
            flips += u64::from(decision.flips());
            if decision.flips() || args.all {
                shown.push(decision);
            }
        }
    }
    recording.check()?;
    let mut out = Out::new();
    if args.json {
        let told = shown.iter().map(|decision| {
            let mut told = spelled::to_value(decision)?;
            told["flips"] = decision.flips().into();
            Ok(told)
        });
        let mut value = json!({ "stream": recording.stream(), "decisions": decisions, "flips": flips });
        value["shown"] = told.collect::<Result<Vec<Value>>>()?.into();
        out.json(&value)?;
    } else {
        for decision in &shown {
            print(&mut out, decision)?;
        }
        out.line(format!("{} would flip of {}", flips, output::count(decisions, "decision")))?;
    }
    if recording.passed_over() > 0 {
        bail!(
            "{} of {} could not be read: nobody can say what would have been decided there",
            output::count(recording.passed_over(), "place"),
            args.source
        );
    }
    Ok(if flips > 0 { Answer::Difference } else { Answer::Fine })
}

fn print(out: &mut Out, decision: &Decision) -> Result<()> {
    let Decision { seq, ts, service, against, recorded, judged } = decision;
    let against = match against {
        Against::Baseline => "",
        Against::Declared => " (declared)",
    };
    let (service, arrow) = (output::plain(service.as_str()), if decision.flips() { "->" } else { "==" });
    out.line(format!(
        "{seq:>6}  {ts}  {service}{against}  {} {arrow} {}",
        outcome(recorded),
        outcome(judged)
    ))?;
    // What the other policy sees otherwise: fields that only one of the two has, or has with another severity.
    let differ = |field: &&rig_event::DriftField, other: &Outcome| !other.fields.contains(field);
    for (mark, fields, other) in [("was", &recorded.fields, judged), ("now", &judged.fields, recorded)] {
        for field in fields.iter().filter(|field| differ(field, other)) {
            out.line(format!("        {mark} {}", output::indented(&output::drift_field(field), 12)))?;
        }
    }
    for rule in judged.rules.iter().filter(|rule| !recorded.rules.contains(rule)) {
        out.line(output::styled(output::DIM, format!("        by {}", output::plain(rule))))?;
    }
    Ok(())
}

fn outcome(outcome: &Outcome) -> String {
    let verdict = output::verdict(outcome.verdict);
    match outcome.severity {
        Some(severity) => format!("{verdict} ({})", output::severity(severity)),
        None => verdict,
    }
}
