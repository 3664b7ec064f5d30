//! `rig scrub`: a recording looked through once more before it is shared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use rig_config::{RedactionKey, Redactor};
use rig_event::Seq;
use serde::Serialize;

use crate::Answer;
use crate::cmd::hub;
use crate::output::{self, Out};
use crate::scrub::{Report, scrub};
use crate::source::{self, Source};

/// So many findings are printed; --json has all.
const MOST: usize = 500;

/// The number of events that a sum names.
const FIRST: usize = 10;

/// Look for secrets in a recording before it is shared, and write a copy without them
///
/// Every line is looked through again with today's rules: strings, keys, logs, headers, bodies in base 64. What was found is
/// listed by seq, path and kind, never by value. Without findings the copy is the recording byte for byte. With findings
/// its header says which events were changed, and `rig verify` says of it: altered.
///
/// Exit code 0 when nothing was found, 1 when something was, 2 for trouble.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig scrub session.jsonl.zst -o shared.jsonl.zst
  rig scrub session.jsonl --policy rig.toml -o shared.jsonl --json
  rig scrub http://127.0.0.1:7070/main           (only looks)
  rig scrub --check http://127.0.0.1:7070        (sums up all streams)")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Where the copy goes, compressed when its name ends in .zst; without it nothing is written
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Change nothing: sum up what would be redacted today, by kind, with the first seqs; a hub's address without a stream means
    /// all of its streams
    #[arg(long, conflicts_with_all = ["out", "force"])]
    check: bool,
    /// Overwrite the file of the copy
    #[arg(long)]
    force: bool,
    /// A policy whose [[secret]] rules hold too
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let policy = args.policy.as_deref().map(hub::policy).transpose()?.unwrap_or_default();
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| anyhow!("the system gives no random numbers: {e}"))?;
    let redactor = Redactor::new(RedactionKey::new("scrub", secret)?, &policy);
    if args.check {
        return check(&args, &redactor).await;
    }
    let what = args.source.to_string();
    let input = input(&args.source).await?;
    if let Some(out) = &args.out {
        if let Source::File(path) = &args.source
            && out.canonicalize().is_ok_and(|out| path.canonicalize().is_ok_and(|path| out == path))
        {
            bail!("{} cannot be its own copy; name another file", path.display());
        }
        if out.exists() && !args.force {
            bail!("{} is there already; name another file, or overwrite it with --force", out.display());
        }
    }
    let report =
        tokio::task::block_in_place(|| scrub(input, args.out.as_deref(), &redactor)).context(what.clone())?;
    print(&report, &what, &args)?;
    Ok(if report.found.is_empty() { Answer::Fine } else { Answer::Difference })
}

/// The sum of what would be redacted in a stream today.
#[derive(Debug, Serialize)]
struct Sum {
    source: String,
    lines: u64,
    /// Lines with a secret in them.
    changed: u64,
    secrets: u64,
    /// The number of secrets of each kind.
    kinds: BTreeMap<String, u64>,
    /// The first events with secrets in them.
    first_seqs: Vec<Seq>,
}

impl Sum {
    fn of(source: String, report: &Report) -> Sum {
        let mut kinds = BTreeMap::new();
        for one in &report.found {
            *kinds.entry(one.kind.clone()).or_default() += 1;
        }
        let seqs: BTreeSet<Seq> = report.found.iter().filter_map(|one| one.seq).collect();
        Sum {
            source,
            lines: report.lines,
            changed: report.changed,
            secrets: report.found.len() as u64,
            kinds,
            first_seqs: seqs.into_iter().take(FIRST).collect(),
        }
    }
}

/// Sums up what would be redacted today in each stream; changes nothing.
async fn check(args: &Args, redactor: &Redactor) -> Result<Answer> {
    let mut sums = Vec::new();
    for source in args.source.streams().await? {
        let what = source.to_string();
        let input = input(&source).await?;
        let report = tokio::task::block_in_place(|| scrub(input, None, redactor)).context(what.clone())?;
        sums.push(Sum::of(what, &report));
    }
    let mut out = Out::new();
    if args.json {
        out.json(&serde_json::json!({ "streams": sums }))?;
    }
    for sum in sums.iter().filter(|_| !args.json) {
        let (source, lines) = (output::plain(&sum.source), output::count(sum.lines, "line"));
        if sum.secrets == 0 {
            out.line(format!("{source}: nothing found in {lines}"))?;
            continue;
        }
        let secrets = output::count(sum.secrets, "secret");
        out.line(format!("{source}: {secrets} in {} of {lines}", output::count(sum.changed, "line")))?;
        for (kind, count) in &sum.kinds {
            out.line(format!("  {count:>6} {}", output::plain(kind)))?;
        }
        if !sum.first_seqs.is_empty() {
            let seqs: Vec<String> = sum.first_seqs.iter().map(ToString::to_string).collect();
            let more = if sum.changed as usize > seqs.len() { ", …" } else { "" };
            out.line(format!("  first at seq {}{more}", seqs.join(", ")))?;
        }
    }
    let is_clean = sums.iter().all(|sum| sum.secrets == 0);
    Ok(if is_clean { Answer::Fine } else { Answer::Difference })
}

/// What is scrubbed, as a file that can be read twice.
async fn input(from: &Source) -> Result<File> {
    match from {
        Source::File(path) => {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            if file.metadata().is_ok_and(|meta| meta.is_file()) { Ok(file) } else { kept(file) }
        }
        Source::Stdin => kept(std::io::stdin().lock()),
        Source::Stream(client) => source::download(client, None, None).await,
    }
}

/// A pipe's content in a temporary file.
fn kept(mut from: impl std::io::Read) -> Result<File> {
    let mut file = tempfile::tempfile().context("no temporary file can be made")?;
    std::io::copy(&mut from, &mut file).context("the input cannot be kept in a temporary file")?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

fn print(report: &Report, what: &str, args: &Args) -> Result<()> {
    let mut out = Out::new();
    if args.json {
        let mut json = serde_json::to_value(report)?;
        json["source"] = what.into();
        json["copy"] = args.out.as_ref().map(|path| path.display().to_string()).into();
        out.json(&json)?;
    } else {
        for one in report.found.iter().take(MOST) {
            let place = match one.seq {
                Some(seq) => format!("seq {seq}"),
                None => format!("line {}", one.line),
            };
            out.line(format!("{place:<12} {:<20} {}", one.kind, output::plain(&one.path)))?;
        }
        if report.found.len() > MOST {
            out.line(format!("… and {} more; --json lists all", report.found.len() - MOST))?;
        }
        let lines = output::count(report.lines, "line");
        out.line(match report.found.len() as u64 {
            0 => format!("nothing found in {lines}"),
            n => format!(
                "{} in {} of {lines}",
                output::count(n, "secret"),
                output::count(report.changed, "line")
            ),
        })?;
    }
    for note in &report.notes {
        output::note(output::plain(note));
    }
    Ok(())
}
