//! Recordings with a known cause, made event by event: the same every time.

use std::sync::Arc;

use rig_config::{Policy, config_digest};
use rig_event::event::{Lifecycle, Request, ServiceLog};
use rig_event::{Draft, Envelope, Event, FlatConfig, Timestamp};
use rig_replay::timeline::{Bytes, Timeline};
use rig_replay::{Capture, State, judge};
use serde_json::Value;

/// A recording that is being made.
pub struct Story {
    pub state: State,
    pub lines: Vec<String>,
    now: i64,
    actor: Option<String>,
    cause: Option<u64>,
}

impl Story {
    pub fn new() -> Story {
        Story {
            state: State::default(),
            lines: Vec::new(),
            now: 1_795_000_000_000_000,
            actor: None,
            cause: None,
        }
    }

    /// Who does what comes next.
    pub fn by(&mut self, actor: &str) -> &mut Story {
        self.actor = Some(actor.to_owned());
        self
    }

    /// What leads to what comes next.
    pub fn because_of(&mut self, cause: u64) -> &mut Story {
        self.cause = Some(cause);
        self
    }

    pub fn seq(&self) -> u64 {
        self.state.seq
    }

    pub fn push(&mut self, mut draft: Draft) -> u64 {
        self.now += 1_000;
        draft.actor = self.actor.clone();
        draft.cause = self.cause;
        let mut line = Vec::new();
        let ts = Timestamp::from_micros(self.now).to_string();
        draft.encode().unwrap().write_line(self.state.seq + 1, &ts, 0, &mut line);
        line.pop();
        self.state.apply(&Envelope::parse(&line).unwrap()).unwrap();
        self.lines.push(String::from_utf8(line).unwrap());
        self.seq()
    }

    /// Captures a config; gives the seq of the last event that it led to.
    pub fn capture(&mut self, service: &str, fields: &[(&str, Value)]) -> u64 {
        let config: FlatConfig =
            fields.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
        let config_digest = config_digest(&config);
        let capture = Capture {
            format: "json".into(),
            digest: format!("hmac:{config_digest}"),
            config_digest,
            config,
            ..Capture::default()
        };
        let (name, ts) = (service.parse().unwrap(), Timestamp::from_micros(self.now));
        // What the stories tell does not change with the built-in severities.
        let policy = Policy::parse("[[severity]]\npath = \"**\"\nlevel = \"medium\"").unwrap();
        for draft in judge::judge(&self.state, &name, capture, &policy, ts) {
            self.push(draft);
        }
        self.actor = None;
        self.seq()
    }

    pub fn request(&mut self, source: &str, target: &str, path: &str, status: u16) -> u64 {
        self.push(Draft::new(
            None,
            Event::RequestCompleted(Request {
                source: source.into(),
                target: target.into(),
                method: "GET".into(),
                path: path.into(),
                status: Some(status),
                ..Request::default()
            }),
        ))
    }

    pub fn log(&mut self, service: &str, stream: &str, data: &str) -> u64 {
        let log = ServiceLog { stream: stream.into(), data: data.into() };
        self.push(Draft::new(Some(service.parse().unwrap()), Event::ServiceLog(log)))
    }

    pub fn ready(&mut self, service: &str) -> u64 {
        self.push(Draft::new(Some(service.parse().unwrap()), Event::ServiceReady(Lifecycle::default())))
    }

    pub fn failed(&mut self, service: &str, error: &str) -> u64 {
        let life = Lifecycle { error: Some(error.into()), ..Lifecycle::default() };
        self.push(Draft::new(Some(service.parse().unwrap()), Event::ServiceFailed(life)))
    }

    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub fn timeline(&self) -> Timeline {
        timeline(self.text())
    }
}

pub fn timeline(text: String) -> Timeline {
    let bytes: Arc<dyn Bytes> = Arc::new(text.into_bytes());
    let mut timeline = Timeline::new(bytes.clone(), "main");
    timeline.index(bytes.len().unwrap(), true).unwrap();
    assert_eq!(timeline.damage(), None);
    assert_eq!(timeline.passed_over().0, 0, "{:?}", timeline.passed_over());
    timeline
}

