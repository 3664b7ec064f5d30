//! A connection that ends when it must: the SSH library runs it in a task of its own, out of reach of whoever waits for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Holds a connection. It is cut when this is dropped.
pub(super) struct Hold {
    _end: oneshot::Sender<()>,
}

/// A stream that fails once its time is over or its [`Hold`] is gone.
pub(super) struct Leashed<S> {
    stream: S,
    /// `None` once it was ready.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Puts `stream` on a leash that ends at `deadline` at the latest.
pub(super) fn leash<S>(stream: S, deadline: Instant) -> (Leashed<S>, Hold) {
    let (end, gone) = oneshot::channel::<()>();
    let end_of_it = async move {
        let _ = tokio::time::timeout_at(deadline, gone).await;
    };
    (Leashed { stream, end: Some(Box::pin(end_of_it)) }, Hold { _end: end })
}

impl<S> Leashed<S> {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(context).is_ready()) {
            self.end = None;
        }
        match self.end {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::TimedOut.into()),
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
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_waits_ends_with_its_hold_and_with_its_time() {
        let far = Instant::now() + Duration::from_secs(3600);
        let (mut here, _there) = tokio::io::duplex(8);
        let (mut leashed, hold) = leash(&mut here, far);
        let reading = async { leashed.read_u8().await.unwrap_err().kind() };
        let (kind, ()) = tokio::join!(reading, async { drop(hold) });
        assert_eq!(kind, io::ErrorKind::TimedOut);

        let (mut leashed, _hold) = leash(&mut here, Instant::now());
        assert_eq!(leashed.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(leashed.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
