//! `rig drift`: how every service stands against its baseline and against what is declared of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use rig_config::{
    Format, Limits, Onboarding, Policy, RedactionKey, Redactor, RuleNote, declared_drift, diff,
};
use rig_event::event::Against;
use rig_event::{Seq, ServiceName, Severity, Timestamp, Verdict};
use rig_replay::{Drift, Service, State, judge};
use serde_json::{Value, json};

use super::snapshot;
use crate::output::{self, Out};
use crate::source::{Moment, Source};
use crate::{Answer, policy, recording};

/// Show which services are not what was approved or declared
///
/// The verdicts are those that were recorded. With a policy file they are judged again under it, now: a hub's stream as of
/// this moment, a recording as of its last event. Rules of that file that never matched, or have expired, are told.
///
/// Exit code 1 when a service has drifted at or above --fail-on and nobody accepted it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig drift http://127.0.0.1:7070/main
  rig drift session.jsonl.zst --service api --fail-on high
  rig drift http://127.0.0.1:7070/main --service api --declared deploy/api.yaml
  rig drift http://127.0.0.1:7070/main --write-ignore rig.toml --owner ops --expires 2027-01-31

A drift is accepted with `rig accept`; what is declared at the hub is set with `rig baseline declare`.")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Only this service
    #[arg(long)]
    service: Option<ServiceName>,
    /// The lowest severity that is a failure [default: what the policy says, else low]
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Severity>,
    /// The policy file to judge by
    #[arg(long, value_name = "FILE", env = "RIG_POLICY")]
    policy: Option<PathBuf>,
    /// The verdicts at this seq [default: now, or the end of the file]
    #[arg(long, value_name = "SEQ")]
    at: Option<Seq>,
    /// Hold the service against this document: only the fields that it names count
    #[arg(long, value_name = "FILE")]
    declared: Option<String>,
    /// Read the declared document as json, jsonc, yaml, toml, ini, env, properties, hcl, xml, routeros, nginx or
    /// text, whatever its name says
    #[arg(long, value_name = "FORMAT", requires = "declared")]
    format: Option<Format>,
    /// Add an ignore rule for every field that drifts now to this policy file; it is made where it is missing
    #[arg(long, value_name = "FILE", conflicts_with = "declared")]
    write_ignore: Option<PathBuf>,
    /// Why the new rules ignore their fields
    #[arg(
        long,
        value_name = "WHY",
        requires = "write_ignore",
        default_value = "drifted when rig was introduced"
    )]
    reason: String,
    /// Who answers for the new rules
    #[arg(long, value_name = "NAME", requires = "write_ignore")]
    owner: Option<String>,
    /// Until when the new rules hold: a day, through its end in UTC, or an RFC 3339 time
    #[arg(long, value_name = "DATE", requires = "write_ignore")]
    expires: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Most rules that are shown of a verdict; --json has those of the event.
const MOST_RULES: usize = 10;

