//! Queries about a service (its timeline, the difference between two points of it, who changed a field) and about a stream
//! as a whole (`columns`, `insight`).
//!
//! Those about a service read the log. They hold a piece of it and one service in memory. The number of events that a page of the
//! timeline reads is limited, and so is the number of requests that fold or compare at the same time. Those about a whole
//! stream look at its timeline, which the stream keeps for as long as somebody does.

mod columns;
mod insight;
mod shapes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use memchr::memmem::Finder;
use rig_config::Pattern;
use rig_event::event::DiffComputed;
use rig_event::{Envelope, FlatConfig, Head, Seq, ServiceName};
use rig_hub::access::Scope::Read;
use rig_hub::access::{Need, Rule, Trace as Audit};
use rig_hub::http::shapes::{At, OfService};
use rig_hub::http::{Answer, Path, Query, answer, no_snapshot, service_name};
use rig_hub::{Component, Core, Problem, READ_BYTES, Stream, View};
use rig_replay::blame::{self, Blame, Trace};
use rig_replay::judge;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The rules of these routes.
pub const RULES: &[Rule] = &[
    Rule::new(Method::GET, "/v1/streams/{stream}/services/{service}/history", Need::Scope(Read), Audit::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/services/{service}/diff", Need::Scope(Read), Audit::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/services/{service}/blame", Need::Scope(Read), Audit::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/columns", Need::Scope(Read), Audit::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/why", Need::Scope(Read), Audit::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/explain", Need::Scope(Read), Audit::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/traffic", Need::Scope(Read), Audit::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/find", Need::Scope(Read), Audit::Not),
];

/// Returns the component.
pub fn component() -> Component {
    let component = Component::new("query").routes(RULES, |core| {
        OpenApiRouter::new()
            .routes(routes!(history))
            .routes(routes!(diff))
            .routes(routes!(blame))
            .routes(routes!(columns::columns))
            .routes(routes!(insight::why))
            .routes(routes!(insight::explain))
            .routes(routes!(insight::traffic))
            .routes(routes!(insight::find))
            .with_state(core.clone())
    });
    component.task(give_back)
}

/// The time after which the timeline of a stream that nobody looks at is given back, and how often that is checked.
const UNSEEN: Duration = Duration::from_secs(120);
const CHECKED: Duration = Duration::from_secs(30);

/// Maximum number of streams whose timelines are kept; for one more, that which was looked at longest ago is given back.
const MAX_VIEWS: usize = 16;

/// Gives timelines back that nobody looks at any more.
async fn give_back(core: Core) {
    let stopping = core.stopping();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => return,
            () = tokio::time::sleep(CHECKED) => {}
        }
        for stream in core.streams().list() {
            if stream.unseen().is_some_and(|unseen| unseen > UNSEEN) {
                stream.forget_view();
            }
        }
    }
}

/// Lets `see` look at a whole stream.
///
/// # Errors
/// As [`Stream::look`], and what `see` returns.
async fn look<T>(
    core: &Core,
    stream: &Arc<Stream>,
    see: impl FnOnce(&View) -> Result<T, Problem>,
) -> Result<T, Problem> {
    if stream.unseen().is_none() {
        let others = core.streams().list();
        let mut seen: Vec<_> = others.iter().filter_map(|other| Some((other.unseen()?, other))).collect();
        seen.sort_by_key(|(unseen, _)| *unseen);
        seen.iter().skip(MAX_VIEWS - 1).for_each(|(_, other)| other.forget_view());
    }
    stream.look(see).await
}

/// Refuses a range that begins with events that are pruned.
///
/// # Errors
/// `pruned`.
fn kept(stream: &Stream, from: Seq) -> Result<(), Problem> {
    let first = stream.first_seq();
    if from >= first {
        return Ok(());
    }
    let detail = format!("events before {first} are pruned");
    Err(Problem::new(StatusCode::GONE, "pruned", detail).with("first_seq", first))
}

/// Maximum and default number of entries of a page of the timeline.
const MAX_PAGE: u64 = 1000;
const PAGE: u64 = 100;

/// The number of events that one page looks through.
const MAX_LOOKED: u64 = 1_000_000;

/// The number of events that are looked through at a time, backwards.
const BLOCK: u64 = 1024;

/// Maximum size of a member of an event that a timeline shows, in bytes; larger ones are only named.
const MAX_MEMBER: usize = 1024;

