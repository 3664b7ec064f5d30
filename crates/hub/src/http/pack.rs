//! Responses that are packed where the client asks for it: by zstd, or by gzip.
//!
//! Every piece is flushed, so that an event is with its subscriber at once. Windows are small: a subscriber has one of its own.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Body as _, Frame};
use zstd::zstd_safe::CParameter;

/// Responses of a known size below this are sent as they are.
const SMALL: u64 = 1 << 10;

/// The window of zstd, as a power of two, and the size of its table.
const WINDOW: u32 = 15;
const TABLE: u32 = 13;

/// Packs a response, if the client with these headers asks for it and it is worth it.
pub(crate) fn packed(asked: Option<HeaderValue>, mut response: Response) -> Response {
    let is_text = |media_type: &HeaderValue| {
        let essence = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        essence.starts_with("text/")
            || matches!(essence, "application/json" | "application/x-ndjson" | "application/jsonl")
            || essence.ends_with("+json")
    };
    let headers = response.headers();
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_text)
        || headers.contains_key(header::CONTENT_ENCODING)
        || response.status() == StatusCode::PARTIAL_CONTENT
        || response.body().size_hint().exact().is_some_and(|bytes| bytes < SMALL)
    {
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let Some((name, packer)) = asked.and_then(|asked| Packer::of(asked.to_str().ok()?)) else {
        return response;
    };
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    headers.remove(header::CONTENT_LENGTH);
    response.map(|body| Body::new(Packed { body, packer: Some(packer) }))
}

enum Packer {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Packer {
    /// Returns the packer of the coding that an `Accept-Encoding` asks for, with its name.
    fn of(asked: &str) -> Option<(&'static str, Packer)> {
        let asks_for = |coding: &str| {
            asked.split(',').any(|item| {
                let mut parts = item.split(';').map(str::trim);
                let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
                let is_refused = |part: &str| {
                    let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                    weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight == 0.0))
                };
                is_it && !parts.any(is_refused)
            })
        };
        if asks_for("zstd") {
            return Packer::zstd().ok().map(|packer| ("zstd", packer));
        }
        asks_for("gzip").then(|| ("gzip", Packer::Gzip(GzEncoder::new(Vec::new(), Compression::fast()))))
    }

    fn zstd() -> io::Result<Packer> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1)?;
        encoder.set_parameter(CParameter::WindowLog(WINDOW))?;
        encoder.set_parameter(CParameter::HashLog(TABLE))?;
        Ok(Packer::Zstd(Box::new(encoder)))
    }

    /// Packs a piece. Returns what can be sent for it.
    fn pack(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Packer::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packer::Zstd(encoder) => {
                encoder.write_all(bytes)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Packer::Gzip(encoder) => encoder.finish(),
            Packer::Zstd(encoder) => encoder.finish(),
        }
    }
}

struct Packed {
    body: Body,
    /// Absent once the end was sent.
    packer: Option<Packer>,
}

impl http_body::Body for Packed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let this = &mut *self;
            let Some(packer) = &mut this.packer else { return Poll::Ready(None) };
            let packed = match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(e)) => return Poll::Ready(Some(Err(e))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => packer.pack(&data),
                    Err(_) => continue,
                },
                None => match this.packer.take() {
                    Some(packer) => packer.finish(),
                    None => return Poll::Ready(None),
                },
            };
            match packed {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes.into())))),
                Err(e) => return Poll::Ready(Some(Err(axum::Error::new(e)))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_used_only_where_it_is_asked_for() {
        let of = |asked: &str| Packer::of(asked).map(|(name, _)| name);
        assert_eq!(of("gzip, deflate, br, zstd"), Some("zstd"));
        assert_eq!(of("GZIP;q=0.5"), Some("gzip"));
        assert_eq!(of("zstd;q=0, gzip"), Some("gzip"));
        for none in ["", "identity", "br", "gzip;q=0", "gzip; q=0.0", "x-gzip2", "*"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
