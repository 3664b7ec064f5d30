//! The hub over HTTP.
//!
//! In reading order: `request` and `answer` (what routes read and answer with), `shapes` (their descriptions for
//! `/openapi.json`), `sse` (subscribers), `session` (a stretch as a file), `routes` (the hub's own addresses), `trace` (logging
//! of requests), `leash` (the end of long responses), `pack` (compression), `connection` (how long clients may take), `dispatch` (the path of a request),
//! `serve` (the listener).

mod answer;
mod connection;
mod dispatch;
mod leash;
mod pack;
mod request;
mod routes;
mod serve;
mod session;
pub mod shapes;
mod sse;
mod trace;

pub use self::answer::{Answer, answer, appended};
pub use self::request::{Path, Query, actor_name, no_snapshot, range, service_name};
pub(crate) use self::routes::{RULES, exposition, router};
pub(crate) use self::serve::{Site, serve};
