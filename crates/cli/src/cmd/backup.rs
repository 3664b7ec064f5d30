//! `rig backup` and `rig restore`: a data directory as one file, and back.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rig_hub::backup::{self, Manifest};

use crate::output::{self, Out};
use crate::{Answer, recording};

/// Copy a hub's data directory to a file, while the hub runs
///
/// Logs are copied up to their last durable append, with the originals that belong to them. Keys are left out: with them a backup
/// is as secret as the hub.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig backup --data /var/lib/rig -o rig-2026-11-20.backup
  rig backup --data /var/lib/rig -o rig.backup --with-keys")]
pub struct Args {
    /// The hub's data directory
    #[arg(long, value_name = "DIR", env = "RIG_DATA")]
    data: PathBuf,
    /// The file, which must not be there yet
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Copy the keys too: whoever has the file can then read originals, guess short secrets and sign
    #[arg(long)]
    with_keys: bool,
    /// Print what was copied as JSON
    #[arg(long)]
    json: bool,
}

/// Put a backup into an empty folder
///
/// Everything is checked before anything is put in place. A hub on it goes on with the same streams and epochs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rig restore rig-2026-11-20.backup --data /var/lib/rig")]
pub struct RestoreArgs {
    /// What `rig backup` wrote
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The folder, which must be empty or not there yet
    #[arg(long, value_name = "DIR", env = "RIG_DATA")]
    data: PathBuf,
    /// Print what was restored as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<Answer> {
    let shown = args.output.display();
    if args.output.exists() {
        bail!("{shown} is there already; name another file with -o");
    }
    let mut unfinished = args.output.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let write = || -> Result<Manifest> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file =
            options.open(&unfinished).with_context(|| format!("cannot write {}", unfinished.display()))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let manifest = backup::write(&args.data, &mut file, args.with_keys, recording::now())?;
        file.flush()
            .and_then(|()| file.get_ref().sync_all())
            .with_context(|| format!("cannot write {shown}"))?;
        std::fs::rename(&unfinished, &args.output).with_context(|| format!("cannot write {shown}"))?;
        Ok(manifest)
    };
    let manifest = write().inspect_err(|_| drop(std::fs::remove_file(&unfinished)))?;
    if args.with_keys {
        output::note(format!(
            "{} {shown} holds the hub's keys: keep it as secret as the hub itself",
            output::styled(output::HEADING, "warning:")
        ));
    } else {
        output::note(
            "the keys are not in it: keep a copy of the folder keys/ elsewhere, or a restore is of no use",
        );
    }
    tell(&manifest, args.json, "copied to", &args.output)
}

pub(super) fn restore(args: RestoreArgs) -> Result<Answer> {
    let shown = args.from.display();
    let file = File::open(&args.from).with_context(|| format!("cannot read {shown}"))?;
    let manifest = backup::restore(BufReader::with_capacity(1 << 20, file), &args.data)
        .with_context(|| format!("{shown} was not restored"))?;
    if !manifest.with_keys {
        let keys = args.data.join("keys");
        output::note(format!(
            "the keys were not in it: put them into {} before a hub starts",
            keys.display()
        ));
    }
    tell(&manifest, args.json, "restored to", &args.data)
}

fn tell(manifest: &Manifest, json: bool, done: &str, to: &Path) -> Result<Answer> {
    let mut out = Out::new();
    if json {
        let told = serde_json::json!({
            "made": manifest.made,
            "with_keys": manifest.with_keys,
            "files": manifest.files(),
            "bytes": manifest.bytes(),
            "streams": manifest.streams,
        });
        out.json(&told)?;
        return Ok(Answer::Fine);
    }
    for copied in &manifest.streams {
        let events = copied.last_seq + 1 - copied.first_seq;
        out.line(format!(
            "{}  {} up to seq {}",
            copied.stream,
            output::count(events, "event"),
            copied.last_seq
        ))?;
    }
    let files = output::count(manifest.files() as u64, "file");
    out.line(format!(
        "{files} with {} bytes {done} {}",
        manifest.bytes(),
        output::plain(&to.display().to_string())
    ))?;
    Ok(Answer::Fine)
}
