//! Notifications: endpoints receive events of drift, and others that `[[notify]]` of `hub.toml` names.
//!
//! An endpoint is a subscriber like any other: a cursor over each stream, and no queue. Its cursor is recorded in the hub's own
//! stream now and then (`notify.delivered`). After a restart it receives the rest, and perhaps the last events again. A new
//! endpoint receives only events appended after it was added.

mod endpoint;
mod message;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rig_event::event::Notify as Told;
use rig_event::{Draft, Envelope, Epoch, Event, Head, Seq, Timestamp};
use rig_hub::{Column, Component, Core, Exposition, READ_BYTES, Stream};
use rig_outbound::Allowed;
use rig_recorder::{Lines, ReadError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::endpoint::{Endpoint, Known, Outcome};
use self::message::{Grave, Message, message};
pub use self::settings::{Kind, Names, Notify, check};

/// The interval at which new streams are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// The interval at which an endpoint's cursor is written down while it is told things, and after how many events that are nothing to it.
const RECORD: Duration = Duration::from_secs(10);
const RECORD_EVENTS: Seq = 100_000;

/// The actor of events.
const ACTOR: &str = "notify";

/// Returns the component for these endpoints. Reads their secrets and checks their URLs, but does not connect.
///
/// # Errors
/// A message without a secret, if a secret cannot be read, or the hub may not connect to an endpoint.
pub fn component(settings: &[Notify], allowed: &Allowed) -> Result<Component, String> {
    let allowed = Arc::new(allowed.clone());
    let endpoints = settings.iter().map(|settings| Endpoint::new(settings, allowed.clone()).map(Arc::new));
    let endpoints: Vec<Arc<Endpoint>> = endpoints.collect::<Result<_, _>>()?;
    let counted = endpoints.clone();
    let past = Arc::new(Mutex::new(Past::default()));
    let recalled = past.clone();
    let fold = move |event: &Envelope| {
        recalled.lock().unwrap_or_else(PoisonError::into_inner).apply(event);
        Ok(())
    };
    Ok(Component::new(ACTOR)
        .recall(&["notify"], fold)
        .task(move |core| {
            let past = std::mem::take(&mut *past.lock().unwrap_or_else(PoisonError::into_inner));
            run_all(core, endpoints, past)
        })
        .metrics(move |_, text| metrics(&counted, text)))
}

fn metrics(endpoints: &[Arc<Endpoint>], text: &mut Exposition) {
    let columns: [Column<Arc<Endpoint>>; 4] = [
        ("rig_notifications_sent_total", "counter", "Notifications that an endpoint took.", |e| {
            e.sent.load(Relaxed)
        }),
        ("rig_notifications_failed_total", "counter", "Attempts to notify that failed.", |e| {
            e.failed.load(Relaxed)
        }),
        ("rig_notifications_dropped_total", "counter", "Notifications given up.", |e| {
            e.dropped.load(Relaxed)
        }),
        ("rig_notify_failing", "gauge", "1 while nothing gets through to an endpoint.", |e| {
            e.failing.load(Relaxed).into()
        }),
    ];
    if !endpoints.is_empty() {
        text.table(&columns, "endpoint", endpoints, |e| &e.settings.name);
    }
}

/// The endpoints in the hub's own stream, by name: how far each was told, and whether nothing got through to it.
#[derive(Default)]
struct Past(BTreeMap<String, (Known, bool)>);

impl Past {
    /// Applies an event of the hub's own stream.
    fn apply(&mut self, event: &Envelope) {
        let (Past(all), ts) = (self, event.ts);
        match event.event.clone() {
            Event::NotifyBegan(told) => {
                all.insert(told.endpoint, (Known { began: Some(ts), ..Known::default() }, false));
            }
            Event::NotifyEnded(told) => drop(all.remove(&told.endpoint)),
            Event::NotifyDelivered(told) | Event::NotifyDropped(told) => {
                if let (Some(stream), Some(epoch), Some(upto)) = (told.stream, told.epoch, told.upto) {
                    all.entry(told.endpoint).or_default().0.upto.insert((stream, epoch), upto);
                }
            }
            Event::NotifyFailing(told) => all.entry(told.endpoint).or_default().1 = true,
            Event::NotifyRecovered(told) => all.entry(told.endpoint).or_default().1 = false,
            _ => {}
        }
    }
}

/// Notifies all endpoints until the hub stops. Records endpoints of earlier starts that are no longer configured as ended. Only a
/// running hub does so: other programs that open its data directory have not read its settings.
async fn run_all(core: Core, endpoints: Vec<Arc<Endpoint>>, past: Past) {
    let mut past = past.0;
    for endpoint in &endpoints {
        if let Some((known, failing)) = past.remove(&endpoint.settings.name) {
            endpoint.failing.store(failing, Relaxed);
            *endpoint.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        }
    }
    let mut running = JoinSet::new();
    let gone = core.clone();
    running.spawn(async move {
        for endpoint in past.into_keys() {
            tell(&gone, Event::NotifyEnded(Told { endpoint, ..Told::default() })).await;
        }
    });
    for endpoint in endpoints {
        running.spawn(run(core.clone(), endpoint));
    }
    while running.join_next().await.is_some() {}
}

/// Writes an event about an endpoint to the hub's own stream.
async fn tell(core: &Core, event: Event) {
    let draft = Draft { actor: Some(ACTOR.to_owned()), ..Draft::new(None, event) };
    if let Err(problem) = core.tell(draft).await {
        tracing::error!(code = problem.code(), "what became of notifications could not be told");
    }
}

fn about(endpoint: &Endpoint) -> Told {
    Told { endpoint: endpoint.settings.name.clone(), ..Told::default() }
}

/// Follows every stream that the endpoint wants.
async fn run(core: Core, endpoint: Arc<Endpoint>) {
    let began = endpoint.known.lock().unwrap_or_else(PoisonError::into_inner).began;
    let began = match began {
        Some(began) => began,
        None => {
            let now = core.now();
            tell(&core, Event::NotifyBegan(about(&endpoint))).await;
            now
        }
    };
    let mut followed = BTreeSet::<Epoch>::new();
    let mut followers = JoinSet::new();
    loop {
        let streams = core.streams().list();
        followed.retain(|epoch| streams.iter().any(|stream| stream.epoch == *epoch));
        for stream in streams {
            let (name, wanted) = (stream.name.as_str(), &endpoint.settings.streams);
            let is_wanted = wanted.hold(name) && (!stream.name.is_internal() || wanted.name(name));
            if is_wanted && followed.insert(stream.epoch.clone()) {
                let follower = Follower { core: core.clone(), endpoint: endpoint.clone(), stream };
                followers.spawn(follower.run(began));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => while followers.try_join_next().is_some() {},
            () = core.stopping() => break,
        }
    }
    while followers.join_next().await.is_some() {}
}

/// An endpoint's cursor over a stream.
struct Follower {
    core: Core,
    endpoint: Arc<Endpoint>,
    stream: Arc<Stream>,
}

/// The position of a follower, and how far it is written down.
struct Cursor {
    next: Seq,
    recorded: Seq,
    recorded_at: Option<Instant>,
    /// True if a message was delivered since.
    told: bool,
}

impl Follower {
    async fn run(self, began: Timestamp) {
        let mut head = self.stream.watch();
        let next = match self.begin(began).await {
            Ok(next) => next,
            Err(why) => return self.damaged(&why),
        };
        let mut cursor = Cursor { next, recorded: next - 1, recorded_at: None, told: false };
        let ended = tokio::select! {
            ended = self.follow(&mut cursor) => ended,
            () = self.core.stopping() => Ok(()),
            // The stream was removed: there is nothing left to notify of.
            () = async { while head.changed().await.is_ok() {} } => return,
        };
        if let Err(why) = ended {
            self.damaged(&why);
        }
        if cursor.told {
            self.record(&mut cursor).await;
        }
    }

    fn damaged(&self, why: &str) {
        let endpoint = &self.endpoint.settings.name;
        tracing::error!(endpoint, stream = %self.stream.name, why, "an endpoint cannot be notified of this stream any more");
    }

    /// Returns the first seq to consider: after the recorded cursor, else the first event since the endpoint was added.
    async fn begin(&self, began: Timestamp) -> Result<Seq, String> {
        let key = (self.stream.name.to_string(), self.stream.epoch.to_string());
        let known =
            self.endpoint.known.lock().unwrap_or_else(PoisonError::into_inner).upto.get(&key).copied();
        if let Some(upto) = known {
            return Ok(upto + 1);
        }
        let (mut low, mut high) = (self.stream.first_seq(), self.stream.head() + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.stream.lines(middle, middle, 0).await {
                Ok(lines) => {
                    let line = lines.get(middle).ok_or_else(|| format!("event {middle} is missing"))?;
                    let ts = Head::parse(line).map_err(|e| e.to_string())?.ts;
                    if ts < began { low = middle + 1 } else { high = middle }
                }
                Err(ReadError::Pruned { first_seq, .. }) => low = first_seq.min(high),
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(low)
    }

    /// Notifies of present and future events. Ends only with the log.
    async fn follow(&self, cursor: &mut Cursor) -> Result<(), String> {
        let mut head = self.stream.watch();
        let mut grave = self.grave(cursor.next - 1).await;
        loop {
            let last = *head.borrow_and_update();
            while cursor.next <= last {
                match self.stream.lines(cursor.next, last, READ_BYTES).await {
                    Ok(lines) if lines.is_empty() => return Err(format!("event {} is missing", cursor.next)),
                    Ok(lines) => self.tell_of(&lines, cursor, &mut grave).await,
                    Err(ReadError::Pruned { first_seq, .. }) => {
                        let why = "the events were pruned before they could be told".to_owned();
                        self.drop(cursor.next, first_seq - 1, why).await;
                        cursor.next = first_seq;
                        grave = self.grave(first_seq - 1).await;
                    }
                    Err(e) => return Err(e.to_string()),
                }
            }
            let due = cursor.recorded_at.unwrap_or_else(Instant::now) + RECORD;
            tokio::select! {
                changed = head.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep_until(due), if cursor.told => self.record(cursor).await,
            }
        }
    }

    async fn grave(&self, seq: Seq) -> Grave {
        // If the state is pruned, no notification was sent from it.
        let state = self.stream.state_at(seq).await;
        state.map(|state| Grave::in_state(&state, &self.endpoint.settings)).unwrap_or_default()
    }

    async fn tell_of(&self, lines: &Lines, cursor: &mut Cursor, grave: &mut Grave) {
        for (seq, line) in lines.iter() {
            if let Some(message) = message(&self.endpoint.settings, &self.stream, line, grave) {
                if let Err(why) = self.deliver(&message).await {
                    self.drop(seq, seq, why).await;
                }
                cursor.told = true;
            }
            cursor.next = seq + 1;
            let is_due = cursor.recorded_at.is_none_or(|at| at.elapsed() >= RECORD);
            if cursor.told && is_due || seq - cursor.recorded >= RECORD_EVENTS {
                self.record(cursor).await;
            }
        }
    }

    /// Sends a message until it is accepted. Returns `Err` if it is given up.
    async fn deliver(&self, message: &Message) -> Result<(), String> {
        let _turn = self.endpoint.turn.lock().await;
        let endpoint = &self.endpoint.settings.name;
        let (begun, mut waits) = (Instant::now(), endpoint::waits());
        loop {
            let now = self.core.now();
            match self.endpoint.attempt(message, begun, &mut waits, now).await {
                Outcome::Taken { news } => {
                    if news {
                        tracing::info!(endpoint, "an endpoint is notified again");
                        tell(&self.core, Event::NotifyRecovered(about(&self.endpoint))).await;
                    }
                    return Ok(());
                }
                Outcome::GivenUp(why) => return Err(why),
                Outcome::Failed { news, why, wait } => {
                    if news {
                        tracing::warn!(
                            endpoint,
                            why,
                            "an endpoint cannot be notified; it is tried again and again"
                        );
                        let told = Told { reason: Some(why), ..about(&self.endpoint) };
                        tell(&self.core, Event::NotifyFailing(told)).await;
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Records that events are not delivered.
    async fn drop(&self, from: Seq, upto: Seq, why: String) {
        let (endpoint, stream) = (&self.endpoint.settings.name, &self.stream.name);
        tracing::error!(endpoint, %stream, from, upto, why, "a notification was given up");
        let told = Told { from: Some(from), reason: Some(why), ..self.upto(upto) };
        tell(&self.core, Event::NotifyDropped(told)).await;
    }

    async fn record(&self, cursor: &mut Cursor) {
        tell(&self.core, Event::NotifyDelivered(self.upto(cursor.next - 1))).await;
        *cursor = Cursor {
            next: cursor.next,
            recorded: cursor.next - 1,
            recorded_at: Some(Instant::now()),
            told: false,
        };
    }

    fn upto(&self, upto: Seq) -> Told {
        Told {
            stream: Some(self.stream.name.to_string()),
            epoch: Some(self.stream.epoch.to_string()),
            upto: Some(upto),
            ..about(&self.endpoint)
        }
    }
}
