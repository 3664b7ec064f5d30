//! A connection that can be cut: the SSH library runs it in a task of its own, which its callers cannot abort.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Keeps a connection open. The connection is cut when this is dropped.
pub(super) struct Hold {
    _end: oneshot::Sender<()>,
}

/// A stream that fails once its [`Hold`] is gone.
pub(super) struct Leashed<S> {
    stream: S,
    /// `None` once it is cut.
    held: Option<oneshot::Receiver<()>>,
}

/// Makes a stream that can be cut.
pub(super) fn leash<S>(stream: S) -> (Leashed<S>, Hold) {
    let (end, held) = oneshot::channel();
    (Leashed { stream, held: Some(held) }, Hold { _end: end })
}

impl<S> Leashed<S> {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.held.as_mut().is_some_and(|held| Pin::new(held).poll(context).is_ready()) {
            self.held = None;
        }
        match self.held {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Leashed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Leashed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_waits_ends_with_its_hold() {
        let (here, _there) = tokio::io::duplex(8);
        let (mut leashed, hold) = leash(here);
        let reading = async { leashed.read_u8().await.unwrap_err().kind() };
        let (kind, ()) = tokio::join!(reading, async { drop(hold) });
        assert_eq!(kind, io::ErrorKind::ConnectionAborted);
        assert_eq!(leashed.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
