//! The server: it turns documents and posted events into the log, and the log into streams, files and states.
//!
//! In reading order: [`Options`]; `serve` (from its start to its end); `hub` (the streams a server has, opened and made); `own` (what
//! is kept in the hub's own); `writer` (the one task a stream that gives events their place); `cut` (state and chain at any seq); `held` (what is opened, held against the seals);
//! `stream` (what routes see of it); `tail` (prepared frames); `announcer` (who tells subscribers of news); `sse` (subscribers);
//! `session` (a stretch as a file); `capture` (a document's way to the writer); `secrecy` (its original, encrypted); `ingest`
//! (documents that nobody posts); `notify` (who is told of drift); `retention` (the oldest events go); [`access`] (who may do what);
//! `routes`; `admission` (how many requests at once); `coding` (packed bodies); `trace` (what is logged of a request); `metrics`;
//! [`guard`] (where the hub may connect to); `secret` (secrets that `hub.toml` names); [`files`] (which have changed); `keychecks` (whether keys have); `playback` (a
//! recording as a stream); [`backup`] and [`doctor`] (a data directory from outside).

pub mod access;
mod admission;
mod announcer;
pub mod backup;
mod capture;
mod coding;
mod cut;
mod data;
pub mod doctor;
mod error;
pub mod files;
pub mod guard;
mod held;
mod hub;
mod ids;
mod indexer;
mod ingest;
mod keychecks;
mod metrics;
mod notify;
pub mod open_files;
mod own;
mod playback;
mod problem;
mod retention;
mod routes;
mod secrecy;
mod secret;
mod serve;
mod session;
pub mod settings;
mod sse;
mod stream;
mod tail;
mod trace;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rig_config::{Limits, Policy};
use rig_event::{Seq, Timestamp};
use rig_recorder::Durability;

pub use error::Error;
pub use playback::Playback;
pub use problem::Problem;
pub use serve::{Started, play, serve, start};
pub use settings::Settings;

/// What a hub is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds everything; `None`: in memory, gone with the process.
    pub data: Option<PathBuf>,
    /// Rules for secrets, severities, lists, what to ignore and drift.
    pub policy: Policy,
    /// What `hub.toml` says.
    pub settings: Settings,
    /// Keys of which one must have signed an approval; `None`: unsigned ones are taken too.
    pub baseline_keys: Option<rig_config::BaselineKeys>,
    /// The keys that seals and session files are signed with, of which the last signs; `None`: those in `keys/signing` of the
    /// folder, made at the first start.
    pub signing_keys: Option<rig_recorder::Keyring>,
    /// What the hub may do without, though others than this machine reach it.
    pub insecure: Insecure,
    /// When an append is answered.
    pub durability: Durability,
    /// When the log is sealed; `None`: never.
    pub seals: Option<Seals>,
    /// A segment of the log that would grow beyond this is ended.
    pub segment_bytes: u64,
    /// How often the policy's `[retention]` is carried out.
    pub retention_interval: Duration,
    /// How often it is looked for originals that the policy does not keep or no event names, give or take a quarter of it.
    pub sweep_interval: Duration,
    /// How old an original must be that no event names before it is deleted.
    pub unnamed_grace: Duration,
    /// How large, deep and wide a document may be.
    pub limits: Limits,
    /// How many bytes of documents may be in work at once; who comes then waits, and gets 503 after ten seconds.
    pub capture_budget: u64,
    /// How often a subscriber hears from the hub when there is nothing else to say.
    pub heartbeat: Duration,
    /// How long a client may take for the next piece of a request.
    pub read_timeout: Duration,
    /// How long requests may go on after the shutdown began.
    pub shutdown_deadline: Duration,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// Called at each step of a document's way into the log and of an original's out of it, with the step's name: `capture.…`,
    /// `blob.…`, `sweep.…`, `nats.…`. It does nothing; tests end the process there.
    pub step: fn(&'static str),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            data: None,
            policy: Policy::default(),
            settings: Settings::default(),
            baseline_keys: None,
            signing_keys: None,
            insecure: Insecure::default(),
            durability: Durability::Always,
            seals: Some(Seals::default()),
            segment_bytes: 64 << 20,
            retention_interval: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(600),
            unnamed_grace: Duration::from_secs(3600),
            limits: Limits::default(),
            // Two documents of the largest size, which are parsed at the same time in some 1.2 GiB.
            capture_budget: 256 << 20,
            heartbeat: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            shutdown_deadline: Duration::from_secs(10),
            clock: || Timestamp::from_micros(jiff::Timestamp::now().as_microsecond()),
            step: |_| (),
        }
    }
}

/// What a hub must be told by name before it listens for others than this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Insecure {
    /// Without tokens: who reaches it reads and writes everything.
    pub no_tokens: bool,
    /// Without TLS: who sits in between reads everything, tokens too.
    pub no_tls: bool,
}

/// When a stream's log is sealed: after so many events, and after so much time where there is news. A hub that stops seals too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seals {
    /// Most events from one seal to the next: 1,000.
    pub events: Seq,
    /// Longest time that news stay unsealed: 10 s.
    pub interval: Duration,
}

impl Default for Seals {
    fn default() -> Self {
        Seals { events: 1_000, interval: Duration::from_secs(10) }
    }
}

/// How many bytes of a log are read at once.
const READ_BYTES: usize = 256 << 10;

/// What the parts of the server share.
type Shared = Arc<hub::Hub>;
