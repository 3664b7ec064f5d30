//! What it costs to compare two documents, beside PyPI's deepdiff and jsonpatch and npm's jsondiffpatch.
//!
//! Everybody gets documents that are read already, and answers with the difference; rig's are flat, as it keeps them.

use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rig_config::{FlatConfig, Format, Limits, Policy, diff, parse};

use super::{Cost, Took, measure, measure_with, peers, timed};
use crate::Setup;
use crate::report::{Bar, Cell, Report};

/// Which elements of the list another value has, and in which order they stand.
#[derive(Clone, Copy)]
struct Version {
    changed_every: usize,
    shuffled: bool,
}

pub fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir_in(&setup.out)?;
    let rounds = if setup.quick { 3 } else { 11 };
    let peers = peers::find(setup);
    peers.notes(report);
    let file = |name: &str| folder.path().join(name);
    // Fields and which of them are changed.
    let shapes = [
        ("1,000 fields, 1 % changed", 1_000, 100),
        ("1,000 fields, all changed", 1_000, 1),
        ("100,000 fields, 1 % changed", 100_000, 100),
        ("100,000 fields, all changed", 100_000, 1),
    ];
    let mut rows = Vec::new();
    let mut found = Vec::new();
    for (name, fields, every) in shapes {
        let (old, new) = (file("old.json"), file("new.json"));
        maps(&old, fields, 20, usize::MAX)?;
        maps(&new, fields, 20, every)?;
        let files: [&Path; 2] = [&old, &new];
        let ours = measure("diff", rounds, &files)?;
        // deepdiff takes some seconds for a round of the large ones, where one says enough.
        let few = if fields > 1_000 { 1 } else { rounds };
        let peer = |program: &Option<peers::Program>, script: &str, rounds: usize| {
            measure_with(program.as_ref()?, script, rounds, &files)
        };
        let jsondiffpatch = peer(&peers.node, peers::JSONDIFFPATCH, rounds);
        let deepdiff = if setup.quick { None } else { peer(&peers.python, peers::DEEPDIFF, few) };
        let jsonpatch = peer(&peers.python, peers::JSONPATCH, few);
        let ms = |cost: &Option<Cost>| cost.map_or(Cell::None, |cost| cost.ms.into());
        let cpu = |cost: &Option<Cost>| cost.map_or(Cell::None, |cost| cost.cpu_ms.into());
        rows.push(vec![
            name.into(),
            ours.ms.into(),
            ours.cpu_ms.into(),
            ms(&jsondiffpatch),
            cpu(&jsondiffpatch),
            ms(&deepdiff),
            ms(&jsonpatch),
            ours.mib.into(),
        ]);
        found.push((ours, jsondiffpatch, deepdiff));
    }
    let titles = [
        "two documents",
        "rig ms",
        "rig CPU ms",
        "jsondiffpatch ms",
        "jsondiffpatch CPU ms",
        "deepdiff ms",
        "jsonpatch ms",
        "rig MiB",
    ];
    report.table("diff", &titles, &rows);
    let (ours, jsondiffpatch, deepdiff) = found[2];
    if let Some(peer) = jsondiffpatch {
        report.bar("times as fast as jsondiffpatch, 100,000 fields", Bar::AtLeast(20.0), peer.ms / ours.ms);
    }
    if let Some(peer) = deepdiff {
        report.bar("times as fast as deepdiff, 100,000 fields", Bar::AtLeast(100.0), peer.ms / ours.ms);
    }
    growth(rounds, folder.path(), report)?;

    let list = |name: &str, version: Version| -> Result<PathBuf> {
        let path = file(name);
        elements(&path, 100_000, version)?;
        Ok(path)
    };
    let old = list("list.json", Version { changed_every: usize::MAX, shuffled: false })?;
    let same = list("changed.json", Version { changed_every: 100, shuffled: false })?;
    let shuffled = list("shuffled.json", Version { changed_every: 100, shuffled: true })?;
    let rounds = rounds.min(5);
    let straight = measure("diff", rounds, &[&old, &same])?;
    let mixed = measure("diff", rounds, &[&old, &shuffled])?;
    let rows = [
        vec!["in the same order".into(), straight.ms.into(), straight.mib.into()],
        vec!["shuffled".into(), mixed.ms.into(), mixed.mib.into()],
    ];
    report.table("100,000 elements by name, 1 % changed", &["the list", "rig ms", "rig MiB"], &rows);
    report.bar("times as long shuffled", Bar::AtMost(3.0), mixed.ms / straight.ms);
    Ok(())
}

