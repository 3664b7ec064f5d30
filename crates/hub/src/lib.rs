//! The server: it turns documents and posted events into the log, and the log into streams, files and states.
//!
//! In reading order: [`Options`] and [`serve`]; `hub` (the streams a server has, opened and made); `own` (what
//! the hub keeps in its own); `writer` (the one task
//! a stream that gives events their place); `cut` (state and chain at any seq); `stream` (what routes
//! see of it); `tail` (prepared frames);
//! `announcer` (who tells subscribers of news); `sse` (subscribers); `session` (a stretch as a file); `capture` (a document's way to the writer);
//! `secrecy` (its original, encrypted); `ingest` (documents that nobody posts); `notify` (who is told of drift); `retention` (the oldest
//! events go); [`files`] (which have changed); [`backup`] and [`doctor`] (a data directory from outside); [`guard`] (where the hub may
//! connect to); `playback` (a recording as a stream); `metrics`; `trace` (what is logged of a
//! request); `admission` (how many requests at once); `coding` (packed bodies); `routes`.

pub mod access;
mod admission;
mod announcer;
pub mod backup;
mod capture;
mod coding;
mod cut;
mod data;
pub mod doctor;
pub mod files;
pub mod guard;
mod hub;
mod ids;
mod indexer;
mod ingest;
mod metrics;
mod notify;
mod own;
mod playback;
mod problem;
mod retention;
mod routes;
mod secrecy;
mod session;
pub mod settings;
mod sse;
mod stream;
mod tail;
mod trace;
mod writer;

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use rig_config::{Limits, Policy};
use rig_event::{Seq, Timestamp};
use rig_recorder::Durability;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use access::tls::Tls;
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
    pub collect_interval: Duration,
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
    /// Called before each step of a document that is ingested and after each of keeping its original, with the step's name; it does
    /// nothing. Tests end the process there.
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
            collect_interval: Duration::from_secs(600),
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
    /// The key of the originals is gone, and there are originals that only it opens.
    #[error("{} is gone, and there are originals of documents that only its keys open: restore it from a backup; to go on without those originals, delete the folders `blobs` below {}", path.display(), streams.display())]
    BlobKeyLost {
        /// The file.
        path: PathBuf,
        /// The folder of the streams.
        streams: PathBuf,
    },
    /// The file of the keys of originals is damaged.
    #[error("{}, line {line}: {why}", path.display())]
    BlobKeys {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it. Nothing of it is repeated.
        why: &'static str,
    },
    /// The Transit service that `hub.toml` names cannot be used.
    #[error("[blobs] transit: {0}")]
    Transit(String),
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
    /// `hub.toml` names what is not there, or may not be connected to.
    #[error("hub.toml: {0}")]
    Settings(String),
    /// A log does not fold.
    #[error("{0}")]
    Fold(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// Others than this machine would reach a hub without tokens.
    #[error(
        "the hub does not listen on {0} without tokens: whoever reaches it could read and write everything. Make one first (rig token new --data DIR --scope admin --stream '*'), or say --insecure-no-tokens"
    )]
    NoTokens(SocketAddr),
    /// Others than this machine would reach a hub without TLS.
    #[error(
        "the hub does not listen on {0} without TLS: whoever sits in between could read everything, tokens too. Name a certificate (--tls-cert, --tls-key), or say --insecure-no-tls where something in front of it speaks TLS"
    )]
    NoTls(SocketAddr),
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {}{why}", shown(path))]
    Tls {
        /// The file, if it is about one.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listener(#[from] std::io::Error),
}

fn shown(path: &std::path::Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("{}: ", path.display()) }
}

/// A hub that has opened everything and is about to answer.
pub struct Started {
    listener: TcpListener,
    hub: Shared,
    stop: watch::Sender<bool>,
    tls: Option<Arc<Tls>>,
}

/// Opens a hub that will answer on `listener`: once this returns, whoever connects is answered as soon as [`Started::run`] runs.
///
/// It needs a runtime with several threads.
///
/// # Errors
/// When the data directory cannot be used or is damaged, the certificate cannot be used, or others than this machine reach
/// `listener` and the hub has no tokens or no TLS.
pub async fn start(listener: TcpListener, options: Options) -> Result<Started, Error> {
    let address = listener.local_addr()?;
    let local = address.ip().to_canonical().is_loopback();
    let insecure = options.insecure;
    let (stop, stopping) = watch::channel(false);
    let hub = hub::Hub::open(options, local, stopping).await?;
    let tls = match tls_of(&hub, address) {
        Ok(_) if !local && !insecure.no_tokens && !hub.access.tokens.exist() => Err(Error::NoTokens(address)),
        Ok(None) if !local && !insecure.no_tls => Err(Error::NoTls(address)),
        tls => tls,
    };
    match tls {
        Ok(tls) => {
            tracing::debug!(%address, streams = hub.list().len(), "everything is open");
            Ok(Started { listener, hub, stop, tls: tls.map(Arc::new) })
        }
        Err(e) => {
            hub.close().await;
            Err(e)
        }
    }
}

fn tls_of(hub: &hub::Hub, address: SocketAddr) -> Result<Option<Tls>, Error> {
    let settings = &hub.options.settings;
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(settings.access.hosts.iter().cloned());
    if !address.ip().is_unspecified() && !address.ip().is_loopback() {
        names.push(address.ip().to_string());
    }
    Tls::open(&settings.tls, hub.options.data.as_deref(), names)
}

