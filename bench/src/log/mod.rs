//! `bench log`: what it costs to append, to keep and to open.

mod engine;
mod http;
mod memory;
mod start;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rig_event::{Epoch, Seq, StreamName};
use rig_recorder::{Durability, Lines, SegmentLog};
use tempfile::TempDir;

pub use self::memory::fill;
use crate::Setup;
use crate::report::Report;

/// What can be asked for alone.
pub const PARTS: &[&str] = &["engine", "http", "memory", "start"];

/// Runs the bench.
pub fn run(setup: &Setup) -> Result<()> {
    let mut report = Report::new("log", setup.quick);
    if setup.wants("engine") {
        engine::run(setup, &mut report)?;
    }
    if setup.wants("http") {
        http::run(setup, &mut report)?;
    }
    if setup.wants("memory") {
        memory::run(setup, &mut report)?;
    }
    if setup.wants("start") {
        start::run(setup, &mut report)?;
    }
    report.write(&setup.out)
}

/// A folder on the disk that the target folder is on: what is measured is a disk, and a temporary folder may be memory.
pub fn folder(setup: &Setup) -> Result<TempDir> {
    tempfile::tempdir_in(&setup.out)
        .with_context(|| format!("cannot make a folder in {}", setup.out.display()))
}

/// How long a line of the log is here, with its line end.
const LINE: usize = 350;

/// Consecutive lines as the hub's writer makes them, each an append of its own.
fn lines(first_seq: Seq, count: usize) -> Lines {
    use std::io::Write as _;
    let mut bytes = Vec::with_capacity(count * LINE);
    let mut ends = Vec::with_capacity(count);
    for seq in (first_seq..).take(count) {
        let start = bytes.len();
        // Writing to a Vec cannot fail.
        let _ = write!(
            bytes,
            "{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:05.412803Z\",\"type\":\"bench.appended\",\"p\":\""
        );
        let padding = (start + LINE - 3).saturating_sub(bytes.len());
        bytes.resize(bytes.len() + padding, b'x');
        bytes.extend_from_slice(b"\"}\n");
        ends.push(bytes.len() as u32);
    }
    Lines { first_seq, bytes: bytes.into(), ends: ends.into() }
}

/// A new log in `folder`, as a hub would make it for its stream `main`.
fn new_log(folder: &std::path::Path, durability: Durability) -> Result<SegmentLog> {
    let epoch = Epoch::from_random([1, 2, 3, 4, 5]);
    let options = rig_recorder::Options { durability, ..Default::default() };
    let created = "2026-11-20T10:30:05Z".parse().map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(SegmentLog::create(folder, StreamName::main(), epoch, created, options)?)
}

/// The data directory of a hub in `folder`.
fn data(folder: &TempDir) -> Result<PathBuf> {
    let data = folder.path().join("data");
    fs::create_dir_all(&data)?;
    Ok(data)
}
