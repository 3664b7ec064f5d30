//! The listener: accepts and answers connections until the hub stops, then lets open requests finish.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connection::{Connections, Entry, Patience, Wire};
use super::dispatch::answer_to;
use crate::access::tls::Tls;
use crate::core::Core;
use crate::data::open_files;
use crate::error::Error;

/// A site that is served.
pub(crate) struct Site {
    pub(crate) core: Core,
    pub(crate) router: Router,
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Answers until `shutdown` is ready, and then calls `stop`. Open requests and `tasks` have until the hub's deadline to finish;
/// after it they are cut off.
///
/// # Errors
/// If the listener failed.
pub(crate) async fn serve(
    site: Site,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
    mut tasks: JoinSet<()>,
    stop: impl FnOnce(),
) -> Result<(), Error> {
    let Site { core, router, tls } = site;
    let (read_timeout, deadline) = (core.options().read_timeout, core.options().shutdown_deadline);
    let mut http = hyper::server::conn::http1::Builder::new();
    // Limits the buffer of a subscriber that does not read.
    http.timer(TokioTimer::new())
        .header_read_timeout(core.options().http.idle_timeout())
        .max_buf_size(64 << 10);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let counted = core.clone();
    let open = Arc::new(Connections::new(move |open, cut| counted.access().admission.connections(open, cut)));
    let patience = Patience { request: read_timeout, write: core.options().http.write_timeout() };
    let watching = tokio::spawn(open.clone().watch());
    let mut hangups = Hangups::listen(tls.is_some())?;
    let connect = |stream: TcpStream, entry: Entry, watcher: Option<Watcher>| {
        let _ = stream.set_nodelay(true);
        let connection = entry.connection.clone();
        let stream = Wire { socket: stream, connection: connection.clone() };
        let asked = connection.clone();
        let (core, router) = (core.clone(), router.clone());
        let service = service_fn(move |request| {
            // A browser gives a stream up for good that is answered with an error, and comes back where nobody answers.
            let answer = (!core.is_stopping() || !wants_stream(&request)).then(|| {
                // Boxed, so that it takes memory only during a request.
                Box::pin(answer_to(core.clone(), router.clone(), asked.clone(), request))
            });
            async {
                match answer {
                    Some(answer) => Ok(answer.await),
                    None => Err(Stopping),
                }
            }
        });
        let (tls, http) = (tls.as_ref().map(|tls| tls.acceptor()), http.clone());
        let served = async move {
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
        };
        async move {
            let _entry = entry;
            tokio::select! {
                () = served => {}
                () = connection.is_cut() => {}
            }
        }
    };
    let at_most = open_files::connections();
    // Beyond that, each new connection takes the place of another, which needs a moment to go.
    let most = (at_most - at_most / 16).saturating_sub(1).max(1);
    tokio::pin!(shutdown);
    let ended = loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept(), if connections.len() < at_most => match accepted {
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
        if connections.len() >= most {
            open.make_room();
        }
        let entry = open.add(peer.ip(), patience);
        connections.spawn(connect(stream, entry, Some(graceful.watcher())));
    };
    stop();
    core.access().stop();
    {
        let done = async { while tasks.join_next().await.is_some() {} };
        let ending = async { tokio::join!(graceful.shutdown(), done) };
        let ending = tokio::time::timeout(deadline, ending);
        tokio::pin!(ending);
        // Until the last request has ended, new clients are answered that the hub is stopping: readiness checks must see it.
        loop {
            tokio::select! {
                ended = &mut ending => {
                    if ended.is_err() {
                        tracing::warn!("some requests or tasks did not end in time and were cut off");
                    }
                    break;
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(connect(stream, open.add(peer.ip(), patience), None));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
            }
        }
    }
    drop(listener);
    // They hold the core. Once they are gone, all that it has open is closed.
    tasks.shutdown().await;
    connections.shutdown().await;
    watching.abort();
    let _ = watching.await;
    ended
}

/// The reason why a subscriber gets no answer.
#[derive(Debug, thiserror::Error)]
#[error("the hub is stopping")]
struct Stopping;

/// Returns true if a request is for a stream of events.
fn wants_stream<B>(request: &hyper::Request<B>) -> bool {
    let accept = request.headers().get(header::ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
    memchr::memmem::find(accept, b"text/event-stream").is_some()
}

/// Serves a connection until it ends. `watcher` shuts it down once the hub stops.
async fn conclude(connection: impl GracefulConnection<Error = hyper::Error>, watcher: Option<Watcher>) {
    let ended = match watcher {
        Some(watcher) => watcher.watch(connection).await,
        None => connection.await,
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a connection ended early");
    }
}

/// SIGHUP. A hub with TLS then reads its certificate again; without TLS the signal ends the process, as by default.
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

/// Returns true if accepting may work again in a moment: a client was gone already, or too many files are open.
fn is_passing(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(e.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        || matches!(e.raw_os_error(), Some(ENFILE | EMFILE))
}