impl Started {
    /// Where it answers: `http://127.0.0.1:7070`.
    ///
    /// # Errors
    /// When the system does not tell the listener's address.
    pub fn url(&self) -> Result<String, Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.listener.local_addr()?))
    }

    /// The file of its certificate, and the certificate's SHA-256; none without TLS.
    ///
    /// # Errors
    /// When the file cannot be read any more.
    pub fn certificate(&self) -> Result<Option<(PathBuf, String)>, Error> {
        let told = self.tls.as_ref().map(|tls| Ok((tls.cert().to_owned(), tls.fingerprint()?)));
        told.transpose()
    }

    /// Whether it asks for tokens.
    pub fn demands_tokens(&self) -> bool {
        self.hub.access.tokens.demanded()
    }

    /// Answers until `shutdown` is ready, then ends open requests, makes everything durable and returns.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        run(self, shutdown).await
    }
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
    start(listener, options).await?.run(shutdown).await
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
    let address = listener.local_addr()?;
    if !address.ip().to_canonical().is_loopback() {
        // A recording has no stream of its own that could hold tokens.
        return Err(Error::NoTokens(address));
    }
    let hub = hub::Hub::of_recording(options, playback, true, stopping)?;
    run(Started { listener, hub, stop, tls: None }, shutdown).await
}

async fn run(started: Started, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let Started { listener, hub, stop, tls } = started;
    let (read_timeout, deadline) = (hub.options.read_timeout, hub.options.shutdown_deadline);
    let app = routes::router(hub.clone());
    hub.listens_on(listener.local_addr()?);
    let mut ingesting = ingest::start(&hub);
    notify::start(&hub, &mut ingesting);

    let mut http = hyper::server::conn::http1::Builder::new();
    // A subscriber that does not read holds no more than this.
    http.timer(TokioTimer::new()).header_read_timeout(read_timeout).max_buf_size(64 << 10);
    let graceful = GracefulShutdown::new();
    let accounts = tokio::spawn(keep_accounts(hub.clone()));
    let mut connections = JoinSet::new();
    let mut hangups = Hangups::listen(tls.is_some())?;
    let connect = |stream: TcpStream, peer: IpAddr, watcher: Option<Watcher>| {
        let _ = stream.set_nodelay(true);
        let (hub, app) = (hub.clone(), app.clone());
        let service = service_fn(move |request| {
            // On the heap, and so only while there is a request.
            let answer = Box::pin(routes::answer_to(hub.clone(), app.clone(), peer, request));
            async { Ok::<_, Infallible>(answer.await) }
        });
        let (tls, http) = (tls.as_ref().map(|tls| tls.acceptor()), http.clone());
        async move {
            let Some(tls) = tls else {
                return conclude(http.serve_connection(TokioIo::new(stream), service), watcher).await;
            };
            match tokio::time::timeout(read_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    Box::pin(conclude(http.serve_connection(TokioIo::new(stream), service), watcher)).await;
                }
                Ok(Err(e)) => tracing::debug!(error = %e, "a connection did not become one of TLS"),
                Err(_) => tracing::debug!("a connection did not become one of TLS in time"),
            }
        }
    };
    tokio::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) if is_passing(&e) => {
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                Err(e) => return Err(Error::Listener(e)),
            },
            Some(_) = connections.join_next() => continue,
            () = hangups.next() => {
                tls.iter().for_each(|tls| tls.reload());
                continue;
            }
            () = &mut shutdown => break,
        };
        connections.spawn(connect(stream, peer.ip(), Some(graceful.watcher())));
    }
    stop.send_replace(true);
    hub.access.tokens.stop();
    {
        let ingested = async { while ingesting.join_next().await.is_some() {} };
        let ending = async { tokio::join!(graceful.shutdown(), ingested) };
        let ending = tokio::time::timeout(deadline, ending);
        tokio::pin!(ending);
        // Until the last request has ended, who comes is told that the hub stops: readiness must be seen to end.
        loop {
            tokio::select! {
                ended = &mut ending => {
                    if ended.is_err() {
                        tracing::warn!("some requests, or some of what was being ingested, did not end in time and were cut off");
                    }
                    break;
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(connect(stream, peer.ip(), None));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
            }
        }
    }
    drop(listener);
    // Their tasks hold the hub: when they are gone, so is everything that it has open.
    ingesting.shutdown().await;
    connections.shutdown().await;
    drop(app);
    let _ = accounts.await;
    access::audit::flush(&hub).await;
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

/// Serves a connection to its end, which `watcher` hastens once the hub stops.
async fn conclude(connection: impl GracefulConnection<Error = hyper::Error>, watcher: Option<Watcher>) {
    let ended = match watcher {
        Some(watcher) => watcher.watch(connection).await,
        None => connection.await,
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a connection ended early");
    }
}

/// SIGHUP, which asks a hub with TLS to look at its certificate; without TLS it ends a program as always.
struct Hangups {
    #[cfg(unix)]
    asked: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    #[cfg(unix)]
    fn listen(heeded: bool) -> Result<Hangups, Error> {
        let hangup = || tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        Ok(Hangups { asked: heeded.then(hangup).transpose()? })
    }

    #[cfg(not(unix))]
    fn listen(_: bool) -> Result<Hangups, Error> {
        Ok(Hangups {})
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(asked) = &mut self.asked
            && asked.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Ends tokens whose time is over, and tells what requests did.
async fn keep_accounts(hub: Shared) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut told = tokio::time::Instant::now();
    let mut stopping = hub.stopping.clone();
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        hub.access.tick();
        if told.elapsed() >= access::audit::EVERY {
            told = tokio::time::Instant::now();
            access::audit::flush(&hub).await;
        }
    }
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
