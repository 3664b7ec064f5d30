//! Stores that a crash or a bad disk left behind: never silently other lines than were written.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rig_recorder::{Error, EventLog, Lines, Options, SegmentLog};

use crate::support::{
    batch, batches, copy_dir, open_and_read, quick_dir, segment, small_segments, store, text,
};

/// The texts that a store of these batches may be cut back to.
fn prefixes(batches: &[Lines]) -> Vec<Vec<u8>> {
    (0..=batches.len()).map(|n| text(&batches[..n])).collect()
}

fn cut(path: &Path, len: usize) {
    fs::File::options().write(true).open(path).unwrap().set_len(len as u64).unwrap();
}

fn size(path: &Path) -> usize {
    fs::metadata(path).unwrap().len() as usize
}

/// The power failed before anything of the last index pages was there: any cut leaves whole batches.
#[test]
fn lines_cut_anywhere_without_an_index_open_to_whole_batches() {
    let all = batches(&[1, 3, 1, 2]);
    let prefixes = prefixes(&all);
    let dir = quick_dir();
    let whole = dir.path().join("whole");
    store(&whole, Options::default(), &all);
    for len in 0..=size(&segment(&whole, 1, "jsonl")) {
        let dir = quick_dir();
        copy_dir(&whole, dir.path());
        cut(&segment(dir.path(), 1, "jsonl"), len);
        cut(&segment(dir.path(), 1, "idx"), 0);
        let (read, recovery) = open_and_read(dir.path(), Options::default()).unwrap();
        let expected = prefixes.iter().rfind(|prefix| prefix.len() <= len).unwrap();
        assert_eq!(&read, expected, "cut at {len}");
        assert_eq!(recovery.cut_bytes as usize, len - expected.len());
        assert_eq!(read, fs::read(segment(dir.path(), 1, "jsonl")).unwrap());
        // And it is as if nothing had been: the log goes on, and opens clean.
        let (log, recovery) = SegmentLog::open(dir.path(), Options::default()).unwrap();
        assert!(recovery.is_clean(), "cut at {len}: {recovery:?}");
        let next = batch(log.head() + 1, 2);
        log.append(next.clone()).wait().unwrap();
        drop(log);
        let (read, _) = open_and_read(dir.path(), Options::default()).unwrap();
        assert_eq!(read, [&expected[..], &next.bytes].concat());
    }
}

/// What was written at once is cut between its appends, never within one.
#[test]
fn of_several_appends_in_one_batch_each_is_there_as_a_whole() {
    let appends = batches(&[2, 1, 3]);
    let prefixes = prefixes(&appends);
    let dir = quick_dir();
    let whole = dir.path().join("whole");
    store(&whole, Options::default(), &[Lines::split(1, text(&appends))]);
    for len in 0..=text(&appends).len() {
        let dir = quick_dir();
        copy_dir(&whole, dir.path());
        cut(&segment(dir.path(), 1, "jsonl"), len);
        cut(&segment(dir.path(), 1, "idx"), 0);
        let (read, _) = open_and_read(dir.path(), Options::default()).unwrap();
        assert_eq!(Some(&read), prefixes.iter().rfind(|prefix| prefix.len() <= len), "cut at {len}");
    }
}

/// What the index knows as synced is not cut: it is missed.
#[test]
fn lines_cut_below_their_index_are_reported() {
    let all = batches(&[1, 3, 1, 2]);
    let dir = quick_dir();
    let whole = dir.path().join("whole");
    store(&whole, Options::default(), &all);
    let everything = text(&all);
    for len in 0..everything.len() {
        let dir = quick_dir();
        copy_dir(&whole, dir.path());
        cut(&segment(dir.path(), 1, "jsonl"), len);
        let error = open_and_read(dir.path(), Options::default()).unwrap_err();
        let Error::Corrupt(corrupt) = error else { panic!("{error}") };
        let lost = 1 + everything[..len].iter().filter(|&&byte| byte == b'\n').count() as u64;
        assert_eq!((corrupt.stream.as_str(), corrupt.seq), ("main", lost), "{corrupt}");
        assert_eq!(size(&segment(dir.path(), 1, "jsonl")), len, "nothing is cut");
    }
}

