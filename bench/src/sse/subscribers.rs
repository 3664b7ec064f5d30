//! Many subscribers in one thread: each counts the markers that it sees and how old they were.
//!
//! A marker stands inside the data of an event. Neither the chunks of HTTP nor the lines of SSE are taken apart: that
//! would cost the processor that the server needs. A marker that a chunk's boundary cut in two would count as missing;
//! both servers end chunks between events.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::histogram::Histogram;
use crate::http::interrupted;
use crate::machine::nanos;

/// `RB:` sixteen digits of nanoseconds `:` ten digits of a number `:`.
const MARKER: usize = 31;

/// Connections that are opened at once.
const OPENING: usize = 64;

/// Longest time for all of them to be open.
const OPEN_TIME: Duration = Duration::from_secs(60);

const BUFFER: usize = 256 << 10;

/// A marker for message `number` that counts from `since`.
pub fn marker(since: u64, number: u64) -> String {
    format!("RB:{since:016}:{number:010}:")
}

/// Subscribers that run in a thread of their own.
pub struct Subscribers {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<Seen>>,
}

#[derive(Default)]
struct Shared {
    open: AtomicU64,
    delivered: AtomicU64,
    /// When the last marker was seen.
    last: AtomicU64,
    stop: AtomicBool,
}

/// What all subscribers saw.
pub struct Seen {
    /// Age of each marker when it was read.
    pub latency: Histogram,
    /// How many markers each one saw, and the sum of their numbers.
    pub each: Vec<(u64, u64)>,
}

impl Seen {
    /// How many of messages 1 to `published` did not reach a subscriber, and how many came that should not have.
    pub fn wrong(&self, published: u64) -> (u64, u64) {
        let sum = published * (published + 1) / 2;
        self.each.iter().fold((0, 0), |(missing, surplus), &(count, numbers)| {
            // As many as there should be, but not the right ones: at least one is missing and another came twice.
            let swapped = u64::from(count == published && numbers != sum);
            (
                missing + published.saturating_sub(count) + swapped,
                surplus + count.saturating_sub(published) + swapped,
            )
        })
    }
}

impl Subscribers {
    /// Opens so many and waits until every one has the head of its answer.
    pub fn open(address: SocketAddr, path: &str, count: usize) -> Result<Subscribers> {
        let shared = Arc::new(Shared::default());
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || follow(address, request.as_bytes(), count, &shared)
        });
        let begun = Instant::now();
        while shared.open.load(SeqCst) < count as u64 {
            if thread.is_finished() || begun.elapsed() > OPEN_TIME {
                shared.stop.store(true, SeqCst);
                let open = shared.open.load(SeqCst);
                match thread.join() {
                    Ok(Err(e)) => return Err(e),
                    _ => bail!("only {open} of {count} subscribers could be opened"),
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Subscribers { shared, thread })
    }

    /// Markers seen so far by all of them.
    pub fn delivered(&self) -> u64 {
        self.shared.delivered.load(SeqCst)
    }

    /// When the last marker was seen.
    pub fn last(&self) -> u64 {
        self.shared.last.load(SeqCst)
    }

    /// Waits until all have seen all of `expected`, or nothing has come for three seconds.
    pub fn drain(&self, expected: u64) {
        let (mut seen, mut since) = (self.delivered(), Instant::now());
        while seen < expected && since.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(10));
            let now = self.delivered();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
    }

    /// Closes them.
    pub fn close(self) -> Result<Seen> {
        self.shared.stop.store(true, SeqCst);
        match self.thread.join() {
            Ok(seen) => seen,
            Err(_) => bail!("the subscribers' thread failed"),
        }
    }
}

struct Subscriber {
    stream: TcpStream,
    sent: bool,
    /// The head of the answer until it is there as a whole.
    head: Option<Vec<u8>>,
    /// The end of the last read, in which a marker may have begun.
    carried: [u8; MARKER],
    carry: usize,
    count: u64,
    numbers: u64,
}

