//! Answers computed from a stream as a whole: the likely reasons of an event, what broke, the traffic, and where a text stands.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use memchr::memmem::Finder;
use rig_event::Seq;
use rig_hub::http::shapes::OfStream;
use rig_hub::http::{Path, Query, answer, range};
use rig_hub::{Core, NO_LATENCY, Problem, View};
use rig_replay::explain::{self, Limits};
use rig_replay::timeline::Filter;
use rig_replay::traffic::Protocol;
use rig_replay::why;
use serde::Serialize;

use super::shapes;

/// Maximum and default number of reasons, and of items of each list of an explanation.
const MAX_ITEMS: u64 = 100;
const REASONS: u64 = 10;
const ITEMS: u64 = 20;

/// Maximum number of edges that are told; those with the most requests come first.
const MAX_EDGES: usize = 1000;

/// Maximum number of seqs that a search answers with.
const MAX_FOUND: u64 = 10_000;

/// Maximum number of events, and of bytes of their lines, that a search looks through.
const MAX_LOOKED: usize = 200_000;
const MAX_LOOKED_BYTES: usize = 64 << 20;

/// Number of events that a search reads at a time.
const BLOCK: usize = 512;

fn damaged(e: rig_replay::Error) -> Problem {
    Problem::internal("damaged-log", e.to_string())
}

fn limit(query: &mut Query, default: u64, most: u64) -> Result<usize, Problem> {
    let limit = query.number("limit")?.unwrap_or(default);
    if !(1..=most).contains(&limit) {
        return Err(Problem::bad_request("bad-query", format!("`limit` must be 1 to {most}")));
    }
    Ok(limit as usize)
}

/// Find what may have led to an event
///
/// The config changes and failures in its past, the likeliest first, each with what speaks for it. A guess, except where a cause is
/// named.
#[utoipa::path(get, path = "/v1/streams/{stream}/why", operation_id = "why",
    params(
        OfStream,
        ("seq" = u64, Query, description = "The event"),
        ("limit" = Option<u64>, Query, description = "Most reasons: 10 unless it is said", minimum = 1, maximum = 100),
    ),
    responses(
        (status = 200, description = "The reasons", body = shapes::Why),
        (status = 400, description = "`bad-query`"),
        (status = 404, description = "`past-head`"),
        (status = 410, description = "`pruned`"),
        (status = 413, description = "`too-large`"),
    )
)]
pub(crate) async fn why(
    State(core): State<Core>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let seq =
        query.number("seq")?.ok_or_else(|| Problem::bad_request("bad-query", "say of which event: ?seq="))?;
    let limit = limit(&mut query, REASONS, MAX_ITEMS)?;
    query.done()?;
    super::kept(&stream, seq)?;
    if seq > stream.head() {
        let detail =
            format!("there is no event {seq}: the head of stream {} is {}", stream.name, stream.head());
        return Err(Problem::not_found("past-head", detail).with("head", stream.head()));
    }
    let _turn = core.turn().await?;
    super::look(&core, &stream, |view| {
        let timeline = view.timeline();
        let missing = || Problem::not_found("past-head", format!("event {seq} is missing in this recording"));
        let at = timeline.position(seq).ok_or_else(missing)?;
        answer(&why::why(timeline, at, limit).map_err(damaged)?)
    })
    .await
}

/// Explain what broke, and what was changed before it
#[utoipa::path(get, path = "/v1/streams/{stream}/explain", operation_id = "explain",
    params(
        OfStream,
        ("limit" = Option<u64>, Query, description = "Most items of each list: 20 unless it is said", minimum = 1, maximum = 100),
    ),
    responses(
        (status = 200, description = "The explanation", body = shapes::Explanation),
        (status = 400, description = "`bad-query`"),
        (status = 413, description = "`too-large`"),
        (status = 503, description = "`busy`: the recording is being played"),
    )
)]
pub(crate) async fn explain(
    State(core): State<Core>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let items = limit(&mut query, ITEMS, MAX_ITEMS)?;
    query.done()?;
    let _turn = core.turn().await?;
    let head = stream.head();
    super::look(&core, &stream, |view| {
        let timeline = view.timeline();
        if stream.is_recording() && timeline.seq(timeline.len()) > head + 1 {
            let detail = "the recording is being played; what broke is known once all of it has happened";
            return Err(Problem::unavailable("busy", detail));
        }
        answer(&explain::explain(timeline, Limits { items, ..Limits::default() }).map_err(damaged)?)
    })
    .await
}

