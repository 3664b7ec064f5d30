//! Connections: whose each is, how long it may take, and which is cut where there is no room for another.
//!
//! A response that nobody reads, and a request that never comes, end by no event of their own. So every connection notes when
//! something moved, and twice a second all of them are looked through.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};

use crate::permit::Party;

/// The interval at which connections are looked through.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The time that a response may take to end by itself once its client is not let in any more.
const GRACE: Duration = Duration::from_secs(1);

/// The rate at which a client must at least read, in bytes a second: what it reads prolongs the time that it has.
const MIN_RATE: u64 = 1 << 10;

/// The time that clients may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until the first request of a connection has come.
    pub(crate) request: Duration,
    /// Until a client reads on.
    pub(crate) write: Duration,
}

/// An open connection.
pub(crate) struct Connection {
    peer: IpAddr,
    patience: Patience,
    opened: Instant,
    party: Mutex<Party>,
    /// True once a request came.
    asked: AtomicBool,
    /// When something last moved, in milliseconds after it was opened.
    moved: AtomicU64,
    /// Until when the client must have read what waits to be written, likewise; 0: nothing waits.
    due: AtomicU64,
    /// Set while a long response is sent.
    leash: Mutex<Option<Leash>>,
    cut: Notify,
}

/// The end of the permission to read a response.
struct Leash {
    ended: watch::Receiver<bool>,
    noticed: Option<Instant>,
}

impl Connection {
    fn new(peer: IpAddr, patience: Patience) -> Connection {
        Connection {
            peer,
            patience,
            opened: Instant::now(),
            party: Mutex::new(Party::of(peer)),
            asked: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            due: AtomicU64::new(0),
            leash: Mutex::new(None),
            cut: Notify::new(),
        }
    }

    /// Returns the address of its client.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Notes that a request came.
    pub(crate) fn begins(&self) {
        self.asked.store(true, Relaxed);
        *self.leash.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes whose request it is.
    pub(crate) fn is_of(&self, party: &Party) {
        let mut known = self.party.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != *party {
            *known = party.clone();
        }
    }

    /// Cuts it some time after `ended` has turned true, if its client has not asked for anything else by then.
    pub(crate) fn until(&self, ended: watch::Receiver<bool>) {
        *self.leash.lock().unwrap_or_else(PoisonError::into_inner) = Some(Leash { ended, noticed: None });
    }

    /// Waits until it must be closed at once.
    pub(crate) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    /// Returns the reason why it has to be cut, if there is one.
    fn is_over(&self) -> Option<&'static str> {
        let due = self.due.load(Relaxed);
        if due > 0 && self.millis() >= due {
            return Some("its client does not read");
        }
        if !self.asked.load(Relaxed) && self.opened.elapsed() >= self.patience.request {
            return Some("no request came");
        }
        let mut leash = self.leash.lock().unwrap_or_else(PoisonError::into_inner);
        let leash = leash.as_mut().filter(|leash| *leash.ended.borrow())?;
        let noticed = *leash.noticed.get_or_insert_with(Instant::now);
        (noticed.elapsed() >= GRACE).then_some("its client is not let in any more")
    }

    fn millis(&self) -> u64 {
        (self.opened.elapsed().as_millis() as u64).max(1)
    }

    /// Notes the result of an attempt to write `all` bytes.
    fn wrote(&self, all: usize, result: &Poll<io::Result<usize>>) {
        let now = self.millis();
        let latest = now + self.patience.write.as_millis() as u64;
        match result {
            Poll::Pending if self.due.load(Relaxed) == 0 => self.due.store(latest, Relaxed),
            Poll::Pending | Poll::Ready(Err(_)) => {}
            Poll::Ready(Ok(n)) => {
                self.moved.store(now, Relaxed);
                let due = match self.due.load(Relaxed) {
                    0 => 0,
                    _ if *n >= all => 0,
                    due => (due + *n as u64 * 1_000 / MIN_RATE).min(latest),
                };
                self.due.store(due, Relaxed);
            }
        }
    }
}

/// All open connections.
pub(crate) struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    /// Called with the number of open connections, and with true where one is cut.
    told: Box<dyn Fn(usize, bool) + Send + Sync>,
}

impl Connections {
    /// Creates the register. `told` is called with the number of open connections whenever it changes, and with `true` when one is
    /// cut.
    pub(crate) fn new(told: impl Fn(usize, bool) + Send + Sync + 'static) -> Connections {
        Connections { open: Mutex::default(), next: AtomicU64::new(0), told: Box::new(told) }
    }

