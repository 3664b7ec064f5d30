//! `rig drift`: how every service stands against its baseline.

use std::path::PathBuf;

use anyhow::{Result, bail};
use rig_event::{Seq, ServiceName, Severity, Verdict};
use rig_replay::Service;

use crate::Answer;
use crate::output::{self, Out};
use crate::source::{Moment, Source};

/// Show which services are not what was approved
///
/// Exit code 1 when a service has drifted at or above --fail-on and nobody accepted it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig drift http://127.0.0.1:7070/main
  rig drift session.jsonl.zst --service api --fail-on high

A drift is accepted with `rig accept`.")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Only this service
    #[arg(long)]
    service: Option<ServiceName>,
    /// The lowest severity that is a failure [default: what the policy says, else low]
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Severity>,
    /// The policy file, for its `[drift] fail_on`
    #[arg(long, value_name = "FILE", env = "RIG_POLICY")]
    policy: Option<PathBuf>,
    /// The verdicts at this seq [default: now, or the end of the file]
    #[arg(long, value_name = "SEQ")]
    at: Option<Seq>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let policy = args.policy.as_deref().map(super::hub::policy).transpose()?.unwrap_or_default();
    let fail_on = args.fail_on.or(policy.drift.fail_on).unwrap_or(Severity::Low);
    let at = args.source.state(args.at).await?;
    let mut services = Vec::new();
    if let Some(name) = &args.service {
        services.push((name.as_str(), at.service(name)?));
    } else {
        services.extend(at.state.services.iter().map(|(name, service)| (name.as_str(), service.as_ref())));
    }
    if args.json {
        print_json(&at, &services)?;
    } else {
        print(&services)?;
    }
    if at.passed_over > 0 {
        bail!(
            "{} of {} could not be read: nobody can say that nothing drifted there",
            output::count(at.passed_over, "place"),
            args.source
        );
    }
    let drifts = services.iter().filter_map(|(_, service)| service.drift.as_ref());
    let mut failures =
        drifts.filter(|d| d.verdict == Verdict::Drifted && d.severity.unwrap_or_default() >= fail_on);
    Ok(if failures.next().is_some() { Answer::Difference } else { Answer::Fine })
}

fn print_json(at: &Moment, services: &[(&str, &Service)]) -> Result<()> {
    let services: serde_json::Map<String, serde_json::Value> = services
        .iter()
        .map(|(name, service)| {
            let told = serde_json::json!({ "baseline": service.baseline.is_some(), "drift": service.drift });
            ((*name).to_owned(), told)
        })
        .collect();
    Out::new().json(&serde_json::json!({ "stream": at.stream, "seq": at.state.seq, "services": services }))
}

fn print(services: &[(&str, &Service)]) -> Result<()> {
    let mut out = Out::new();
    if services.is_empty() {
        return Ok(out.line("no service has been captured")?);
    }
    let width = services.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(7);
    out.line(output::styled(output::HEADING, format!("{:<width$}  VERDICT   SEVERITY  FIELDS", "SERVICE")))?;
    for (name, service) in services {
        // Padded by hand: the codes of a colour take no room.
        let name = format!("{:<width$}", output::plain(name));
        let Some(drift) = &service.drift else {
            let why = if service.baseline.is_some() { Verdict::InSync.as_str() } else { "no baseline" };
            out.line(format!("{name}  {}", output::styled(output::DIM, why)))?;
            continue;
        };
        let gap = |word: &str| " ".repeat(10usize.saturating_sub(word.len()));
        let severity = drift.severity.map_or("-".to_owned(), output::severity);
        out.line(format!(
            "{name}  {}{}{severity}{}{}",
            output::verdict(drift.verdict),
            gap(drift.verdict.as_str()),
            gap(drift.severity.map_or("-", |severity| severity.as_str())),
            drift.differing,
        ))?;
        for field in &drift.fields {
            out.line(format!("    {}", output::drift_field(field)))?;
        }
        let more = drift.differing.saturating_sub(drift.fields.len() as u64);
        if more > 0 {
            out.line(format!("    and {}", output::count(more, "more field")))?;
        }
    }
    Ok(())
}