/// A service's snapshots, diffs, drift, decisions and failures to collect it
///
/// Newest first. A page looks through at most 1,000,000 events of the stream, and may be empty.
#[utoipa::path(get, path = "/v1/streams/{stream}/services/{service}/history",
    params(
        OfService,
        ("limit" = Option<u64>, Query, description = "Most entries: 100 unless it is said", minimum = 1, maximum = 1000),
        ("before" = Option<u64>, Query, description = "What came before this event: `next_before` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = shapes::History),
        (status = 400, description = "`bad-cursor`, `past-head`"),
        (status = 404, description = "`no-snapshot`"),
    )
)]
async fn history(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    mut query: Query,
) -> Answer {
    let (stream, service) = (core.stream(&stream)?, service_name(&service)?);
    let limit = query.number("limit")?.unwrap_or(PAGE);
    let before = query.number("before")?;
    query.done()?;
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad_request("bad-query", format!("`limit` must be 1 to {MAX_PAGE}")));
    }
    let head = stream.head();
    if before.is_some_and(|before| before > head + 1) {
        let detail = format!("`before` lies past the head of stream {}, which is {head}", stream.name);
        return Err(Problem::bad_request("past-head", detail).with("head", head));
    }
    let about = About::new(&service);
    let first = stream.first_seq();
    let mut next = before.unwrap_or(head + 1).max(first);
    let stop = next.saturating_sub(MAX_LOOKED).max(first);
    let mut events = Vec::new();
    while next > stop && (events.len() as u64) < limit {
        let from = next.saturating_sub(BLOCK).max(stop);
        let mut block = Vec::new();
        let mut at = from;
        while at < next {
            let lines = stream.read(at, next - 1, READ_BYTES).await?;
            if lines.is_empty() {
                return Err(Problem::internal("damaged-log", format!("event {at} is missing")));
            }
            at = lines.last_seq() + 1;
            for (seq, line) in lines.iter() {
                if about.is_of(line, tells)
                    && let Some(entry) = entry(line)?
                {
                    block.push((seq, entry));
                }
            }
            tokio::task::yield_now().await;
        }
        next = from;
        for (seq, entry) in block.into_iter().rev() {
            if events.len() as u64 == limit {
                // The page is full: the next one begins with the entry that did not fit.
                next = seq + 1;
                break;
            }
            events.push(entry);
        }
    }
    if events.is_empty() && next <= first && before.is_none() {
        let state = stream.state_at(head).await?;
        if state.service(service.as_str()).is_none() {
            return Err(no_snapshot(&service, head));
        }
    }
    let mut page = json!({ "stream": stream.name, "service": service, "head": head, "events": events });
    if next > first {
        page["next_before"] = next.into();
    }
    Ok(Json(page))
}

/// Returns true if a timeline tells of events of that type.
fn tells(type_name: &str) -> bool {
    let family = type_name.split('.').next().unwrap_or_default();
    matches!(family, "snapshot" | "diff" | "drift" | "baseline" | "collect")
}

/// Returns an event without its large members, or `None` for a part that is not the last of its event.
fn entry(line: &[u8]) -> Result<Option<serde_json::Value>, Problem> {
    let damaged = |e: serde_json::Error| Problem::internal("damaged-log", e.to_string());
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(line).map_err(damaged)?;
    if let Some(part) = members.get("part")
        && let Ok((i, of)) = serde_json::from_str::<(u32, u32)>(part.get())
        && i < of
    {
        return Ok(None);
    }
    let large = |value: &RawValue| value.get().len() > MAX_MEMBER;
    let left_out: Vec<&str> =
        members.iter().filter(|(_, value)| large(value)).map(|(key, _)| key.as_str()).collect();
    let mut entry = serde_json::Map::new();
    for (key, value) in members.iter().filter(|(key, value)| !large(value) && key.as_str() != "more") {
        entry.insert(key.clone(), serde_json::from_str(value.get()).map_err(damaged)?);
    }
    if !left_out.is_empty() {
        entry.insert("left_out".to_owned(), json!(left_out));
    }
    Ok(Some(entry.into()))
}

/// Compare two points of a service
///
/// Under the hub's policy of now.
#[utoipa::path(get, path = "/v1/streams/{stream}/services/{service}/diff",
    params(
        OfService,
        ("from" = u64, Query, description = "The moment before"),
        ("to" = Option<u64>, Query, description = "The moment after; the head unless it is said"),
    ),
    responses(
        (status = 200, description = "The difference", body = shapes::Diff),
        (status = 400, description = "`bad-cursor`"),
        (status = 404, description = "`no-snapshot`, `past-head`"),
        (status = 410, description = "`pruned`"),
    )
)]
async fn diff(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let (stream, service) = (core.stream(&stream)?, service_name(&service)?);
    let from = query
        .number("from")?
        .ok_or_else(|| Problem::bad_request("bad-query", "say from which seq: ?from=SEQ"))?;
    let to = query.number("to")?.unwrap_or_else(|| stream.head());
    query.done()?;
    let _turn = core.turn().await?;
    let old = config_at(&stream, &service, from).await?;
    let new = config_at(&stream, &service, to).await?;
    let difference = tokio::task::block_in_place(|| judge::difference(&old, &new, core.policy()));
    #[derive(Serialize)]
    struct Diff<'a> {
        stream: &'a str,
        service: &'a str,
        #[serde(flatten)]
        difference: DiffComputed,
    }
    answer(&Diff {
        stream: stream.name.as_str(),
        service: service.as_str(),
        difference: DiffComputed { from, to, ..difference },
    })
}

