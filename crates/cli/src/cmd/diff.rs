//! `rig diff`, and the same program under the name `rig-diff`: what differs between two configurations.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rig_config::baseline::{Baseline, Trust};
use rig_config::redact::{differs_in_secrets_only, is_redacted};
use rig_config::{
    Diff, Encoding, Explanation, FlatConfig, Format, Limits, Pattern, Policy, Reading, Redactor,
    SnapshotFile, TextDiff,
};
use rig_event::{Seq, ServiceName, Severity};
use serde_json::{Value, json};

use super::snapshot;
use crate::keys::{self, KeyArgs};
use crate::output::{self, Out, diff as shown};
use crate::source::Source;
use crate::{Answer, policy};

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For the eye, in colours where somebody sees them
    #[default]
    Text,
    /// A unified diff; of fields, of their lines `path: value`
    Unified,
    /// For the comment of a pull request, within GitHub's 65,536 characters
    Markdown,
    /// Everything, as JSON
    Json,
    /// JSON Patch (RFC 6902)
    JsonPatch,
    /// JSON Merge Patch (RFC 7386)
    MergePatch,
}

/// Compare two configurations: documents, snapshots, baselines, or moments of a recording
///
/// Each side is a document (json, yaml, toml, ini, env, properties, hcl, xml, text), a snapshot file of the library Rigging, a
/// baseline file, - for standard input, or a moment of a recording or a hub's stream: SOURCE@SEQ, with #SERVICE where it has
/// several. With --baseline there is one side, and the baseline is what it was.
///
/// Elements of lists are matched by their name, id or key where that tells them apart, else by what they have in common.
/// Secrets are not shown: they become fingerprints under a key that is made for this run and forgotten.
///
/// Exit code 0: no difference (with --fail-on: none of that severity); 1: a difference; 2: trouble, also a baseline whose
/// signature --verify does not accept.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What it was; with --baseline, what it is
    old: String,
    /// What it is
    new: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Output,
    /// Read both documents in this format, whatever their names say
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<Format>,
    /// Decode both documents as utf-8, utf-16le, utf-16be, iso-8859-1 or windows-1252 [default: what is found in each]
    #[arg(long, value_name = "ENCODING")]
    encoding: Option<Encoding>,
    /// The policy file: secrets, severities, how lists and values are compared
    #[arg(long, value_name = "FILE", env = "RIG_POLICY")]
    policy: Option<PathBuf>,
    /// Leave these fields, or sections of a text, out: a path, * for one step, ** for any, ignoring case; may be given more than
    /// once
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave redacted fields out, and lines of a text in which only a secret differs
    #[arg(long)]
    ignore_redacted: bool,
    /// Say first, on standard error, which secrets are redacted in both documents, by which rules, and what is left alone
    #[arg(long)]
    explain_redaction: bool,
    /// The lowest severity that makes the exit code 1: low, medium, high, critical [default: any difference]
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Severity>,
    /// Compare with the approved configuration in this file
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Do not compare: approve the document, and write it as the baseline, signed
    #[arg(long, requires = "baseline", conflicts_with = "verify")]
    sign: bool,
    /// Compare only if a known key signed the baseline as it is
    #[arg(long, requires = "baseline")]
    verify: bool,
    #[command(flatten)]
    keys: KeyArgs,
    /// Print the difference as JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Args {
    /// Compares two sides under a policy.
    pub(super) fn of(old: String, new: String, policy: PathBuf) -> Args {
        Args {
            old,
            new: Some(new),
            format: Output::Text,
            input_format: None,
            encoding: None,
            policy: Some(policy),
            exclude: Vec::new(),
            ignore_redacted: false,
            explain_redaction: false,
            fail_on: None,
            baseline: None,
            sign: false,
            verify: false,
            keys: KeyArgs::default(),
            json: false,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  rig diff staging.yaml prod.yaml --exclude 'replicas' --exclude '**.image'
  rig diff old.yaml new.yaml --format markdown | gh pr comment 12 --body-file -
  rig diff session.jsonl@12 session.jsonl@40 --json
  rig diff 'http://127.0.0.1:7070/main@1#api' 'http://127.0.0.1:7070/main#api'
  kubectl get cm api -o json | rig diff approved.json -";

const EXAMPLES_ALONE: &str = "\
Examples:
  rig-diff staging.yaml prod.yaml --exclude 'replicas' --exclude '**.image'
  rig-diff old.yaml new.yaml --format json-patch
  rig-diff session.jsonl@12 session.jsonl@40 --json
  rig-diff --baseline approved.json --sign prod.yaml --keys baseline.keys
  kubectl get cm api -o json | rig-diff --baseline approved.json --verify --keys baseline.keys -";

/// Compare two configurations: documents, snapshots, or moments of a recording
#[derive(Debug, clap::Parser)]
#[command(name = ALONE, version, max_term_width = 100, after_help = EXAMPLES_ALONE)]
pub struct Alone {
    #[command(flatten)]
    pub(super) args: Args,
}

/// The name under which the program is this command and no other.
pub const ALONE: &str = "rig-diff";

/// One of the two sides.
struct Side {
    /// Under which it is shown.
    name: String,
    config: FlatConfig,
    is_text: bool,
    /// True if it was read just now.
    is_document: bool,
    /// The explanation of its redaction, where that is asked for and known.
    explanation: Option<Explanation>,
}

/// Compares; the answer is whether they differ.
///
/// # Errors
/// When a side cannot be read or parsed, or the baseline's signature is not what it has to be.
pub async fn run(args: Args) -> Result<Answer> {
    let (old, new) = match (&args.baseline, &args.new) {
        (None, Some(new)) => (Some(args.old.as_str()), new.as_str()),
        (None, None) => bail!("two sides are needed, or one and --baseline"),
        (Some(_), None) => (None, args.old.as_str()),
        (Some(_), Some(_)) => bail!("with --baseline there is one other side"),
    };
    if old == Some("-") && new == "-" {
        bail!("only one side can come from standard input");
    }
    let policy = policy::load(args.policy.as_deref())?;
    let exclude = args.exclude.iter().map(|text| text.to_lowercase().parse::<Pattern>());
    let exclude = exclude.collect::<Result<Vec<_>, _>>().context("--exclude")?;
    let redactor = Redactor::new(keys::run_key()?, &policy);
    let read = |operand: &str| {
        let operand = operand.to_owned();
        let (args, redactor) = (&args, &redactor);
        async move { read(&operand, args, redactor).await }
    };

    let new = read(new).await?;
    let old = match (old, &args.baseline) {
        (Some(old), _) => read(old).await?,
        (None, Some(file)) if args.sign => return approve(file, new, &args.keys),
        (None, Some(file)) => baseline(file, &args)?,
        (None, None) => bail!("two sides are needed, or one and --baseline"),
    };
    if args.explain_redaction {
        [&old, &new].into_iter().for_each(explain);
    }
    if args.policy.is_some() {
        policy::tell_idle(&policy, [&old.config, &new.config].into_iter());
    }
    let as_json = args.json || args.format == Output::Json;
    let output = if as_json { Output::Json } else { args.format };
    if old.is_text && new.is_text {
        let (mut old, mut new) = without_sections(old, new, &exclude)?;
        [&mut old, &mut new].into_iter().for_each(|side| renew(side, &policy));
        return text(&old, &new, output, &args, &policy);
    }
    if old.is_text || new.is_text {
        let (text, other) = if old.is_text { (&old.name, &new.name) } else { (&new.name, &old.name) };
        bail!("{text} is plain text and {other} is not; --input-format text compares both line by line");
    }
    let whole = rig_config::diff(&old.config, &new.config, &policy);
    let (diff, left_out) = without(whole, &exclude, args.ignore_redacted, args.baseline.is_some());
    fields(&old, new, diff, left_out, output, &args, &policy)
}

/// Says on standard error what redaction did with a side.
fn explain(side: &Side) {
    match &side.explanation {
        Some(explanation) => {
            output::note(output::redaction::explained(&side.name, explanation).trim_end());
        }
        None => output::note(format!(
            "{}: what was redacted in it before, and by which rules, is not known here",
            output::plain(&side.name)
        )),
    }
}

/// Adds the explanations of both sides to JSON, where they are asked for.
fn add_explanations(said: &mut Value, old: &Side, new: &Side, args: &Args) -> Result<()> {
    if args.explain_redaction {
        said["redaction"] = json!({
            "old": serde_json::to_value(&old.explanation)?, "new": serde_json::to_value(&new.explanation)?,
        });
    }
    Ok(())
}

/// How much was left out of a difference, and why.
#[derive(Default)]
struct LeftOut {
    /// As asked by `--exclude` and `--ignore-redacted`.
    asked: usize,
    /// Secrets whose fingerprints are under different keys.
    not_compared: usize,
}

/// A difference less what is not to be told.
fn without(whole: Diff, exclude: &[Pattern], ignore_redacted: bool, baseline: bool) -> (Diff, LeftOut) {
    let mut left_out = LeftOut::default();
    let kept = whole.changes.into_iter().filter(|change| {
        let sides = || [&change.before, &change.after].into_iter().flatten();
        let excluded = !exclude.is_empty() && {
            let path = change.path.to_lowercase().parse().ok();
            path.is_some_and(|path| exclude.iter().any(|pattern| pattern.matches(&path)))
        };
        let told = usize::from(change.op.is_difference());
        let rotated = || match (&change.before, &change.after) {
            (Some(before), Some(after)) => differs_in_secrets_only(before, after),
            _ => false,
        };
        if excluded || (ignore_redacted && (sides().any(is_redacted) || rotated())) {
            left_out.asked += told;
            return false;
        }
        // A key is made for each run, so a baseline's fingerprints are always under another: no word on those secrets.
        if baseline && sides().count() == 2 && sides().all(is_redacted) {
            left_out.not_compared += told;
            return false;
        }
        true
    });
    let diff = Diff::of(kept.collect());
    (diff, left_out)
}

/// Makes the text of a side what it would be if it were captured now: a recording may come from under other rules.
fn renew(side: &mut Side, policy: &Policy) {
    if side.is_document && policy.volatile.is_empty() {
        return;
    }
    if let Some(text) = rig_config::normalise::renewed(&side.config, Format::Text, &policy.volatile) {
        side.config.insert("text".to_owned(), Value::from(text));
    }
}

/// Two texts less the sections that are not to be compared.
fn without_sections(mut old: Side, mut new: Side, exclude: &[Pattern]) -> Result<(Side, Side)> {
    if exclude.is_empty() {
        return Ok((old, new));
    }
    let (mut names, mut have_sections) = (BTreeSet::new(), false);
    for side in [&mut old, &mut new] {
        let Some(Value::String(text)) = side.config.get_mut("text") else { continue };
        let Some((kept, gone)) = rig_config::sections::without(text, exclude) else { continue };
        names.extend(gone.into_iter().map(Cow::into_owned));
        have_sections = true;
        *text = kept;
    }
    if !have_sections {
        bail!("--exclude names sections of a text, and neither {} nor {} has any", old.name, new.name);
    }
    output::note(format!("{} left out, as asked", output::count(names.len() as u64, "section")));
    Ok((old, new))
}

fn answer(is_empty: bool, severity: Option<Severity>, fail_on: Option<Severity>) -> Answer {
    let fails = !is_empty && fail_on.is_none_or(|least| severity.is_some_and(|severity| severity >= least));
    if fails { Answer::Difference } else { Answer::Fine }
}

fn fields(
    old: &Side,
    mut new: Side,
    diff: Diff,
    left_out: LeftOut,
    output: Output,
    args: &Args,
    policy: &Policy,
) -> Result<Answer> {
    if left_out.asked + left_out.not_compared > 0
        && matches!(output, Output::Unified | Output::JsonPatch | Output::MergePatch)
    {
        // What is left out is as it was.
        new.config = old.config.clone();
        rig_config::diff::apply_some(&mut new.config, &diff.changes)?;
    }
    // From here on an element that came or went is one change, and counts as one.
    let equivalent = diff.equivalent;
    let diff = Diff { equivalent, ..Diff::of(rig_config::told::grouped(&diff.changes)) };
    let mut out = Out::new();
    match output {
        Output::Text => out.text(&shown::fields(&diff))?,
        Output::Markdown => out.text(&shown::fields_markdown(&old.name, &new.name, &diff))?,
        Output::Unified => {
            let lines = shown::lines(&old.config, &new.config);
            if output::is_coloured(&std::io::stdout()) {
                print_unified(&mut out, &old.name, &new.name, &rig_config::text_diff(&lines.0, &lines.1))?;
            } else {
                out.text(&shown::unified_fields(&old.name, &new.name, &lines))?;
            }
        }
        Output::Json => {
            let mut said = json!({
                "old": old.name, "new": new.name, "added": diff.added, "removed": diff.removed,
                "changed": diff.changed, "moved": diff.moved, "equivalent": diff.equivalent,
                "severity": diff.severity, "left_out": left_out.asked, "not_compared": left_out.not_compared,
            });
            // Put in as they are: `json!` spells numbers anew.
            said["changes"] = diff.changes.iter().map(shown::change_json).collect();
            add_explanations(&mut said, old, &new, args)?;
            out.json(&said)?;
        }
        Output::JsonPatch => {
            out.json(&rig_config::diff::patch::json_patch(&old.config, &new.config, policy))?;
        }
        Output::MergePatch => {
            let (patch, nulls) = rig_config::diff::patch::merge_patch(&old.config, &new.config);
            out.json(&patch)?;
            for path in nulls {
                output::note(format!(
                    "{} is null now; a merge patch removes it instead",
                    output::plain(&path)
                ));
            }
        }
    }
    shown::left_out(&diff, left_out.asked).iter().for_each(output::note);
    if left_out.not_compared > 0 {
        output::note(format!(
            "{} not compared: their fingerprints are under different keys",
            output::count(left_out.not_compared as u64, "secret")
        ));
    }
    Ok(answer(diff.is_empty(), diff.severity, args.fail_on))
}

fn print_unified(out: &mut Out, old: &str, new: &str, diff: &TextDiff) -> Result<()> {
    // On a terminal nothing foreign may steer it; a tool reads the lines as they are.
    let text = if output::is_coloured(&std::io::stdout()) && !diff.hunks.is_empty() {
        let (old, new) = (output::plain(old), output::plain(new));
        format!("--- {old}\n+++ {new}\n{}", shown::hunks(&diff.hunks))
    } else {
        shown::unified(old, new, diff)
    };
    Ok(out.text(&text)?)
}

fn text(old: &Side, new: &Side, output: Output, args: &Args, policy: &Policy) -> Result<Answer> {
    let whole = |side: &Side| side.config.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (diff, left_out) = if args.ignore_redacted {
        rig_config::text_diff_but_for_secrets(&whole(old), &whole(new))
    } else {
        (rig_config::text_diff(&whole(old), &whole(new)), 0)
    };
    let mut out = Out::new();
    match output {
        Output::Text => out.text(&shown::text(&old.name, &new.name, &diff))?,
        Output::Unified => print_unified(&mut out, &old.name, &new.name, &diff)?,
        Output::Markdown => out.text(&shown::text_markdown(&old.name, &new.name, &diff))?,
        Output::Json => {
            let mut said = json!({
            "old": old.name, "new": new.name, "lines_added": diff.lines_added, "lines_removed": diff.lines_removed,
            "sections": diff.sections, "hunks": diff.hunks, "normalisation": rig_config::normalise::NORMALISATION,
            "left_out": left_out,
            });
            add_explanations(&mut said, old, new, args)?;
            out.json(&said)?;
        }
        Output::JsonPatch | Output::MergePatch => {
            bail!("plain text has no fields to patch; --format unified gives a patch of its lines")
        }
    }
    if left_out > 0 {
        output::note(format!("{} left out, as asked", output::count(left_out, "difference")));
    }
    let sections = diff.sections.iter().map(|section| policy.severity_of_section(&section.section)).max();
    let severity = sections.unwrap_or_else(|| policy.severity_of_section("text"));
    Ok(answer(diff.hunks.is_empty(), Some(severity), args.fail_on))
}

/// The approved side, checked as far as was asked.
fn baseline(file: &Path, args: &Args) -> Result<Side> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    let baseline = Baseline::parse(&bytes, &Limits::default()).with_context(|| name.clone())?;
    let trust = if args.verify {
        Some(baseline.verify(&args.keys.require("--verify")?))
    } else {
        args.keys.load()?.map(|keys| baseline.verify(&keys))
    };
    match trust {
        Some(Trust::Valid) => {}
        Some(trust) => bail!("{name} is not to be trusted: {}", why(trust)),
        None => output::note(format!("{name} was not verified; --verify and keys do that")),
    }
    let config = baseline.config.as_ref().clone();
    Ok(Side { name, is_text: is_text(&config), config, is_document: false, explanation: None })
}

fn why(trust: Trust) -> &'static str {
    match trust {
        Trust::Valid => "it is signed",
        Trust::Unsigned => "nobody signed it",
        Trust::Altered => "it is not what was signed",
        Trust::UnknownKey => "it is signed by a key that is not among these",
    }
}

