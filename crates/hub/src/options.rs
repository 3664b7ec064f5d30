//! The options of a hub.

use std::path::PathBuf;
use std::time::Duration;

use rig_config::{Limits, Policy};
use rig_event::{Seq, Timestamp};
use rig_recorder::Durability;

use crate::settings::{AccessSettings, BlobSettings, Http, TlsSettings};

/// Options of a hub.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; `None`: everything is in memory, and lost when the process ends.
    pub data: Option<PathBuf>,
    /// Rules for secrets, severities, lists, ignored fields and drift.
    pub policy: Policy,
    /// The storage of originals of documents.
    pub blobs: BlobSettings,
    /// Most requests and subscribers at once.
    pub http: Http,
    /// Access control.
    pub access: AccessSettings,
    /// The hub's certificate.
    pub tls: TlsSettings,
    /// Keys, one of which must have signed an approval; `None`: unsigned approvals are accepted too.
    pub baseline_keys: Option<rig_config::BaselineKeys>,
    /// The keys for signing seals and session files, of which the last signs; `None`: those in `keys/signing` of the data
    /// directory, created at the first start.
    pub signing_keys: Option<rig_recorder::Keyring>,
    /// The key of fingerprints for a hub in memory; a new one if absent. A data directory has its own.
    pub redaction_key: Option<rig_config::RedactionKey>,
    /// Protections that the hub may do without, though others than this machine reach it.
    pub insecure: Insecure,
    /// The moment at which an append is answered.
    pub durability: Durability,
    /// The interval of seals; `None`: the log is never sealed.
    pub seals: Option<Seals>,
    /// Maximum size of a segment of the log, in bytes; one that would exceed it is ended.
    pub segment_bytes: u64,
    /// The interval at which the policy's `[retention]` is carried out.
    pub retention_interval: Duration,
    /// The interval at which originals that the policy does not keep or no event names are deleted, give or take a quarter of it.
    pub sweep_interval: Duration,
    /// The age at which an original that no event names is deleted.
    pub unnamed_grace: Duration,
    /// Limits on the size, depth and width of a document.
    pub limits: Limits,
    /// Maximum total size of documents being processed. Requests over it wait up to ten seconds, then get 503.
    pub capture_budget: u64,
    /// The interval of heartbeats to a subscriber when there is nothing else to send.
    pub heartbeat: Duration,
    /// The time that a client may take for the next piece of a request.
    pub read_timeout: Duration,
    /// The time that requests may go on after the shutdown began.
    pub shutdown_deadline: Duration,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// Called with the name of each step of a document's path into the log and of an original's removal: `capture.…`, `blob.…`,
    /// `sweep.…`, or a name of a component. It does nothing; tests end the process there.
    pub step: fn(&'static str),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            data: None,
            policy: Policy::default(),
            blobs: BlobSettings::default(),
            http: Http::default(),
            access: AccessSettings::default(),
            tls: TlsSettings::default(),
            baseline_keys: None,
            signing_keys: None,
            redaction_key: None,
            insecure: Insecure::default(),
            durability: Durability::Always,
            seals: Some(Seals::default()),
            segment_bytes: 64 << 20,
            retention_interval: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(600),
            unnamed_grace: Duration::from_secs(3600),
            limits: Limits::default(),
            // Two documents of the largest size. Parsed at the same time, they take some 1.2 GiB.
            capture_budget: 256 << 20,
            heartbeat: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            shutdown_deadline: Duration::from_secs(10),
            clock: || Timestamp::from_micros(jiff::Timestamp::now().as_microsecond()),
            step: |_| (),
        }
    }
}

impl Options {
    /// Returns the options of its logs, if they are stored as segments.
    pub fn segments(&self) -> rig_recorder::Options {
        rig_recorder::Options { durability: self.durability, segment_bytes: self.segment_bytes }
    }
}

/// Protections that must be given up by name before a hub listens for others than this machine without them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Insecure {
    /// Listen without tokens: any client can read and write everything.
    pub no_tokens: bool,
    /// Listen without TLS: anyone on the network path can read everything, tokens too.
    pub no_tls: bool,
}

/// Intervals at which a stream's log is sealed: after so many events, and after so much time if there are new ones. A hub that
/// stops seals too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seals {
    /// Maximum number of events between two seals: 1,000.
    pub events: Seq,
    /// Maximum time that events stay unsealed: 10 s.
    pub interval: Duration,
}

impl Default for Seals {
    fn default() -> Self {
        Seals { events: 1_000, interval: Duration::from_secs(10) }
    }
}

/// Bytes of a log that are read at once.
pub const READ_BYTES: usize = 256 << 10;
