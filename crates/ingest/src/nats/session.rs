//! A connection at work: first the messages that were left from before, in order; then new ones, as many at once as are allowed.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, FromConsumer as _};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::{self, AckKind, Context};
use futures_util::{FutureExt as _, StreamExt as _};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rig_hub::Core;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::counters::Counters;
use super::lane::{Alive, Job, Lane};
use super::message::Snapshot;
use super::settings::Settings;

/// Number of lanes, and so of devices that are processed at once.
const LANES: usize = 16;

/// Maximum time that the server waits for messages before it reports that there are none.
const EXPIRES: Duration = Duration::from_secs(5);

/// Maximum time for an answer of the server.
const ANSWER: Duration = Duration::from_secs(3);

/// Refused messages that get an event in the hub's own stream: so many at once, and then one a second.
const UNTOLD: std::num::NonZeroU32 = std::num::NonZeroU32::new(10_000).unwrap();

/// An existing consumer, over a connection that has not broken since.
pub(super) struct Session {
    pub(super) core: Core,
    pub(super) counters: Arc<Counters>,
    pub(super) settings: Arc<Settings>,
    pub(super) client: Client,
    pub(super) context: Context,
    /// The name of the stream of JetStream, and its creation time: a stream that is created anew under the same name counts from
    /// 1 again.
    pub(super) origin: String,
    pub(super) untold: DefaultDirectRateLimiter,
    consumer: Consumer<Config>,
    breaks: watch::Receiver<u64>,
    /// Set when the hub stops: the time after which messages that are not begun are given back.
    late: OnceLock<Instant>,
}

/// Messages that were delivered before, and not acknowledged.
pub(super) struct Left {
    pub(super) count: usize,
    /// The last one that was delivered.
    upto: u64,
}

impl Session {
    /// Finds the stream, and finds or creates the consumer. Also returns the messages that were delivered before and not
    /// acknowledged.
    pub(super) async fn open(
        core: Core,
        counters: Arc<Counters>,
        settings: Arc<Settings>,
        client: Client,
        mut breaks: watch::Receiver<u64>,
    ) -> Result<(Session, Left), String> {
        breaks.mark_unchanged();
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        let stream = context
            .get_stream(&settings.stream)
            .await
            .map_err(|e| format!("the stream {} of JetStream is not there: {e}", settings.stream))?;
        let created = stream.cached_info().created.unix_timestamp_nanos() / 1_000;
        let wanted = match stream.consumer_info(&settings.consumer).await {
            Ok(info) => Config::try_from_consumer_config(info.config)
                .map_err(|e| format!("the consumer {} cannot be used: {e}", settings.consumer))?,
            Err(e) if matches!(e.kind(), ConsumerInfoErrorKind::NotFound) => {
                Config { durable_name: Some(settings.consumer.clone()), ..Config::default() }
            }
            Err(e) => return Err(format!("the consumer {} cannot be looked at: {e}", settings.consumer)),
        };
        let wanted = Config {
            filter_subject: settings.subject.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: settings.ack_wait,
            // The hub counts deliveries itself: the server would drop a message after so many.
            max_deliver: -1,
            backoff: Vec::new(),
            max_ack_pending: settings.in_flight as i64,
            ..wanted
        };
        let consumer = stream
            .create_consumer(wanted)
            .await
            .map_err(|e| format!("the consumer {} cannot be made: {e}", settings.consumer))?;
        let info = consumer.cached_info();
        let left = Left { count: info.num_ack_pending, upto: info.delivered.stream_sequence };
        let session = Session {
            origin: format!("{}:{created}", settings.stream),
            untold: RateLimiter::direct(Quota::per_second(std::num::NonZeroU32::MIN).allow_burst(UNTOLD)),
            core,
            counters,
            settings,
            client,
            context,
            consumer,
            breaks,
            late: OnceLock::new(),
        };
        Ok((session, left))
    }

    /// Returns true if messages that are not begun yet should be given back.
    pub(super) fn is_late(&self) -> bool {
        self.late.get().is_some_and(|late| Instant::now() >= *late)
    }

    /// Returns true if the connection has broken since.
    pub(super) fn is_broken(&self) -> bool {
        self.breaks.has_changed().unwrap_or(true)
    }

    /// Processes messages until the hub stops (`Ok`) or something breaks. Returns when all messages that were taken are done or
    /// given back.
    pub(super) async fn serve(self, left: Left) -> Result<(), String> {
        let session = Arc::new(self);
        let mut working = JoinSet::new();
        let mut lanes = Lanes { hash: RandomState::new(), lanes: Vec::new(), session: session.clone() };
        for _ in 0..LANES {
            let (jobs, received) = mpsc::channel(session.settings.in_flight);
            lanes.lanes.push(jobs);
            working.spawn(Lane::new(session.clone()).run(received));
        }
        let mut breaks = session.breaks.clone();
        let ended = tokio::select! {
            ended = lanes.fill(left) => ended,
            _ = breaks.changed() => Err("the connection to NATS broke".to_owned()),
            () = session.core.stopping() => Ok(()),
        };
        if ended.is_ok() {
            // Half the time is left for messages that are begun by then.
            let _ = session.late.set(Instant::now() + session.core.shutdown_deadline() / 2);
        }
        drop(lanes);
        let mut ended = ended;
        while let Some(lane) = working.join_next().await {
            if lane.is_err() {
                ended = Err("a message made the hub fail; this is a defect of rig".to_owned());
            }
        }
        ended
    }

