//! Requests over raw sockets: many connections in one thread, a load of one request in flight on each.
//!
//! It shares the processors with the server that it measures, so it does no more than it must: a request is bytes,
//! and of an answer only the status and the length are read.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::histogram::Histogram;
use crate::machine::nanos;

/// Longest wait for the answers that are due when a load ends.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

/// How much is asked of a server.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections, with one request in flight each.
    pub connections: usize,
    /// For how long requests begin.
    pub time: Duration,
    /// Requests a second; `None`: the next one as soon as an answer is there.
    pub rate: Option<f64>,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Requests that were answered with success. Any other answer ends the load with an error.
    pub count: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// From a request, or from when it was due, to its answer.
    pub latency: Histogram,
}

impl Answers {
    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }
}

/// Puts a load on a server. `request` writes the next request; it is told the moment that latency counts from.
pub fn load(address: SocketAddr, load: Load, mut request: impl FnMut(&mut Vec<u8>, u64)) -> Result<Answers> {
    let mut poll = Poll::new()?;
    let mut connections = Vec::with_capacity(load.connections);
    for i in 0..load.connections {
        let stream =
            std::net::TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(i), Interest::READABLE)?;
        connections.push(Connection { stream, received: Vec::with_capacity(4096), since: 0 });
    }
    let mut idle: VecDeque<usize> = (0..load.connections).collect();
    let mut events = Events::with_capacity(load.connections.max(16));
    let (mut bytes, mut buffer) = (Vec::with_capacity(4096), vec![0; 64 << 10]);
    let (mut begun, mut count, mut latency) = (0u64, 0u64, Histogram::default());
    let start = nanos();
    let end = start + load.time.as_nanos() as u64;
    let due = |n: u64| load.rate.map(|rate| start + (n as f64 / rate * 1e9) as u64);
    let mut last = start;
    loop {
        let mut now = nanos();
        let over = now >= end;
        while !over
            && due(begun).is_none_or(|due| due <= now)
            && let Some(i) = idle.pop_front()
        {
            let since = due(begun).unwrap_or(now);
            bytes.clear();
            request(&mut bytes, since);
            connections[i].send(&bytes, since)?;
            begun += 1;
            now = nanos();
        }
        if over && count == begun {
            break;
        }
        ensure!(now < end + LAST_ANSWERS.as_nanos() as u64, "{} requests were not answered", begun - count);
        let wait = if over {
            Duration::from_millis(20)
        } else {
            pause(due(begun).filter(|_| !idle.is_empty()), now)
        };
        poll.poll(&mut events, Some(wait)).or_else(interrupted)?;
        for event in &events {
            let i = event.token().0;
            if let Some(since) = connections[i].receive(&mut buffer)? {
                last = nanos();
                latency.add(last.saturating_sub(since));
                count += 1;
                idle.push_back(i);
            }
        }
    }
    Ok(Answers { count, took: Duration::from_nanos(last - start), latency })
}

/// How long to wait for answers until the next request is due. The system waits in whole milliseconds; the rest is slept.
fn pause(due: Option<u64>, now: u64) -> Duration {
    let Some(due) = due else { return Duration::from_millis(20) };
    let left = Duration::from_nanos(due.saturating_sub(now));
    if left >= Duration::from_millis(2) {
        return Duration::from_millis(left.as_millis() as u64 - 1);
    }
    if left > Duration::from_micros(60) {
        std::thread::sleep((left - Duration::from_micros(50)).min(Duration::from_micros(200)));
    }
    Duration::ZERO
}

/// A signal that arrives while waiting is no failure.
pub fn interrupted(e: std::io::Error) -> std::io::Result<()> {
    if e.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(e) }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    since: u64,
}

impl Connection {
    fn send(&mut self, bytes: &[u8], since: u64) -> Result<()> {
        self.since = since;
        let sent = self.stream.write(bytes).context("a request could not be sent")?;
        // Nothing else is on its way, so a small request always fits the socket's buffer.
        ensure!(sent == bytes.len(), "a request is too long for this client");
        Ok(())
    }

    /// The moment that the answered request counts from, once its answer is there as a whole.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<u64>> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(n) => {
                    self.received.extend_from_slice(&buffer[..n]);
                    // Less than there was room for: there is no more.
                    if n < buffer.len() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e).context("an answer could not be read"),
            }
        }
        if self.since == 0 {
            return Ok(None);
        }
        let Some((status, len)) = answer(&self.received) else { return Ok(None) };
        if self.received.len() < len {
            return Ok(None);
        }
        ensure!(
            (200..300).contains(&status),
            "answered {status}: {}",
            String::from_utf8_lossy(&self.received)
        );
        self.received.clear();
        Ok(Some(std::mem::take(&mut self.since)))
    }
}

/// Status of an answer and the length of the whole, once its head is there. A length that is not told is none.
fn answer(bytes: &[u8]) -> Option<(u16, usize)> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let mut lines = bytes[..head].split(|&b| b == b'\n');
    let status = std::str::from_utf8(lines.next()?.get(9..12)?).ok()?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_at_checked("content-length:".len())?;
        if !name.eq_ignore_ascii_case(b"content-length:") {
            return None;
        }
        std::str::from_utf8(value.trim_ascii()).ok()?.parse::<usize>().ok()
    });
    Some((status, head + length.unwrap_or(0)))
}

/// A request with a body, as bytes.
pub fn post(out: &mut Vec<u8>, path: &str, media_type: &str, body: &[u8]) {
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(body);
}

/// A connection for one request after another, of any size, that waits for each answer.
pub struct Client {
    stream: std::net::TcpStream,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let stream =
            std::net::TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream })
    }

    /// Sends a request and waits for success.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).context("a request could not be sent")?;
        let (mut received, mut buffer) = (Vec::new(), vec![0; 256 << 10]);
        loop {
            let n = self.stream.read(&mut buffer).context("an answer could not be read")?;
            ensure!(n > 0, "the server closed the connection");
            received.extend_from_slice(&buffer[..n]);
            if let Some((status, len)) = answer(&received)
                && received.len() >= len
            {
                ensure!((200..300).contains(&status), "answered {status}");
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-LENGTH: 5\r\n\r\nhello";
        assert_eq!(answer(text), Some((201, text.len())));
        assert_eq!(answer(b"HTTP/1.1 201 Created\r\ncontent-"), None);
        assert_eq!(answer(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 27)));
    }
}
