//! The progress of a stream's derived index, and its catching up with the log.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rig_event::event::Part;
use rig_event::{Head, Seq};
use rig_recorder::index::Entry;
use rig_recorder::{EventLog, Lines, ReadError, StreamIndex, read_appends};
use tokio::sync::{Mutex, watch};

use crate::options::READ_BYTES;

/// The time that something that needs the index waits until it knows what was there when the stream was opened.
const PATIENCE: Duration = Duration::from_secs(10);

/// The progress of a stream's index, and whose turn it is to add to it.
pub(crate) struct Indexed {
    /// The last event that the index knows.
    upto: watch::Sender<Seq>,
    /// The head when the stream was opened. Of what came after it, the writer remembers the keys until they are indexed.
    opened: Seq,
    /// Held while a piece of a log is indexed. All streams of a hub have the same: with many that are far behind, there are
    /// threads left for requests, and none of them has to wait for all of another.
    turn: Arc<Mutex<()>>,
    /// The time that [`Indexed::caught_up`] waits.
    patience: Duration,
    /// As [`Options::step`](crate::Options::step).
    step: fn(&'static str),
}

impl Indexed {
    /// Returns how far the index of a stream that is being opened has come.
    pub(crate) fn new(
        log: &dyn EventLog,
        index: &StreamIndex,
        turn: Arc<Mutex<()>>,
        step: fn(&'static str),
    ) -> Result<Self, rig_recorder::Error> {
        let upto = index.upto()?.max(log.first_seq() - 1);
        Ok(Indexed { upto: watch::Sender::new(upto), opened: log.head(), turn, patience: PATIENCE, step })
    }

    /// For a stream without an index, which is never behind.
    pub(crate) fn none() -> Self {
        Indexed {
            upto: watch::Sender::new(Seq::MAX),
            opened: 0,
            turn: Arc::default(),
            patience: PATIENCE,
            step: |_| (),
        }
    }

    /// Returns how many of the events up to `head` the index does not know yet.
    pub(crate) fn lag(&self, head: Seq) -> u64 {
        head.saturating_sub(*self.upto.borrow())
    }

    /// Waits until the index knows everything that was there when the stream was opened; `false`: that takes too long.
    pub(crate) async fn caught_up(&self) -> bool {
        let mut upto = self.upto.subscribe();
        let known = upto.wait_for(|upto| *upto >= self.opened);
        tokio::time::timeout(self.patience, known).await.is_ok_and(|known| known.is_ok())
    }
}

/// Indexes what the log has and the index does not know yet.
pub(crate) async fn catch_up(
    log: &dyn EventLog,
    index: &StreamIndex,
    indexed: &Indexed,
) -> Result<(), String> {
    loop {
        let _turn = indexed.turn.lock().await;
        // Looked up in each turn: in between, others may have added to it. After the last event of an append comes the first of
        // another. An append must not be cut in two: an index that was closed in between would not know where it begins.
        let from = (index.upto().map_err(|e| e.to_string())? + 1).max(log.first_seq());
        let lines = match read_appends(log, from, READ_BYTES).await {
            // Just now: the log begins later, and so does what is to be indexed.
            Err(ReadError::Pruned { .. }) if from < log.first_seq() => continue,
            read => read.map_err(|e| e.to_string())?,
        };
        if lines.is_empty() {
            indexed.upto.send_replace(from - 1);
            return Ok(());
        }
        // It may wait for the disk, and other tasks must not wait with it.
        tokio::task::block_in_place(|| {
            (indexed.step)("index.add");
            add(log, index, &lines)
        })?;
        indexed.upto.send_replace(lines.last_seq());
    }
}

/// Adds whole appends to the index.
fn add(log: &dyn EventLog, index: &StreamIndex, lines: &Lines) -> Result<(), String> {
    let mut heads = Vec::with_capacity(lines.len());
    for (seq, line) in lines.iter() {
        heads.push(Head::parse(line).map_err(|e| format!("stream {}, seq {seq}: {e}", log.stream()))?);
    }
    let names = heads.iter().zip(lines.iter()).map(|(head, (_, line))| named_blob(head, line));
    let blobs: Vec<Option<Cow<'_, str>>> = names.collect();
    let mut entries = Vec::with_capacity(lines.len());
    let mut append_from = lines.first_seq;
    for (head, blob) in heads.iter().zip(&blobs) {
        let last = head.seq + Seq::from(head.more);
        entries.push(Entry {
            seq: head.seq,
            service: head.service.as_deref(),
            id: head.id.as_ref().map(|id: &Cow<'_, str>| (id.as_ref(), append_from, last)),
            blob: blob.as_deref().map(|blob| (blob, head.ts)),
        });
        if head.more == 0 {
            append_from = head.seq + 1;
        }
    }
    index.add(&entries, lines.last_seq()).map_err(|e| e.to_string())
}

/// The original that a snapshot names; one in parts names it with the last.
fn named_blob<'a>(head: &Head<'_>, line: &'a [u8]) -> Option<Cow<'a, str>> {
    #[derive(serde::Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        blob: Option<Cow<'a, str>>,
        part: Option<Part>,
    }
    if head.type_name != "snapshot.captured" {
        return None;
    }
    let Named { blob, part } = serde_json::from_slice(line).ok()?;
    blob.filter(|_| part.is_none_or(|(i, of)| i == of))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rig_event::{Epoch, StreamName, Timestamp};
    use rig_recorder::{Index, MemoryLog, SegmentLog};

    use super::*;

    /// Around the lines that one read of a segment gives, up to the most events of one append.
    const SIZES: [u64; 7] = [1, 4_095, 4_096, 4_097, 8_193, 10_000, 2];

    /// One append, each of its events with a key, and so many bytes besides.
    fn append_of(first_seq: Seq, count: u64, bytes: usize) -> Lines {
        let text = "x".repeat(bytes);
        let lines: String = (0..count)
            .map(|n| {
                let (seq, more) = (first_seq + n, count - 1 - n);
                let more = if more > 0 { format!("\"more\":{more},") } else { String::new() };
                format!(
                    "{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:05Z\",\"type\":\"a.b\",{more}\"service\":\"api\",\"id\":\"k{seq}\",\"text\":\"{text}\"}}\n"
                )
            })
            .collect();
        Lines::split(first_seq, lines)
    }

    fn appends(sizes: &[u64], bytes: usize) -> Vec<Lines> {
        let mut next = 1;
        let append = |&count: &u64| {
            let lines = append_of(next, count, bytes);
            next += count;
            lines
        };
        sizes.iter().map(append).collect()
    }

    fn segments(dir: &Path) -> SegmentLog {
        let epoch = Epoch::from_random([7; 5]);
        SegmentLog::create(dir, StreamName::main(), epoch, Timestamp::from_micros(0), Default::default())
            .unwrap()
    }

    /// Every key leads to the append that it came with.
    fn knows(index: &StreamIndex, appends: &[Lines]) {
        assert_eq!(index.upto().unwrap(), appends.last().unwrap().last_seq());
        for append in appends {
            let (first, last) = (append.first_seq, append.last_seq());
            for seq in [first, first + (last - first) / 2, last] {
                assert_eq!(index.find_id(&format!("k{seq}")).unwrap(), Some((first, last)), "seq {seq}");
            }
        }
        let all = index.seqs_of("api", 0..=Seq::MAX, usize::MAX, false).unwrap();
        assert_eq!(all.len() as u64, appends.last().unwrap().last_seq());
    }

    async fn indexes(log: &dyn EventLog, appends: &[Lines]) {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap().0.stream(log.stream(), log.epoch()).unwrap();
        let indexed = Indexed::new(log, &index, Arc::default(), |_| ()).unwrap();
        assert_eq!(indexed.lag(log.head()), log.head());
        // The indexer and a sweep may do it at once.
        let (one, other) = tokio::join!(catch_up(log, &index, &indexed), catch_up(log, &index, &indexed));
        assert_eq!((one, other), (Ok(()), Ok(())));
        assert_eq!(indexed.lag(log.head()), 0);
        assert!(indexed.caught_up().await);
        knows(&index, appends);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn appends_of_any_size_are_indexed_from_memory_and_from_files() {
        // With 700 bytes an event the limit of bytes cuts a read before that of lines.
        for (sizes, bytes) in [(&SIZES[..], 0), (&[3, 4_097, 2], 700)] {
            let (dir, appends) = (tempfile::tempdir().unwrap(), appends(sizes, bytes));
            let memory = MemoryLog::new(StreamName::main(), Epoch::from_random([7; 5]));
            let files = segments(dir.path());
            for append in &appends {
                memory.append(append.clone()).await.unwrap();
                files.append(append.clone()).await.unwrap();
            }
            indexes(&memory, &appends).await;
            // Its end is in memory still, and then nothing of it.
            indexes(&files, &appends).await;
            drop(files);
            indexes(&SegmentLog::open(dir.path(), Default::default()).unwrap().0, &appends).await;
        }
    }

    #[tokio::test]
    async fn who_needs_the_index_waits_for_what_there_was_and_not_for_ever() {
        let log = MemoryLog::new(StreamName::main(), Epoch::from_random([7; 5]));
        for append in appends(&[2, 3], 0) {
            log.append(append).await.unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap().0.stream(log.stream(), log.epoch()).unwrap();
        let mut indexed = Indexed::new(&log, &index, Arc::default(), |_| ()).unwrap();
        log.append(append_of(6, 2, 0)).await.unwrap();
        indexed.patience = Duration::from_millis(1);
        indexed.upto.send_replace(4);
        assert_eq!(indexed.lag(log.head()), 3);
        assert!(!indexed.caught_up().await);
        // What came since is not waited for.
        indexed.upto.send_replace(5);
        assert!(indexed.caught_up().await);
        assert!(Indexed::none().caught_up().await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_pruned_is_not_waited_for() {
        let log = MemoryLog::new(StreamName::main(), Epoch::from_random([7; 5]));
        let appends = appends(&[2, 3, 4], 0);
        for append in &appends {
            log.append(append.clone()).await.unwrap();
        }
        log.prune(6).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap().0.stream(log.stream(), log.epoch()).unwrap();
        let indexed = Indexed::new(&log, &index, Arc::default(), |_| ()).unwrap();
        assert_eq!(indexed.lag(log.head()), 4);
        catch_up(&log, &index, &indexed).await.unwrap();
        assert_eq!(indexed.lag(log.head()), 0);
        assert_eq!(index.find_id("k9").unwrap(), Some((6, 9)));
        assert_eq!(index.find_id("k5").unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn appends_around_the_bytes_of_a_read_are_indexed() {
        let line = append_of(1, 1, 0).bytes.len();
        for bytes in [READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, rig_event::MAX_LINE - 16] {
            let dir = tempfile::tempdir().unwrap();
            // One line of just so many bytes, or a few less; several of them; one that follows.
            let appends = appends(&[1, 3, 1], bytes - line);
            let files = segments(dir.path());
            for append in &appends {
                files.append(append.clone()).await.unwrap();
            }
            indexes(&files, &appends).await;
            drop(files);
            indexes(&SegmentLog::open(dir.path(), Default::default()).unwrap().0, &appends).await;
        }
    }
}
