//! Streams and lines for tests.

use std::fs;
use std::path::Path;

use rig_event::{Seq, StreamName, Timestamp};
use rig_recorder::{Error, EventLog, Lines, Options, ReadError, Recovery, SegmentLog};
use tempfile::TempDir;

/// A folder in memory where the machine has one: many tests make thousands of stores, and look at what the files hold,
/// not at whether the disk keeps it.
pub fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// One append of `count` events beginning with `first_seq`, each some `payload` bytes long.
pub fn batch_of(first_seq: Seq, count: u64, payload: usize) -> Lines {
    let mut text = String::new();
    for left in (0..count).rev() {
        let seq = first_seq + count - 1 - left;
        let more = if left > 0 { format!(r#""more":{left},"#) } else { String::new() };
        let ts = Timestamp::from_micros(1_795_000_000_000_000 + seq as i64);
        let x = "x".repeat(payload);
        text.push_str(&format!(
            r#"{{"seq":{seq},"ts":"{ts}","type":"test.note",{more}"message":"{seq} {x}"}}"#
        ));
        text.push('\n');
    }
    Lines::split(first_seq, text)
}

/// One append of `count` short events.
pub fn batch(first_seq: Seq, count: u64) -> Lines {
    batch_of(first_seq, count, 4)
}

/// Batches of these sizes, one after another from seq 1.
pub fn batches(sizes: &[u64]) -> Vec<Lines> {
    let mut next = 1;
    sizes
        .iter()
        .map(|&count| {
            let lines = batch(next, count);
            next += count;
            lines
        })
        .collect()
}

pub fn create(dir: &Path, options: Options) -> SegmentLog {
    let epoch = "e0".parse().unwrap();
    SegmentLog::create(dir, StreamName::main(), epoch, Timestamp::from_micros(0), options).unwrap()
}

/// Makes a stream with these batches and closes it.
pub fn store(dir: &Path, options: Options, batches: &[Lines]) {
    let log = create(dir, options);
    for lines in batches {
        log.append(lines.clone()).wait().unwrap();
    }
    log.close().unwrap();
}

pub fn small_segments(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..Options::default() }
}

/// Opens a store and reads all of it; the head is what the log says it is.
pub fn open_and_read(dir: &Path, options: Options) -> Result<(Vec<u8>, Recovery), Error> {
    let (log, recovery) = SegmentLog::open(dir, options)?;
    Ok((read_all(&log)?, recovery))
}

/// Every line of a log from its first event, as one text.
pub fn read_all(log: &SegmentLog) -> Result<Vec<u8>, Error> {
    let (mut next, mut all) = (log.first_seq(), Vec::new());
    while next <= log.head() {
        let lines = log.read_blocking(next, log.head(), 1 << 20).map_err(|e| match e {
            ReadError::Corrupt(corrupt) => Error::from(corrupt),
            other => panic!("{other}"),
        })?;
        assert_eq!(lines.first_seq, next);
        assert!(!lines.is_empty() && lines.is_well_formed());
        all.extend_from_slice(&lines.bytes);
        next = lines.last_seq() + 1;
    }
    Ok(all)
}

pub fn text(batches: &[Lines]) -> Vec<u8> {
    batches.iter().flat_map(|lines| lines.bytes.iter().copied()).collect()
}

/// Copies the files of a folder, as a crash would leave them: the lock is not taken.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A file of the segment that begins with `first_seq`.
pub fn segment(dir: &Path, first_seq: Seq, extension: &str) -> std::path::PathBuf {
    dir.join(format!("{first_seq:020}.{extension}"))
}
