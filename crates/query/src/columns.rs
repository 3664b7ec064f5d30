//! The columns of a stream: of every event what a list, a scrubber and a table of traffic need, in 19 bytes.
//!
//! The body is little-endian arrays one after another, a JSON object with the names, and the object's length in four bytes.
//! docs/http.md has the layout.

use std::collections::HashMap;
use std::io::Write as _;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use rig_event::Seq;
use rig_hub::http::shapes::{Bytes, OfStream, Stretch};
use rig_hub::http::{Path, Query, range};
use rig_hub::{Core, NO_LATENCY, Problem, View};
use serde::Serialize;

/// Maximum number of events of an answer.
const MOST: u64 = 1_000_000;

/// The number that stands for no name, or for one beyond the 65,535 that an answer can have.
const NO_NAME: u16 = u16::MAX;

/// Answers that are smaller are not packed.
const SMALL: usize = 16 << 10;

const FAILURE: u8 = 1;
const STDERR: u8 = 2;
/// There is no such event: it is missing in a log of rigd.
const MISSING: u8 = 4;

/// Columns of a stretch
///
/// Time, latency, type, service, edge and flags of every event, as arrays (docs/http.md). At most 1,000,000 events.
#[utoipa::path(get, path = "/v1/streams/{stream}/columns",
    params(OfStream, Stretch),
    responses(
        (status = 200, description = "Arrays, names, and the length of the names", body = Bytes, content_type = "application/octet-stream"),
        (status = 400, description = "`bad-cursor`, `bad-query`, `past-head`"),
        (status = 410, description = "`pruned`"),
        (status = 413, description = "`too-large`"),
    )
)]
pub(crate) async fn columns(
    State(core): State<Core>,
    Path(stream): Path<String>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let (from, to) = range(&mut query, &stream).await?;
    query.done()?;
    super::kept(&stream, from)?;
    if to + 1 - from > MOST {
        let detail = format!("one answer has at most {MOST} events; ask for several stretches");
        return Err(Problem::bad_request("bad-query", detail));
    }
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let coding = ["zstd", "gzip"].into_iter().find(|coding| accepts.contains(coding));
    let epoch = stream.epoch.to_string();
    let _turn = core.turn().await?;
    let (body, packed) = super::look(&core, &stream, |view| {
        let body = body(view, from, to, &epoch)?;
        let coding = coding.filter(|_| body.len() > SMALL);
        Ok((pack(body, coding)?, coding))
    })
    .await?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    Ok(response)
}

/// The names that the numbers in the arrays stand for.
#[derive(Serialize)]
struct Names<'a> {
    epoch: &'a str,
    from: Seq,
    to: Seq,
    types: Vec<&'a str>,
    services: Vec<&'a str>,
    edges: Vec<(&'a str, &'a str)>,
}

/// Numbers names as they come up.
struct Numbered<K> {
    numbers: HashMap<K, u16>,
    names: Vec<K>,
}

impl<K: std::hash::Hash + Eq + Copy> Numbered<K> {
    fn new() -> Self {
        Numbered { numbers: HashMap::new(), names: Vec::new() }
    }

    fn number(&mut self, name: Option<K>) -> u16 {
        let Some(name) = name else { return NO_NAME };
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let Ok(number) = u16::try_from(self.names.len()) else { return NO_NAME };
        if number == NO_NAME {
            return NO_NAME;
        }
        self.names.push(name);
        self.numbers.insert(name, number);
        number
    }
}

fn body(view: &View, from: Seq, to: Seq, epoch: &str) -> Result<Vec<u8>, Problem> {
    let timeline = view.timeline();
    let n = (to + 1).saturating_sub(from) as usize;
    let mut times = Vec::with_capacity(20 * n + 1024);
    let (mut latencies, mut flags) = (Vec::with_capacity(4 * n), Vec::with_capacity(n));
    let mut numbers = [Vec::with_capacity(2 * n), Vec::with_capacity(2 * n), Vec::with_capacity(2 * n)];
    let (mut types, mut services, mut edges) = (Numbered::new(), Numbered::new(), Numbered::new());
    let mut before = 0_i64;
    for seq in from..=to {
        let known = timeline.position(seq).map(|at| (timeline.entry(at), view.latency(at)));
        let (row, latency, flag) = match &known {
            Some((entry, latency)) => {
                before = entry.ts.as_micros();
                let row = [
                    types.number(Some(entry.type_name)),
                    services.number(entry.service),
                    edges.number(entry.edge),
                ];
                let flag = if entry.failure { FAILURE } else { 0 }
                    | if entry.stderr { STDERR } else { 0 }
                    | entry.status_class.unwrap_or(0).min(7) << 4;
                (row, *latency, flag)
            }
            None => ([NO_NAME; 3], NO_LATENCY, MISSING),
        };
        // Whole microseconds are exact in a double for the next 250 years.
        times.extend_from_slice(&(before as f64).to_le_bytes());
        latencies.extend_from_slice(&latency.to_le_bytes());
        for (column, number) in numbers.iter_mut().zip(row) {
            column.extend_from_slice(&number.to_le_bytes());
        }
        flags.push(flag);
    }
    let mut body = times;
    body.extend(latencies);
    numbers.into_iter().for_each(|column| body.extend(column));
    body.extend(flags);
    let (types, services, edges) = (types.names, services.names, edges.names);
    let names = serde_json::to_vec(&Names { epoch, from, to, types, services, edges })
        .map_err(|e| Problem::internal("defect", e.to_string()))?;
    let length = u32::try_from(names.len()).map_err(|e| Problem::internal("defect", e.to_string()))?;
    body.extend(names);
    body.extend(length.to_le_bytes());
    Ok(body)
}

fn pack(body: Vec<u8>, coding: Option<&str>) -> Result<Vec<u8>, Problem> {
    let packed = match coding {
        Some("zstd") => zstd::bulk::compress(&body, 1),
        Some(_) => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&body).and_then(|()| packed.finish())
        }
        None => Ok(body),
    };
    packed.map_err(|e| Problem::internal("defect", e.to_string()))
}