/// Upper bounds of the classes of latency, in microseconds; what is longer is in one more class.
const BOUNDS: [u32; 24] = [
    200, 500, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000, 70_000,
    100_000, 150_000, 200_000, 300_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000,
];

/// The traffic of a stretch.
#[derive(Serialize)]
struct Traffic<'a> {
    stream: &'a str,
    from: Seq,
    to: Seq,
    bounds_us: &'static [u32],
    edges: Vec<EdgeTraffic<'a>>,
    more: usize,
}

/// The traffic from one service to another.
#[derive(Serialize)]
struct EdgeTraffic<'a> {
    source: &'a str,
    target: &'a str,
    requests: u64,
    failed: u64,
    connections: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
    counts: Vec<u64>,
    failed_counts: Vec<u64>,
}

/// Percentiles, by nearest rank.
#[derive(Serialize)]
struct Latency {
    p50_us: u32,
    p95_us: u32,
    p99_us: u32,
    max_us: u32,
}

/// Traffic of a stretch
///
/// A row an edge: requests, failures, percentiles of the latency, and how often which latency came up.
#[utoipa::path(get, path = "/v1/streams/{stream}/traffic", operation_id = "traffic",
    params(OfStream, rig_hub::http::shapes::Stretch),
    responses(
        (status = 200, description = "The traffic, the edge with the most requests first", body = shapes::Traffic),
        (status = 400, description = "`bad-cursor`, `past-head`"),
        (status = 410, description = "`pruned`"),
        (status = 413, description = "`too-large`"),
    )
)]
pub(crate) async fn traffic(
    State(core): State<Core>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let (from, to) = range(&mut query, &stream).await?;
    query.done()?;
    super::kept(&stream, from)?;
    let _turn = core.turn().await?;
    super::look(&core, &stream, |view| {
        let mut edges = edges(view, from, to);
        let more = edges.len().saturating_sub(MAX_EDGES);
        edges.truncate(MAX_EDGES);
        answer(&Traffic { stream: stream.name.as_str(), from, to, bounds_us: &BOUNDS, edges, more })
    })
    .await
}

