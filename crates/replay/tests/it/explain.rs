//! `explain` on recordings whose cause is known.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use rig_replay::Timeline;
use rig_replay::explain::{Explanation, Limits, explain};
use rig_replay::timeline::Bytes;

fn explained(text: &str, limits: Limits) -> Explanation {
    let bytes: Arc<dyn Bytes> = Arc::new(text.as_bytes().to_vec());
    let mut timeline = Timeline::new(bytes.clone(), "test");
    timeline.index(bytes.len().unwrap(), true).unwrap();
    explain(&timeline, limits).unwrap()
}

/// A log as a hub writes it: seqs and times are put before what is given.
#[derive(Default)]
struct Log(String, u64);

impl Log {
    fn event(&mut self, rest: &str) -> &mut Log {
        self.1 += 1;
        let (hour, minute, second) = (self.1 / 3600, self.1 / 60 % 60, self.1 % 60);
        let _ = writeln!(
            self.0,
            r#"{{"seq":{},"ts":"2026-11-20T{hour:02}:{minute:02}:{second:02}.000000Z",{rest}}}"#,
            self.1
        );
        self
    }

    fn snapshot(&mut self, service: &str, config: &str, meta: &str) -> &mut Log {
        let digest = self.1;
        self.event(&format!(
            r#""type":"snapshot.captured","service":"{service}","digest":"d{digest}","config_digest":"c{digest}","format":"json","bytes":1,"fields":1{meta}{config}"#
        ))
    }
}