fn follow(address: SocketAddr, request: &[u8], count: usize, shared: &Shared) -> Result<Seen> {
    let mut poll = Poll::new()?;
    let mut all: Vec<Subscriber> = Vec::with_capacity(count);
    let mut events = Events::with_capacity(1024);
    // What was carried over from the last read goes in front of the new one.
    let mut buffer = vec![0; MARKER + BUFFER];
    let finder = memchr::memmem::Finder::new(b"RB:");
    let mut latency = Histogram::default();
    let mut open = 0;
    while !shared.stop.load(SeqCst) {
        while all.len() < count && all.len() - open < OPENING {
            let mut stream = TcpStream::connect(address).context("a subscriber cannot connect")?;
            let token = Token(all.len());
            poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            all.push(Subscriber {
                stream,
                sent: false,
                head: Some(Vec::new()),
                carried: [0; MARKER],
                carry: 0,
                count: 0,
                numbers: 0,
            });
        }
        poll.poll(&mut events, Some(Duration::from_millis(20))).or_else(interrupted)?;
        let (mut seen, mut last) = (0, 0);
        for event in &events {
            let subscriber = &mut all[event.token().0];
            if event.is_writable() && !subscriber.sent {
                subscriber.stream.set_nodelay(true)?;
                match subscriber.stream.write(request) {
                    Ok(n) => ensure!(n == request.len(), "a request does not fit the socket"),
                    Err(e) if e.kind() == ErrorKind::NotConnected => continue,
                    Err(e) => return Err(e).context("a subscriber cannot ask"),
                }
                subscriber.sent = true;
                poll.registry().reregister(&mut subscriber.stream, event.token(), Interest::READABLE)?;
            }
            loop {
                let n = match subscriber.stream.read(&mut buffer[MARKER..]) {
                    Ok(0) => bail!("the server closed a subscriber"),
                    Ok(n) => n,
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                    Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                    Err(e) => return Err(e).context("a subscriber cannot read"),
                };
                let now = nanos();
                if let Some(head) = &mut subscriber.head {
                    head.extend_from_slice(&buffer[MARKER..MARKER + n]);
                    if memchr::memmem::find(head, b"\r\n\r\n").is_some() {
                        ensure!(
                            head.get(9..12) == Some(b"200"),
                            "a subscriber was refused: {}",
                            String::from_utf8_lossy(head)
                        );
                        subscriber.head = None;
                        open += 1;
                        shared.open.fetch_add(1, SeqCst);
                    }
                } else {
                    let start = MARKER - subscriber.carry;
                    buffer[start..MARKER].copy_from_slice(&subscriber.carried[..subscriber.carry]);
                    let found = subscriber.look(&buffer[start..MARKER + n], now, &finder, &mut latency);
                    if found > 0 {
                        (seen, last) = (seen + found, now);
                    }
                }
                // Less than there was room for: there is no more.
                if n < BUFFER {
                    break;
                }
            }
        }
        if seen > 0 {
            shared.delivered.fetch_add(seen, SeqCst);
            shared.last.fetch_max(last, SeqCst);
        }
    }
    Ok(Seen { latency, each: all.iter().map(|s| (s.count, s.numbers)).collect() })
}

impl Subscriber {
    /// Counts the markers in what was read, and carries over what may be the beginning of one.
    fn look(
        &mut self,
        bytes: &[u8],
        now: u64,
        finder: &memchr::memmem::Finder,
        latency: &mut Histogram,
    ) -> u64 {
        let mut at = 0;
        let mut found = 0;
        while let Some(next) = finder.find(&bytes[at..]) {
            let start = at + next;
            let Some(marker) = bytes.get(start..start + MARKER) else { break };
            at = start + MARKER;
            latency.add(now.saturating_sub(digits(&marker[3..19])));
            self.numbers += digits(&marker[20..30]);
            found += 1;
        }
        let rest = &bytes[at.max(bytes.len().saturating_sub(MARKER - 1))..];
        self.carried[..rest.len()].copy_from_slice(rest);
        self.carry = rest.len();
        self.count += found;
        found
    }
}

fn digits(text: &[u8]) -> u64 {
    text.iter().fold(0, |n, digit| n * 10 + u64::from(digit.wrapping_sub(b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_counted_once_however_it_is_cut() {
        let text = format!("data: {}xx\n\ndata: {}yy\n\n", marker(7, 1), marker(9, 2));
        let poll = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for cut in 0..text.len() {
            let mut subscriber = Subscriber {
                stream: TcpStream::connect(poll.local_addr().unwrap()).unwrap(),
                sent: true,
                head: None,
                carried: [0; MARKER],
                carry: 0,
                count: 0,
                numbers: 0,
            };
            let (mut latency, finder) = (Histogram::default(), memchr::memmem::Finder::new(b"RB:"));
            for piece in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                let carried = subscriber.carried[..subscriber.carry].to_vec();
                subscriber.look(&[&carried, piece].concat(), 10, &finder, &mut latency);
            }
            assert_eq!((subscriber.count, subscriber.numbers), (2, 3), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_wrong_is_counted() {
        let seen = |each| Seen { latency: Histogram::default(), each };
        assert_eq!(seen(vec![(3, 6), (3, 6)]).wrong(3), (0, 0));
        assert_eq!(seen(vec![(2, 3), (4, 7)]).wrong(3), (1, 1));
        assert_eq!(seen(vec![(3, 5)]).wrong(3), (1, 1));
    }
}