fn edges(view: &View, from: Seq, to: Seq) -> Vec<EdgeTraffic<'_>> {
    let timeline = view.timeline();
    let mut latencies: HashMap<(&str, &str), (EdgeTraffic<'_>, Vec<u32>)> = HashMap::new();
    for at in (from..=to).filter_map(|seq| timeline.position(seq)) {
        let entry = timeline.entry(at);
        let Some(edge) = entry.edge else { continue };
        let (traffic, known) = latencies.entry(edge).or_insert_with(|| {
            let (source, target) = edge;
            let (counts, failed_counts) = (vec![0; BOUNDS.len() + 1], vec![0; BOUNDS.len() + 1]);
            let (requests, failed, connections, latency) = (0, 0, 0, None);
            let traffic =
                EdgeTraffic { source, target, requests, failed, connections, latency, counts, failed_counts };
            (traffic, Vec::new())
        });
        if Protocol::of(entry.type_name) == Some(Protocol::Tcp) {
            traffic.connections += u64::from(entry.type_name == "connection.opened");
            continue;
        }
        traffic.requests += 1;
        traffic.failed += u64::from(entry.failure);
        let latency = view.latency(at);
        if latency != NO_LATENCY {
            known.push(latency);
            let class = BOUNDS.partition_point(|bound| *bound < latency);
            traffic.counts[class] += 1;
            traffic.failed_counts[class] += u64::from(entry.failure);
        }
    }
    let told = latencies.into_values().map(|(traffic, mut known)| {
        known.sort_unstable();
        let rank =
            |percent: usize| known.get((known.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let latency = (|| {
            Some(Latency { p50_us: rank(50)?, p95_us: rank(95)?, p99_us: rank(99)?, max_us: *known.last()? })
        })();
        EdgeTraffic { latency, ..traffic }
    });
    let mut told: Vec<EdgeTraffic<'_>> = told.collect();
    told.sort_by(|a, b| b.requests.cmp(&a.requests).then((a.source, a.target).cmp(&(b.source, b.target))));
    told
}

/// The result of a search.
#[derive(Serialize)]
struct Found<'a> {
    stream: &'a str,
    seqs: Vec<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Seq>,
}

/// Find the events that have a text in them
///
/// Upper and lower case of ASCII letters are the same. A page looks through at most 200,000 events, and may be empty.
#[utoipa::path(get, path = "/v1/streams/{stream}/find", operation_id = "find",
    params(
        OfStream,
        ("q" = String, Query, description = "The text, as it stands in the lines", example = "a"),
        ("types" = Option<String>, Query, description = "Names such as `diff.*`, with commas"),
        ("service" = Option<String>, Query, description = "Only events about this service, or traffic from or to it"),
        ("failed" = inline(Option<rig_hub::http::shapes::Flag>), Query, description = "Only failures"),
        ("from" = Option<u64>, Query, description = "The first seq that is looked at: `next` of the page before"),
        ("to" = Option<u64>, Query, description = "The last seq that is looked at; the head unless it is said"),
        ("limit" = Option<u64>, Query, description = "Most seqs: 10,000 unless it is said", minimum = 1, maximum = 10000),
    ),
    responses(
        (status = 200, description = "A page, in order", body = shapes::Found),
        (status = 400, description = "`bad-cursor`, `bad-query`, `past-head`"),
        (status = 410, description = "`pruned`"),
        (status = 413, description = "`too-large`"),
    )
)]
pub(crate) async fn find(
    State(core): State<Core>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let text = query.text("q").filter(|text| !text.is_empty() && text.len() <= 1024);
    let text =
        text.ok_or_else(|| Problem::bad_request("bad-query", "say which text: ?q=, 1 to 1024 bytes"))?;
    let (from, to) = range(&mut query, &stream).await?;
    let filter = Filter {
        types: query.text("types"),
        service: query.text("service"),
        failures: query.flag("failed")?,
        text: None,
    };
    let most = limit(&mut query, MAX_FOUND, MAX_FOUND)?;
    query.done()?;
    super::kept(&stream, from)?;
    let _turn = core.turn().await?;
    super::look(&core, &stream, |view| {
        let (seqs, next) = search(view, &filter, &text, from, to, most).map_err(damaged)?;
        answer(&Found { stream: stream.name.as_str(), seqs, next })
    })
    .await
}

/// Returns the seqs of what was found, and where to go on.
fn search(
    view: &View,
    filter: &Filter,
    text: &str,
    from: Seq,
    to: Seq,
    most: usize,
) -> rig_replay::Result<(Vec<Seq>, Option<Seq>)> {
    let timeline = view.timeline();
    let text = text.to_ascii_lowercase();
    let finder = Finder::new(&text);
    let mut matcher = filter.matcher(timeline);
    let (mut seqs, mut line_lower, mut looked_bytes, mut looked) = (Vec::new(), Vec::new(), 0_usize, 0_usize);
    let mut next = from;
    while next <= to {
        let mut block = Vec::with_capacity(BLOCK);
        while next <= to && block.len() < BLOCK && looked < MAX_LOOKED {
            looked += 1;
            if let Some(at) = timeline.position(next)
                && matcher.takes(at)?
            {
                block.push(at);
            }
            next += 1;
        }
        timeline.visit(block, |at, line| {
            looked_bytes += line.len();
            line_lower.clear();
            line_lower.extend(line.iter().map(u8::to_ascii_lowercase));
            if finder.find(&line_lower).is_some() {
                seqs.push(timeline.seq(at));
            }
            Ok::<(), rig_replay::Error>(())
        })?;
        if seqs.len() > most {
            next = seqs[most];
            seqs.truncate(most);
            break;
        }
        if looked >= MAX_LOOKED || looked_bytes >= MAX_LOOKED_BYTES {
            break;
        }
    }
    Ok((seqs, (next <= to).then_some(next)))
}