/// One sync covers a whole batch: the record of its first event speaks for the others.
#[test]
fn half_a_batch_whose_first_event_was_synced_is_reported() {
    let dir = quick_dir();
    store(dir.path(), Options::default(), &batches(&[1, 3]));
    cut(&segment(dir.path(), 1, "idx"), 2 * 12);
    cut(&segment(dir.path(), 1, "jsonl"), text(&batches(&[1])).len() + batch(2, 3).slice(2, 3).bytes.len());
    let error = open_and_read(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt(corrupt) if corrupt.seq == 4), "{error}");
}

#[test]
fn an_index_cut_anywhere_is_made_new() {
    let all = batches(&[1, 3, 1, 2]);
    let dir = quick_dir();
    let whole = dir.path().join("whole");
    store(&whole, Options::default(), &all);
    let index = fs::read(segment(&whole, 1, "idx")).unwrap();
    for len in 0..index.len() {
        let dir = quick_dir();
        copy_dir(&whole, dir.path());
        cut(&segment(dir.path(), 1, "idx"), len);
        let (read, recovery) = open_and_read(dir.path(), Options::default()).unwrap();
        assert_eq!(read, text(&all), "cut at {len}");
        assert!(!recovery.is_clean());
        assert_eq!(fs::read(segment(dir.path(), 1, "idx")).unwrap(), index, "cut at {len}");
    }
}

/// Every bit of every file of a store with two full segments and an active one.
#[test]
fn a_flipped_bit_is_found_or_harmless() {
    let all = batches(&[1, 2, 1, 2]);
    let options = small_segments(250);
    let dir = quick_dir();
    let whole = dir.path().join("whole");
    store(&whole, options, &all);
    let expected = text(&all);
    let (mut found, mut harmless) = (0, 0);
    let mut segments = 0;
    for entry in fs::read_dir(&whole).unwrap() {
        let name = entry.unwrap().file_name();
        let is_data = Path::new(&name).extension() == Some("jsonl".as_ref());
        if !is_data && Path::new(&name).extension() != Some("idx".as_ref()) {
            continue;
        }
        segments += usize::from(is_data);
        let bytes = fs::read(whole.join(&name)).unwrap();
        let copy = quick_dir();
        copy_dir(&whole, copy.path());
        for bit in 0..bytes.len() * 8 {
            let at = bit / 8;
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (bit % 8);
            fs::write(copy.path().join(&name), &damaged).unwrap();
            match open_and_read(copy.path(), options) {
                Ok((read, _)) => {
                    assert_eq!(read, expected, "{name:?} bit {bit}");
                    assert!(!is_data, "{name:?} bit {bit} went unseen");
                    harmless += 1;
                }
                Err(Error::Corrupt(corrupt)) => {
                    assert!(is_data, "{name:?} bit {bit}: {corrupt}");
                    let first_seq: u64 =
                        Path::new(&name).file_stem().unwrap().to_str().unwrap().parse().unwrap();
                    let before = bytes[..at].iter().filter(|&&byte| byte == b'\n').count() as u64;
                    assert_eq!(corrupt.seq, first_seq + before, "{name:?} bit {bit}: {corrupt}");
                    found += 1;
                }
                Err(other) => panic!("{name:?} bit {bit}: {other}"),
            }
        }
    }
    assert!(segments >= 3, "{segments}");
    assert!(found > 4000 && harmless > 400, "{found} found, {harmless} harmless");
}

/// Every bit of the file that says whose the events are and where they begin.
#[test]
fn a_flipped_bit_of_the_description_is_told_or_changes_nothing() {
    let options = small_segments(1);
    let dir = quick_dir();
    store(dir.path(), options, &batches(&[2; 4]));
    let (log, _) = SegmentLog::open(dir.path(), options).unwrap();
    log.prune_blocking(5).unwrap();
    drop(log);
    let path = dir.path().join("stream.json");
    let text = fs::read(&path).unwrap();
    let before = contents(dir.path());
    let mut told = 0;
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        match SegmentLog::open(dir.path(), options) {
            Ok((log, _)) => {
                assert_eq!((log.first_seq(), log.head(), log.epoch().as_str()), (5, 8, "e0"), "bit {bit}");
                assert_eq!(log.created(), rig_event::Timestamp::from_micros(0), "bit {bit}");
            }
            Err(Error::Description { .. }) => told += 1,
            Err(other) => panic!("bit {bit}: {other}"),
        }
        fs::write(&path, &text).unwrap();
    }
    assert!(contents(dir.path()) == before && told > text.len() * 6, "{told} of {} bits", text.len() * 8);
}

