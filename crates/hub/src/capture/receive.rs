//! Receiving the body of a request: charged as it comes, and given up where it comes too slowly.

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::budget::Charge;
use crate::problem::Problem;

/// Minimum rate at which a body must arrive, in bytes a second: what comes prolongs the time that it has.
const MIN_RATE: u64 = 256 << 10;

/// The most that is set aside for a body because its sender announced it, in bytes.
const AHEAD: usize = 1 << 20;

/// The limits of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Its largest size.
    pub(crate) bytes: u64,
    /// The size that its sender announced.
    pub(crate) announced: Option<u64>,
    /// The time that its sender may take for the next piece.
    pub(crate) patience: Duration,
}

/// Reads a body to its end. `received` counts its bytes, also where it is refused.
///
/// # Errors
/// `busy`, `incomplete-body`, `slow-body`, and what `too_large` returns.
pub(crate) async fn receive<B>(
    body: B,
    bounds: Bounds,
    charge: &mut Charge<'_>,
    received: &mut u64,
    too_large: impl Fn() -> Problem,
) -> Result<Vec<u8>, Problem>
where
    B: Body<Data = Bytes, Error: Into<axum::BoxError>>,
{
    let Bounds { bytes: limit, announced, patience } = bounds;
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large());
    }
    let announced = announced.unwrap_or(0);
    let mut whole = Vec::with_capacity((announced as usize).min(AHEAD));
    let mut due = Instant::now() + patience;
    let mut body = std::pin::pin!(body);
    loop {
        let Ok(frame) = timeout_at(due, body.frame()).await else {
            let detail = "the body came too slowly";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", detail));
        };
        let data = match frame {
            None => return Ok(whole),
            Some(Err(e)) => {
                let why = e.into();
                return Err(Problem::bad_request("incomplete-body", format!("the body broke off: {why}")));
            }
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        *received += data.len() as u64;
        if *received > limit {
            return Err(too_large());
        }
        charge.pay(*received).await?;
        whole.extend_from_slice(&data);
        // A byte now and then gains no time, however much came before.
        let gained = Duration::from_millis(data.len() as u64 * 1_000 / MIN_RATE);
        due = (due + gained).min(Instant::now() + patience);
    }
}
