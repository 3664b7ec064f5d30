//! The counters of a stream, and their metrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rig_event::{Event, Seq, Severity};
use rig_replay::Service;

use crate::metrics::{Column, Exposition};

/// Upper bounds of the buckets of the commit latency, in microseconds.
const BUCKETS: [u64; 10] = [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000];

const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

/// The counters of one stream.
#[derive(Default)]
pub(crate) struct Meters {
    /// Why the log takes no more events, once it does not.
    failed: OnceLock<Arc<str>>,
    /// Microseconds by which the clock was behind the log at the last write.
    behind: AtomicU64,
    events: AtomicU64,
    commits: AtomicU64,
    commit_micros: AtomicU64,
    commit_buckets: [AtomicU64; BUCKETS.len()],
    captured: AtomicU64,
    unchanged: AtomicU64,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    diffs: AtomicU64,
    /// Services by the severity of their drift, from low to critical.
    drifting: [AtomicU64; SEVERITIES.len()],
    pruned: AtomicU64,
    pruned_bytes: AtomicU64,
    prunes_failed: AtomicU64,
    blobs: AtomicU64,
    blob_bytes: AtomicU64,
    blobs_deleted: AtomicU64,
    blob_bytes_deleted: AtomicU64,
    encryption_failures: AtomicU64,
    sent_events: AtomicU64,
    sent_bytes: AtomicU64,
    subscribers: Mutex<Vec<Weak<AtomicU64>>>,
}

/// The part of a subscriber in the counters; it counts as long as it lives.
pub(crate) struct Subscriber {
    meters: Arc<Meters>,
    /// The next event it wants.
    next: Arc<AtomicU64>,
}

impl Meters {
    /// Notes by how many microseconds the clock is behind the log.
    pub(crate) fn clock_is_behind(&self, micros: u64) {
        self.behind.store(micros, Relaxed);
    }

    /// Returns the seconds by which the clock is behind the log.
    pub(crate) fn clock_behind(&self) -> u64 {
        self.behind.load(Relaxed) / 1_000_000
    }

    /// Notes why the log takes no more events.
    pub(crate) fn failed(&self, why: &Arc<str>) {
        let _ = self.failed.set(why.clone());
    }

    /// Returns why the log takes no more events; `None`: it does.
    pub(crate) fn failure(&self) -> Option<&Arc<str>> {
        self.failed.get()
    }

