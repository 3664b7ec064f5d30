//! `rig scrub`: a recording looked through once more before it is shared.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use rig_config::{RedactionKey, Redactor};

use crate::Answer;
use crate::cmd::hub;
use crate::output::{self, Out};
use crate::scrub::{Report, scrub};
use crate::source::{self, Source};

/// So many findings are printed; --json has all.
const MOST: usize = 500;

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
  rig scrub http://127.0.0.1:7070/main           (only looks)")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Where the copy goes, compressed when its name ends in .zst; without it nothing is written
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
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
