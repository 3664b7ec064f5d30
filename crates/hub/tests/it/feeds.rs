//! Feeds: what threads offer is in the log, redacted, in order, and what is missing is said at its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rig_event::event::{Lifecycle, ProgressMissing, ServiceLog};
use rig_event::{Draft, Envelope, Epoch, Event, Seq, StreamName, Timestamp};
use rig_hub::{Hub, Options, Stream};
use rig_recorder::log::{Prunable, Pruned};
use rig_recorder::{AppendError, BoxFuture, EventLog, Lines, Lost, MemoryLog, Pending, ReadError, Store};

use crate::{answer, unsealed};

const ROOM: usize = 4 << 20;

fn log(data: impl Into<String>) -> Draft {
    let log = ServiceLog { stream: "stdout".to_owned(), data: data.into() };
    Draft::new(Some("api".parse().unwrap()), Event::ServiceLog(log))
}

fn missing(Lost { events: lines, bytes }: Lost) -> Draft {
    let missing = ProgressMissing { lines, bytes, ..ProgressMissing::default() };
    Draft::new(Some("api".parse().unwrap()), Event::ProgressMissing(missing))
}

async fn open(options: Options) -> (Hub, Arc<Stream>) {
    let hub = rig_testhub::builder(options).open(None).await.unwrap();
    let main = hub.core().streams().get(&StreamName::main()).unwrap();
    (hub, main)
}