/// Writes a document as the approved one, signed, in one step: a reader sees the old file or the new one.
fn approve(file: &Path, new: Side, keys: &KeyArgs) -> Result<Answer> {
    let keys = keys.require("--sign")?;
    let name = file.display();
    let mut baseline = Baseline::new(Arc::new(new.config), crate::recording::now());
    baseline.actor = std::env::var("RIG_ACTOR").ok().filter(|actor| !actor.is_empty());
    baseline.sign(&keys)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary =
        tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write {name}"))?;
    std::io::Write::write_all(&mut temporary, baseline.to_json().as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).with_context(|| format!("cannot write {name}"))?;
    let key = baseline.signature.map(|signature| signature.key_id).unwrap_or_default();
    output::note(format!("{name}: {} approved, signed with {}", new.name, output::plain(&key)));
    Ok(Answer::Fine)
}

fn is_text(config: &FlatConfig) -> bool {
    config.len() == 1 && config.get("text").is_some_and(Value::is_string)
}

/// One side: a moment where it names one, else a document.
async fn read(operand: &str, args: &Args, redactor: &Redactor) -> Result<Side> {
    if ["s3://", "gs://", "az://"].iter().any(|scheme| operand.starts_with(scheme)) {
        let mut snapshot = rig_client::writer::read(operand, rig_client::writer::LIMIT).await?;
        let is_text = is_text(&snapshot.config);
        snapshot.redact(redactor, if is_text { Format::Text } else { Format::Json });
        return Ok(Side {
            name: operand.to_owned(),
            config: snapshot.config,
            is_text,
            is_document: false,
            explanation: None,
        });
    }
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
        let config = service.config.as_ref().clone();
        return Ok(Side { name: operand.to_owned(), config, is_text, is_document: false, explanation: None });
    }
    let (name, document) = snapshot::read(operand)?;
    let what = if operand == "-" { "standard input" } else { operand };
    side(what, name.as_deref(), &document, args, redactor)
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
fn side(what: &str, name: Option<&str>, document: &[u8], args: &Args, redactor: &Redactor) -> Result<Side> {
    let format = args.input_format;
    if format.is_none_or(|format| format == Format::Json)
        && let Some(mut snapshot) =
            SnapshotFile::read(document, &Limits::default()).with_context(|| what.to_owned())?
    {
        snapshot.redact(redactor, Format::Json);
        let config = snapshot.config;
        return Ok(Side {
            name: what.to_owned(),
            config,
            is_text: false,
            is_document: false,
            explanation: None,
        });
    }
    let reading = Reading { name, format, encoding: args.encoding };
    let mut parsed = snapshot::parsed(reading, "--input-format", what, document, &Limits::default())?;
    let explanation =
        args.explain_redaction.then(|| redactor.explain(&parsed, &parsed.encoding.text(document)));
    redactor.redact(&mut parsed);
    let (config, is_text) = (parsed.config, parsed.format.is_text());
    Ok(Side { name: what.to_owned(), config, is_text, is_document: true, explanation })
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
