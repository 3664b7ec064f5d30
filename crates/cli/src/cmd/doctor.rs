//! `rig doctor`: whether a data directory is sound, and what to do where it is not.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rig_hub::doctor::{self, Finding, Level};
use serde::Serialize;

use crate::hub::Settings;
use crate::output::{self, Out};
use crate::{Answer, policy};

/// Look a hub's data directory over
///
/// Reads every line of every log and holds it against the seals, and opens every original; looks at locks, permissions, keys, the
/// index and the disk. Best on a hub that is stopped; on one that runs, what it is just writing is left out. Nothing is changed without --repair.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig doctor /var/lib/rig
  rig doctor --data /var/lib/rig --config hub.toml --policy rig.toml --json

Exit codes: 0 all is well; 1 something is to be done; 2 the folder cannot be looked at.")]
pub struct Args {
    /// The hub's data directory
    #[arg(value_name = "DIR", required_unless_present = "data")]
    folder: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "DIR", env = "RIG_DATA", conflicts_with = "folder")]
    data: Option<PathBuf>,
    /// Read this policy file too
    #[arg(long, value_name = "FILE", env = "RIG_POLICY")]
    policy: Option<PathBuf>,
    /// Read this hub.toml too
    #[arg(long, value_name = "FILE", env = "RIG_CONFIG")]
    config: Option<PathBuf>,
    /// Set right what can be without losing anything, if no hub runs: permissions, an index that does not open, leftovers
    #[arg(long)]
    repair: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<Answer> {
    let data = args.folder.or(args.data).context("name the data directory")?;
    let mut report =
        doctor::examine(&data, args.repair).with_context(|| format!("cannot look at {}", data.display()))?;
    let checks = [
        (&args.policy, args.policy.as_deref().map(|path| policy::load(Some(path)).map(drop))),
        (&args.config, args.config.as_deref().map(|path| Settings::load(Some(path)).map(drop))),
    ];
    for (path, checked) in checks {
        if let (Some(path), Some(Err(error))) = (path, checked) {
            report.findings.push(Finding {
                level: Level::Error,
                path: path.clone(),
                what: output::plain(&output::chain(&error)),
                advice: "mend the file; a hub does not start with it".to_owned(),
                repaired: false,
            });
        }
    }
    let mut out = Out::new();
    if args.json {
        #[derive(Serialize)]
        struct Told<'a> {
            fine: bool,
            #[serde(flatten)]
            report: &'a doctor::Report,
        }
        out.json(&Told { fine: report.is_fine(), report: &report })?;
    } else {
        if report.running {
            out.line("a hub runs on it: what it is just writing was not looked at, and nothing is repaired")?;
        }
        for sound in &report.streams {
            out.line(format!(
                "stream {}: seq {} to {}, {}, signed up to {}, {}, state {}",
                sound.stream,
                sound.first_seq,
                sound.last_seq,
                output::count(sound.seals, "seal"),
                sound.signed_upto,
                output::count(sound.originals, "original"),
                sound.state
            ))?;
        }
        for finding in &report.findings {
            let level = match (finding.repaired, finding.level) {
                (true, _) => "repaired",
                (_, Level::Note) => "note",
                (_, Level::Warning) => "warning",
                (_, Level::Error) => "error",
            };
            let path = output::plain(&finding.path.display().to_string());
            let what = output::plain(&finding.what);
            out.line(format!("{}: {path}: {what}", output::styled(output::HEADING, level)))?;
            if !finding.repaired {
                out.line(format!("  {}", output::plain(&finding.advice)))?;
            }
        }
        if report.is_fine() {
            out.line("all is well")?;
        }
    }
    Ok(if report.is_fine() { Answer::Fine } else { Answer::Difference })
}
