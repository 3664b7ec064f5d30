//! Disks that fail, and what is left then.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use rig_recorder::{AppendError, Durability, Error, EventLog, Options, SegmentLog};

use crate::faulty::{Fault, FaultyDisk, Op};
use crate::support::{
    batch, batches, copy_dir, create, open_and_read, quick_dir, read_all, segment, small_segments, store,
    text,
};

/// Every operation of a run fails once, in every way, with and without the chance to take back what was written.
#[test]
fn a_failure_poisons_and_what_was_acknowledged_stays() {
    let all = batches(&[1, 3, 1, 2, 4, 1, 1, 2]);
    let mut failures = 0;
    for durability in [Durability::Always, Durability::Interval(Duration::from_secs(3600))] {
        for op in [Op::Create, Op::Write, Op::Sync, Op::SyncDir] {
            for (fault, broken) in
                [(Fault::Error, false), (Fault::Error, true), (Fault::Full, false), (Fault::Full, true)]
            {
                for nth in 0.. {
                    let dir = quick_dir();
                    let options = Options { segment_bytes: 400, durability };
                    store(dir.path(), options, &[]);
                    let disk = FaultyDisk::default();
                    let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), options).unwrap();
                    disk.fail(op, nth, fault, broken);
                    let acknowledged =
                        all.iter().take_while(|lines| log.append((*lines).clone()).wait().is_ok());
                    let acknowledged = acknowledged.count();
                    let closed = log.close();
                    if !disk.failed() {
                        assert_eq!((acknowledged, closed), (all.len(), Ok(())));
                        break;
                    }
                    failures += 1;
                    let case = format!("{durability:?} {op:?} {nth} {fault:?} broken {broken}");
                    assert!(matches!(closed, Err(AppendError::Poisoned { .. })), "{case}");
                    // Readers go on, and see what was acknowledged and nothing else.
                    assert_eq!(read_all(&log).unwrap(), text(&all[..acknowledged]), "{case}");
                    drop(log);
                    let (read, _) =
                        open_and_read(dir.path(), options).unwrap_or_else(|e| panic!("{case}: {e}"));
                    let one_more = &all[..(acknowledged + 1).min(all.len())];
                    let one_more = broken && read == text(one_more);
                    assert!(one_more || read == text(&all[..acknowledged]), "{case}");
                }
            }
        }
    }
    assert!(failures > 50, "{failures}");
}

#[test]
fn a_poisoned_log_names_its_first_failure_and_takes_events_again_once_reopened() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), Options::default(), &[batch(1, 1)]);
    let disk = FaultyDisk::default();
    let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), Options::default()).unwrap();
    disk.fail(Op::Write, 0, Fault::Full, false);
    let first = log.append(batch(2, 2)).wait().unwrap_err();
    assert!(first.to_string().contains("cannot write"), "{first}");
    assert_eq!(log.append(batch(2, 1)).wait().unwrap_err(), first);
    assert_eq!((log.head(), *log.watch().borrow(), log.queued_bytes()), (1, 1, 0));
    drop(log);
    let (log, recovery) = SegmentLog::open(dir.path(), Options::default()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    log.append(batch(2, 1)).wait().unwrap();
}

#[test]
fn everything_queued_during_a_failing_sync_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), Options::default(), &[]);
    let disk = FaultyDisk::default();
    let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), Options::default()).unwrap();
    disk.fail(Op::Sync, 0, Fault::Error, false);
    disk.hold_syncs(true);
    let pending: Vec<_> = (1..=50).map(|seq| log.append(batch(seq, 1))).collect();
    disk.wait_for(Op::Sync, 1);
    disk.hold_syncs(false);
    for append in pending {
        assert!(matches!(append.wait(), Err(AppendError::Poisoned { .. })));
    }
    assert_eq!((log.head(), log.queued_bytes()), (0, 0));
}

#[test]
fn what_waits_during_a_sync_shares_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), Options::default(), &[batch(1, 1)]);
    let disk = FaultyDisk::default();
    let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), Options::default()).unwrap();
    disk.hold_syncs(true);
    let first = log.append(batch(2, 1));
    disk.wait_for(Op::Sync, 1);
    let pending: Vec<_> = (3..=1000).map(|seq| log.append(batch(seq, 1))).collect();
    assert!(log.queued_bytes() > 0);
    assert_eq!(log.head(), 1, "nothing is visible before it is durable");
    disk.hold_syncs(false);
    first.wait().unwrap();
    for append in pending {
        append.wait().unwrap();
    }
    assert_eq!(disk.count(Op::Sync), 2);
    assert_eq!(disk.count(Op::Write), 2);
    assert_eq!((log.head(), log.queued_bytes()), (1000, 0));
}

#[test]
fn an_interval_answers_before_it_syncs_and_syncs_on_close() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { durability: Durability::Interval(Duration::from_secs(3600)), ..Options::default() };
    store(dir.path(), options, &[]);
    let disk = FaultyDisk::default();
    let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), options).unwrap();
    for seq in 1..=10 {
        log.append(batch(seq, 1)).wait().unwrap();
    }
    assert_eq!(disk.count(Op::Sync), 0);
    log.close().unwrap();
    assert_eq!(disk.count(Op::Sync), 1);
    assert_eq!(log.append(batch(11, 1)).wait(), Err(AppendError::Closed));
}