/// A description without a checksum, as earlier versions wrote it, opens and gets one.
#[test]
fn a_description_of_before_there_were_checksums_gets_one() {
    let dir = quick_dir();
    store(dir.path(), Options::default(), &batches(&[2]));
    let path = dir.path().join("stream.json");
    let checked = fs::read_to_string(&path).unwrap();
    let earlier = checked.split(",\"crc32c\"").next().unwrap().to_owned() + "}\n";
    assert_ne!(earlier, checked);
    fs::write(&path, earlier).unwrap();
    assert_eq!(open_and_read(dir.path(), Options::default()).unwrap().0, text(&batches(&[2])));
    assert_eq!(fs::read_to_string(&path).unwrap(), checked);
}

/// Pages that never reached the disk, past what the index covers.
#[test]
fn zeros_where_a_write_was_interrupted_are_a_torn_tail() {
    let all = batches(&[2, 1]);
    let torn = batch(4, 3);
    let dir = quick_dir();
    let whole = dir.path().join("whole");
    store(&whole, Options::default(), &all);
    for from in 0..torn.bytes.len() {
        for to in [from + 1, torn.bytes.len()] {
            let dir = quick_dir();
            copy_dir(&whole, dir.path());
            let mut bytes = text(&all);
            let start = bytes.len();
            bytes.extend_from_slice(&torn.bytes);
            bytes[start + from..start + to].fill(0);
            fs::write(segment(dir.path(), 1, "jsonl"), bytes).unwrap();
            let (read, recovery) = open_and_read(dir.path(), Options::default()).unwrap();
            assert_eq!(read, text(&all), "zeros from {from} to {to}");
            assert_eq!(recovery.cut_bytes as usize, torn.bytes.len());
        }
    }
}

