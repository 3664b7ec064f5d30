//! Long responses that end when their client is not let in any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::Response;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::watch;

/// Maximum size of a response that is sent to its end whatever happens.
const SHORT: u64 = 64 << 10;

/// Returns true if a response may take long.
pub(crate) fn is_long(response: &Response) -> bool {
    response.body().size_hint().exact().is_none_or(|bytes| bytes > SHORT)
}

/// Ends a response once `ended` turns true: a stream of events as its client expects it, anything else by breaking it off, so that
/// nobody takes a part for the whole.
pub(crate) fn leashed(response: Response, mut ended: watch::Receiver<bool>) -> Response {
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/event-stream"));
    let ended = Box::pin(async move { drop(ended.wait_for(|ended| *ended).await) });
    response.map(|body| Body::new(Leashed { body, ended, is_stream, is_over: false }))
}

struct Leashed {
    body: Body,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_stream: bool,
    is_over: bool,
}

impl http_body::Body for Leashed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.ended.as_mut().poll(cx).is_ready() {
            self.is_over = true;
            let broken = || Err(axum::Error::new(std::io::Error::other("its client is not let in any more")));
            return Poll::Ready((!self.is_stream).then(broken));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
