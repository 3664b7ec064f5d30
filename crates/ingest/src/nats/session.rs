//! A connection to a consumer that is there, until it breaks.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, FromConsumer as _};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::{self, Context};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rig_hub::Core;
use tokio::sync::watch;

use super::counters::Counters;
use super::settings::Settings;

/// The time that an answer of the server may take.
pub(super) const ANSWER: Duration = Duration::from_secs(3);

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
    pub(super) breaks: watch::Receiver<u64>,
    /// Set when the hub stops: after that what is not begun is given back.
    pub(super) late: OnceLock<Instant>,
}

/// Messages that were delivered before, and not acknowledged.
pub(super) struct Left {
    pub(super) count: usize,
    /// The last that was given out.
    pub(super) upto: u64,
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

    /// Returns true if what is not begun yet is to be given back.
    pub(super) fn is_late(&self) -> bool {
        self.late.get().is_some_and(|late| Instant::now() >= *late)
    }

    /// Returns true if the connection has broken since.
    pub(super) fn is_broken(&self) -> bool {
        self.breaks.has_changed().unwrap_or(true)
    }

    pub(super) async fn pull(&self, count: usize, expires: Duration) -> Result<Batch, String> {
        let batch = self.consumer.batch().max_messages(count).expires(expires).messages().await;
        batch.map_err(|e| format!("nothing can be asked of the consumer: {e}"))
    }
}
