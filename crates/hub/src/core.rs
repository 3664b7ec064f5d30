//! `Core`: the handle on a hub that routes and components get.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use rig_config::{Limits, Policy, Redactor};
use rig_event::{Body, Draft, Timestamp};
use rig_recorder::{Feed, Keyring, Lost};
use tokio::sync::watch;

use crate::access::Access;
use crate::capture::{Captures, Document, encode};
use crate::feeds::Feeds;
use crate::options::Options;
use crate::problem::Problem;
use crate::shares::Share;
use crate::streams::{Appended, Command, Stream, Streams};

/// The parts of a hub that routes and components may use. Cheap to clone.
#[derive(Clone)]
pub struct Core(Arc<Inner>);

struct Inner {
    options: Arc<Options>,
    policy: Arc<Policy>,
    redactor: Arc<Redactor>,
    keys: Arc<Keyring>,
    streams: Streams,
    access: Access,
    captures: Captures,
    feeds: Feeds,
    /// The address that the hub listens on, once it does.
    listening: OnceLock<SocketAddr>,
    stopping: watch::Receiver<bool>,
}

/// A [`Core`] that does not keep the hub open, for libraries that hold it for an unknown time.
#[derive(Clone)]
pub struct WeakCore(Weak<Inner>);

impl WeakCore {
    /// Returns the core, unless the hub is gone.
    pub fn upgrade(&self) -> Option<Core> {
        self.0.upgrade().map(Core)
    }
}

/// The parts of a core.
pub(crate) struct Parts {
    pub(crate) options: Arc<Options>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) streams: Streams,
    pub(crate) access: Access,
    pub(crate) captures: Captures,
    /// Turns true when the hub stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Core {
        let Parts { options, policy, redactor, keys, streams, access, captures, stopping } = parts;
        let listening = OnceLock::new();
        Core(Arc::new(Inner {
            options,
            policy,
            redactor,
            keys,
            streams,
            access,
            captures,
            feeds: Feeds::default(),
            listening,
            stopping,
        }))
    }

    /// Returns the streams.
    pub fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// Returns the stream that a request names.
    ///
    /// # Errors
    /// `bad-stream-name`, `unknown-stream`.
    pub fn stream(&self, name: &str) -> Result<Arc<Stream>, Problem> {
        self.0.streams.find(name)
    }

    /// Captures a document: parses, digests and redacts it, and appends the events that follow from it. When this returns, the
    /// events are durable. If the document is refused, a `snapshot.rejected` was written, without its content.
    ///
    /// # Errors
    /// The problem that a client of the HTTP API would get.
    pub async fn capture(&self, stream: &Arc<Stream>, document: Document) -> Result<Appended, Problem> {
        self.0.captures.capture(stream, document).await
    }

    /// Appends events, all or none, and waits until they are durable. They are redacted like the events of a client.
    ///
    /// # Errors
    /// `event-too-long`, `malformed-event`, `secret-in-name`, `log-failed`, `read-only`, `closed`.
    pub async fn append(&self, stream: &Stream, drafts: Vec<Draft>) -> Result<Appended, Problem> {
        let encoded = drafts.into_iter().map(|draft| encode(stream.redactor(), draft));
        let bodies = encoded.collect::<Result<Vec<Body>, Problem>>()?;
        Ok(stream.write(Command::Append(bodies), None, None).await?)
    }

    /// Opens a feed into a stream, for threads that must not wait. Its events are redacted like those of a client and appended in the order
    /// in which they were offered. Up to `room` bytes of them wait. What has no room is lost, and the event that `lost` makes of it
    /// is appended where it is missing. An event that is refused is left out; [`Feed::flush`] reports it.
    ///
    /// A hub that stops appends what is in its feeds after its tasks and requests have ended. From then on they take nothing.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn feed(
        &self,
        stream: Arc<Stream>,
        room: usize,
        lost: impl Fn(Lost) -> Draft + Send + 'static,
    ) -> Feed {
        self.0.feeds.open(stream, room, lost)
    }

    /// Appends an event whose text the component wrote itself: nothing in it is redacted.
    ///
    /// # Errors
    /// `event-too-long`, `log-failed`, `read-only`, `closed`.
    pub async fn append_own(&self, stream: &Stream, draft: Draft) -> Result<Appended, Problem> {
        stream.tell(draft).await
    }

    /// Appends an event to the hub's own stream, and waits until it is durable.
    ///
    /// # Errors
    /// `log-failed`, `closed`, and `unknown-stream` if only recordings are served.
    pub async fn tell(&self, draft: Draft) -> Result<(), Problem> {
        self.0.streams.tell(draft).await
    }

    /// Takes a share of the memory for documents of so many bytes. Waits up to ten seconds for it. Dropping the permit returns
    /// it.
    ///
    /// # Errors
    /// `busy`.
    pub async fn reserve(&self, bytes: u64) -> Result<Share, Problem> {
        self.0.captures.budget.reserve(bytes).await
    }

    /// Waits for a turn to parse, fold and compare. Dropping the permit ends it.
    ///
    /// # Errors
    /// `closed`.
    pub async fn turn(&self) -> Result<Share, Problem> {
        self.0.captures.budget.turn().await
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Returns the redactor of what belongs to no stream, with the hub's key.
    pub fn redactor(&self) -> &Arc<Redactor> {
        &self.0.redactor
    }

    /// Returns the limits of documents.
    pub fn limits(&self) -> &Limits {
        &self.0.options.limits
    }

    /// Returns the time on the hub's clock.
    pub fn now(&self) -> Timestamp {
        (self.0.options.clock)()
    }

    /// Returns true once the hub stops.
    pub fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Returns a future that is ready once the hub stops.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.0.stopping.clone();
        async move {
            // The sender is dropped only when the hub is.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    /// Returns how long tasks and requests may continue after the hub began to stop.
    pub fn shutdown_deadline(&self) -> Duration {
        self.0.options.shutdown_deadline
    }

    /// Returns the address that the hub listens on, once it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.listening.get().copied()
    }

    /// Marks a step in the path of a document, by name. It does nothing; tests end the process there.
    pub fn step(&self, name: &'static str) {
        (self.0.options.step)(name);
    }

    /// Returns a handle that does not keep the hub open.
    pub fn downgrade(&self) -> WeakCore {
        WeakCore(Arc::downgrade(&self.0))
    }

    pub(crate) fn listens_on(&self, address: SocketAddr) {
        let _ = self.0.listening.set(address);
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn keys(&self) -> &Arc<Keyring> {
        &self.0.keys
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(crate) fn captures(&self) -> &Captures {
        &self.0.captures
    }

    pub(crate) fn feeds(&self) -> &Feeds {
        &self.0.feeds
    }
}
