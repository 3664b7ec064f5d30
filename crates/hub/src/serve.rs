//! Opening a hub, answering until it is told to stop, and its end.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::access::audit;
use crate::access::tls::Tls;
use crate::hub::Hub;
use crate::playback::Playback;
use crate::{Error, Options, Shared, ingest, notify, open_files, routes};

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
    let hub = Hub::open(options, local, stopping).await?;
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

fn tls_of(hub: &Hub, address: SocketAddr) -> Result<Option<Tls>, Error> {
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
        let Started { listener, hub, stop, tls } = self;
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
                        Box::pin(conclude(http.serve_connection(TokioIo::new(stream), service), watcher))
                            .await;
                    }
                    Ok(Err(e)) => tracing::debug!(error = %e, "a connection did not become one of TLS"),
                    Err(_) => tracing::debug!("a connection did not become one of TLS in time"),
                }
            }
        };
        let most = open_files::connections();
        tokio::pin!(shutdown);
        let ended = loop {
            let (stream, peer) = tokio::select! {
                accepted = listener.accept(), if connections.len() < most => match accepted {
                    Ok(accepted) => accepted,
                    Err(e) if is_passing(&e) => {
                        tracing::warn!(error = %e, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                    Err(e) => break Err(Error::Listener(e)),
                },
                Some(_) = connections.join_next() => continue,
                () = hangups.next() => {
                    tls.iter().for_each(|tls| tls.reload());
                    continue;
                }
                () = &mut shutdown => break Ok(()),
            };
            connections.spawn(connect(stream, peer.ip(), Some(graceful.watcher())));
        };
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
        audit::flush(&hub).await;
        close(hub, deadline).await;
        ended
    }
}

/// Makes everything durable and lets go of it.
async fn close(hub: Shared, deadline: Duration) {
    hub.close().await;
    // On a disk that is full the index waits for room that never comes. Everything in it can be derived: it is left behind.
    let closing = std::thread::spawn(move || drop(hub));
    let begun = std::time::Instant::now();
    while !closing.is_finished() {
        if begun.elapsed() > deadline {
            return tracing::warn!("the index could not be closed in time; the next start mends it");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
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
    let hub = Hub::of_recording(options, playback, true, stopping)?;
    Started { listener, hub, stop, tls: None }.run(shutdown).await
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
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            () = hub.stopped() => return,
        }
        hub.access.tick();
        if told.elapsed() >= audit::EVERY {
            told = tokio::time::Instant::now();
            audit::flush(&hub).await;
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
