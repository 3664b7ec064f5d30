//! `Feed`: a queue from threads that must not wait, such as those on the path of traffic, to the task that appends their events.
//!
//! The queue is bounded in bytes. What does not fit is counted, and the count comes out of the queue at the place where it is
//! missing.

use std::collections::VecDeque;
use std::fmt;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rig_event::Draft;
use tokio::sync::Notify;

/// Maximum number of items in a batch.
pub const BATCH_ITEMS: usize = 4_000;

/// Maximum size of a batch of more than one item, in bytes of [`Load::weigh`]. An append of so many bytes is well below the size of
/// a segment.
pub const BATCH_BYTES: usize = 2 << 20;

/// Reasons why something is lost.
const FULL: &str = "events came faster than they could be recorded";
const CLOSED: &str = "nothing takes events any more";

/// An item that can wait in a feed: an event, or something from which events are made.
pub trait Load: Send + 'static {
    /// Counts what is missing without items.
    type Lost: AddAssign + Clone + Default + PartialEq + Send;

    /// Returns the memory that the item takes while it waits, in bytes, and what is missing without the item.
    fn weigh(&self) -> (usize, Self::Lost);
}

/// Events that are missing from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Their number.
    pub events: u64,
    /// The size of their lines, in bytes.
    pub bytes: u64,
}

impl AddAssign for Lost {
    fn add_assign(&mut self, more: Lost) {
        self.events += more.events;
        self.bytes += more.bytes;
    }
}

impl Load for Draft {
    type Lost = Lost;

    fn weigh(&self) -> (usize, Lost) {
        let bytes = self.encoded_len();
        (bytes + size_of::<Draft>(), Lost { events: 1, bytes: bytes as u64 })
    }
}

/// Everything that was offered to a feed and is not in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report<L = Lost> {
    /// Its amount.
    pub lost: L,
    /// The first reason, in words; `None` if nothing is lost.
    pub why: Option<Arc<str>>,
}

/// Items that follow each other, with nothing missing between them.
#[derive(Debug)]
pub struct Batch<T: Load = Draft> {
    /// The loss just before the first of them. Equal to the default if there is none.
    pub lost: T::Lost,
    /// The items, each with what is missing without it. There may be none if something is lost.
    pub items: Vec<(T, T::Lost)>,
}

/// The end of the queue that items are put in. Cheap to clone, and usable from any thread. Once all clones are dropped, the intake ends
/// after what waits.
pub struct Feed<T: Load = Draft>(Arc<Handle<T>>);

/// The end of the queue that batches come out of.
///
/// The batch that was taken counts as appended, and its room is free, when the next one is asked for. If an intake is dropped, that batch
/// and everything that waits is lost.
pub struct Intake<T: Load = Draft> {
    shared: Arc<Shared<T>>,
    taken: Taken<T::Lost>,
}

/// Closes a feed from its other side. It keeps neither end open.
pub struct Closer<T: Load = Draft>(Arc<Shared<T>>);

/// Shared by the clones of a feed, and dropped with the last of them.
struct Handle<T: Load>(Arc<Shared<T>>);

struct Shared<T: Load> {
    state: Mutex<State<T>>,
    room: usize,
    /// Wakes the intake.
    news: Notify,
    /// Wakes those that wait until everything is settled.
    settled: Notify,
}

struct State<T: Load> {
    waiting: VecDeque<Waiting<T>>,
    /// Room of the items that wait, and of the batch that is being appended.
    used: usize,
    /// The loss after the last item that waits.
    lost: T::Lost,
    /// Number of offers, whether there was room or not.
    offers: u64,
    /// Number of offers that are appended, or reported as lost.
    settled: u64,
    /// Nothing more is accepted: all feeds are gone, or it was closed.
    closed: bool,
    /// Nothing more is taken out.
    ended: bool,
    report: Report<T::Lost>,
}

/// An item that waits.
struct Waiting<T: Load> {
    /// The loss just before it.
    before: T::Lost,
    item: T,
    room: usize,
    load: T::Lost,
    /// The number of its offer.
    offer: u64,
}

/// The batch that is being appended.
#[derive(Default)]
struct Taken<L> {
    room: usize,
    load: L,
    /// The number of the last offer in it.
    offer: u64,
}

impl<T: Load> Feed<T> {
    /// Creates a queue that holds up to `room` bytes, the batch that was taken out last included.
    pub fn with_room(room: usize) -> (Feed<T>, Intake<T>) {
        let state = State {
            waiting: VecDeque::new(),
            used: 0,
            lost: T::Lost::default(),
            offers: 0,
            settled: 0,
            closed: false,
            ended: false,
            report: Report { lost: T::Lost::default(), why: None },
        };
        let (news, settled) = (Notify::new(), Notify::new());
        let shared = Arc::new(Shared { state: Mutex::new(state), room, news, settled });
        (Feed(Arc::new(Handle(shared.clone()))), Intake { shared, taken: Taken::default() })
    }

