//! `bench replay`: what it costs to open a large recording, to move in it, and to ask it something, beside jq and Python.

mod commands;
mod generate;
mod index;
#[cfg(unix)]
mod player;
mod seek;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rig_cli::timeline::{Chunks, FileBytes};
use rig_replay::Timeline;
use rig_replay::timeline::Bytes;
use tempfile::TempDir;

use crate::Setup;
use crate::report::Report;

/// What can be asked for alone.
pub const PARTS: &[&str] = &["index", "seek", "explain", "traffic", "logs", "player"];

/// A recording that was made for this run, and is gone with it.
pub struct Recording {
    /// Where it lies.
    pub path: PathBuf,
    /// How many events it has.
    pub events: usize,
    /// How long it is, in bytes.
    pub len: u64,
    _folder: TempDir,
}

/// Runs the bench.
pub fn run(setup: &Setup) -> Result<()> {
    let mut report = Report::new("replay", setup.quick);
    let recording = recording(setup)?;
    println!("a rigd log of {} events, {} MB", recording.events, recording.len / 1_000_000);
    if setup.wants("index") {
        index::run(setup, &recording, &mut report)?;
    }
    if setup.wants("seek") {
        seek::run(setup, &recording, &mut report)?;
    }
    commands::run(setup, &recording, &mut report)?;
    #[cfg(unix)]
    if setup.wants("player") {
        player::run(setup, &recording, &mut report)?;
    }
    report.write(&setup.out)
}

fn recording(setup: &Setup) -> Result<Recording> {
    let events = if setup.quick { 50_000 } else { 1_000_000 };
    let folder = tempfile::tempdir_in(&setup.out)
        .with_context(|| format!("cannot make a folder in {}", setup.out.display()))?;
    let path = folder.path().join("session.jsonl");
    let mut file =
        BufWriter::with_capacity(1 << 20, File::create(&path).context("cannot make the recording")?);
    generate::write(&mut file, events)?;
    file.flush()?;
    let len = std::fs::metadata(&path)?.len();
    // Once through, so that it is in the page cache.
    std::io::copy(&mut File::open(&path)?, &mut std::io::sink())?;
    Ok(Recording { path, events, len, _folder: folder })
}

/// Opens and indexes, as every reading command does.
fn open(path: &Path) -> Result<Timeline> {
    let bytes: Arc<dyn Bytes> = Arc::new(FileBytes::new(File::open(path)?));
    let len = bytes.len()?;
    let mut timeline = Timeline::new(bytes.clone(), "bench");
    for chunk in Chunks::new(bytes, len, true) {
        timeline.extend(chunk?);
    }
    timeline.finish();
    Ok(timeline)
}