/// Reads a stream: the text of each log, and how many events are missing.
async fn said(stream: &Stream) -> Vec<String> {
    let (mut said, mut next) = (Vec::new(), 1);
    loop {
        let lines = stream.read(next, Seq::MAX, 1 << 20).await.unwrap();
        if lines.is_empty() {
            return said;
        }
        next = lines.last_seq() + 1;
        said.extend(lines.iter().filter_map(|(_, line)| match Envelope::parse(line).unwrap().event {
            Event::ServiceLog(log) => Some(log.data),
            Event::ProgressMissing(missing) => Some(format!("{} missing", missing.lines)),
            _ => None,
        }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_offered_is_appended_in_order_and_redacted() {
    let (hub, main) = open(unsealed()).await;
    let feed = hub.core().feed(main.clone(), ROOM, missing);
    let offering = std::thread::spawn(move || {
        for number in 0..5_000 {
            assert!(feed.offer(log(number.to_string())));
        }
        assert!(feed.offer(log("postgres://u:hunter2@db/x")));
        feed
    });
    let feed = offering.join().unwrap();
    let report = feed.flush().await;
    assert_eq!((report.lost, report.why), (Lost::default(), None));
    let said = said(&main).await;
    assert_eq!(said.len(), 5_001);
    assert!(said[..5_000].iter().enumerate().all(|(number, text)| *text == number.to_string()));
    assert!(said[5_000].contains("redacted") && !said[5_000].contains("hunter2"), "{}", said[5_000]);
    hub.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_is_missing_at_its_place() {
    let (hub, main) = open(unsealed()).await;
    let feed = hub.core().feed(main.clone(), 2_000, missing);
    for (text, fits) in [("first", true), (&"x".repeat(2_000), false), ("second", true)] {
        assert_eq!(feed.offer(log(text)), fits);
        feed.flush().await;
    }
    assert_eq!(said(&main).await, ["first", "1 missing", "second"]);
    assert_eq!(feed.flush().await.lost.events, 1);
    hub.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_does_not_take_others_with_it() {
    let (hub, main) = open(unsealed()).await;
    let feed = hub.core().feed(main.clone(), ROOM, missing);
    let no_service = || Draft::new(None, Event::ServiceReady(Lifecycle::default()));
    let of_secret = || Draft {
        service: Some("ghp_0123456789abcdefghijklmnopqrstuvwxyz".parse().unwrap()),
        ..log("in the name of a secret")
    };
    let keyed = |text: &str| Draft { id: Some("once".to_owned()), ..log(text) };
    let drafts = [
        log("a"),
        log("x".repeat(1 << 20)),
        log("b"),
        no_service(),
        of_secret(),
        keyed("c"),
        keyed("c"),
        log("d"),
    ];
    drafts.into_iter().for_each(|draft| assert!(feed.offer(draft)));
    let report = feed.flush().await;
    // The repeated key is an append that is there already.
    assert_eq!(said(&main).await, ["a", "b", "c", "d"]);
    assert_eq!(report.lost.events, 3);
    let why = report.why.unwrap();
    assert!(why.contains("bytes"), "{why}");
    // The stream goes on.
    assert!(feed.offer(log("e")) && feed.flush().await.lost.events == 3);
    hub.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_drains_its_feeds() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().to_owned()), ..Options::default() };
    let (hub, main) = open(options()).await;
    let feeds: Vec<_> = (0..3).map(|_| hub.core().feed(main.clone(), ROOM, missing)).collect();
    for number in 0..6_000 {
        assert!(feeds[number % 3].offer(log(number.to_string())));
    }
    let core = hub.core().clone();
    hub.close().await;
    for feed in &feeds {
        assert!(!feed.offer(log("too late")));
        let report = feed.flush().await;
        assert_eq!((report.lost.events, report.why.is_some()), (1, true));
    }
    let late = core.feed(main.clone(), ROOM, missing);
    assert!(!late.offer(log("too late")) && late.flush().await.lost.events == 1);
    drop((core, main, feeds, late));
    // All of it is there, and before the last seal.
    let (hub, main) = open(options()).await;
    assert_eq!(said(&main).await.len(), 6_000);
    let last = main.read(main.head(), main.head(), 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&last.bytes).contains("log.sealed"));
    hub.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_with_its_last_handle_and_survives_its_stream() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = rig_testhub::open(address, unsealed(), Vec::new()).await.unwrap();
    let core = hub.core().clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(hub.serve(listener, async { drop(stopped.await) }));
    let (stream, _) = core.streams().make("short").await.unwrap();
    let feed = core.feed(stream.clone(), ROOM, missing);
    assert!(feed.offer(log("a")) && feed.flush().await.why.is_none());
    let url = format!("http://{address}/v1/streams/short");
    assert_eq!(answer(reqwest::Client::new().delete(url)).await.0, 204);
    assert!(feed.offer(log("b")));
    let report = feed.flush().await;
    assert!(report.lost.events == 1 && report.why.unwrap().contains("removed"));
    // A feed whose handles are gone still appends what it holds.
    let main = core.stream("main").unwrap();
    let feed = core.feed(main.clone(), ROOM, missing);
    assert!(feed.offer(log("c")));
    drop(feed);
    main.watch().wait_for(|head| *head == 1).await.unwrap();
    assert_eq!(said(&main).await, ["c"]);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

/// Logs in memory that take a number of appends and then fail.
#[derive(Default)]
struct Failing(AtomicU64);

struct FailingLog {
    log: MemoryLog,
    left: AtomicU64,
}

impl Store for Failing {
    fn names(&self) -> BoxFuture<'_, Result<Vec<StreamName>, rig_recorder::Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn create<'a>(
        &'a self,
        name: &'a StreamName,
        epoch: Epoch,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<dyn EventLog>, rig_recorder::Error>> {
        let left = AtomicU64::new(self.0.load(Ordering::Relaxed));
        let log: Arc<dyn EventLog> = Arc::new(FailingLog { log: MemoryLog::new(name.clone(), epoch), left });
        Box::pin(std::future::ready(Ok(log)))
    }

    fn open<'a>(
        &'a self,
        _: &'a StreamName,
    ) -> BoxFuture<'a, Result<Arc<dyn EventLog>, rig_recorder::Error>> {
        unreachable!("there is no stream to begin with")
    }

    fn remove<'a>(
        &'a self,
        _: &'a StreamName,
        _: &'a Epoch,
    ) -> BoxFuture<'a, Result<(), rig_recorder::Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl EventLog for FailingLog {
    fn stream(&self) -> &StreamName {
        self.log.stream()
    }

    fn epoch(&self) -> &Epoch {
        self.log.epoch()
    }

    fn first_seq(&self) -> Seq {
        self.log.first_seq()
    }

    fn head(&self) -> Seq {
        self.log.head()
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<Seq> {
        self.log.watch()
    }

    fn append(&self, batch: Lines) -> Pending {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.log.append(batch),
            Err(_) => Pending::answered(Err(AppendError::Poisoned { why: "the disk is full".into() })),
        }
    }

    fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> BoxFuture<'_, Result<Lines, ReadError>> {
        self.log.read(from, to, max_bytes)
    }

    fn prunable(&self) -> Vec<Prunable> {
        self.log.prunable()
    }

    fn prune(&self, keep_from: Seq) -> BoxFuture<'_, Result<Pruned, rig_recorder::Error>> {
        self.log.prune(keep_from)
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn queued_bytes(&self) -> u64 {
        0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_fails_is_reported_with_what_it_did_not_take() {
    let store = Arc::new(Failing(AtomicU64::new(2)));
    let hub = Hub::builder(unsealed(), store).open(None).await.unwrap();
    let main = hub.core().stream("main").unwrap();
    let feed = hub.core().feed(main.clone(), ROOM, missing);
    for text in ["a", "b", "c", "d"] {
        assert!(feed.offer(log(text)));
        feed.flush().await;
    }
    let report = feed.flush().await;
    assert_eq!((said(&main).await, report.lost.events), (vec!["a".to_owned(), "b".to_owned()], 2));
    let why = report.why.unwrap();
    assert!(why.contains("the disk is full"), "{why}");
    hub.close().await;
}