/// A shop: web asks api, api asks payments and db. `api`'s timeout for payments is cut to 50 ms at `timeout_cut`; 200 events later
/// a slow payment fails.
pub fn timeout() -> (Story, u64, u64) {
    let mut story = Story::new();
    let api = |timeout: u64| {
        [("database.pool", 10.into()), ("log.level", "info".into()), ("payments.timeout_ms", timeout.into())]
    };
    story.capture("api", &api(5_000));
    story.capture("payments", &[("workers", 4.into())]);
    story.capture("search", &[("shards", 3.into())]);
    for service in ["db", "payments", "api", "web"] {
        story.ready(service);
    }
    let round = |story: &mut Story, n: u64, status: u16| {
        story.request("api", "db", &format!("/orders/{n}"), 200);
        story.request("api", "payments", "/charge", if status == 200 { 200 } else { 499 });
        story.request("web", "api", &format!("/checkout/{n}"), status);
    };
    round(&mut story, 1, 200);
    round(&mut story, 2, 200);
    let cut = story.by("ben").capture("api", &api(50));
    // Meanwhile the shop is looked at, not bought from.
    for n in 0..65 {
        story.request("web", "search", &format!("/q/{n}"), 200);
        story.request("web", "api", &format!("/items/{n}"), 200);
        story.request("api", "db", &format!("/items/{n}"), 200);
    }
    story.by("ana").capture("search", &[("shards", 5.into())]);
    story.capture("billing", &[("timeout_ms", 10.into())]);
    story.capture("billing", &[("timeout_ms", 20.into())]);
    story.log("api", "stderr", "payments: context deadline exceeded");
    story.request("api", "payments", "/charge", 499);
    let failed = story.request("web", "api", "/checkout/3", 504);
    (story, cut, failed)
}

/// Two changes, far apart, of which only the combination breaks `api`: more workers than the pool has connections.
pub fn combination() -> (Story, u64, u64) {
    let mut story = Story::new();
    let api = |workers: u64, pool: u64, level: &str, retries: u64| {
        [
            ("cache.ttl", 60.into()),
            ("database.pool", pool.into()),
            ("log.level", level.into()),
            ("retries", retries.into()),
            ("workers", workers.into()),
        ]
    };
    story.capture("api", &api(8, 20, "info", 1));
    story.capture("web", &[("port", 80.into())]);
    story.ready("api");
    let first = story.by("ana").capture("api", &api(8, 10, "info", 1));
    story.capture("web", &[("port", 81.into())]);
    story.capture("api", &api(8, 10, "debug", 1));
    let second = story.by("ben").capture("api", &api(16, 10, "warn", 3));
    story.failed("api", "no connection in the pool");
    story.capture("web", &[("port", 82.into())]);
    (story, first, second)
}

/// Two runs of the same flaky test. They differ in all that may differ (order, ports, ids, times, polls, chatter), and in one thing that
/// matters: in the second `payments` has half the workers, and a charge fails.
pub fn flaky() -> (Story, Story) {
    let run = |bad: bool| {
        let mut story = Story::new();
        let (port, id) = if bad {
            (41_877, "7f8c1f5e-3c2b-4a41-9d5f-0a1b2c3d4e5f")
        } else {
            (53_121, "00c0ffee-0000-4000-8000-000000000001")
        };
        let api = [("port", port.into()), ("run", Value::from(id))];
        let payments = [("workers", Value::from(if bad { 2 } else { 4 }))];
        if bad {
            story.capture("payments", &payments);
            story.capture("api", &api);
        } else {
            story.capture("api", &api);
            story.capture("payments", &payments);
        }
        story.log("api", "stdout", &format!("listening on 127.0.0.1:{port}, run {id}"));
        for _ in 0..if bad { 7 } else { 3 } {
            story.request("~test", "api", "/healthz", 503);
        }
        if bad {
            story.log("payments", "stdout", "garbage collection took a nap");
        }
        story.ready("api");
        for n in 1..=20 {
            if bad && n % 3 == 0 {
                story.log("api", "stdout", &format!("order {n} in {}ms", n * 7));
            }
            story.request("~test", "api", &format!("/orders/{}", n + if bad { 700 } else { 0 }), 201);
            if !bad && n % 2 == 0 {
                story.log("api", "stdout", &format!("order {n} in {n}ms"));
            }
            let (a, b) = ("/stock", "/price");
            story.request("api", "db", if bad { b } else { a }, 200);
            story.request("api", "db", if bad { a } else { b }, 200);
            story.request("api", "payments", "/charge", if bad && n == 17 { 500 } else { 200 });
        }
        story
    };
    (run(false), run(true))
}
