//! Feeds: order, losses at their place, bounds, and ends of every kind.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use rig_event::event::ServiceLog;
use rig_event::{Draft, Event};
use rig_recorder::feed::{BATCH_BYTES, BATCH_ITEMS, Batch, Load, Report};
use rig_recorder::{Feed, Intake, Lost};

/// An item with a number, which takes the room that it says.
#[derive(Debug)]
struct Item {
    number: usize,
    room: usize,
}

impl Load for Item {
    type Lost = Lost;

    fn weigh(&self) -> (usize, Lost) {
        (self.room, Lost { events: 1, bytes: self.room as u64 })
    }
}

fn item(number: usize, room: usize) -> Item {
    Item { number, room }
}

/// Asks for the next batch without waiting for it.
fn next<T: Load>(intake: &mut Intake<T>) -> Poll<Option<Batch<T>>> {
    pin!(intake.next()).poll(&mut Context::from_waker(Waker::noop()))
}

/// Asks for a report without waiting for it.
fn flushed<T: Load>(feed: &Feed<T>) -> Poll<Report<T::Lost>> {
    pin!(feed.flush()).poll(&mut Context::from_waker(Waker::noop()))
}

/// The numbers of a batch, and the number of items lost before it.
fn taken(intake: &mut Intake<Item>) -> Option<(u64, Vec<usize>)> {
    match next(intake) {
        Poll::Ready(Some(batch)) => {
            Some((batch.lost.events, batch.items.iter().map(|(item, _)| item.number).collect()))
        }
        _ => None,
    }
}

#[test]
fn a_loss_stands_where_it_happened() {
    let (feed, mut intake) = Feed::with_room(10);
    let accepted: Vec<bool> = [4, 4, 4, 2, 1]
        .into_iter()
        .enumerate()
        .map(|(number, room)| feed.offer(item(number, room)))
        .collect();
    assert_eq!(accepted, [true, true, false, true, false]);
    assert_eq!(feed.fill(), 100);
    assert_eq!(taken(&mut intake), Some((0, vec![0, 1])));
    // The room of what was taken is free when the next is asked for.
    assert!(!feed.offer(item(5, 1)));
    assert_eq!(taken(&mut intake), Some((1, vec![3])));
    assert_eq!(feed.fill(), 20);
    assert!(feed.offer(item(6, 8)));
    assert_eq!(taken(&mut intake), Some((2, vec![6])));
    assert_eq!(taken(&mut intake), None);
    // One that is larger than the queue is lost though nothing waits, and said to be so though nothing follows.
    assert!(!feed.offer(item(7, 11)));
    assert_eq!(taken(&mut intake), Some((1, vec![])));
    drop(feed);
    assert!(matches!(next(&mut intake), Poll::Ready(None)));
    assert!(matches!(next(&mut intake), Poll::Ready(None)));
}

#[test]
fn batches_are_bounded_in_items_and_bytes() {
    let (feed, mut intake) = Feed::with_room(usize::MAX);
    (0..BATCH_ITEMS + 1).for_each(|number| assert!(feed.offer(item(number, 1))));
    for number in 0..3 {
        assert!(feed.offer(item(number, BATCH_BYTES / 2)));
    }
    assert!(feed.offer(item(3, 2 * BATCH_BYTES)));
    let sizes: Vec<usize> = std::iter::from_fn(|| Some(taken(&mut intake)?.1.len())).collect();
    assert_eq!(sizes, [BATCH_ITEMS, 2, 2, 1]);
}

#[test]
fn a_flush_waits_for_what_was_offered_before_it() {
    let (feed, mut intake) = Feed::with_room(4);
    assert_eq!(flushed(&feed), Poll::Ready(Report::default()));
    assert!(feed.offer(item(0, 4)) && !feed.offer(item(1, 4)));
    assert!(flushed(&feed).is_pending());
    taken(&mut intake).unwrap();
    intake.refused(Lost { events: 1, bytes: 4 }, "it is too long");
    assert!(flushed(&feed).is_pending());
    // The loss is an event too.
    assert_eq!(taken(&mut intake), Some((1, vec![])));
    assert!(flushed(&feed).is_pending());
    assert_eq!(taken(&mut intake), None);
    let Poll::Ready(report) = flushed(&feed) else { panic!("everything is settled") };
    assert_eq!(report.lost, Lost { events: 2, bytes: 8 });
    assert!(report.why.unwrap().contains("faster"), "the first reason is given");
}

#[test]
fn a_feed_that_is_closed_gives_what_waits_and_takes_nothing() {
    let (feed, mut intake) = Feed::with_room(10);
    let closer = intake.closer();
    assert!(feed.offer(item(0, 1)));
    closer.close();
    assert!(!feed.offer(item(1, 1)));
    assert_eq!(taken(&mut intake), Some((0, vec![0])));
    // A producer that does not stop does not keep the intake from its end.
    assert!(!feed.offer(item(2, 1)));
    assert!(matches!(next(&mut intake), Poll::Ready(None)));
    assert!(!feed.offer(item(3, 1)));
    let Poll::Ready(report) = flushed(&feed) else { panic!("it has ended") };
    assert_eq!(report.lost.events, 3);
}

