//! Compressed request bodies, by gzip or zstd. Decompressed they have the limits of plain ones.

use std::io::{self, Read};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::budget::Budget;
use crate::problem::{Problem, UNKNOWN_CODING};
use crate::shares::Share;

/// The largest window of zstd, as a power of two: 8 MiB, the most that HTTP allows (RFC 9659).
const WINDOW: u32 = 23;

/// The coding of a packed body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    /// Reads `Content-Encoding`; `None`: it is plain.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Coding>, Problem> {
        let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(coding) = given.next() else { return Ok(None) };
        match coding.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            _ if given.next().is_some() => {}
            "" | "identity" => return Ok(None),
            "gzip" | "x-gzip" => return Ok(Some(Coding::Gzip)),
            "zstd" => return Ok(Some(Coding::Zstd)),
            _ => {}
        }
        let detail = "a body may be packed once, by gzip or zstd; send it so, or plain";
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, UNKNOWN_CODING, detail))
    }

    /// Decompresses a whole body of up to `limit` bytes, with a share of the budget for the result.
    ///
    /// It is decompressed twice: first to measure its size, which takes no memory at any ratio, and then, once there is room for
    /// it, to keep it.
    pub(crate) async fn unpack(
        self,
        budget: &Budget,
        packed: Bytes,
        limit: u64,
        too_large: impl Fn() -> Problem,
    ) -> Result<(Vec<u8>, Share), Problem> {
        let again = packed.clone();
        let bytes =
            self.apart(move || io::copy(&mut self.reader(&again)?.take(limit + 1), &mut io::sink())).await?;
        if bytes > limit {
            return Err(too_large());
        }
        let share = budget.reserve(bytes).await?;
        let unpacked = self.apart(move || {
            let mut unpacked = Vec::with_capacity(bytes as usize);
            self.reader(&packed)?.take(bytes).read_to_end(&mut unpacked)?;
            Ok(unpacked)
        });
        Ok((unpacked.await?, share))
    }

    fn reader(self, packed: &[u8]) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Coding::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Coding::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed)?;
                decoder.window_log_max(WINDOW)?;
                Box::new(decoder)
            }
        })
    }

    /// Runs work on a thread of its own, so that other requests do not wait for a slow body.
    async fn apart<T: Send + 'static>(
        self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|e| Problem::internal("defect", e.to_string()))?;
        done.map_err(|_| {
            let detail = format!(
                "the body is not one that {} packed, or it broke off",
                match self {
                    Coding::Gzip => "gzip",
                    Coding::Zstd => "zstd (with a window of 8 MiB at most)",
                }
            );
            Problem::bad_request("bad-encoding", detail)
        })
    }
}
