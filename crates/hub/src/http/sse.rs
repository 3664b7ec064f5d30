//! Subscribers: a cursor over the log, nothing more.
//!
//! A subscriber that keeps up is served from the tail, whose frames all subscribers share. One that is behind reads the log in
//! bulk at its own pace. The announcer only wakes subscribers; each reads by its own cursor, so nothing can be lost, and the
//! hand-over from history to live is not a special case.

use std::convert::Infallible;
use std::sync::Arc;

use async_stream::stream;
use axum::body::{Body, Bytes};
use rig_event::{Epoch, Seq, type_of};
use rig_recorder::ReadError;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::options::READ_BYTES;
use crate::problem::Problem;
use crate::shares::Share;
use crate::streams::{Frames, News, Stream};

/// The events that a subscriber asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    types: Vec<String>,
    service: Option<String>,
}

impl Filter {
    /// Parses a filter. `types` is a list of names with commas; a trailing `*` stands for the rest of a name (`diff.*`).
    pub(crate) fn new(types: Option<&str>, service: Option<String>) -> Result<Filter, Problem> {
        let types: Vec<String> =
            types.unwrap_or_default().split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect();
        let fine = |t: &String| {
            t.strip_suffix('*').unwrap_or(t).bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        match types.iter().find(|t| !fine(t)) {
            None => Ok(Filter { types, service }),
            Some(_) => Err(Problem::bad_request(
                "bad-filter",
                "`types` is a list of names such as diff.* or snapshot.captured, with commas",
            )),
        }
    }

    pub(crate) fn is_all(&self) -> bool {
        self.types.is_empty() && self.service.is_none()
    }

    pub(crate) fn matches(&self, line: &[u8]) -> bool {
        let name = type_of(line);
        let by_type = self.types.is_empty()
            || self.types.iter().any(|t| match t.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix.as_bytes()),
                None => name == t.as_bytes(),
            });
        by_type
            && self.service.as_deref().is_none_or(|service| {
                serde_json::from_slice::<About>(line)
                    .is_ok_and(|about| about.service.as_deref() == Some(service))
            })
    }
}

/// The service that an event is about, also of an event of a type unknown to the hub.
#[derive(Deserialize)]
struct About {
    service: Option<String>,
}

/// The place where a client wants to resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// From the next event on.
    Live,
    /// From this seq on.
    From(Seq),
    /// After this event of this epoch, or of the current one if no epoch is given.
    After(Option<Epoch>, Seq),
}

impl Cursor {
    /// Reads `Last-Event-ID` (`epoch:seq` or `seq`) and `from`. The header wins, since a reconnecting browser repeats the address
    /// that it began with.
    pub(crate) fn new(last_event_id: Option<&str>, from: Option<Seq>) -> Result<Cursor, Problem> {
        let bad = || {
            Problem::bad_request(
                "bad-cursor",
                "Last-Event-ID must be `epoch:seq` or `seq`, as an event's id had it",
            )
        };
        match (last_event_id, from) {
            (Some(id), _) => {
                let (epoch, seq) = match id.split_once(':') {
                    Some((epoch, seq)) => (Some(epoch.parse::<Epoch>().map_err(|_| bad())?), seq),
                    None => (None, id),
                };
                let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
                let seq = seq.parse().ok().filter(|_| digits).ok_or_else(bad)?;
                Ok(Cursor::After(epoch, seq))
            }
            (None, Some(0)) => Err(Problem::bad_request("bad-cursor", "`from` counts from 1")),
            (None, Some(from)) => Ok(Cursor::From(from)),
            (None, None) => Ok(Cursor::Live),
        }
    }
}

/// The parts of a subscription.
pub(crate) struct Subscription {
    pub(crate) cursor: Cursor,
    pub(crate) filter: Filter,
    pub(crate) stopping: watch::Receiver<bool>,
    /// Its place among the subscribers.
    pub(crate) place: Share,
}

/// Returns the body of an SSE response. It ends when the hub stops, the stream is removed or the log is damaged.
pub(crate) fn body(stream: Arc<Stream>, subscription: Subscription) -> Body {
    Body::from_stream(frames(stream, subscription))
}

