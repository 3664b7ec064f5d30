//! What every engine must do, whichever it is.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Waker};

use rig_event::{Seq, StreamName};
use rig_recorder::{AppendError, EventLog, Lines, MemoryLog, Pending, ReadError, SegmentLog, read_appends};

use crate::support::{batch, batch_of, create, quick_dir, small_segments};

/// Runs the contract; each call of `make` gives an empty log of stream `main`, epoch `e0`.
pub async fn event_log_contract(make: impl Fn() -> Arc<dyn EventLog>) {
    an_empty_log(&*make()).await;
    order_and_batches(&*make()).await;
    several_appends_in_one_batch(&*make()).await;
    enqueued_by_the_call(&*make()).await;
    refusals(&*make()).await;
    slices(&*make()).await;
    appends_are_read_whole(&*make()).await;
    the_head_is_told(&*make()).await;
    pruning(&*make()).await;
    readers_meanwhile(make()).await;
}

async fn an_empty_log(log: &dyn EventLog) {
    assert_eq!((log.stream().as_str(), log.epoch().as_str()), ("main", "e0"));
    assert_eq!((log.first_seq(), log.head(), *log.watch().borrow()), (1, 0, 0));
    assert_eq!((log.bytes(), log.queued_bytes()), (0, 0));
    for from in [0, 1, 2, Seq::MAX] {
        assert!(log.read(from, Seq::MAX, 99).await.unwrap().is_empty(), "from {from}");
    }
    assert_eq!(log.prune(7).await.unwrap().events, 0);
}

async fn order_and_batches(log: &dyn EventLog) {
    let all = fill(log, &[1, 3, 2, 1]).await;
    assert_eq!((log.first_seq(), log.head()), (1, 7));
    assert_eq!(log.queued_bytes(), 0);
    assert!(log.bytes() >= all.len() as u64);
    assert_eq!(read_all(log, 1, Seq::MAX, 1 << 20).await, all);
}

async fn several_appends_in_one_batch(log: &dyn EventLog) {
    let appends = crate::support::batches(&[2, 1, 3]);
    let all = crate::support::text(&appends);
    log.append(Lines::split(1, all.clone())).await.unwrap();
    log.append(batch(7, 1)).await.unwrap();
    assert_eq!(read_all(log, 1, 6, 100).await, all);
}

async fn enqueued_by_the_call(log: &dyn EventLog) {
    // Never polled before all are there, and awaited in another order.
    let mut pending: Vec<Pending> = (1..=20).map(|seq| log.append(batch(seq, 1))).collect();
    pending.reverse();
    for append in pending {
        append.await.unwrap();
    }
    // Nobody waits for this one.
    drop(log.append(batch(21, 2)));
    log.append(batch(23, 1)).await.unwrap();
    assert_eq!(log.head(), 23);
    assert_eq!(read_all(log, 21, 22, 0).await, batch(21, 2).bytes);
}

async fn refusals(log: &dyn EventLog) {
    log.append(batch(1, 2)).await.unwrap();
    for first_seq in [1, 2, 4, 99] {
        let refused = log.append(batch(first_seq, 1)).await;
        assert_eq!(refused, Err(AppendError::OutOfOrder { first_seq, expected: 3 }));
    }
    let malformed = Err(AppendError::Malformed { first_seq: 3 });
    assert_eq!(log.append(Lines::empty(3)).await, malformed);
    assert_eq!(log.append(Lines { ends: [1].into(), ..batch(3, 1) }).await, malformed);
    log.append(batch(3, 1)).await.unwrap();
    assert_eq!(log.head(), 3);
}

async fn slices(log: &dyn EventLog) {
    fill(log, &[2, 5, 1, 4]).await;
    let line = batch(1, 1).bytes.len();
    for from in 1..=12 {
        for to in 1..=14 {
            for max_bytes in [0, line - 1, line * 3, 1 << 20] {
                let lines = log.read(from, to, max_bytes).await.unwrap();
                assert!(lines.is_well_formed());
                assert_eq!(lines.first_seq, from);
                assert_eq!(lines.is_empty(), from > to, "{from} to {to}");
                assert!(lines.last_seq() <= to.max(from));
                assert!(lines.len() <= 1 || lines.bytes.len() <= max_bytes);
                for (seq, line) in lines.iter() {
                    assert_eq!(rig_event::Head::parse(line).unwrap().seq, seq);
                }
            }
        }
    }
    assert!(log.read(13, 20, 99).await.unwrap().is_empty());
    let from_0 = log.read(0, 1, 99).await.unwrap();
    assert_eq!((from_0.first_seq, from_0.len()), (1, 1));
}

