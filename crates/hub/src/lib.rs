//! The server: it turns documents and posted events into the log, and the log into streams, files and states.
//!
//! In reading order: [`Options`] and [`serve`]; `hub` (the streams a server has, opened and made); `writer` (the one task
//! a stream that gives events their place); `cut` (state and chain at any seq); `stream` (what routes
//! see of it); `tail` (prepared frames);
//! `announcer` (who tells subscribers of news); `sse` (subscribers); `session` (a stretch as a file); `capture` (a document's way to the writer);
//! `retention` (the oldest events go); [`backup`] and [`doctor`] (a data directory from outside); [`guard`] (where the hub may connect to); `playback` (a recording as a stream); `metrics`; `trace` (what is logged of a request); `admission` (how many requests at
//! once); `coding` (packed bodies); `routes`.

mod admission;
mod announcer;
pub mod backup;
mod capture;
mod coding;
mod cut;
mod data;
pub mod doctor;
pub mod guard;
mod hub;
mod ids;
mod indexer;
mod metrics;
mod playback;
mod problem;
mod retention;
mod routes;
mod session;
pub mod settings;
mod sse;
mod stream;
mod tail;
mod trace;
mod writer;

use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rig_config::{Limits, Policy};
use rig_event::{Seq, Timestamp};
use rig_recorder::Durability;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use playback::Playback;
pub use problem::Problem;
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
    /// When an append is answered.
    pub durability: Durability,
    /// When the log is sealed; `None`: never.
    pub seals: Option<Seals>,
    /// A segment of the log that would grow beyond this is ended.
    pub segment_bytes: u64,
    /// How often the policy's `[retention]` is carried out.
    pub retention_interval: Duration,
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
}

impl Default for Options {
    fn default() -> Self {
        Options {
            data: None,
            policy: Policy::default(),
            settings: Settings::default(),
            baseline_keys: None,
            durability: Durability::Always,
            seals: Some(Seals::default()),
            segment_bytes: 64 << 20,
            retention_interval: Duration::from_secs(60),
            limits: Limits::default(),
            // Two documents of the largest size, which are parsed at the same time in some 1.2 GiB.
            capture_budget: 256 << 20,
            heartbeat: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            shutdown_deadline: Duration::from_secs(10),
            clock: || Timestamp::from_micros(jiff::Timestamp::now().as_microsecond()),
        }
    }
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

/// Why a hub cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file of the data directory cannot be used.
    #[error("cannot {what} {}", path.display())]
    Data {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another hub has the data directory.
    #[error("{} is in use by another hub; stop it, or name another folder with --data", .0.display())]
    InUse(PathBuf),
    /// The redaction key is damaged.
    #[error("{} is no redaction key (`ID:64 hexadecimal digits`); restore it from a backup: a new key would make every known secret look changed", .0.display())]
    Key(PathBuf),
    /// A key is gone, though there are streams that were made with it.
    #[error("{} is gone, and there are streams already: restore it from a backup. A new redaction key makes every known secret look changed, and a new signing key cannot continue the old one; to go on with one all the same, make the file", path.display())]
    KeyLost {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of signing keys is damaged.
    #[error("{}", path.display())]
    SigningKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rig_recorder::seal::BadKey,
    },
    /// A log or the index cannot be opened.
    #[error(transparent)]
    Recorder(#[from] rig_recorder::Error),
    /// A log does not fold.
    #[error("{0}")]
    Fold(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listener(#[from] std::io::Error),
}

/// Runs a hub on `listener` until `shutdown` is ready, then ends open requests, makes everything durable and returns.
///
/// It needs a runtime with several threads.
///
/// # Errors
/// When the data directory cannot be used, is damaged, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
    options: Options,
) -> Result<(), Error> {
    let (stop, stopping) = watch::channel(false);
    let hub = hub::Hub::open(options, stopping).await?;
    run(listener, shutdown, hub, stop).await
}

/// Serves a recording on `listener` until `shutdown` is ready, as a hub serves a stream: the same addresses, the same bytes. What
/// would change something is refused with 403 and the code `read-only`.
///
/// # Errors
/// When the recording has no state to begin with, or the listener fails.
pub async fn play(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
    options: Options,
    playback: Playback,
) -> Result<(), Error> {
    let (stop, stopping) = watch::channel(false);
    let hub = hub::Hub::of_recording(options, playback, stopping)?;
    run(listener, shutdown, hub, stop).await
}

async fn run(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
    hub: Shared,
    stop: watch::Sender<bool>,
) -> Result<(), Error> {
    let (read_timeout, deadline) = (hub.options.read_timeout, hub.options.shutdown_deadline);
    let app = routes::router(hub.clone());

    let mut http = hyper::server::conn::http1::Builder::new();
    // A subscriber that does not read holds no more than this.
    http.timer(TokioTimer::new()).header_read_timeout(read_timeout).max_buf_size(64 << 10);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let connect = |stream: TcpStream| {
        let _ = stream.set_nodelay(true);
        let (hub, app) = (hub.clone(), app.clone());
        let service = service_fn(move |request| {
            // On the heap, and so only while there is a request.
            let answer = Box::pin(routes::answer_to(hub.clone(), app.clone(), request));
            async { Ok::<_, Infallible>(answer.await) }
        });
        http.serve_connection(TokioIo::new(stream), service)
    };
    tokio::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) if is_passing(&e) => {
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                Err(e) => return Err(Error::Listener(e)),
            },
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        let connection = graceful.watch(connect(stream));
        connections.spawn(async move {
            if let Err(e) = connection.await {
                tracing::debug!(error = %e, "a connection ended early");
            }
        });
    }
    stop.send_replace(true);
    let ending = tokio::time::timeout(deadline, graceful.shutdown());
    tokio::pin!(ending);
    // Until the last request has ended, who comes is told that the hub stops: readiness must be seen to end.
    loop {
        tokio::select! {
            ended = &mut ending => {
                if ended.is_err() {
                    tracing::warn!("some requests did not end in time and were cut off");
                }
                break;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = connect(stream);
                    connections.spawn(async move { drop(connection.await) });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    // Their tasks hold the hub: when they are gone, so is everything that it has open.
    connections.shutdown().await;
    drop(app);
    hub.close().await;
    // On a disk that is full the index waits for room that never comes. Everything in it can be derived: it is left behind.
    let closing = std::thread::spawn(move || drop(hub));
    let begun = std::time::Instant::now();
    while !closing.is_finished() {
        if begun.elapsed() > deadline {
            tracing::warn!("the index could not be closed in time; the next start mends it");
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Whether accepting may work again in a moment: a client was gone already, or too many files are open.
fn is_passing(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(e.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        || matches!(e.raw_os_error(), Some(ENFILE | EMFILE))
}

/// How many bytes of a log are read at once.
const READ_BYTES: usize = 256 << 10;

/// What the parts of the server share.
type Shared = Arc<hub::Hub>;