/// One service and its verdicts.
struct Row<'a> {
    name: &'a str,
    service: &'a Service,
    drifts: Vec<Drift>,
    /// The paths of what is approved and cannot be compared: hidden under another key, or by a foreign marker.
    not_compared: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let written = args.write_ignore.as_deref();
    let file = args.policy.as_deref().or(written.filter(|path| path.exists()));
    let mut policy = policy::load(file)?;
    let at = args.source.state(args.at).await?;
    let live = matches!(args.source, Source::Stream(_)) && args.at.is_none();
    let now = if live { recording::now().max(at.state.ts) } else { at.state.ts };
    let mut services: Vec<(&ServiceName, &Service)> =
        at.state.services.iter().map(|(name, service)| (name, service.as_ref())).collect();
    if let Some(name) = &args.service {
        at.service(name)?;
        services.retain(|(known, _)| *known == name);
    }
    if let Some(path) = written {
        let drifting = drifting(&services, &policy, now);
        write_ignore(path, &args, &drifting)?;
        policy = policy::load(args.policy.as_deref().or(Some(path)))?;
        if let Some(path) = args.policy.as_deref().filter(|judged| *judged != path) {
            output::note(format!("judged by {}, which does not have these rules", path.display()));
        }
    }
    let mut rows = Vec::new();
    for (name, service) in &services {
        let drifts = match &args.declared {
            Some(_) if services.len() > 1 => bail!("say with --service which one the document is about"),
            Some(document) => vec![against_file(document, args.format, service, &policy, now)?],
            None if file.is_some() || written.is_some() => judged(service, &policy, now),
            None => {
                let declared = service.declared.as_ref().and_then(|declared| declared.drift.clone());
                service.drift.clone().into_iter().chain(declared).collect()
            }
        };
        let approved = service.baseline.as_ref().filter(|_| args.declared.is_none());
        let not_compared =
            approved.map(|approved| diff(&approved.config, &service.config, &policy).not_compared);
        rows.push(Row {
            name: name.as_str(),
            service,
            drifts,
            not_compared: not_compared.unwrap_or_default(),
        });
    }
    let notes = if file.is_some() || written.is_some() { idle(&at.state, &policy, now) } else { Vec::new() };
    if args.json {
        print_json(&at, &rows, &notes)?;
    } else {
        print(&rows)?;
        notes.iter().for_each(|note| output::note(output::plain(&note.to_string())));
    }
    if at.passed_over > 0 {
        bail!(
            "{} of {} could not be read: nobody can say that nothing drifted there",
            output::count(at.passed_over, "place"),
            args.source
        );
    }
    let fail_on = args.fail_on.or(policy.drift.fail_on).unwrap_or(Severity::Low);
    let mut failures = rows
        .iter()
        .flat_map(|row| &row.drifts)
        .filter(|d| d.verdict == Verdict::Drifted && d.severity.unwrap_or_default() >= fail_on);
    Ok(if failures.next().is_some() { Answer::Difference } else { Answer::Fine })
}

/// The verdicts under a policy, each since the event that gave it, where it is the one that was recorded.
fn judged(service: &Service, policy: &Policy, now: Timestamp) -> Vec<Drift> {
    let verdicts = judge::verdicts(service, policy, now).into_iter();
    let verdicts = verdicts.map(|standing| {
        let judged = standing.into_event();
        let recorded = match judged.against {
            Against::Baseline => service.drift.as_ref(),
            Against::Declared => service.declared.as_ref().and_then(|declared| declared.drift.as_ref()),
        };
        let same = recorded.filter(|recorded| recorded.verdict == judged.verdict);
        Drift {
            against: judged.against,
            differing: judged.differing,
            fields: judged.fields,
            rules: judged.rules,
            severity: judged.severity,
            since_seq: same.map_or(0, |recorded| recorded.since_seq),
            verdict: judged.verdict,
        }
    });
    verdicts.collect()
}

/// How the service stands against a document here.
fn against_file(
    file: &str,
    format: Option<Format>,
    service: &Service,
    policy: &Policy,
    now: Timestamp,
) -> Result<Drift> {
    if !service.is_captured() {
        bail!("the service was never captured: there is nothing to hold against {file}");
    }
    let (name, document) = snapshot::read(file)?;
    let Some(format) = format.or_else(|| Format::detect(name.as_deref(), &document)) else {
        bail!("neither name nor content of {file} tell its format; say --format");
    };
    let mut declared =
        rig_config::parse(&document, format, &Limits::default()).with_context(|| file.to_owned())?;
    declared.file = name;
    // Fingerprints under a key of this run: secrets are neither shown nor compared, and counted.
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| anyhow!("the system gives no random numbers: {e}"))?;
    Redactor::new(RedactionKey::new("run", secret)?, policy).redact(&mut declared);
    let rig_config::Drift { verdict, severity, fields, rules, .. } =
        declared_drift(&declared.config, &service.config, policy, now);
    let (against, differing) = (Against::Declared, fields.len() as u64);
    Ok(Drift { against, differing, fields, rules, severity, since_seq: 0, verdict })
}