/// Sizes around what an engine gives with one read, up to the most events that a hub takes at once.
const APPENDS: [u64; 9] = [3, 4_095, 1, 4_096, 2, 4_097, 8_193, 10_000, 1];

async fn appends_are_read_whole(log: &dyn EventLog) {
    let all = fill(log, &APPENDS).await;
    read_in_whole_appends(log, &all, &APPENDS, &[1, 4_096, 256 << 10, usize::MAX]).await;
}

/// Reads a log of appends of these sizes append by append, and some at once where they fit.
async fn read_in_whole_appends(log: &dyn EventLog, all: &[u8], sizes: &[u64], limits: &[usize]) {
    let begins: Vec<Seq> = sizes
        .iter()
        .scan(1, |next, size| {
            *next += size;
            Some(*next - size)
        })
        .collect();
    for &max_bytes in limits {
        let (mut next, mut read) = (1, Vec::new());
        while next <= log.head() {
            let lines = read_appends(log, next, max_bytes).await.unwrap();
            assert_eq!(lines.first_seq, next, "max_bytes {max_bytes}");
            assert!(!lines.is_empty() && lines.is_well_formed() && lines.is_whole_appends());
            next = lines.last_seq() + 1;
            let appends = begins.iter().filter(|begin| (lines.first_seq..next).contains(begin)).count();
            assert!(appends == 1 || lines.bytes.len() <= max_bytes, "{appends} appends in {max_bytes} bytes");
            read.extend_from_slice(&lines.bytes);
        }
        assert!(read == all, "max_bytes {max_bytes}");
        assert!(read_appends(log, next, max_bytes).await.unwrap().is_empty());
    }
}

async fn the_head_is_told(log: &dyn EventLog) {
    let mut watch = log.watch();
    let seen = async {
        watch.changed().await.unwrap();
        let head = *watch.borrow_and_update();
        assert!(head >= 1);
        assert_eq!(log.read(head, head, 0).await.unwrap().len(), 1, "what the head names can be read");
    };
    let (append, ()) = tokio::join!(log.append(batch(1, 2)), seen);
    append.unwrap();
    assert_eq!(*log.watch().borrow(), 2);
}

async fn pruning(log: &dyn EventLog) {
    for first_seq in (1..=40).step_by(2) {
        log.append(batch_of(first_seq, 2, 60)).await.unwrap();
    }
    let before = log.bytes();
    assert_eq!(log.prune(1).await.unwrap().events, 0);
    let pruned = log.prune(30).await.unwrap();
    assert!(pruned.first_seq > 1 && pruned.first_seq <= 30, "{pruned:?}");
    assert_eq!((log.first_seq(), log.head()), (pruned.first_seq, 40));
    assert_eq!(pruned.events, pruned.first_seq - 1);
    assert_eq!(log.bytes(), before - pruned.bytes);
    for from in [0, 1, pruned.first_seq - 1] {
        let error = log.read(from, 40, 99).await.unwrap_err();
        assert!(
            matches!(error, ReadError::Pruned { first_seq, .. } if first_seq == pruned.first_seq),
            "from {from}: {error}"
        );
    }
    let rest = read_all(log, pruned.first_seq, Seq::MAX, 200).await;
    let expected: Vec<u8> =
        (pruned.first_seq..=40).step_by(2).flat_map(|seq| batch_of(seq, 2, 60).bytes.to_vec()).collect();
    assert_eq!(rest, expected);
    // The newest events stay, and the log goes on.
    let pruned = log.prune(Seq::MAX).await.unwrap();
    assert!(pruned.first_seq <= 40);
    log.append(batch(41, 1)).await.unwrap();
    assert_eq!(log.read(41, 41, 0).await.unwrap().len(), 1);
}

