//! `rig diff`, and the binary `rig-diff`: what differs between two configurations.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use rig_config::snapshot_file::is_redacted;
use rig_config::{
    Diff, FlatConfig, Format, Limits, Pattern, Policy, RedactionKey, Redactor, SnapshotFile, TextDiff,
};
use rig_event::{Seq, ServiceName};
use serde_json::{Value, json};

use super::{hub, snapshot};
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Compare two configurations: documents, snapshots, or moments of a recording
///
/// Each side is a document (json, yaml, toml, ini, env, properties, text), a snapshot file (rig's or the library Rigging's), - for
/// standard input, or a moment of a recording or a hub's stream: SOURCE@SEQ, with #SERVICE where it has several.
/// Secrets are not shown: they become fingerprints under a key that is made for this run and forgotten.
///
/// Exit code 0: no difference; 1: a difference; 2: trouble.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What it was
    old: String,
    /// What it is
    new: String,
    /// Read both documents as json, yaml, toml, ini, env, properties or text, whatever their names say
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The policy file: secrets, severities, lists matched by key
    #[arg(long, value_name = "FILE", env = "RIG_POLICY")]
    policy: Option<PathBuf>,
    /// Leave these fields out: a path, * for one step, ** for any, ignoring case; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave redacted fields out
    #[arg(long)]
    ignore_redacted: bool,
    /// Print the difference as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Compares two sides under a policy.
    pub(super) fn of(old: String, new: String, policy: PathBuf) -> Args {
        let exclude = Vec::new();
        Args { old, new, format: None, policy: Some(policy), exclude, ignore_redacted: false, json: false }
    }
}

const EXAMPLES: &str = "\
Examples:
  rig diff staging.yaml prod.yaml --exclude 'replicas' --exclude '**.image'
  rig diff session.jsonl@12 session.jsonl@40 --json
  rig diff 'http://127.0.0.1:7070/main@1#api' 'http://127.0.0.1:7070/main#api'
  kubectl get cm api -o json | rig diff approved.json -";

/// The same for `rig-diff`.
pub const EXAMPLES_ALONE: &str = "\
Examples:
  rig-diff staging.yaml prod.yaml --exclude 'replicas' --exclude '**.image'
  rig-diff session.jsonl@12 session.jsonl@40 --json
  kubectl get cm api -o json | rig-diff approved.json -";

/// One of the two sides.
struct Side {
    /// Under which it is shown.
    name: String,
    config: FlatConfig,
    is_text: bool,
}

/// Compares; the answer is whether they differ.
///
/// # Errors
/// When a side cannot be read or parsed.
pub async fn run(args: Args) -> Result<Answer> {
    if args.old == "-" && args.new == "-" {
        bail!("only one side can come from standard input");
    }
    let policy = args.policy.as_deref().map(hub::policy).transpose()?.unwrap_or_default();
    let exclude = args.exclude.iter().map(|text| text.to_lowercase().parse::<Pattern>());
    let exclude = exclude.collect::<Result<Vec<_>, _>>().context("--exclude")?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| anyhow!("the system gives no random numbers: {e}"))?;
    let redactor = Redactor::new(RedactionKey::new("run", secret)?, &policy);

    let old = read(&args.old, args.format, &policy, &redactor).await?;
    let new = read(&args.new, args.format, &policy, &redactor).await?;
    if old.is_text && new.is_text {
        return text(&old, &new, args.json);
    }
    if old.is_text || new.is_text {
        let (text, other) = if old.is_text { (&old.name, &new.name) } else { (&new.name, &old.name) };
        bail!("{text} is plain text and {other} is not; --format text compares both line by line");
    }
    let mut diff = rig_config::diff(&old.config, &new.config, &policy);
    let all = diff.changes.len();
    diff.changes.retain(|change| {
        let sides = [&change.before, &change.after];
        let secret = || sides.into_iter().flatten().any(is_redacted);
        let excluded = || {
            let path = change.path.to_lowercase().parse().ok();
            path.is_some_and(|path| exclude.iter().any(|pattern| pattern.matches(&path)))
        };
        !(args.ignore_redacted && secret() || excluded())
    });
    fields(&old, &new, diff, all, args.json)
}

fn fields(old: &Side, new: &Side, diff: Diff, all: usize, as_json: bool) -> Result<Answer> {
    use rig_event::Op;
    let count = |op: Op| diff.changes.iter().filter(|change| change.op == op).count();
    let (added, removed, changed) = (count(Op::Added), count(Op::Removed), count(Op::Changed));
    let severity = diff.changes.iter().map(|change| change.severity).max();
    let left_out = all - diff.changes.len();
    let mut out = Out::new();
    if as_json {
        out.json(&json!({
            "old": old.name, "new": new.name, "added": added, "removed": removed, "changed": changed,
            "severity": severity, "left_out": left_out, "changes": diff.changes,
        }))?;
    } else {
        for change in &diff.changes {
            out.line(output::change(change))?;
        }
        if left_out > 0 {
            output::note(format!("{} left out, as asked", output::count(left_out as u64, "difference")));
        }
        if !diff.changes.is_empty() {
            let severity = severity.map(output::severity).unwrap_or_default();
            out.line(format!("{added} added, {removed} removed, {changed} changed ({severity})"))?;
        }
    }
    Ok(if diff.changes.is_empty() { Answer::Fine } else { Answer::Difference })
}