/// Past what the index covers, a whole line that does not belong there is no trace of an interrupted write.
#[test]
fn whole_lines_that_do_not_belong_are_damage() {
    let good = batch(1, 1);
    let stray = |line: &str| line.replace("{TS}", r#""ts":"2026-11-20T10:30:05.412803Z","type":"a.b""#);
    for (line, seq) in [
        (stray(r#"{"seq":1,{TS}}"#), 2),
        (stray(r#"{"seq":3,{TS}}"#), 2),
        ("not an event".to_owned(), 2),
        (String::new(), 2),
        (stray("{\"seq\":2,\"more\":2,{TS}}\n{\"seq\":3,{TS}}"), 3),
        (stray("{\"seq\":2,\"more\":1,{TS}}\n{\"seq\":3,\"more\":1,{TS}}"), 3),
        (stray("{\"seq\":2,{TS}}\n{\"seq\":4,{TS}}"), 3),
        ("x".repeat(2 << 20), 2),
    ] {
        let dir = quick_dir();
        store(dir.path(), Options::default(), std::slice::from_ref(&good));
        fs::write(segment(dir.path(), 1, "jsonl"), [&good.bytes[..], line.as_bytes(), b"\n"].concat())
            .unwrap();
        let error = open_and_read(dir.path(), Options::default()).unwrap_err();
        let Error::Corrupt(corrupt) = error else { panic!("{error}") };
        assert_eq!(corrupt.seq, seq, "{corrupt}");
    }
}

#[test]
fn a_missing_segment_is_named() {
    let all = batches(&[1, 1, 1, 1]);
    let options = small_segments(1);
    let dir = quick_dir();
    let whole = dir.path().join("whole");
    store(&whole, options, &all);
    for missing in 1..=3 {
        let dir = quick_dir();
        copy_dir(&whole, dir.path());
        fs::remove_file(segment(dir.path(), missing, "jsonl")).unwrap();
        let error = SegmentLog::open(dir.path(), options).map(drop).unwrap_err();
        let Error::Corrupt(corrupt) = error else { panic!("{error}") };
        assert_eq!(corrupt.seq, missing, "{corrupt}");
    }
}

#[test]
fn an_index_that_is_gone_is_made_new_for_every_segment() {
    let all = batches(&[2, 1, 3, 1]);
    let options = small_segments(1);
    let dir = quick_dir();
    store(dir.path(), options, &all);
    for first_seq in [1, 3, 4, 7] {
        fs::remove_file(segment(dir.path(), first_seq, "idx")).unwrap();
    }
    let (read, recovery) = open_and_read(dir.path(), options).unwrap();
    assert_eq!((read, recovery.index_records), (text(&all), 7));
    assert!(open_and_read(dir.path(), options).unwrap().1.is_clean());
}

/// The names and contents of a folder's files.
fn contents(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

/// One changed digit of `first_seq` once deleted a whole pruned stream.
#[test]
fn a_changed_first_seq_deletes_nothing() {
    let options = small_segments(1);
    let dir = quick_dir();
    store(dir.path(), options, &batches(&[2; 10]));
    let (log, _) = SegmentLog::open(dir.path(), options).unwrap();
    assert_eq!(log.prune_blocking(7).unwrap().first_seq, 7);
    drop(log);
    let description = fs::read_to_string(dir.path().join("stream.json")).unwrap();
    // As written before there were checksums, so that nothing but the segments tells.
    let description =
        description.split(",\"crc32c\"").next().unwrap().trim_end().trim_end_matches('}').to_owned();
    assert!(description.ends_with("\"first_seq\":7"), "{description}");
    for (digits, seq) in [("1", 1), ("3", 3), ("5", 5), ("6", 6), ("8", 8), ("87", 87), ("70", 70)] {
        let changed = description.replace("\"first_seq\":7", &format!("\"first_seq\":{digits}")) + "}";
        fs::write(dir.path().join("stream.json"), changed).unwrap();
        let before = contents(dir.path());
        let error = SegmentLog::open(dir.path(), options).map(drop).unwrap_err();
        let Error::Corrupt(corrupt) = error else { panic!("{error}") };
        assert_eq!(corrupt.seq, seq, "{corrupt}");
        assert!(contents(dir.path()) == before, "first_seq {digits}: something was changed");
    }
    // Where a segment does begin there, whoever opens the log is asked before any is deleted.
    fs::write(dir.path().join("stream.json"), description.replace("_seq\":7", "_seq\":13") + "}").unwrap();
    let before = contents(dir.path());
    let (log, recovery) = SegmentLog::open_keeping(dir.path(), options).unwrap();
    assert_eq!((recovery.pruned_segments, log.first_seq(), log.head()), (3, 13, 20));
    drop(log);
    assert!(contents(dir.path()) == before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Both files of the active segment cut anywhere at once: a prefix of whole batches, or damage is named.
    #[test]
    fn a_crash_leaves_whole_batches_or_a_report(
        sizes in prop::collection::vec(1u64..5, 1..8),
        data in 0.0..1.0f64,
        index in 0.0..1.0f64,
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let all = batches(&sizes);
        let dir = quick_dir();
        store(dir.path(), Options::default(), &all);
        let (data_path, index_path) = (segment(dir.path(), 1, "jsonl"), segment(dir.path(), 1, "idx"));
        let data_len = (size(&data_path) as f64 * data) as usize;
        cut(&data_path, data_len);
        let index_len = (size(&index_path) as f64 * index) as usize;
        let mut kept = fs::read(&index_path).unwrap();
        kept.truncate(index_len);
        kept.extend(garbage);
        fs::write(&index_path, kept).unwrap();
        match open_and_read(dir.path(), Options::default()) {
            Ok((read, _)) => prop_assert!(prefixes(&all).contains(&read)),
            Err(Error::Corrupt(_)) => {
                let lines = text(&all)[..data_len].iter().filter(|&&byte| byte == b'\n').count();
                // One sync covers a whole batch, so a record of its first event speaks for its last.
                let covered = (index_len / 12) as u64;
                let synced = all.iter().map(Lines::last_seq).find(|&last| last >= covered).unwrap_or(0);
                prop_assert!((lines as u64) < synced, "{lines} lines are there, {synced} were synced");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// A stream that lost its only segment, or its description, must not begin anew under the same name.
#[test]
fn a_lost_first_segment_or_description_is_told_and_never_begun_anew() {
    let dir = quick_dir();
    store(dir.path(), Options::default(), &batches(&[2, 1]));
    let data = segment(dir.path(), 1, "jsonl");
    let aside = dir.path().join("aside");
    fs::rename(&data, &aside).unwrap();
    assert!(matches!(SegmentLog::open(dir.path(), Options::default()), Err(Error::Corrupt(e)) if e.seq == 1));
    fs::rename(&aside, &data).unwrap();
    fs::remove_file(dir.path().join("stream.json")).unwrap();
    let opened = SegmentLog::open(dir.path(), Options::default());
    assert!(matches!(opened, Err(Error::NoDescription { .. })));
    let made = SegmentLog::create(
        dir.path(),
        "main".parse().unwrap(),
        "e2".parse().unwrap(),
        rig_event::Timestamp::default(),
        Options::default(),
    );
    assert!(matches!(made, Err(Error::NoDescription { .. })));
}