/// Followers that read while it is written see every event once and in order.
async fn readers_meanwhile(log: Arc<dyn EventLog>) {
    const EVENTS: Seq = 400;
    let follow = |log: Arc<dyn EventLog>, max_bytes| async move {
        let (mut next, mut watch) = (1, log.watch());
        while next <= EVENTS {
            watch.wait_for(|&head| head >= next).await.unwrap();
            let lines = log.read(next, Seq::MAX, max_bytes).await.unwrap();
            assert!(!lines.is_empty());
            for (seq, line) in lines.iter() {
                assert_eq!(seq, next);
                assert_eq!(rig_event::Head::parse(line).unwrap().seq, seq);
                next += 1;
            }
        }
    };
    let slow = tokio::spawn(follow(log.clone(), 0));
    let fast = tokio::spawn(follow(log.clone(), 1 << 20));
    for first_seq in (1..=EVENTS).step_by(4) {
        log.append(batch(first_seq, 4)).await.unwrap();
    }
    slow.await.unwrap();
    fast.await.unwrap();
}

async fn fill(log: &dyn EventLog, sizes: &[u64]) -> Vec<u8> {
    let mut all = Vec::new();
    for lines in crate::support::batches(sizes) {
        all.extend_from_slice(&lines.bytes);
        log.append(lines).await.unwrap();
    }
    all
}

async fn read_all(log: &dyn EventLog, mut from: Seq, to: Seq, max_bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let lines = log.read(from, to, max_bytes).await.unwrap();
        if lines.is_empty() {
            return all;
        }
        all.extend_from_slice(&lines.bytes);
        from = lines.last_seq() + 1;
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let epoch: rig_event::Epoch = "e0".parse().unwrap();
    event_log_contract(|| Arc::new(MemoryLog::new(StreamName::main(), epoch.clone()))).await;
}

#[tokio::test]
async fn segments_keep_the_contract() {
    for segment_bytes in [1, 500, 2000] {
        let dir = quick_dir();
        let made = std::cell::Cell::new(0);
        event_log_contract(|| {
            made.set(made.get() + 1);
            Arc::new(create(&dir.path().join(made.get().to_string()), small_segments(segment_bytes)))
        })
        .await;
    }
}

/// A log with these batches, nothing of which is in memory.
async fn reopened(dir: &Path, batches: &[Lines]) -> SegmentLog {
    let log = create(dir, Default::default());
    for lines in batches {
        log.append(lines.clone()).await.unwrap();
    }
    drop(log);
    SegmentLog::open(dir, Default::default()).unwrap().0
}

/// A log that was just opened has nothing in memory: every line comes from its files, some thousand with one read.
#[tokio::test]
async fn appends_are_read_whole_from_files() {
    let dir = quick_dir();
    let batches = crate::support::batches(&APPENDS);
    let log = reopened(dir.path(), &batches).await;
    assert!(log.read(4, Seq::MAX, usize::MAX).await.unwrap().last_seq() < log.head(), "one read is not all");
    let all = crate::support::text(&batches);
    read_in_whole_appends(&log, &all, &APPENDS, &[0, 1, 4_096, 256 << 10, usize::MAX]).await;
}

#[tokio::test]
async fn appends_around_the_bytes_of_a_read_are_read_whole() {
    // The last has lines of the most bytes that a line may have.
    for (count, payload) in [(1, 300), (40, 300), (900, 300), (3, rig_event::MAX_LINE - 100)] {
        let batches = [batch(1, 1), batch_of(2, count, payload), batch(2 + count, 1)];
        let all = crate::support::text(&batches);
        let around = batches[1].bytes.len();
        let limits = [around - 1, around, around + 1, all.len() - 1, all.len(), all.len() + 1];
        let sizes = [1, count, 1];
        let dir = quick_dir();
        let log = reopened(dir.path(), &batches).await;
        read_in_whole_appends(&log, &all, &sizes, &limits).await;
        let log = MemoryLog::new(StreamName::main(), "e0".parse().unwrap());
        for lines in batches {
            log.append(lines).await.unwrap();
        }
        read_in_whole_appends(&log, &all, &sizes, &limits).await;
    }
}

#[test]
fn an_append_that_is_refused_at_once_needs_no_wake() {
    let log = MemoryLog::new(StreamName::main(), "e0".parse().unwrap());
    let mut append = std::pin::pin!(log.append(batch(2, 1)));
    let polled = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready());
}
