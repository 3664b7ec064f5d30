//! Answers computed from a stream as a whole: columns, traffic, reasons, texts; and that its states are those of the log.

use std::time::Duration;

use rig_config::Policy;
use rig_hub::Options;
use rig_testhub::{TestHub, answer, unsealed};
use serde_json::{Value, json};

use crate::start;

/// The columns of a stretch, taken apart.
struct Columns {
    times: Vec<f64>,
    latencies: Vec<u32>,
    numbers: [Vec<u16>; 3],
    flags: Vec<u8>,
    names: Value,
}

impl Columns {
    async fn get(hub: &TestHub, query: &str) -> Columns {
        let answer = hub.client.get(hub.stream(&format!("columns{query}"))).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Columns::read(&answer.bytes().await.unwrap())
    }

    fn read(body: &[u8]) -> Columns {
        let (rest, length) = body.split_at(body.len() - 4);
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let (arrays, names) = rest.split_at(rest.len() - length);
        let names: Value = serde_json::from_slice(names).unwrap();
        let n = (names["to"].as_u64().unwrap() + 1 - names["from"].as_u64().unwrap()) as usize;
        assert_eq!(arrays.len(), 19 * n, "19 bytes an event");
        let short = |at: usize| {
            arrays[at..at + 2 * n].chunks(2).map(|b| u16::from_le_bytes(b.try_into().unwrap())).collect()
        };
        Columns {
            times: arrays[..8 * n].chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            latencies: arrays[8 * n..12 * n]
                .chunks(4)
                .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
                .collect(),
            numbers: [short(12 * n), short(14 * n), short(16 * n)],
            flags: arrays[18 * n..].to_vec(),
            names,
        }
    }

    fn name(&self, column: usize, at: usize) -> Value {
        let names = ["types", "services", "edges"][column];
        self.names[names][usize::from(self.numbers[column][at])].clone()
    }
}