/// Two services; at seq 4 somebody shortens a timeout of `api`, at seq 6 somebody raises a log level of `web`; 200 requests later
/// one to `api` fails.
fn incident() -> Log {
    let mut log = Log::default();
    log.snapshot("api", r#","config":{"http.timeout":"30s","pool.size":10}"#, "");
    log.snapshot("web", r#","config":{"log.level":"info"}"#, "");
    log.snapshot("api", "", r#","meta":{"git_sha":"4f2c1aa","operator":"ana"}"#);
    log.event(r#""type":"diff.computed","service":"api","from":1,"to":3,"added":0,"removed":0,"changed":1,"severity":"high","changes":[{"op":"changed","path":"http.timeout","before":"30s","after":"1s","severity":"high"}]"#);
    log.snapshot("web", "", "");
    log.event(r#""type":"diff.computed","service":"web","from":2,"to":5,"added":0,"removed":0,"changed":1,"severity":"low","changes":[{"op":"changed","path":"log.level","before":"info","after":"debug","severity":"low"}],"actor":"ben""#);
    for n in 0..200 {
        log.event(&format!(r#""type":"request.completed","source":"web","target":"api","method":"GET","path":"/{n}","status":200,"latency_ms":3"#));
    }
    log.event(r#""type":"service.log","service":"api","stream":"stderr","data":"upstream: context deadline exceeded\n""#);
    log.event(r#""type":"request.completed","source":"web","target":"api","method":"POST","path":"/orders","status":504,"latency_ms":1000.2,"request_body":"eyJpdGVtIjoxfQ==""#);
    log
}

#[test]
fn a_shortened_timeout_is_named_as_a_change_before_the_request_that_failed() {
    let it = explained(&incident().0, Limits::default());
    let first = it.first_failure.as_ref().unwrap();
    assert_eq!((first.seq, first.type_name.as_str()), (208, "request.completed"));
    assert_eq!(first.services, ["api", "web"]);
    let changes: Vec<_> = it.changes.items.iter().filter(|c| c.kind == "diff").collect();
    let nearest_first: Vec<u64> = changes.iter().map(|c| c.seq).collect();
    assert_eq!(nearest_first, [6, 4]);
    let timeout = changes[1];
    assert_eq!((timeout.service.as_str(), timeout.path.as_deref()), ("api", Some("http.timeout")));
    assert_eq!(
        (timeout.before.as_ref().unwrap(), timeout.after.as_ref().unwrap()),
        (&"30s".into(), &"1s".into())
    );
    assert_eq!((timeout.who.as_deref(), timeout.origin.as_deref()), (Some("ana"), Some("git_sha=4f2c1aa")));
    assert_eq!(changes[0].who.as_deref(), Some("ben"));
    assert!(timeout.involved);
    assert_eq!(it.stderr.items[0].text, "upstream: context deadline exceeded");
    let request = &it.requests.items[0];
    assert_eq!(request.request_body.as_ref().unwrap().text, r#"{"item":1}"#);
    assert_eq!((it.outcome.as_str(), it.outcome_recorded), ("failed", false));
}

#[test]
fn a_change_after_the_failure_is_no_cause() {
    let mut log = incident();
    log.snapshot("api", "", "");
    log.event(r#""type":"diff.computed","service":"api","from":3,"to":209,"added":0,"removed":0,"changed":1,"severity":"high","changes":[{"op":"changed","path":"pool.size","before":10,"after":1,"severity":"high"}]"#);
    let it = explained(&log.0, Limits::default());
    assert!(it.changes.items.iter().all(|c| c.path.as_deref() != Some("pool.size")));
}

#[test]
fn where_nothing_failed_nothing_is_blamed() {
    let mut log = Log::default();
    log.snapshot("api", r#","config":{"a":1}"#, "");
    log.event(
        r#""type":"request.completed","source":"web","target":"api","method":"GET","path":"/","status":404"#,
    );
    let it = explained(&log.0, Limits::default());
    assert!(it.first_failure.is_none() && it.changes.items.is_empty() && !it.is_failure());
    assert_eq!(it.requests.total(), 1);
}

#[test]
fn a_refused_request_is_the_first_failure_when_an_assertion_follows() {
    let mut log = Log::default();
    log.event(
        r#""type":"request.completed","source":"web","target":"api","method":"GET","path":"/","status":404"#,
    );
    log.event(r#""type":"test.note","error":"a_test.go:9: want 200""#);
    let it = explained(&log.0, Limits::default());
    assert_eq!(it.first_failure.unwrap().seq, 1);
    let assertion = &it.assertions.items[0];
    assert_eq!(
        (assertion.file.as_deref(), assertion.line, assertion.message.as_str()),
        (Some("a_test.go"), Some(9), "want 200")
    );
}

#[test]
fn a_flood_of_failures_is_bounded_and_counted() {
    let mut log = Log::default();
    for n in 0..5_000 {
        log.event(&format!(r#""type":"request.completed","source":"web","target":"api","method":"GET","path":"/{n}","status":{}"#, 400 + n % 200));
        log.event(r#""type":"service.log","service":"api","stream":"stderr","data":"boom\n""#);
    }
    let it = explained(&log.0, Limits { items: 7, ..Limits::default() });
    assert_eq!((it.requests.items.len(), it.requests.total()), (7, 5_000));
    assert!(it.requests.items.iter().all(|e| e.row.status.as_deref().unwrap() >= "500"));
    assert_eq!((it.stderr.items.len(), it.stderr.total()), (20, 5_000));
    assert_eq!(it.failing.items.iter().map(|f| f.count).sum::<usize>(), 5_000);
    assert!(serde_json::to_string(&it).unwrap().len() < 20_000);
}

/// A log of rigd with one of everything.
fn rigds() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/rigd/incident.jsonl");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_rigds_own_tool_finds_is_found() {
    let it = explained(&rigds(), Limits::default());
    assert_eq!((it.stream.as_str(), it.outcome.as_str(), it.duration_ms), ("TestCheckout", "failed", 2345));
    assert!(it.outcome_recorded);
    let assertion = &it.assertions.items[0];
    assert_eq!((assertion.file.as_deref(), assertion.line), (Some("checkout_test.go"), Some(42)));
    // The probe before the environment was up and the request while it went down do not count.
    let seqs: Vec<u64> = it.requests.items.iter().map(|e| e.row.seq).collect();
    assert_eq!(seqs, [15, 16, 13]);
    let call = &it.requests.items[0];
    assert_eq!(
        (call.row.status.as_deref(), call.error.as_deref()),
        (Some("UNAVAILABLE"), Some("upstream gone"))
    );
    let request = &it.requests.items[1];
    let (sent, answered) = (request.request_body.as_ref().unwrap(), request.response_body.as_ref().unwrap());
    assert_eq!((sent.binary, sent.text.as_str()), (true, "00ff1b5b"));
    assert_eq!((answered.truncated, answered.text.as_str()), (true, r#"{"error":"db is gone"}"#));
    // The first failure of each service.
    let crashes: Vec<_> = it.crashes.items.iter().map(|c| (c.service.as_deref(), c.error.as_str())).collect();
    assert_eq!(crashes, [(Some("db"), "exit status 2")]);
    let stderr: Vec<_> = it.stderr.items.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(stderr, ["dial db: timeout\ngoroutine 7", "giving up"]);
    let stall = it.stall.unwrap();
    assert_eq!((stall.stalled_for.as_str(), stall.services[0].waiting_on[0].as_str()), ("10s", "db"));
    let phases: Vec<_> = it.phases.iter().map(|phase| (phase.name, phase.us)).collect();
    assert_eq!(
        phases,
        [("artifacts", 900_000), ("startup", 270_000), ("test", 130_000), ("teardown", 20_000)]
    );
    assert_eq!(it.passed_over, 3);
}

#[test]
fn the_samples_of_rigd_are_explained() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rigd-sessions");
    let Ok(text) = std::fs::read_to_string(folder.join("assertion_failure.jsonl")) else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    let it = explained(&text, Limits::default());
    assert_eq!((it.events, it.passed_over, it.outcome.as_str()), (28, 0, "failed"));
    assert_eq!(it.assertions.items[0].message, "expected 200, got 500");
    // The 404 at seq 11 is a start-up probe.
    assert_eq!(it.requests.items.iter().map(|e| e.row.seq).collect::<Vec<_>>(), [19]);
    let body = it.requests.items[0].response_body.as_ref().unwrap();
    assert_eq!(body.text, r#"{"error":"something went wrong"}"#);
}