fn frames(
    stream: Arc<Stream>,
    subscription: Subscription,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    let Subscription { cursor, filter, stopping, place: share } = subscription;
    // The start is fixed when the request arrives, not when its body is first polled.
    let (mut next, reset) = place(&cursor, &stream);
    let mut news = stream.news.clone();
    let mut beats = news.borrow().beats;
    stream! {
        let _share = share;
        // In a frame with data: some clients take a block without any for an event that is empty.
        let hello = control("hello", &json!({"epoch": stream.epoch, "head": stream.head()}));
        yield Ok(Bytes::from([&b"retry: 1000\n"[..], &hello].concat()));
        let meter = stream.meters.subscribed(next);
        if reset {
            yield Ok(control("reset", &json!({"epoch": stream.epoch, "head": stream.head()})));
        }
        let mut caught_up = false;
        // A subscriber that reads from the log reads the next stretch while this one is sent.
        let mut ahead: Option<(Seq, JoinHandle<_>)> = None;
        let mut round = 0;
        loop {
            let News { seq: last, round: now, .. } = *news.borrow_and_update();
            // Slow readers do not count towards the round time.
            if now == round + 1 {
                stream.rounds.served();
            }
            round = now;
            if *stopping.borrow() {
                return;
            }
            while next <= last {
                if *stopping.borrow() {
                    return;
                }
                let first = stream.log.first_seq();
                if next < first {
                    yield Ok(control("gap", &json!({"from": next, "to": first - 1, "reason": "pruned"})));
                    next = first;
                    continue;
                }
                let batch = match stream.tail.get(next) {
                    Some(shared) => shared,
                    None => {
                        let read = match ahead.take() {
                            Some((from, reading)) if from == next => reading.await.unwrap_or_else(|e| Err(gone(&e))),
                            _ => from_log(stream.clone(), next, last).await,
                        };
                        match read {
                            Ok(Some(batch)) => {
                                let more = batch.last_seq() + 1;
                                if more <= last {
                                    ahead = Some((more, tokio::spawn(from_log(stream.clone(), more, last))));
                                }
                                batch
                            }
                            Ok(None) => return,
                            // Pruned in between: the next iteration reports it.
                            Err(ReadError::Pruned { .. }) => continue,
                            Err(e) => {
                                tracing::error!(stream = %stream.name, error = %e, "a subscriber cannot be served");
                                yield Ok(control("error", &json!({"code": "damaged-log", "detail": e.to_string()})));
                                return;
                            }
                        }
                    }
                };
                let from = next;
                next = batch.last_seq() + 1;
                if filter.is_all() {
                    let frames = batch.from(from);
                    meter.sent(next, next - from, frames.len());
                    yield Ok(frames);
                } else {
                    let chosen = batch.each(from).filter(|(_, line)| filter.matches(line)).map(|(frame, _)| frame);
                    let chosen: Vec<Bytes> = chosen.collect();
                    let frames = Bytes::from(chosen.concat());
                    meter.sent(next, chosen.len() as u64, frames.len());
                    if !frames.is_empty() {
                        yield Ok(frames);
                    }
                }
                // A subscriber far behind needs heartbeats too: with a filter, they may be all that it receives.
                let beat = news.borrow().beats;
                if beats != beat {
                    beats = beat;
                    yield Ok(control("heartbeat", &json!({"head": next - 1})));
                }
            }
            if !caught_up {
                caught_up = true;
                yield Ok(control("caught-up", &json!({"head": next - 1})));
            }
            let beat = news.borrow().beats;
            if beats != beat {
                beats = beat;
                yield Ok(control("heartbeat", &json!({"head": next - 1})));
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Returns a stretch of the log as frames; `None` if it has no lines.
async fn from_log(stream: Arc<Stream>, from: Seq, to: Seq) -> Result<Option<Arc<Frames>>, ReadError> {
    let read = async {
        let lines = stream.log.read(from, to, READ_BYTES).await?;
        Ok((!lines.is_empty()).then(|| Frames::of(&stream.epoch, &lines)))
    };
    stream.stretches.get(from, read).await
}

/// Returns the error of a reading task that failed.
fn gone(e: &tokio::task::JoinError) -> ReadError {
    ReadError::Io { path: Default::default(), source: std::io::Error::other(e.to_string()) }
}

/// Returns the first seq to send, and whether the cursor was of an earlier epoch of the stream.
fn place(cursor: &Cursor, stream: &Stream) -> (Seq, bool) {
    let head = stream.head();
    let (next, known) = match cursor {
        Cursor::Live => (head + 1, true),
        Cursor::From(seq) => (*seq, true),
        Cursor::After(epoch, seq) => {
            (seq.saturating_add(1), epoch.as_ref().is_none_or(|e| *e == stream.epoch))
        }
    };
    if known && next <= head + 1 { (next, false) } else { (stream.log.first_seq(), true) }
}

/// Returns a frame that is not an event. It has no id, so that it never becomes a client's cursor.
fn control(event: &str, data: &serde_json::Value) -> Bytes {
    format!("event: {event}\ndata: {data}\n\n").into()
}

/// Returns the lines of a range as NDJSON. A read error breaks the response off.
pub(crate) fn ndjson(stream: Arc<Stream>, from: Seq, to: Seq, limit: u64, filter: Filter) -> Body {
    Body::from_stream(stream! {
        let (mut next, mut left) = (from, limit);
        while next <= to && left > 0 {
            let lines = match stream.log.read(next, to, READ_BYTES).await {
                Ok(lines) if lines.is_empty() => return,
                Ok(lines) => lines,
                Err(e) => {
                    tracing::error!(stream = %stream.name, error = %e, "a range cannot be read");
                    yield Err(std::io::Error::other(e.to_string()));
                    return;
                }
            };
            next = lines.last_seq() + 1;
            // Only a recording may lack events.
            if filter.is_all() && stream.recording.is_none() {
                let fit = lines.slice(lines.first_seq, lines.first_seq.saturating_add(left - 1));
                left -= fit.len() as u64;
                yield Ok(fit.bytes);
            } else {
                let mut chosen = Vec::new();
                for (_, line) in lines.iter().filter(|(_, line)| !line.is_empty() && filter.matches(line)).take(usize::try_from(left).unwrap_or(usize::MAX)) {
                    chosen.extend_from_slice(line);
                    chosen.push(b'\n');
                    left -= 1;
                }
                if !chosen.is_empty() {
                    yield Ok(Bytes::from(chosen));
                }
            }
        }
    })
}