#[test]
fn what_an_intake_leaves_behind_is_lost() {
    let (feed, mut intake) = Feed::with_room(BATCH_BYTES * 2);
    for number in 0..3 {
        assert!(feed.offer(item(number, BATCH_BYTES / 2)));
    }
    assert_eq!(taken(&mut intake), Some((0, vec![0, 1])));
    assert!(flushed(&feed).is_pending());
    drop(intake);
    assert!(!feed.offer(item(3, 1)));
    let Poll::Ready(report) = flushed(&feed) else { panic!("nothing will be settled any more") };
    assert_eq!((report.lost.events, report.why.is_some()), (4, true));
}

#[test]
fn a_draft_weighs_at_least_what_its_line_takes() {
    for data in ["", "x", "\"\n\u{1}", &"€".repeat(5_000)] {
        let log = ServiceLog { stream: "stdout".into(), data: data.into() };
        let mut draft = Draft::new(Some("api".parse().unwrap()), Event::ServiceLog(log));
        (draft.id, draft.actor, draft.cause) = (Some("key".into()), Some("ana".into()), Some(u64::MAX));
        let (room, lost) = draft.weigh();
        let line = draft.encode().unwrap().max_len();
        assert!((line..line + 100).contains(&(lost.bytes as usize)), "{line} {lost:?}");
        assert!(room > lost.bytes as usize);
    }
}

#[test]
fn many_threads_offer_and_none_waits() {
    const THREADS: usize = 4;
    const EACH: usize = 20_000;
    let (feed, mut intake) = Feed::with_room(2_000);
    let (accepted, runtime) =
        (AtomicUsize::new(0), tokio::runtime::Builder::new_current_thread().build().unwrap());
    let (mut items, mut lost) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (feed, accepted) = (feed.clone(), &accepted);
            scope.spawn(move || {
                for number in 0..EACH {
                    assert!(feed.fill() <= 100);
                    if feed.offer(item(thread * EACH + number, 7)) {
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        drop(feed);
        runtime.block_on(async {
            while let Some(batch) = intake.next().await {
                assert!(batch.items.iter().map(|(item, _)| item.room).sum::<usize>() <= 2_000);
                lost += batch.lost.events;
                items.extend(batch.items.into_iter().map(|(item, _)| item.number));
            }
        });
    });
    assert_eq!((items.len(), items.len() as u64 + lost), (accepted.into_inner(), (THREADS * EACH) as u64));
    for thread in 0..THREADS {
        // Items of one thread keep their order.
        assert!(items.iter().filter(|number| **number / EACH == thread).is_sorted());
    }
}

/// A step of a run: an item of that size is offered, or a batch is taken.
#[derive(Clone, Debug)]
enum Step {
    Offer(usize),
    Take,
}

/// An output of a queue: an item, or a number of lost ones.
#[derive(Debug, PartialEq)]
enum Out {
    Item(usize),
    Lost(u64),
}

fn push(out: &mut Vec<Out>, next: Out) {
    match (out.last_mut(), next) {
        (_, Out::Lost(0)) => {}
        // A loss may come in several pieces where nothing lies between them.
        (Some(Out::Lost(before)), Out::Lost(more)) => *before += more,
        (_, next) => out.push(next),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The queue against a list of all that was offered: everything comes out in order, as itself or as lost.
    #[test]
    fn a_queue_is_a_list_with_holes(
        room in 1_usize..40,
        steps in prop::collection::vec(
            prop_oneof![3 => (0_usize..20).prop_map(Step::Offer), 1 => Just(Step::Take)], 0..200),
    ) {
        let (feed, mut intake) = Feed::with_room(room);
        let (mut expected, mut out) = (Vec::new(), Vec::new());
        // The sizes of what waits, and of what is taken out.
        let (mut waiting, mut taken) = (VecDeque::new(), 0);
        let mut lost = 0;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Offer(size) => {
                    let used = waiting.iter().sum::<usize>() + taken;
                    prop_assert_eq!(usize::from(feed.fill()), used * 100 / room);
                    let fits = size + used <= room;
                    prop_assert_eq!(feed.offer(item(number, size)), fits);
                    if fits {
                        waiting.push_back(size);
                    }
                    lost += u64::from(!fits);
                    push(&mut expected, if fits { Out::Item(number) } else { Out::Lost(1) });
                }
                Step::Take => {
                    taken = 0;
                    if let Poll::Ready(Some(batch)) = next(&mut intake) {
                        push(&mut out, Out::Lost(batch.lost.events));
                        for (item, _) in batch.items {
                            prop_assert_eq!(waiting.pop_front(), Some(item.room));
                            taken += item.room;
                            push(&mut out, Out::Item(item.number));
                        }
                        prop_assert!(expected.starts_with(&out[..out.len() - 1]));
                    }
                }
            }
        }
        while let Poll::Ready(Some(batch)) = next(&mut intake) {
            push(&mut out, Out::Lost(batch.lost.events));
            batch.items.into_iter().for_each(|(item, _)| push(&mut out, Out::Item(item.number)));
        }
        let Poll::Ready(report) = flushed(&feed) else { panic!("everything is settled") };
        prop_assert_eq!(&out, &expected);
        prop_assert_eq!(report.lost.events, lost);
        drop(feed);
        prop_assert!(matches!(next(&mut intake), Poll::Ready(None)));
    }
}
