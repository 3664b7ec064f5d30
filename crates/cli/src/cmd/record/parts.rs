//! The files of a rotated recording: `prod.jsonl.zst` goes on in `prod-1234.jsonl.zst`, which begins with event 1234.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rig_event::Seq;
use rig_event::session::Outcome;
use rig_recorder::session::Ending;

use super::{Args, cannot_write, stem};
use crate::client::Client;
use crate::output;
use crate::recording::Recording;

/// Returns the name of the file before the seq in it, and after.
fn halves(file: &Path) -> (String, String) {
    let name = file.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
    let (stem, ends) = name.split_at(name.find('.').filter(|at| *at > 0).unwrap_or(name.len()));
    (stem.to_owned(), ends.to_owned())
}

fn part(file: &Path, first_seq: Seq) -> PathBuf {
    let (stem, ends) = halves(file);
    file.with_file_name(format!("{stem}-{first_seq}{ends}"))
}

/// Lists the further files of a recording with the seqs in their names, in order.
pub(super) fn of(file: &Path) -> Vec<(Seq, PathBuf)> {
    let (stem, ends) = halves(file);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let seq = |name: &str| {
        let digits = name.strip_prefix(&stem)?.strip_prefix('-')?.strip_suffix(&ends)?;
        digits.parse::<Seq>().ok().filter(|seq| seq.to_string() == digits)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut parts: Vec<_> = entries
        .filter_map(|entry| Some((seq(&entry.file_name().to_string_lossy())?, entry.path())))
        .collect();
    parts.sort();
    parts
}

/// Finishes a file and begins the next, with the event `next`.
pub(super) async fn next(client: &Client, args: &Args, mut full: Recording, next: Seq) -> Result<Recording> {
    let file = part(&args.output, next);
    if !args.force && file.exists() {
        bail!("{} is there already; move it away, or overwrite it with --force", file.display());
    }
    let begun = Recording::begin(client, next, &file, stem(&file)).await?;
    let outcome = args.outcome.unwrap_or(Outcome::Passed);
    full.sign(client, outcome).await;
    full.finish(outcome).with_context(|| cannot_write(&args.output))?;
    output::note(format!("the recording goes on in {}", file.display()));
    Ok(begun)
}

/// Gives the file before the current one its footer, if a recorder was killed after it had begun the current one and before that.
pub(super) async fn finish_before(client: &Client, args: &Args, current: &Recording) {
    let first = current.header().first_seq;
    if !args.rotates() || first == 1 {
        return;
    }
    let before = of(&args.output).into_iter().rev().find(|(seq, _)| *seq < first);
    let file = before.map_or_else(|| args.output.clone(), |(_, file)| file);
    let unfinished = |header: &rig_event::session::Header, ending: &Ending| {
        let is_same = header.stream == current.header().stream && header.epoch == current.header().epoch;
        if !is_same || !matches!(ending, Ending::Unfinished | Ending::Torn { .. }) {
            bail!("it needs no footer");
        }
        Ok(())
    };
    if !file.exists() || file == part(&args.output, first) {
        return;
    }
    if let Ok(Some(mut recording)) = Recording::resume(&file, unfinished) {
        let outcome = if recording.last_seq() + 1 == first { Outcome::Passed } else { Outcome::Interrupted };
        let outcome = args.outcome.unwrap_or(outcome);
        recording.sign(client, outcome).await;
        if let Err(error) = recording.finish(outcome) {
            output::note(format!("{} has no footer: {error}", file.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_seq_in_their_name() {
        assert_eq!(part(Path::new("runs/a.jsonl.zst"), 7), Path::new("runs/a-7.jsonl.zst"));
        assert_eq!(part(Path::new("a"), 7), Path::new("a-7"));
    }

    #[test]
    fn parts_are_found_in_the_order_of_their_events() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "a.jsonl",
            "a-9.jsonl",
            "a-10.jsonl",
            "a-x.jsonl",
            "a-3.jsonl.resuming",
            "ab-4.jsonl",
            "a-007.jsonl",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let seqs: Vec<Seq> = of(&folder.path().join("a.jsonl")).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(seqs, [9, 10]);
    }
}
