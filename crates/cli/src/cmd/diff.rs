//! `rig diff`, and the same program under the name `rig-diff`: what differs between two configurations.

mod side;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use rig_config::redact::{are_comparable, differs_in_secrets_only, is_redacted};
use rig_config::snapshot_file::excludes;
use rig_config::{Diff, Encoding, Format, Pattern, Policy, Redactor, TextDiff};
use rig_event::Severity;
use serde_json::{Value, json};

use self::side::{InputFormat, Side};
use crate::keys::{self, KeyArgs};
use crate::output::{self, Out, diff as shown};
use crate::{Answer, policy, telemetry};

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
/// Each side is a document (json, yaml, toml, ini, env, properties, hcl, xml, text), a snapshot file of the library
/// Rigging, - for standard input, or a moment of a recording or a hub's stream: SOURCE@SEQ, with #SERVICE where it
/// has several. With --baseline there is one side, and the baseline, a signed one or a snapshot file, is what it was.
///
/// Elements of lists are matched by their name, id or key where that tells them apart, else by what they have in common.
/// Secrets are not shown: they become fingerprints under a key that is made for this run and forgotten. What was hidden before,
/// under another key or as ***redacted***, is not compared, and counted with its paths.
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
    /// Read both documents in this format, whatever their names say; snapshot for snapshot files
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<InputFormat>,
    /// Decode both documents as utf-8, utf-16le, utf-16be, iso-8859-1 or windows-1252 [default: what is found in each]
    #[arg(long, value_name = "ENCODING")]
    encoding: Option<Encoding>,
    /// The policy file: secrets, severities, how lists and values are compared
    #[arg(long, value_name = "FILE", env = "RIG_POLICY")]
    policy: Option<PathBuf>,
    /// Leave these fields, or sections of a text, out: a path, that of a list for all of it, * for one step, ** for any,
    /// ignoring case; may be given more than once
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
    /// Compare with the approved configuration in this file: a signed baseline, or a snapshot file, also by s3://, gs:// or az://
    #[arg(long, value_name = "FILE")]
    baseline: Option<String>,
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