    /// Adds a connection. Dropping what is returned removes it.
    pub(crate) fn add(self: &Arc<Self>, peer: IpAddr, patience: Patience) -> Entry {
        let connection = Arc::new(Connection::new(peer, patience));
        let id = self.next.fetch_add(1, Relaxed);
        let count = {
            let mut open = self.open();
            open.insert(id, connection.clone());
            open.len()
        };
        (self.told)(count, false);
        Entry { connections: self.clone(), id, connection }
    }

    /// Cuts a connection of the party that has the most: the one on which nothing has moved for the longest time.
    pub(crate) fn make_room(&self) {
        let open = self.open();
        let party =
            |connection: &Connection| connection.party.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut each: HashMap<Party, (usize, Vec<&Arc<Connection>>)> = HashMap::new();
        for connection in open.values() {
            let (count, all) = each.entry(party(connection)).or_default();
            *count += 1;
            all.push(connection);
        }
        let most = each.into_values().max_by_key(|(count, _)| *count);
        let still = |connection: &&Arc<Connection>| {
            connection.millis().saturating_sub(connection.moved.load(Relaxed))
        };
        if let Some(longest) = most.and_then(|(_, all)| all.into_iter().max_by_key(still)) {
            tracing::debug!(peer = %longest.peer, "a connection was cut: there is no room for another");
            longest.cut.notify_one();
            (self.told)(open.len(), true);
        }
    }

    /// Cuts the connections that have to end, as long as it is polled.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        loop {
            interval.tick().await;
            let open = self.open();
            for connection in open.values() {
                if let Some(why) = connection.is_over() {
                    tracing::debug!(peer = %connection.peer, why, "a connection was cut");
                    connection.cut.notify_one();
                    (self.told)(open.len(), true);
                }
            }
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection among all of them.
pub(crate) struct Entry {
    connections: Arc<Connections>,
    id: u64,
    /// The connection.
    pub(crate) connection: Arc<Connection>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let count = {
            let mut open = self.connections.open();
            open.remove(&self.id);
            open.len()
        };
        (self.connections.told)(count, false);
    }
}

/// A socket that notes in its connection what moves.
pub(crate) struct Wire<S> {
    pub(crate) socket: S,
    pub(crate) connection: Arc<Connection>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, into);
        if read.is_ready() {
            self.connection.moved.store(self.connection.millis(), Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.connection.wrote(bytes.len(), &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = pieces.iter().map(|piece| piece.len()).sum();
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.connection.wrote(all, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { request: Duration::from_secs(30), write: Duration::from_secs(30) };

    #[test]
    fn the_one_with_the_most_connections_makes_room_and_its_stillest_goes() {
        let connections = Arc::new(Connections::new(|_, _| {}));
        let many: Vec<Entry> =
            (0..3).map(|_| connections.add("192.0.2.1".parse().unwrap(), PATIENCE)).collect();
        let one = connections.add("192.0.2.2".parse().unwrap(), PATIENCE);
        let (tokens, peer) = (Party::Token("a".into()), "192.0.2.1".parse().unwrap());
        let with_token = connections.add(peer, PATIENCE);
        with_token.connection.is_of(&tokens);
        many[0].connection.moved.store(u64::MAX, Relaxed);
        many[2].connection.moved.store(u64::MAX, Relaxed);
        connections.make_room();
        let is_cut = |entry: &Entry| {
            let mut cut = std::pin::pin!(entry.connection.is_cut());
            cut.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        let cut: Vec<bool> = many.iter().chain([&one, &with_token]).map(is_cut).collect();
        assert_eq!(cut, [false, true, false, false, false]);
        drop(many);
        assert_eq!(connections.open().len(), 2);
    }

    #[test]
    fn who_reads_a_byte_now_and_then_gains_no_time() {
        let write = Duration::from_secs(0);
        let connection = Connection::new("::1".parse().unwrap(), Patience { write, ..PATIENCE });
        connection.begins();
        assert_eq!(connection.is_over(), None);
        connection.wrote(1 << 20, &Poll::Pending);
        connection.wrote(1 << 20, &Poll::Ready(Ok(1)));
        assert!(connection.is_over().is_some());
        connection.wrote(10, &Poll::Ready(Ok(10)));
        assert_eq!(connection.is_over(), None, "all of it was read");
    }
}