/// The paths that drift under the policy and that nobody accepted.
fn drifting(services: &[(&ServiceName, &Service)], policy: &Policy, now: Timestamp) -> Vec<String> {
    let verdicts = services.iter().flat_map(|(_, service)| judge::verdicts(service, policy, now));
    let fields = verdicts.flat_map(|standing| standing.drift.fields);
    let mut paths: Vec<String> = fields.filter(|field| !field.accepted).map(|field| field.path).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Adds rules to the policy file, whole or not at all.
fn write_ignore(path: &Path, args: &Args, drifting: &[String]) -> Result<()> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let (reason, owner, expires) = (args.reason.clone(), args.owner.clone(), args.expires.clone());
    let onboarding = Onboarding { reason, owner, expires };
    // Rules are judged by the clock, for they are to hold from now on.
    let (text, added) = onboarding
        .add(&text, drifting.iter().map(String::as_str), recording::now())
        .with_context(|| format!("no rules were written to {shown}"))?;
    if added > 0 {
        let cannot = || format!("cannot write {shown}");
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).with_context(cannot)?;
        if let Ok(known) = std::fs::metadata(&place) {
            file.as_file().set_permissions(known.permissions()).with_context(cannot)?;
        }
        file.as_file().sync_all().with_context(cannot)?;
        file.persist(&place).with_context(cannot)?;
    }
    output::note(format!("{} written to {shown}", output::count(added as u64, "ignore rule")));
    Ok(())
}

/// The rules that do nothing for any service, whichever are shown.
fn idle(state: &State, policy: &Policy, now: Timestamp) -> Vec<RuleNote> {
    let configs = state.services.values().flat_map(|service| {
        let baseline = service.baseline.as_ref().map(|baseline| &baseline.config);
        let declared = service.declared.as_ref().map(|declared| &declared.config);
        [Some(&service.config), baseline, declared].into_iter().flatten().map(AsRef::as_ref)
    });
    policy.idle(configs, now)
}

fn print_json(at: &Moment, rows: &[Row<'_>], notes: &[RuleNote]) -> Result<()> {
    let services: serde_json::Map<String, Value> = rows
        .iter()
        .map(|row| {
            let of = |against| row.drifts.iter().find(|drift| drift.against == against);
            // Put in as they are: `json!` spells numbers anew.
            let mut told = json!({ "baseline": row.service.baseline.is_some() });
            if !row.not_compared.is_empty() {
                told["not_compared"] = json!(row.not_compared);
            }
            told["drift"] = rig_event::spelled::to_value(&of(Against::Baseline))?;
            if let Some(declared) = of(Against::Declared) {
                told["declared"] = rig_event::spelled::to_value(declared)?;
            }
            Ok((row.name.to_owned(), told))
        })
        .collect::<Result<_>>()?;
    let mut said = json!({ "stream": at.stream, "seq": at.state.seq });
    said["services"] = services.into();
    if !notes.is_empty() {
        said["idle_rules"] = notes.iter().map(|note| Value::from(note.to_string())).collect();
    }
    Out::new().json(&said)
}

/// Says what could not be compared, behind a verdict.
fn not_compared(paths: &[String]) -> String {
    if paths.is_empty() {
        return String::new();
    }
    output::styled(output::DIM, format!("  ({} not compared: {})", paths.len(), output::places(paths, 5)))
}

fn print(rows: &[Row<'_>]) -> Result<()> {
    let mut out = Out::new();
    if rows.is_empty() {
        return Ok(out.line("no service has been captured")?);
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(7);
    out.line(output::styled(output::HEADING, format!("{:<width$}  VERDICT   SEVERITY  FIELDS", "SERVICE")))?;
    for row in rows {
        // Padded by hand: the codes of a colour take no room.
        let name = format!("{:<width$}", output::plain(row.name));
        let unknown = not_compared(&row.not_compared);
        if row.drifts.is_empty() {
            let why = if row.service.baseline.is_some() { Verdict::InSync.as_str() } else { "no baseline" };
            out.line(format!("{name}  {}{unknown}", output::styled(output::DIM, why)))?;
        }
        for drift in &row.drifts {
            let gap = |word: &str| " ".repeat(10usize.saturating_sub(word.len()));
            let severity = drift.severity.map_or("-".to_owned(), output::severity);
            let against = match drift.against {
                Against::Baseline => unknown.clone(),
                Against::Declared => output::styled(output::DIM, "  (declared)"),
            };
            out.line(format!(
                "{name}  {}{}{severity}{}{}{against}",
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
            for rule in drift.rules.iter().take(MOST_RULES) {
                out.line(output::styled(output::DIM, format!("    by {}", output::plain(rule))))?;
            }
            let more = drift.rules.len().saturating_sub(MOST_RULES) as u64;
            if more > 0 {
                out.line(output::styled(
                    output::DIM,
                    format!("    and {}", output::count(more, "more rule")),
                ))?;
            }
        }
    }
    Ok(())
}
