//! The index catches up while a hub answers: what it says meanwhile, and what waits.

use std::sync::{Condvar, Mutex};

use serde_json::Value;

use super::{TestHub, answer, unsealed};

/// Holds every piece of a log back that is to be indexed, until it is opened for good.
pub(crate) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

static GATES: [Gate; 2] = [Gate::closed(), Gate::closed()];

impl Gate {
    const fn closed() -> Gate {
        Gate { open: Mutex::new(false), opened: Condvar::new() }
    }

    /// Each test has its own.
    pub(crate) fn open<const GATE: usize>() {
        *GATES[GATE].open.lock().unwrap() = true;
        GATES[GATE].opened.notify_all();
    }

    /// To be the `step` of a hub.
    pub(crate) fn hold<const GATE: usize>(step: &'static str) {
        if step == "index.add" {
            let open = GATES[GATE].open.lock().unwrap();
            drop(GATES[GATE].opened.wait_while(open, |open| !*open).unwrap());
        }
    }
}

async fn ready(hub: &TestHub) -> String {
    hub.client.get(format!("{}/readyz", hub.url)).send().await.unwrap().text().await.unwrap()
}

async fn lag(hub: &TestHub) -> u64 {
    let told = hub.metrics().await;
    let row = told.lines().find_map(|line| line.strip_prefix("rig_index_lag_events{stream=\"main\"} "));
    row.unwrap().parse().unwrap()
}

async fn append(client: reqwest::Client, url: String, key: String) -> (u16, Value) {
    let events = "{\"type\":\"shop.sold\",\"service\":\"api\"}\n".repeat(5_000);
    let request = client.post(url).header("content-type", "application/x-ndjson");
    answer(request.header("idempotency-key", key).body(events)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_answers_while_its_index_catches_up_and_knows_every_key() {
    let data = tempfile::tempdir().unwrap();
    let options = rig_hub::Options { data: Some(data.path().to_owned()), ..unsealed() };
    let hub = TestHub::with(options.clone()).await;
    let mut sent = Vec::new();
    for n in 0..3 {
        let (status, answer) = append(hub.client.clone(), hub.stream("events"), format!("k{n}")).await;
        assert_eq!(status, 201, "{answer}");
        sent.push((answer["first_seq"].clone(), answer["last_seq"].clone()));
    }
    let (_, state) = hub.get("state").await;
    hub.stop().await;
    std::fs::remove_dir_all(data.path().join("index")).unwrap();

    // Nothing is indexed, and the hub is ready.
    let hub = TestHub::with(rig_hub::Options { step: Gate::hold::<0>, ..options.clone() }).await;
    let told = ready(&hub).await;
    let behind = told.strip_prefix("ready\nindex_lag_events ").and_then(|n| n.trim_end().parse::<u64>().ok());
    assert!(behind >= Some(15_000), "{told:?}");
    assert_eq!(lag(&hub).await, 15_000);
    assert_eq!(hub.get("state").await.1, state);
    assert_eq!(hub.lines("from=1").await.len(), 15_000);
    assert_eq!(hub.append("", "{\"type\":\"a.b\"}").await.0, 201);
    // What was sent before is not taken for news: it waits, with what is new.
    let repeated: Vec<_> = (0..4)
        .map(|n| tokio::spawn(append(hub.client.clone(), hub.stream("events"), format!("k{n}"))))
        .collect();
    assert_eq!(hub.append("", "{\"type\":\"a.b\"}").await.1["last_seq"], 15_002);
    assert_eq!(lag(&hub).await, 15_002);
    Gate::open::<0>();
    for (n, append) in repeated.into_iter().enumerate() {
        let (status, answer) = append.await.unwrap();
        match sent.get(n) {
            Some(sent) => {
                assert_eq!((status, (&answer["first_seq"], &answer["last_seq"])), (200, (&sent.0, &sent.1)))
            }
            None => assert_eq!((status, &answer["first_seq"]), (201, &15_003.into())),
        }
    }
    while lag(&hub).await > 0 {}
    hub.stop().await;

    // What it has learned is there at the next start.
    let hub = TestHub::with(options).await;
    assert_eq!(
        append(hub.client.clone(), hub.stream("events"), "k1".to_owned()).await.1["first_seq"],
        sent[1].0
    );
    hub.stop().await;
}