fn request(status: u16, ms: f64) -> Value {
    json!({"type": "request.completed", "source": "web", "target": "api", "method": "GET", "path": "/Orders", "status": status, "latency_ms": ms})
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_have_every_event_and_grow_with_the_stream() {
    let hub = start(unsealed()).await;
    hub.append("", &json!([request(200, 12.5), {"type": "service.log", "service": "api", "stream": "stderr", "data": "x"}]).to_string())
        .await;
    let first = Columns::get(&hub, "").await;
    assert_eq!((first.name(0, 0), first.name(1, 0)), (json!("request.completed"), Value::Null));
    assert_eq!(
        (first.name(2, 0), first.latencies[0], first.flags[0]),
        (json!(["web", "api"]), 12_500, 2 << 4)
    );
    assert_eq!((first.name(1, 1), first.latencies[1], first.flags[1]), (json!("api"), u32::MAX, 2));
    assert!(first.times[0] > 1e15 && first.times[1] >= first.times[0]);
    hub.append("", &json!([request(503, 1.0), {"type": "service.failed", "service": "api"}]).to_string())
        .await;
    let more = Columns::get(&hub, "?from=2").await;
    assert_eq!((more.flags[1], more.flags[2]), (1 | 5 << 4, 1));
    assert_eq!(more.name(0, 2), "service.failed");
    // Packed for those who ask for it, if it is worth it.
    let many: Vec<Value> = (0..3000).map(|n| request(200, f64::from(n))).collect();
    hub.append("", &json!(many).to_string()).await;
    let packed =
        hub.client.get(hub.stream("columns")).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut body).unwrap();
    assert_eq!(Columns::read(&body).flags.len(), 3004);
    assert!(packed.len() < body.len());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_looked_at_has_the_states_of_its_log_also_after_a_prune() {
    let folder = tempfile::tempdir().unwrap();
    let options = |policy: &str| Options {
        data: Some(folder.path().to_owned()),
        policy: Policy::parse(policy).unwrap(),
        segment_bytes: 8 << 10,
        retention_interval: Duration::from_millis(20),
        ..unsealed()
    };
    let about = async |hub: &TestHub| {
        let url = hub.stream("");
        let about = answer(hub.client.get(url.trim_end_matches('/'))).await.1;
        (about["first_seq"].as_u64().unwrap(), about["head"].as_u64().unwrap())
    };
    let hub = start(options("[retention]\nmax_events = 150\n")).await;
    let mut n = 0;
    // It is looked at while it is pruned, twice.
    for _ in 0..2 {
        let begin = about(&hub).await.0;
        while about(&hub).await.0 == begin {
            assert!(n < 4_000, "nothing was pruned");
            let document = json!({"n": n, "fixed": "x".repeat(150)}).to_string();
            hub.capture(&format!("service=api{}&format=json", n % 3), document).await;
            hub.append("", &json!([request(if n % 5 == 0 { 500 } else { 200 }, 3.0)]).to_string()).await;
            n += 1;
        }
        let looked = Columns::get(&hub, "").await;
        assert!(looked.names["from"].as_u64().unwrap() > begin);
    }
    let (_, head) = about(&hub).await;
    let looked = hub.get(&format!("state?at={head}")).await.1;
    let (status, gone) = hub.get("columns?from=1").await;
    assert_eq!((status, &gone["code"]), (410, &json!("pruned")));
    hub.stop().await;

    // Without retention nothing moves: the states before somebody looked, and after.
    let hub = start(options("")).await;
    let (first, end) = about(&hub).await;
    let mut states = Vec::new();
    for _ in 0..2 {
        let mut all = Vec::new();
        for seq in (first - 1..=end).step_by(7).chain([head.max(first), end]) {
            let (status, state) = hub.get(&format!("state?at={seq}")).await;
            assert_eq!(status, 200, "{state}");
            all.push(state);
        }
        states.push(all);
        assert_eq!(Columns::get(&hub, "").await.names["from"], first);
    }
    assert_eq!(states[0], states[1]);
    let (status, again) = hub.get(&format!("state?at={head}")).await;
    assert!(status == 410 || again == looked, "{looked} {again}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_summed_by_edge_and_stretch() {
    let hub = start(unsealed()).await;
    let mut events: Vec<Value> = (1..=100).map(|n| request(200, f64::from(n))).collect();
    events.push(request(503, 3000.0));
    events.push(json!({"type": "connection.opened", "source": "api", "target": "db"}));
    hub.append("", &json!(events).to_string()).await;
    let (_, told) = hub.get("traffic").await;
    let edge = &told["edges"][0];
    assert_eq!(
        (&edge["source"], &edge["requests"], &edge["failed"]),
        (&json!("web"), &json!(101), &json!(1))
    );
    assert_eq!(
        edge["latency"],
        json!({"p50_us": 51_000, "p95_us": 96_000, "p99_us": 100_000, "max_us": 3_000_000})
    );
    let sum = |name: &str| edge[name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("counts"), sum("failed_counts")), (101, 1));
    assert_eq!(edge["counts"].as_array().unwrap().len(), told["bounds_us"].as_array().unwrap().len() + 1);
    assert_eq!((&told["edges"][1]["connections"], told["edges"][1].get("latency")), (&json!(1), None));
    let (_, part) = hub.get("traffic?from=11&to=20").await;
    assert_eq!(part["edges"][0]["requests"], 10);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_before_a_failure_is_its_likeliest_reason() {
    let hub = start(unsealed()).await;
    hub.capture("service=api&format=json&actor=ana", r#"{"pool":20}"#).await;
    hub.append("", &json!([request(200, 1.0)]).to_string()).await;
    hub.capture("service=api&format=json&actor=ben", r#"{"pool":5}"#).await;
    let (_, failed) = hub.append("", &json!([request(503, 1.0)]).to_string()).await;
    let seq = failed["first_seq"].as_u64().unwrap();
    let (_, why) = hub.get(&format!("why?seq={seq}&limit=1")).await;
    assert_eq!(
        (&why["reasons"][0]["type"], &why["reasons"][0]["actor"]),
        (&json!("diff.computed"), &json!("ben"))
    );
    let (_, explained) = hub.get("explain").await;
    assert_eq!((&explained["first_failure"]["seq"], &explained["outcome"]), (&json!(seq), &json!("failed")));
    for (path, status, code) in [
        ("why", 400, "bad-query"),
        ("why?seq=1&limit=0", 400, "bad-query"),
        ("why?seq=99999", 404, "past-head"),
        ("why?seq=0", 410, "pruned"),
        ("explain?limit=101", 400, "bad-query"),
        ("find", 400, "bad-query"),
        ("find?q=", 400, "bad-query"),
        ("find?q=a&failed=2", 400, "bad-query"),
        ("columns?from=0", 400, "bad-cursor"),
        ("columns?to=99999", 400, "past-head"),
        ("traffic?from=3&to=1", 400, "bad-cursor"),
    ] {
        let (got, problem) = hub.get(path).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{path}: {problem}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_found_in_whatever_case_and_page_by_page() {
    let hub = start(unsealed()).await;
    let events: Vec<Value> = (0..1200)
        .map(|n| json!({"type": "service.log", "service": if n % 2 == 0 { "api" } else { "web" }, "data": format!("Pool {n}")}))
        .collect();
    hub.append("", &json!(events).to_string()).await;
    hub.append("", &json!([request(500, 1.0)]).to_string()).await;
    let (_, found) = hub.get("find?q=pool%201199").await;
    assert_eq!(found["seqs"], json!([1200]));
    let (_, failed) = hub.get("find?q=oRDERS&failed=1").await;
    assert_eq!((&failed["seqs"], failed.get("next")), (&json!([1201]), None));
    let (mut from, mut seqs) = (1, Vec::new());
    loop {
        let (_, page) =
            hub.get(&format!("find?q=pool&service=api&types=service.*&limit=250&from={from}")).await;
        seqs.extend(page["seqs"].as_array().unwrap().iter().map(|seq| seq.as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        from = next;
    }
    assert_eq!(seqs, (0..600).map(|n| 2 * n + 1).collect::<Vec<u64>>());
    hub.stop().await;
}