    /// A write of `events` events became durable.
    pub(crate) fn committed(&self, events: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.events.fetch_add(events, Relaxed);
        self.commits.fetch_add(1, Relaxed);
        self.commit_micros.fetch_add(micros, Relaxed);
        if let Some(bucket) = BUCKETS.iter().position(|&most| micros <= most) {
            self.commit_buckets[bucket].fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn captured(&self) {
        self.captured.fetch_add(1, Relaxed);
    }

    /// A document was refused with that code.
    pub(crate) fn rejected(&self, code: &'static str) {
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        *rejected.entry(code).or_default() += 1;
    }

    /// The writer gave an event its place, which made of its service what it is now.
    pub(crate) fn placed(&self, event: &Event, before: Option<Severity>, after: Option<Severity>) {
        match event {
            Event::SnapshotUnchanged(_) => self.unchanged.fetch_add(1, Relaxed),
            // One in parts is one.
            Event::DiffComputed(diff) if diff.part.is_none_or(|(part, of)| part == of) => {
                self.diffs.fetch_add(1, Relaxed)
            }
            _ => 0,
        };
        if before != after {
            self.drifts(after, |n| n.fetch_add(1, Relaxed));
            self.drifts(before, |n| n.fetch_sub(1, Relaxed));
        }
    }

    /// A service is there whose drift is that severe.
    pub(crate) fn found(&self, drift: Option<Severity>) {
        self.drifts(drift, |n| n.fetch_add(1, Relaxed));
    }

    fn drifts(&self, severity: Option<Severity>, change: impl Fn(&AtomicU64) -> u64) {
        if let Some(at) = severity.and_then(|severity| SEVERITIES.iter().position(|s| *s == severity)) {
            change(&self.drifting[at]);
        }
    }

    pub(crate) fn pruned(&self, events: u64, bytes: u64) {
        self.pruned.fetch_add(events, Relaxed);
        self.pruned_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn prune_failed(&self) {
        self.prunes_failed.fetch_add(1, Relaxed);
    }

    /// An original was kept.
    pub(crate) fn blob_kept(&self, bytes: u64) {
        self.blobs.fetch_add(1, Relaxed);
        self.blob_bytes.fetch_add(bytes, Relaxed);
    }

    /// All originals were looked through: so many stay, so many were deleted.
    pub(crate) fn blobs_swept(&self, stay: (u64, u64), deleted: (u64, u64)) {
        self.blobs.store(stay.0, Relaxed);
        self.blob_bytes.store(stay.1, Relaxed);
        self.blobs_deleted.fetch_add(deleted.0, Relaxed);
        self.blob_bytes_deleted.fetch_add(deleted.1, Relaxed);
    }

    /// An original could not be encrypted or kept: its capture failed.
    pub(crate) fn encryption_failed(&self) {
        self.encryption_failures.fetch_add(1, Relaxed);
    }

    /// A subscriber came that wants `next` first.
    pub(crate) fn subscribed(self: &Arc<Self>, next: Seq) -> Subscriber {
        let next = Arc::new(AtomicU64::new(next));
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that left are let go of when the list would have to grow.
        if subscribers.len() == subscribers.capacity() {
            subscribers.retain(|s| s.strong_count() > 0);
        }
        subscribers.push(Arc::downgrade(&next));
        Subscriber { meters: self.clone(), next }
    }

    /// The number of subscribers that there are, and how many events the one furthest behind still has to get.
    fn subscribers(&self, head: Seq) -> (u64, u64) {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let lags = subscribers
            .iter()
            .filter_map(Weak::upgrade)
            .map(|next| (head + 1).saturating_sub(next.load(Relaxed)));
        lags.fold((0, 0), |(count, most), lag| (count + 1, most.max(lag)))
    }
}

impl Subscriber {
    /// It was sent `events` frames and stands before `next` now.
    pub(crate) fn sent(&self, next: Seq, events: u64, bytes: usize) {
        self.next.store(next, Relaxed);
        self.meters.sent_events.fetch_add(events, Relaxed);
        self.meters.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// Returns the severity of a service's drift from its baseline or its declaration, without the differences that were accepted.
pub(crate) fn drift_of(service: Option<&Service>) -> Option<Severity> {
    let service = service?;
    let declared = service.declared.as_ref().and_then(|declared| declared.drift.as_ref());
    service.drift.iter().chain(declared).filter_map(|drift| drift.severity).max()
}

/// The metrics of one stream.
pub(crate) struct Row<'a> {
    pub(crate) stream: &'a str,
    pub(crate) head: Seq,
    pub(crate) first_seq: Seq,
    pub(crate) bytes: u64,
    pub(crate) index_lag: u64,
    pub(crate) known_secrets: u64,
    pub(crate) meters: &'a Meters,
}

/// All counters of all streams.
pub(crate) fn write(text: &mut Exposition, streams: &[Row<'_>]) {
    let columns: [Column<Row<'_>>; 22] = [
        ("rig_head_seq", "gauge", "Seq of the last durable event.", |s| s.head),
        ("rig_first_seq", "gauge", "Seq of the oldest event that is kept.", |s| s.first_seq),
        ("rig_log_bytes", "gauge", "Bytes that the log takes.", |s| s.bytes),
        ("rig_index_lag_events", "gauge", "Events that the index does not know yet.", |s| s.index_lag),
        ("rig_known_secrets", "gauge", "Values that are hidden wherever they come up.", |s| s.known_secrets),
        ("rig_appended_events_total", "counter", "Events made durable.", |s| s.meters.events.load(Relaxed)),
        ("rig_captures_total", "counter", "Documents taken in.", |s| s.meters.captured.load(Relaxed)),
        ("rig_captures_unchanged_total", "counter", "Documents that were as the one before.", |s| {
            s.meters.unchanged.load(Relaxed)
        }),
        ("rig_diffs_total", "counter", "Diffs computed.", |s| s.meters.diffs.load(Relaxed)),
        ("rig_pruned_events_total", "counter", "Events deleted by retention.", |s| {
            s.meters.pruned.load(Relaxed)
        }),
        ("rig_pruned_bytes_total", "counter", "Bytes of the log deleted by retention.", |s| {
            s.meters.pruned_bytes.load(Relaxed)
        }),
        ("rig_prunes_failed_total", "counter", "Times that the log could not be pruned.", |s| {
            s.meters.prunes_failed.load(Relaxed)
        }),
        ("rig_blobs", "gauge", "Originals of documents that are kept.", |s| s.meters.blobs.load(Relaxed)),
        ("rig_blob_bytes", "gauge", "Bytes that the originals take, encrypted.", |s| {
            s.meters.blob_bytes.load(Relaxed)
        }),
        (
            "rig_blobs_deleted_total",
            "counter",
            "Originals deleted: not kept any longer, or not named.",
            |s| s.meters.blobs_deleted.load(Relaxed),
        ),
        ("rig_blob_bytes_deleted_total", "counter", "Bytes of originals deleted.", |s| {
            s.meters.blob_bytes_deleted.load(Relaxed)
        }),
        (
            "rig_encryption_failures_total",
            "counter",
            "Captures that failed because the original could not be encrypted or kept.",
            |s| s.meters.encryption_failures.load(Relaxed),
        ),
        (
            "rig_clock_behind_seconds",
            "gauge",
            "Time by which the clock was behind the log at the last write: it had been ahead before.",
            |s| s.meters.clock_behind(),
        ),
        ("rig_subscribers", "gauge", "Subscribers connected.", |s| s.meters.subscribers(s.head).0),
        (
            "rig_subscriber_lag_events",
            "gauge",
            "Events that the subscriber furthest behind has not been sent.",
            |s| s.meters.subscribers(s.head).1,
        ),
        ("rig_sent_events_total", "counter", "Events sent to subscribers.", |s| {
            s.meters.sent_events.load(Relaxed)
        }),
        ("rig_sent_bytes_total", "counter", "Bytes of events sent to subscribers.", |s| {
            s.meters.sent_bytes.load(Relaxed)
        }),
    ];
    // A stream's name needs no escapes.
    text.table(&columns, "stream", streams, |row| row.stream);
    let rejected = streams.iter().flat_map(|s| {
        let rejected = s.meters.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rejected.into_iter().map(|(code, n)| (format!("{{stream=\"{}\",code=\"{code}\"}}", s.stream), n))
    });
    text.family(
        "rig_captures_rejected_total",
        "counter",
        "Documents refused.",
        &rejected.collect::<Vec<_>>(),
    );
    let drifting = streams.iter().flat_map(|s| {
        SEVERITIES.iter().zip(&s.meters.drifting).map(|(severity, n)| {
            (format!("{{stream=\"{}\",severity=\"{}\"}}", s.stream, severity.as_str()), n.load(Relaxed))
        })
    });
    let help = "Services that drift, by the highest severity that nobody accepted.";
    text.family("rig_drifting_services", "gauge", help, &drifting.collect::<Vec<_>>());
    let build = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    text.family("rig_build_info", "gauge", "The version that runs.", &[(build, 1)]);
    commits(text, streams);
}

/// Adds the histogram of the time until a write was durable.
fn commits(exposition: &mut Exposition, streams: &[Row<'_>]) {
    let name = "rig_commit_seconds";
    let help = "Time from handing a write to the log until it is durable.";
    let mut text = String::new();
    for stream in streams {
        let meters = stream.meters;
        let mut below = 0;
        for (most, bucket) in BUCKETS.iter().zip(&meters.commit_buckets) {
            below += bucket.load(Relaxed);
            let _ = writeln!(
                text,
                "{name}_bucket{{stream=\"{}\",le=\"{}\"}} {below}",
                stream.stream,
                *most as f64 / 1e6
            );
        }
        let count = meters.commits.load(Relaxed).max(below);
        let seconds = meters.commit_micros.load(Relaxed) as f64 / 1e6;
        let _ = writeln!(
            text,
            "{name}_bucket{{stream=\"{0}\",le=\"+Inf\"}} {count}\n{name}_sum{{stream=\"{0}\"}} {seconds}\n{name}_count{{stream=\"{0}\"}} {count}",
            stream.stream
        );
    }
    exposition.lines(name, "histogram", help, &text);
}
