//! Pruning and sealing, seen from outside.

use std::time::Duration;

use rig_config::Policy;
use rig_event::{Envelope, Event};
use rig_recorder::{Claim, Keyring, Point, SessionReader};
use rig_replay::State;
use serde_json::{Value, json};

use crate::{TestHub, answer, unsealed};

#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_stream_replays_from_the_cut_and_gives_its_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::parse("[retention]\nmax_events = 100\n").unwrap();
    let options = || rig_hub::Options {
        data: Some(folder.path().to_owned()),
        policy: policy.clone(),
        segment_bytes: 8 << 10,
        retention_interval: Duration::from_millis(20),
        ..unsealed()
    };
    let hub = TestHub::with(options()).await;
    let (mut n, mut about) = (0, Value::Null);
    // Until the third prune, at the earliest.
    while about["first_seq"].as_u64().is_none_or(|first| first < 300) {
        assert!(n < 5_000, "nothing was pruned: {about}");
        hub.capture("service=api&format=json", json!({"n": n, "fixed": "x".repeat(200)}).to_string()).await;
        n += 1;
        about = answer(hub.client.get(format!("{}/v1/streams/main", hub.url))).await.1;
    }
    let (_, about) = answer(hub.client.get(format!("{}/v1/streams/main", hub.url))).await;
    let (first, head) = (about["first_seq"].as_u64().unwrap(), about["head"].as_u64().unwrap());
    assert!(head - first >= 99, "{about}");
    let on_disk = |folder: &std::path::Path| -> u64 {
        let files = std::fs::read_dir(folder.join("streams/main")).unwrap().map(|e| e.unwrap());
        files
            .filter(|f| f.file_name().to_string_lossy().ends_with(".jsonl"))
            .map(|f| f.metadata().unwrap().len())
            .sum()
    };
    assert!(on_disk(folder.path()) < 150_000, "{} bytes are left", on_disk(folder.path()));

    let (status, gone) = hub.get("state?at=5").await;
    assert_eq!((status, &gone["code"]), (410, &json!("pruned")));
    let (status, gone) = hub.get("events?from=1").await;
    assert_eq!((status, &gone["code"]), (410, &json!("pruned")));
    // A subscriber is told what is gone, and goes on with what is left.
    let mut subscribed = hub
        .client
        .get(hub.stream("events?from=1"))
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    while !text.contains("\nevent: snapshot.captured") {
        text.push_str(std::str::from_utf8(&subscribed.chunk().await.unwrap().unwrap()).unwrap());
    }
    let gap = text.split("event: gap\ndata: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    let gap: Value = serde_json::from_str(gap).unwrap();
    assert_eq!((&gap["from"], &gap["reason"]), (&json!(1), &json!("pruned")));
    let next = gap["to"].as_u64().unwrap() + 1;
    assert!(text.split("event: gap").nth(1).unwrap().contains(&format!(":{next}\n")), "{text}");
    drop(subscribed);
    let hash = hub.get(&format!("state?at={head}")).await.1["hash"].clone();
    let check = async |hub: &TestHub| {
        let session = hub
            .client
            .get(hub.stream(&format!("session?to={head}")))
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let mut reader = SessionReader::new(&session[..]).unwrap();
        let checkpoint = reader.checkpoint().unwrap().clone();
        let mut state = State::from_json(checkpoint.state.get().as_bytes()).unwrap();
        let mut pruned = 0;
        for record in &mut reader {
            let envelope = Envelope::parse(&record.unwrap().line).unwrap();
            pruned += u64::from(matches!(envelope.event, Event::LogPruned(_)));
            state.apply(&envelope).unwrap();
        }
        assert!(pruned > 0);
        assert_eq!(json!(state.hash()), hash);
    };
    check(&hub).await;
    hub.stop().await;
    // Also without the index, from what stands beside the log.
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let hub = TestHub::with(options()).await;
    assert_eq!(hub.get(&format!("state?at={head}")).await.1["hash"], hash);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seals_state_chain_and_state_and_are_signed() {
    let folder = tempfile::tempdir().unwrap();
    let seals = rig_hub::Seals { events: 10, interval: Duration::from_secs(600) };
    let options = || rig_hub::Options {
        data: Some(folder.path().to_owned()),
        seals: Some(seals),
        ..Default::default()
    };
    let hub = TestHub::with(options()).await;
    for n in 0..40 {
        hub.capture("service=api&format=json", json!({ "n": n }).to_string()).await;
    }
    hub.stop().await;
    let hub = TestHub::with(options()).await;
    let session = hub.client.get(hub.stream("session")).send().await.unwrap().bytes().await.unwrap();
    let keys = Keyring::parse(&std::fs::read_to_string(folder.path().join("keys/signing")).unwrap()).unwrap();
    let mut reader = SessionReader::new(&session[..]).unwrap();
    let header = reader.header().unwrap().clone();
    let mut chain = rig_recorder::Chain::genesis(&header.stream, &header.epoch);
    let (mut state, mut seals, mut last) = (State::default(), 0, String::new());
    for record in &mut reader {
        let record = record.unwrap();
        let envelope = Envelope::parse(&record.line).unwrap();
        if let Event::LogSealed(seal) = &envelope.event {
            assert_eq!((seal.upto, &seal.chain, &seal.state), (state.seq, &chain.to_string(), &state.hash()));
            let claim = Claim {
                stream: &header.stream,
                epoch: &header.epoch,
                upto: seal.upto,
                chain: &seal.chain,
                state: &seal.state,
                point: Point::Seal,
            };
            assert_eq!(keys.check(&claim, &seal.signatures[0]), rig_recorder::seal::Checked::Valid);
            seals += 1;
        }
        last = envelope.event.type_name().to_owned();
        state.apply(&envelope).unwrap();
        chain.push(&record.line);
    }
    assert!(seals >= 7, "{seals}");
    assert_eq!(last, "log.sealed", "a hub that stops seals");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_was_written_and_sent() {
    let hub = TestHub::in_memory().await;
    let response = hub
        .client
        .get(hub.stream("events?from=1"))
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    hub.append("", r#"[{"type":"a.b"},{"type":"a.b"}]"#).await;
    hub.capture("service=a&format=json", "{").await;
    let mut response = response;
    let mut text = String::new();
    while !text.contains(":3\n") {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    let metrics = hub.metrics().await;
    for line in [
        "rig_head_seq{stream=\"main\"} 3",
        "rig_appended_events_total{stream=\"main\"} 3",
        "rig_captures_rejected_total{stream=\"main\",code=\"malformed-document\"} 1",
        "rig_subscribers{stream=\"main\"} 1",
        "rig_subscriber_lag_events{stream=\"main\"} 0",
        "rig_sent_events_total{stream=\"main\"} 3",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
    drop(response);
    hub.stop().await;
}

/// What a prune overtakes is told as pruned, and not as damage.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_folded_while_its_events_are_pruned_is_there_or_gone() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let options = |max_events: u64| rig_hub::Options {
        data: Some(folder.path().to_owned()),
        policy: Policy::parse(&format!("[retention]\nmax_events = {max_events}\n")).unwrap(),
        segment_bytes: 4 << 10,
        ..unsealed()
    };
    let hub = TestHub::with(options(u64::MAX)).await;
    let batch = json!(vec![json!({ "type": "shop.sold" }); 30]).to_string();
    for _ in 0..150 {
        assert_eq!(hub.append("", &batch).await.0, 201);
    }
    hub.stop().await;
    // It prunes as soon as it has started, and folds up to there as long as these do.
    let hub = TestHub::with(options(20)).await;
    let states: Vec<_> = (1..20)
        .map(|n| hub.client.get(hub.stream(&format!("state?at={}", 4_500 - 100 * n))))
        .map(|request| tokio::spawn(answer(request)))
        .collect();
    for state in states {
        let (status, told) = state.await.unwrap();
        assert!(status == 200 || (status, told["code"].as_str()) == (410, Some("pruned")), "{told}");
    }
    hub.stop().await;
}

/// A prune keeps the state at the cut, tells, and deletes: in between, and right after, "all there is" is an answer too.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_all_there_is_can_be_had_while_the_stream_is_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::with(rig_hub::Options {
        data: Some(folder.path().to_owned()),
        policy: Policy::parse("[retention]\nmax_events = 50\n").unwrap(),
        segment_bytes: 2 << 10,
        retention_interval: Duration::from_millis(1),
        ..unsealed()
    })
    .await;
    let (url, client) = (hub.stream("events"), hub.client.clone());
    let appending = tokio::spawn(async move {
        for _ in 0..400 {
            let batch = json!(vec![json!({ "type": "shop.sold" }); 10]).to_string();
            assert_eq!(client.post(&url).body(batch).send().await.unwrap().status(), 201);
        }
    });
    let mut sessions = 0;
    while !appending.is_finished() {
        // Its body may break off where the next prune overtakes it, and says so by having no footer.
        if let Ok(session) = hub.client.get(hub.stream("session")).send().await {
            assert_eq!(session.status(), 200);
            sessions += u64::from(session.bytes().await.is_ok());
        }
    }
    appending.await.unwrap();
    assert!(sessions > 5, "{sessions}");
    hub.stop().await;
}