    /// Puts an item in without waiting. Returns false if it has no room or the feed is closed: then it is counted as lost. The loss comes
    /// out of the queue too, before the items that are accepted after it, unless the feed is closed.
    pub fn offer(&self, item: T) -> bool {
        let shared = &self.0.0;
        // Before the lock, since it may take a while.
        let (room, load) = item.weigh();
        let mut state = shared.state();
        state.offers += 1;
        let fits = !state.closed && room <= shared.room.saturating_sub(state.used);
        if fits {
            let (before, offer) = (std::mem::take(&mut state.lost), state.offers);
            state.used += room;
            state.waiting.push_back(Waiting { before, item, room, load, offer });
        } else {
            let why = if state.closed { CLOSED } else { FULL };
            state.lose(load.clone(), why);
            // Once it is closed there is no end to what could be missing.
            if !state.closed {
                state.lost += load;
            }
        }
        drop(state);
        shared.news.notify_one();
        fits
    }

    /// Returns how full the queue is, in per cent of its room. A producer can leave out details before it loses events.
    pub fn fill(&self) -> u8 {
        let shared = &self.0.0;
        let used = shared.state().used;
        u8::try_from(used.saturating_mul(100) / shared.room.max(1)).unwrap_or(100).min(100)
    }

    /// Waits until everything that was offered before is durable or lost. Returns what has been lost since the beginning.
    pub async fn flush(&self) -> Report<T::Lost> {
        let shared = &self.0.0;
        let offers = shared.state().offers;
        loop {
            // Created first, so that it notices everything that is settled after the look at the state.
            let settled = shared.settled.notified();
            if let Some(report) = shared.state().report_at(offers) {
                return report;
            }
            settled.await;
        }
    }
}

impl<T: Load> Intake<T> {
    /// Waits for the next batch. Returns `None` once the feed is closed, or all its clones are gone, and nothing waits. It may be cancelled:
    /// nothing is taken out before it is ready.
    ///
    /// A batch has at most [`BATCH_ITEMS`] items and [`BATCH_BYTES`] bytes, except for one item that is larger.
    pub async fn next(&mut self) -> Option<Batch<T>> {
        self.settle();
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.shared.news.notified().await;
        }
    }

    /// Adds to the report something that was taken out and cannot be appended.
    pub fn refused(&mut self, lost: T::Lost, why: &str) {
        self.shared.state().lose(lost, why);
    }

    /// Returns a handle that closes the feed.
    pub fn closer(&self) -> Closer<T> {
        Closer(self.shared.clone())
    }

    /// Frees the room of the last batch.
    fn settle(&mut self) {
        let Taken { room, offer, .. } = std::mem::take(&mut self.taken);
        if offer > 0 {
            let mut state = self.shared.state();
            state.used -= room;
            state.settled = offer;
            drop(state);
            self.shared.settled.notify_waiters();
        }
    }

    /// Takes a batch if there is one: `Some(None)` at the end.
    fn take(&mut self) -> Option<Option<Batch<T>>> {
        let mut state = self.shared.state();
        let none = T::Lost::default();
        let Some(first) = state.waiting.front_mut() else {
            if state.lost != none {
                let lost = std::mem::take(&mut state.lost);
                self.taken.offer = state.offers;
                return Some(Some(Batch { lost, items: Vec::new() }));
            }
            if !state.closed {
                return None;
            }
            state.ended = true;
            drop(state);
            self.shared.settled.notify_waiters();
            return Some(None);
        };
        let lost = std::mem::take(&mut first.before);
        let mut items = Vec::new();
        while let Some(next) = state.waiting.front()
            && items.len() < BATCH_ITEMS
            && (items.is_empty() || next.before == none && self.taken.room + next.room <= BATCH_BYTES)
            && let Some(Waiting { item, room, load, offer, .. }) = state.waiting.pop_front()
        {
            self.taken.room += room;
            self.taken.load += load.clone();
            self.taken.offer = offer;
            items.push((item, load));
        }
        Some(Some(Batch { lost, items }))
    }
}

impl<T: Load> Closer<T> {
    /// Closes the feed: offers are refused from now on, and the intake ends after what waits.
    pub fn close(&self) {
        self.0.close();
    }
}

impl<T: Load> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.news.notify_one();
    }
}

impl<T: Load> State<T> {
    fn lose(&mut self, lost: T::Lost, why: &str) {
        self.report.lost += lost;
        self.report.why.get_or_insert_with(|| why.into());
    }

    /// Returns the report once so many offers are settled.
    fn report_at(&self, offers: u64) -> Option<Report<T::Lost>> {
        (self.ended || self.settled >= offers).then(|| self.report.clone())
    }
}

impl<T: Load> Clone for Feed<T> {
    fn clone(&self) -> Feed<T> {
        Feed(self.0.clone())
    }
}

impl<T: Load> Drop for Handle<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T: Load> Drop for Intake<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let waiting = std::mem::take(&mut state.waiting);
        if self.taken.offer > 0 {
            state.lose(self.taken.load.clone(), CLOSED);
        }
        waiting.iter().for_each(|waiting| state.lose(waiting.load.clone(), CLOSED));
        (state.used, state.closed, state.ended) = (0, true, true);
        drop(state);
        self.shared.settled.notify_waiters();
    }
}

impl<T: Load> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("fill", &self.fill()).finish_non_exhaustive()
    }
}