#[test]
fn an_interval_that_has_passed_syncs_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { durability: Durability::Interval(Duration::from_millis(1)), ..Options::default() };
    store(dir.path(), options, &[]);
    let disk = FaultyDisk::default();
    let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), options).unwrap();
    log.append(batch(1, 1)).wait().unwrap();
    disk.wait_for(Op::Sync, 1);
}

#[test]
fn dropping_the_log_commits_what_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let log = create(dir.path(), small_segments(300));
    for seq in 1..=100 {
        drop(log.append(batch(seq, 1)));
    }
    drop(log);
    let (read, recovery) = open_and_read(dir.path(), Options::default()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(read, text(&batches(&[1; 100])));
}

/// The order that recovery relies on: a record in the index is proof that its line was synced.
#[test]
fn the_index_never_knows_a_line_that_is_not_synced() {
    let dir = quick_dir();
    store(dir.path(), Options::default(), &[batch(1, 2)]);
    let disk = FaultyDisk::default();
    let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), Options::default()).unwrap();
    disk.hold_syncs(true);
    let pending = log.append(batch(3, 2));
    disk.wait_for(Op::Sync, 1);
    let crashed = quick_dir();
    copy_dir(dir.path(), crashed.path());
    disk.hold_syncs(false);
    pending.wait().unwrap();
    // The power fails, and of what was not synced a part is there: no damage, but a torn tail.
    let lines = segment(crashed.path(), 1, "jsonl");
    assert_eq!(fs::read(&lines).unwrap(), text(&batches(&[2, 2])));
    File::options().write(true).open(&lines).unwrap().set_len(batch(1, 2).bytes.len() as u64 + 9).unwrap();
    let (read, recovery) = open_and_read(crashed.path(), Options::default()).unwrap();
    assert_eq!((read, recovery.cut_bytes), (text(&batches(&[2])), 9));
}

/// With an interval, what was not synced may be lost without that being damage; what was synced may not.
#[test]
fn an_interval_claims_nothing_before_its_sync() {
    let dir = quick_dir();
    let options =
        Options { durability: Durability::Interval(Duration::from_secs(3600)), ..Options::default() };
    let log = create(dir.path(), options);
    let all = batches(&[2, 3, 1]);
    for lines in &all {
        log.append(lines.clone()).wait().unwrap();
    }
    let crash = |keep: usize| {
        let crashed = quick_dir();
        copy_dir(dir.path(), crashed.path());
        let lines = File::options().write(true).open(segment(crashed.path(), 1, "jsonl")).unwrap();
        lines.set_len(keep as u64).unwrap();
        open_and_read(crashed.path(), options)
    };
    let whole = text(&all).len();
    for keep in 0..=whole {
        let (read, _) = crash(keep).unwrap();
        let expected = (0..=3).rev().map(|n| text(&all[..n])).find(|prefix| prefix.len() <= keep);
        assert_eq!(Some(read), expected, "{keep} bytes are left");
    }
    log.close().unwrap();
    for keep in 0..whole {
        assert!(matches!(crash(keep), Err(Error::Corrupt(_))), "{keep} bytes are left");
    }
}

/// From then on opening trusts it.
#[test]
fn a_full_segment_is_synced_with_its_index() {
    for durability in [Durability::Always, Durability::Interval(Duration::from_secs(3600))] {
        let dir = quick_dir();
        let options = Options { segment_bytes: 1, durability };
        store(dir.path(), options, &[]);
        let disk = FaultyDisk::default();
        let (log, _) = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), options).unwrap();
        for lines in batches(&[1, 2, 1]) {
            log.append(lines).wait().unwrap();
        }
        let active = usize::from(durability == Durability::Always);
        assert_eq!((disk.count(Op::Sync), disk.count_on_indexes(Op::Sync)), (2 + active, 2));
        assert_eq!((disk.count(Op::Create), disk.count(Op::SyncDir)), (3, 3));
    }
}

/// A process that died between the write and the sync leaves lines that only the page cache has.
#[test]
fn opening_makes_durable_what_it_finds() {
    let dir = quick_dir();
    store(dir.path(), Options::default(), &batches(&[2, 1]));
    for (index_len, syncs) in [(36, 0), (24, 1), (0, 1)] {
        let index = File::options().write(true).open(segment(dir.path(), 1, "idx")).unwrap();
        index.set_len(index_len).unwrap();
        let disk = FaultyDisk::default();
        let opened = SegmentLog::open_on(Arc::new(disk.clone()), dir.path(), Options::default());
        assert_eq!(opened.unwrap().0.head(), 3);
        assert_eq!(disk.count(Op::Sync), syncs, "{index_len} bytes of index");
        disk.fail(Op::Sync, 0, Fault::Error, false);
        index.set_len(index_len).unwrap();
        let again = SegmentLog::open_on(Arc::new(disk), dir.path(), Options::default());
        assert_eq!(again.is_err(), syncs > 0, "what cannot be made durable is not told as such");
        drop(again);
        drop(SegmentLog::open(dir.path(), Options::default()).unwrap());
    }
}