    async fn pull(&self, count: usize, expires: Duration) -> Result<Batch, String> {
        let batch = self.consumer.batch().max_messages(count).expires(expires).messages().await;
        batch.map_err(|e| format!("nothing can be asked of the consumer: {e}"))
    }

    /// Makes a job of a message.
    fn job(
        &self,
        message: Result<jetstream::Message, async_nats::Error>,
        permits: &mut OwnedSemaphorePermit,
    ) -> Result<Job, String> {
        let message = message.map_err(|e| format!("nothing comes from the consumer: {e}"))?;
        let permit = permits.split(1).ok_or("the server sent more than it was asked for")?;
        self.core.step("nats.fetched");
        let info = message.info().map_err(|e| e.to_string())?;
        let (seq, delivered) = (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(u32::MAX));
        let (sign, every) = (message.clone(), self.settings.ack_wait / 3);
        let alive = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                // If this fails, the message is delivered again.
                let _ = sign.ack_with(AckKind::Progress).await;
            }
        });
        let read = Snapshot::read(&message.payload, self.core.now());
        let (alive, answered) = (Alive(alive.abort_handle()), AtomicBool::new(false));
        Ok(Job { message, read, seq, delivered, alive, answered, _permit: permit })
    }
}

/// The lanes, and the distribution of messages to them.
struct Lanes {
    hash: RandomState,
    lanes: Vec<mpsc::Sender<Job>>,
    session: Arc<Session>,
}

impl Lanes {
    /// Pulls messages as long as that works, and passes them on.
    async fn fill(&mut self, left: Left) -> Result<(), String> {
        let session = self.session.clone();
        let room = Arc::new(Semaphore::new(session.settings.in_flight));
        self.take_left(left, &room).await?;
        loop {
            let mut permits = acquire(&room, 1).await?;
            permits.merge(acquire(&room, room.available_permits()).await?);
            let (asked, begun) = (permits.num_permits(), Instant::now());
            let mut batch = Taken(session.pull(asked, EXPIRES).await?);
            while let Some(message) = batch.0.next().await {
                self.hand_on(session.job(message, &mut permits)?).await?;
            }
            if permits.num_permits() > 0 && begun.elapsed() > EXPIRES + ANSWER {
                return Err("the server did not answer".to_owned());
            }
        }
    }

    /// Takes the messages that were delivered before and not acknowledged, because a hub was killed or a connection broke, and
    /// passes them on in the order of the stream. The server redelivers them once their time is over, in any order, and may
    /// deliver new ones before.
    async fn take_left(&mut self, left: Left, room: &Arc<Semaphore>) -> Result<(), String> {
        let session = self.session.clone();
        let wait = session.settings.ack_wait;
        let deadline = Instant::now() + wait + wait / 10 + ANSWER;
        let mut jobs = BTreeMap::new();
        loop {
            let found = jobs.range(..=left.upto).count();
            let (missing, time) =
                (left.count.saturating_sub(found), deadline.saturating_duration_since(Instant::now()));
            if missing == 0 || time.is_zero() {
                break;
            }
            // No more than that: messages that are requested and not waited for would be delivered to nobody.
            let mut permits = acquire(room, missing.min(room.available_permits())).await?;
            if permits.num_permits() == 0 {
                break;
            }
            let mut batch = Taken(session.pull(permits.num_permits(), time.min(EXPIRES)).await?);
            while let Some(message) = batch.0.next().await {
                let job = session.job(message, &mut permits)?;
                jobs.insert(job.seq, job);
            }
        }
        for job in jobs.into_values() {
            self.hand_on(job).await?;
        }
        Ok(())
    }

    /// Sends a message to the lane of its device.
    async fn hand_on(&self, job: Job) -> Result<(), String> {
        let lane = match &job.read {
            Ok(snapshot) => self.hash.hash_one((&snapshot.tenant, &snapshot.device)) as usize % LANES,
            Err(_) => job.seq as usize % LANES,
        };
        self.lanes[lane].send(job).await.map_err(|_| "a lane ended".to_owned())
    }
}

async fn acquire(room: &Arc<Semaphore>, count: usize) -> Result<OwnedSemaphorePermit, String> {
    room.clone().acquire_many_owned(count as u32).await.map_err(|e| e.to_string())
}

/// A batch of messages. Those that arrived and were not passed on are given back.
struct Taken(Batch);

impl Drop for Taken {
    fn drop(&mut self) {
        while let Some(Some(Ok(message))) = self.0.next().now_or_never() {
            tokio::spawn(async move {
                let _ = message.ack_with(AckKind::Nak(None)).await;
            });
        }
    }
}