/// Compares; the answer is whether they differ.
///
/// # Errors
/// When a side cannot be read or parsed, or the baseline's signature is not what it has to be.
pub async fn run(args: Args) -> Result<Answer> {
    let _telling = telemetry::begin_if_asked()?;
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
    let exclude = args.exclude.iter().map(|text| text.parse::<Pattern>());
    let exclude = exclude.collect::<Result<Vec<_>, _>>().context("--exclude")?;
    let redactor = Redactor::new(keys::run_key()?, &policy);
    let read = |operand: &str| {
        let operand = operand.to_owned();
        let (args, redactor) = (&args, &redactor);
        async move { side::read(&operand, args, redactor).await }
    };

    let new = read(new).await?;
    let old = match (old, &args.baseline) {
        (Some(old), _) => read(old).await?,
        (None, Some(file)) if args.sign => return side::approve(file.as_ref(), new, &args.keys),
        (None, Some(file)) => side::baseline(file, &args, &redactor).await?,
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
    let (diff, left_out) = without(whole, &exclude, args.ignore_redacted);
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

/// Adds to JSON what is known of both sides, and the explanations where they are asked for.
fn add_sides(said: &mut Value, old: &Side, new: &Side, args: &Args) -> Result<()> {
    said["sides"] = json!({ "old": old.about, "new": new.about });
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
    /// The paths of what is hidden under different keys, or by a foreign marker.
    not_compared: Vec<String>,
}

/// A difference less what is not to be told.
fn without(mut whole: Diff, exclude: &[Pattern], ignore_redacted: bool) -> (Diff, LeftOut) {
    let mut not_compared = std::mem::take(&mut whole.not_compared);
    not_compared.retain(|path| !excludes(exclude, path));
    let mut asked = 0;
    let kept = whole.changes.into_iter().filter(|change| {
        let told = usize::from(change.op.is_difference());
        if excludes(exclude, &change.path) {
            asked += told;
            return false;
        }
        let sides = || [&change.before, &change.after].into_iter().flatten();
        if let (Some(before), Some(after)) = (&change.before, &change.after) {
            if !are_comparable(before, after) {
                return false;
            }
            if ignore_redacted && differs_in_secrets_only(before, after) {
                asked += told;
                return false;
            }
        }
        let is_ignored = ignore_redacted && sides().any(is_redacted);
        asked += if is_ignored { told } else { 0 };
        !is_ignored
    });
    let diff = Diff::of(kept.collect());
    (diff, LeftOut { asked, not_compared })
}

/// Says what was not compared, on standard error.
fn tell_uncompared(count: usize, what: &str, places: &[String]) {
    if count > 0 {
        output::note(format!(
            "{} not compared, hidden under another key or by a foreign marker: {}",
            output::count(count as u64, what),
            output::places(places, 10)
        ));
    }
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
    if (left_out.asked > 0 || !left_out.not_compared.is_empty())
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
        Output::Markdown => {
            let unknown = shown::not_compared_markdown(&left_out.not_compared);
            out.text(&shown::fields_markdown(&old.name, &new.name, &diff, &unknown))?;
        }
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
                "severity": diff.severity, "left_out": left_out.asked, "not_compared": left_out.not_compared.len(),
                "not_compared_paths": left_out.not_compared,
            });
            // Put in as they are: `json!` spells numbers anew.
            said["changes"] = diff.changes.iter().map(shown::change_json).collect();
            add_sides(&mut said, old, &new, args)?;
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
    tell_uncompared(left_out.not_compared.len(), "secret", &left_out.not_compared);
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
    let (before, after) = (whole(old), whole(new));
    let (mut diff, not_compared) = rig_config::text_diff_of_hidden(&before, &after);
    let mut left_out = 0;
    if args.ignore_redacted {
        let but_for_secrets = rig_config::text_diff_but_for_secrets(&before, &after);
        // What cannot be compared is counted as such.
        left_out = but_for_secrets.1.saturating_sub(differing(&before, &after, &not_compared));
        diff = but_for_secrets.0;
    }
    let lines: Vec<String> = not_compared.iter().map(|line| format!("line {line}")).collect();
    let mut out = Out::new();
    match output {
        Output::Text => out.text(&shown::text(&old.name, &new.name, &diff))?,
        Output::Unified => print_unified(&mut out, &old.name, &new.name, &diff)?,
        Output::Markdown => {
            let unknown = shown::not_compared_markdown(&lines);
            out.text(&shown::text_markdown(&old.name, &new.name, &diff, &unknown))?;
        }
        Output::Json => {
            let mut said = json!({
            "old": old.name, "new": new.name, "lines_added": diff.lines_added, "lines_removed": diff.lines_removed,
            "sections": diff.sections, "hunks": diff.hunks, "normalisation": rig_config::normalise::NORMALISATION,
            "left_out": left_out, "not_compared": not_compared.len(), "not_compared_lines": not_compared,
            });
            add_sides(&mut said, old, new, args)?;
            out.json(&said)?;
        }
        Output::JsonPatch | Output::MergePatch => {
            bail!("plain text has no fields to patch; --format unified gives a patch of its lines")
        }
    }
    if left_out > 0 {
        output::note(format!("{} left out, as asked", output::count(left_out, "difference")));
    }
    tell_uncompared(lines.len(), "line", &lines);
    let sections = diff.sections.iter().map(|section| policy.severity_of_section(&section.section)).max();
    let severity = sections.unwrap_or_else(|| policy.severity_of_section("text"));
    Ok(answer(diff.hunks.is_empty(), Some(severity), args.fail_on))
}

/// Counts the lines that cannot be compared and look different: the others are no difference that could be left out.
fn differing(before: &str, after: &str, not_compared: &[u64]) -> u64 {
    let old: BTreeSet<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let line = |number: &u64| new.get(usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX));
    not_compared.iter().filter_map(line).filter(|line| !old.contains(*line)).count() as u64
}