/// How the time grows with the documents.
///
/// Two of 10 MB that are compared again and again stay in the processor's cache, two of 100 MB do not: that would measure the
/// cache. So the small ones are ten different pairs in one process, compared in turns: between two visits of a byte as many
/// others are read as there are in the large pair.
fn growth(rounds: usize, folder: &Path, report: &mut Report) -> Result<()> {
    let pair = |fields: usize| -> Result<[PathBuf; 2]> {
        let files = ["old", "new"].map(|name| folder.join(format!("{name}-{fields}.json")));
        maps(&files[0], fields, 1_000, usize::MAX)?;
        maps(&files[1], fields, 1_000, 100)?;
        Ok(files)
    };
    let (small, large) = (pair(10_000)?, pair(100_000)?);
    let ten: Vec<&Path> = (0..10).flat_map(|_| &small).map(PathBuf::as_path).collect();
    let ten = measure("diff", rounds, &ten)?;
    let one = measure("diff", rounds, &[&large[0], &large[1]])?;
    let row = |name: &str, cost: Cost| vec![name.into(), cost.ms.into(), cost.cpu_ms.into(), cost.mib.into()];
    let rows = [row("10 MB, ten pairs in turns, one of them", ten), row("100 MB", one)];
    report.table("growth of the diff", &["1 % changed", "rig ms", "rig CPU ms", "rig MiB"], &rows);
    report.bar("times as long for 100 MB as for 10 MB", Bar::AtMost(12.0), one.ms / ten.ms);
    Ok(())
}

/// What a child does: compares two documents, or each two of several, all in memory at once, in turns.
pub fn work(files: &[PathBuf], rounds: usize) -> Result<Vec<Took>> {
    let policy = Policy::default();
    let read = |file: &PathBuf| -> Result<FlatConfig> {
        Ok(parse(fs::read(file)?, Format::Json, &Limits::default())?.config)
    };
    let configs = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    anyhow::ensure!(configs.len() >= 2, "two documents are compared");
    let compared =
        |pair: &[FlatConfig]| timed(|| _ = black_box(diff(black_box(&pair[0]), &pair[1], &policy))).0;
    Ok((0..rounds).flat_map(|_| configs.chunks_exact(2).map(compared)).collect())
}

/// Maps of ten fields each.
fn maps(path: &Path, fields: usize, value: usize, changed_every: usize) -> Result<()> {
    let mut out = std::io::BufWriter::new(fs::File::create(path)?);
    let padding = "x".repeat(value.saturating_sub(10));
    for n in 0..fields {
        let opens = match n {
            0 => "{",
            _ if n.is_multiple_of(10) => "},",
            _ => ",",
        };
        write!(out, "{opens}")?;
        if n.is_multiple_of(10) {
            write!(out, "\"service{:06}\":{{", n / 10)?;
        }
        let word = if n % changed_every == 0 && changed_every < usize::MAX { "new" } else { "old" };
        write!(out, "\"field{}\":\"{word}{n:07}{padding}\"", n % 10)?;
    }
    out.write_all(b"}}")?;
    Ok(out.flush()?)
}

/// A list of elements with names, in an order that is always the same when shuffled.
fn elements(path: &Path, count: usize, version: Version) -> Result<()> {
    let mut order: Vec<usize> = (0..count).collect();
    if version.shuffled {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for index in (1..count).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            order.swap(index, (state % (index as u64 + 1)) as usize);
        }
    }
    let mut out = std::io::BufWriter::new(fs::File::create(path)?);
    out.write_all(b"{\"servers\":")?;
    for (place, n) in order.into_iter().enumerate() {
        let comma = if place == 0 { '[' } else { ',' };
        let changed = version.changed_every < usize::MAX && n % version.changed_every == 0;
        write!(
            out,
            "{comma}{{\"name\":\"server-{n}\",\"port\":{},\"zone\":\"z{}\"}}",
            n + usize::from(changed),
            n % 7
        )?;
    }
    out.write_all(b"]}")?;
    Ok(out.flush()?)
}