fn text(old: &Side, new: &Side, as_json: bool) -> Result<Answer> {
    let whole = |side: &Side| side.config.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    let diff = rig_config::text_diff(&whole(old), &whole(new));
    let TextDiff { hunks, lines_added, lines_removed, sections } = &diff;
    let mut out = Out::new();
    if as_json {
        out.json(&json!({
            "old": old.name, "new": new.name, "lines_added": lines_added, "lines_removed": lines_removed,
            "sections": sections, "hunks": hunks,
        }))?;
    } else if !hunks.is_empty() {
        out.line(format!("--- {}\n+++ {}", output::plain(&old.name), output::plain(&new.name)))?;
        for line in rig_config::unified(hunks).lines() {
            out.line(output::diff_line(line))?;
        }
        for section in sections {
            out.line(output::plain(&format!("{}: {}", section.section, section.summary)))?;
        }
    }
    Ok(if hunks.is_empty() { Answer::Fine } else { Answer::Difference })
}

/// One side: a moment where it names one, else a document.
async fn read(operand: &str, format: Option<Format>, policy: &Policy, redactor: &Redactor) -> Result<Side> {
    if let Some((source, at, service)) = moment(operand) {
        let source: Source = source.parse()?;
        let at = source.state(at).await?;
        let name = match service {
            Some(name) => name.parse::<ServiceName>()?,
            None => match at.state.services.keys().collect::<Vec<_>>().as_slice() {
                [only] => (*only).clone(),
                several => {
                    let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                    bail!("{operand} has {} services; append #SERVICE: {}", names.len(), names.join(", "));
                }
            },
        };
        let service = at.service(&name)?;
        let is_text = service.format.parse::<Format>().is_ok_and(Format::is_text);
        return Ok(Side { name: operand.to_owned(), config: service.config.as_ref().clone(), is_text });
    }
    let (name, document) = snapshot::read(operand)?;
    let what = if operand == "-" { "standard input" } else { operand };
    side(what, name.as_deref(), &document, format, policy, redactor).with_context(|| what.to_owned())
}

/// Splits `SOURCE[@SEQ][#SERVICE]`; `None` for what names a document. A file that exists under the whole name is meant.
fn moment(operand: &str) -> Option<(&str, Option<Seq>, Option<&str>)> {
    if operand == "-" || Path::new(operand).exists() {
        return None;
    }
    let (rest, service) = match operand.rsplit_once('#') {
        Some((rest, service)) if !service.is_empty() => (rest, Some(service)),
        _ => (operand, None),
    };
    let (source, at) = match rest.rsplit_once('@') {
        Some((source, seq)) if seq.bytes().all(|b| b.is_ascii_digit()) => (source, seq.parse().ok()),
        _ => (rest, None),
    };
    let named = at.is_some() || service.is_some() || source.contains("://");
    named.then_some((source, at, service))
}

/// A document with its secrets redacted.
fn side(
    what: &str,
    name: Option<&str>,
    document: &[u8],
    format: Option<Format>,
    policy: &Policy,
    redactor: &Redactor,
) -> Result<Side> {
    if format.is_none_or(|format| format == Format::Json)
        && let Some(mut snapshot) = SnapshotFile::read(document, policy, &Limits::default())?
    {
        snapshot.redact(redactor, Format::Json);
        return Ok(Side { name: what.to_owned(), config: snapshot.config, is_text: false });
    }
    let Some(format) = format.or_else(|| Format::detect(name, document)) else {
        bail!(
            "neither name nor content tell its format; say --format json, yaml, toml, ini, env, properties or text"
        );
    };
    let mut parsed = rig_config::parse(document, format, policy, &Limits::default())?;
    redactor.redact(&mut parsed);
    Ok(Side { name: what.to_owned(), config: parsed.config, is_text: format.is_text() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_from_a_document() {
        assert_eq!(moment("s.jsonl@12"), Some(("s.jsonl", Some(12), None)));
        assert_eq!(moment("s.jsonl@12#api"), Some(("s.jsonl", Some(12), Some("api"))));
        assert_eq!(moment("s.jsonl#a@b"), Some(("s.jsonl", None, Some("a@b"))));
        assert_eq!(moment("http://127.0.0.1:7070/main"), Some(("http://127.0.0.1:7070/main", None, None)));
        for document in ["-", "a.yaml", "user@host.yaml", "Cargo.toml"] {
            assert_eq!(moment(document), None, "{document}");
        }
    }
}
