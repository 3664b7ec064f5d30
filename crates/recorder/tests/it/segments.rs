//! Segments: rolled, pruned, locked, opened again.

use std::fs;

use rig_event::{StreamName, Timestamp};
use rig_recorder::{Error, EventLog, Options, ReadError, Recovery, SegmentLog};

use crate::support::{
    batch, batch_of, batches, copy_dir, create, open_and_read, read_all, segment, small_segments, store, text,
};

fn data_files(dir: &std::path::Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".jsonl")).collect();
    names.sort();
    names
}

#[test]
fn a_segment_is_plain_lines_and_a_batch_is_in_one_segment() {
    let dir = tempfile::tempdir().unwrap();
    let all = batches(&[1, 1, 9, 1, 1, 1]);
    store(dir.path(), small_segments(300), &all);
    let names = data_files(dir.path());
    assert_eq!(names[0], "00000000000000000001.jsonl");
    assert!(names.len() >= 3, "{names:?}");
    let mut joined = Vec::new();
    for name in &names {
        let lines = fs::read_to_string(dir.path().join(name)).unwrap();
        let head = |line: &str| rig_event::Head::parse(line.as_bytes()).unwrap().seq;
        assert_eq!(name[..20].parse(), Ok(head(lines.lines().next().unwrap())));
        assert!(lines.len() <= 300 || lines.lines().count() == 9, "only a batch that is larger has more");
        joined.extend_from_slice(lines.as_bytes());
    }
    assert_eq!(joined, text(&all));
    let (read, recovery) = open_and_read(dir.path(), small_segments(300)).unwrap();
    assert_eq!((read, recovery), (text(&all), Recovery::default()));
}

#[test]
fn a_reopened_log_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let all = batches(&[2, 1, 3, 1, 1, 4]);
    store(dir.path(), small_segments(300), &all[..1]);
    for lines in &all[1..] {
        let (log, recovery) = SegmentLog::open(dir.path(), small_segments(300)).unwrap();
        assert!(recovery.is_clean(), "{recovery:?}");
        assert_eq!(log.head() + 1, lines.first_seq);
        assert_eq!((log.stream().as_str(), log.epoch().as_str()), ("main", "e0"));
        assert_eq!(log.created(), Timestamp::from_micros(0));
        log.append(lines.clone()).wait().unwrap();
    }
    assert_eq!(open_and_read(dir.path(), Options::default()).unwrap().0, text(&all));
}

#[test]
fn what_has_left_memory_is_read_from_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let log = create(dir.path(), small_segments(1 << 20));
    let all: Vec<_> = (0..60).map(|i| batch_of(1 + i * 5, 5, 20_000)).collect();
    for lines in &all {
        drop(log.append(lines.clone()));
    }
    log.close().unwrap();
    assert_eq!(read_all(&log).unwrap(), text(&all));
    let lines = log.read_blocking(1, 300, 50_000).unwrap();
    assert_eq!((lines.first_seq, lines.last_seq()), (1, 2));
}

#[test]
fn pruning_gives_the_disk_back_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = create(dir.path(), small_segments(300));
    for lines in batches(&[1; 30]) {
        log.append(lines).wait().unwrap();
    }
    let on_disk = || -> u64 {
        let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with('0'));
        files.map(|entry| entry.metadata().unwrap().len()).sum()
    };
    assert_eq!(log.bytes(), on_disk());
    let before = on_disk();
    let pruned = log.prune_blocking(20).unwrap();
    assert!(pruned.first_seq > 10 && pruned.first_seq <= 20);
    assert_eq!((on_disk(), log.bytes()), (before - pruned.bytes, before - pruned.bytes));
    let left = read_all(&log).unwrap();
    drop(log);
    let (log, recovery) = SegmentLog::open(dir.path(), small_segments(300)).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!((log.first_seq(), log.head()), (pruned.first_seq, 30));
    assert_eq!(read_all(&log).unwrap(), left);
    assert!(matches!(log.read_blocking(1, 9, 9), Err(ReadError::Pruned { from: 1, .. })));
    drop(log);
    // What a prune was to leave is missed when it is gone.
    fs::remove_file(segment(dir.path(), pruned.first_seq, "jsonl")).unwrap();
    let error = SegmentLog::open(dir.path(), small_segments(300)).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Corrupt(corrupt) if corrupt.seq == pruned.first_seq), "{error}");
}

#[test]
fn a_prune_that_was_cut_short_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, half) = (dir.path().join("whole"), dir.path().join("half"));
    store(&whole, small_segments(1), &batches(&[1; 5]));
    copy_dir(&whole, &half);
    let (log, _) = SegmentLog::open(&whole, small_segments(1)).unwrap();
    log.prune_blocking(4).unwrap();
    // The description is written first; then the process dies.
    fs::copy(whole.join("stream.json"), half.join("stream.json")).unwrap();
    fs::remove_file(segment(&half, 2, "jsonl")).unwrap();
    let (log, recovery) = SegmentLog::open(&half, small_segments(1)).unwrap();
    assert_eq!((recovery.pruned_segments, log.first_seq(), log.head()), (2, 4, 5));
    assert_eq!(data_files(&half), data_files(&whole));
}

#[test]
fn only_one_may_have_a_stream_open() {
    let dir = tempfile::tempdir().unwrap();
    let log = create(dir.path(), Options::default());
    let error = SegmentLog::open(dir.path(), Options::default()).map(drop).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(log);
    drop(SegmentLog::open(dir.path(), Options::default()).unwrap());
}

#[test]
fn what_is_no_stream_is_not_opened_and_a_stream_is_not_made_twice() {
    let dir = tempfile::tempdir().unwrap();
    let open = || SegmentLog::open(dir.path(), Options::default()).map(drop).unwrap_err();
    assert!(matches!(open(), Error::NoStream { .. }));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    store(dir.path(), Options::default(), &[batch(1, 1)]);
    let epoch = "e1".parse().unwrap();
    let again = SegmentLog::create(
        dir.path(),
        StreamName::main(),
        epoch,
        Timestamp::from_micros(0),
        Options::default(),
    );
    assert!(matches!(again.map(drop), Err(Error::Exists { .. })));
    for bad in
        ["", "{}", r#"{"v":2,"something":"new"}"#, r#"{"v":1,"stream":"..","epoch":"e0","created":""}"#]
    {
        fs::write(dir.path().join("stream.json"), bad).unwrap();
        let error = open();
        assert!(matches!(error, Error::Description { .. }), "{bad}: {error}");
    }
}

#[test]
fn opening_does_not_read_full_segments() {
    // Full segments with holes in place of lines: whoever read them at opening would fail.
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), small_segments(1), &batches(&[1, 1, 1]));
    for first_seq in [1, 2] {
        let path = segment(dir.path(), first_seq, "jsonl");
        let len = fs::metadata(&path).unwrap().len() as usize;
        fs::write(&path, vec![0; len]).unwrap();
    }
    let (log, recovery) = SegmentLog::open(dir.path(), small_segments(1)).unwrap();
    assert!(recovery.is_clean());
    assert_eq!(log.read_blocking(3, 3, 0).unwrap().bytes, batch(3, 1).bytes);
    let error = log.read_blocking(2, 2, 0).unwrap_err();
    assert!(matches!(&error, ReadError::Corrupt(corrupt) if corrupt.seq == 2), "{error}");
}