async fn config_at(stream: &Stream, service: &ServiceName, seq: Seq) -> Result<Arc<FlatConfig>, Problem> {
    let state = stream.state_at(seq).await?;
    let known = state.service(service.as_str()).filter(|known| known.is_captured());
    known.map(|known| known.config.clone()).ok_or_else(|| no_snapshot(service, seq))
}

/// Find who set the fields that a pattern covers, when, and from what
///
/// Of one field every change, of a pattern the last of each.
#[utoipa::path(get, path = "/v1/streams/{stream}/services/{service}/blame",
    params(
        OfService,
        ("path" = String, Query, description = "A field, or a pattern such as `db.**`", example = "a"),
        At,
    ),
    responses(
        (status = 200, description = "The fields", body = shapes::Blame),
        (status = 400, description = "`bad-cursor`, `bad-path`"),
        (status = 404, description = "`no-field`, `no-snapshot`, `past-head`"),
        (status = 410, description = "`pruned`"),
    )
)]
async fn blame(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let (stream, service) = (core.stream(&stream)?, service_name(&service)?);
    let path = query
        .text("path")
        .ok_or_else(|| Problem::bad_request("bad-query", "say which field: ?path=a.b, or a pattern"))?;
    let at = query.number("at")?.unwrap_or_else(|| stream.head());
    query.done()?;
    let pattern: Pattern =
        path.parse().map_err(|e: rig_config::Error| Problem::bad_request("bad-path", e.to_string()))?;
    let all = !path.contains('*');
    let _turn = core.turn().await?;
    // Fails if there is no such seq or service.
    config_at(&stream, &service, at).await?;
    let Blame { fields, left_out } = match stream.timeline() {
        Some(timeline) => {
            let n = timeline.position(at).map_or(0, |position| position + 1);
            tokio::task::block_in_place(|| blame::blame(timeline, service.as_str(), &pattern, n, all))
                .map_err(|e| Problem::internal("damaged-log", e.to_string()))?
        }
        None => traced(&stream, &service, &pattern, at, all).await?,
    };
    if fields.is_empty() {
        let detail = format!("service {service} has no such field at seq {at}, and never had one");
        return Err(Problem::not_found("no-field", detail));
    }
    #[derive(Serialize)]
    struct Told<'a> {
        stream: &'a str,
        service: &'a str,
        seq: Seq,
        fields: Vec<blame::Field>,
        left_out: u64,
    }
    let (stream, service) = (stream.name.as_str(), service.as_str());
    answer(&Told { stream, service, seq: at, fields, left_out })
}

/// Folds one service from the beginning of the log, and nothing else.
async fn traced(
    stream: &Stream,
    service: &ServiceName,
    pattern: &Pattern,
    to: Seq,
    all: bool,
) -> Result<Blame, Problem> {
    let base = stream.base_state();
    let mut state = rig_replay::State::default();
    let mut config = Arc::default();
    if let Some((name, known)) = base.services.get_key_value(service) {
        config = known.config.clone();
        state.services.insert(name.clone(), known.clone());
    }
    let mut trace = Trace::new(pattern, config, all);
    let about = About::new(service);
    let mut next = base.seq + 1;
    while next <= to {
        let lines = stream.read(next, to, READ_BYTES).await?;
        if lines.is_empty() {
            return Err(Problem::internal("damaged-log", format!("event {next} is missing")));
        }
        next = lines.last_seq() + 1;
        for (seq, line) in lines.iter().filter(|(_, line)| about.is_of(line, blame::concerns)) {
            let damaged = |e: &dyn std::fmt::Display| {
                Problem::internal("damaged-log", format!("stream {}, seq {seq}: {e}", stream.name))
            };
            let envelope = Envelope::parse(line).map_err(|e| damaged(&e))?;
            // The events in between are about other services.
            state.seq = seq - 1;
            state.apply(&envelope).map_err(|e| damaged(&e))?;
            let now = state.service(service.as_str()).map(|known| known.config.clone()).unwrap_or_default();
            trace.add(&envelope, &now);
        }
        tokio::task::yield_now().await;
    }
    Ok(trace.finish())
}

/// Finds the events of one service among many.
struct About<'a> {
    service: &'a ServiceName,
    /// Names need no escapes, so most lines about others are recognized by their bytes.
    quick: Finder<'static>,
}

impl About<'_> {
    fn new(service: &ServiceName) -> About<'_> {
        About { service, quick: Finder::new(&format!("\"{service}\"")).into_owned() }
    }

    fn is_of(&self, line: &[u8], takes: impl Fn(&str) -> bool) -> bool {
        self.quick.find(line).is_some()
            && Head::parse(line).is_ok_and(|head| {
                head.service.as_deref() == Some(self.service.as_str()) && takes(&head.type_name)
            })
    }
}
