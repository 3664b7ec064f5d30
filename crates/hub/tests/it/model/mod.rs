//! The model check: appenders, subscribers, restarts and pruning at once, and everybody saw exactly the log.
//!
//! `RIG_MODEL_SEED` repeats what a run did (the order in which tasks run stays the machine's), `RIG_MODEL_ROUNDS` asks for
//! more rounds.

mod appender;
mod subscriber;
mod truth;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rig_config::Policy;
use rig_event::{Envelope, Seq};
use rig_recorder::{Durability, SessionReader};
use rig_replay::State;
use serde_json::Value;
use tokio::sync::watch;

use self::appender::Appender;
use self::subscriber::{Filter, Notes, Subscriber, Told};
use self::truth::Truth;
use crate::random::{Random, rounds, seed};
use crate::{TestHub, answer};

/// What all rounds came to: a check of nothing must not pass.
#[derive(Debug, Default)]
struct Sum {
    events: u64,
    restarts: u64,
    pruned: u64,
    subscribers: u64,
    connections: u64,
    gaps: u64,
    resets: u64,
    repeated: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_exactly_the_log() {
    let (seed, rounds) = (seed("RIG_MODEL_SEED"), rounds("RIG_MODEL_ROUNDS", 60));
    println!("RIG_MODEL_SEED={seed} RIG_MODEL_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let mut sum = Sum::default();
    for number in 0..rounds {
        println!("round {number}");
        Box::pin(round(random.fork(), &mut sum)).await;
    }
    println!("{sum:?}");
    let Sum { events, restarts, pruned, subscribers, connections, gaps, resets, repeated } = sum;
    if rounds >= 60 {
        // Far below what comes of it on any machine; none of it hangs on how busy that is.
        assert!(events > 5_000 && restarts > 20 && pruned > 1_000 && subscribers > 100 && connections > 100);
        assert!(gaps > 0 && resets > 10 && repeated > 100);
    }
}

/// What does not end is a failure, and told by name. Nothing here takes a second on a machine that has time for it.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), future).await;
    ended.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// What waits within itself is given more time than that, so that it is its own wait that is told.
async fn in_the_end<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(150), future).await;
    ended.unwrap_or_else(|_| panic!("{what} does not come to an end"))
}

async fn round(mut random: Random, sum: &mut Sum) {
    // In memory where the machine has such a folder: this is about order, not about what a disk keeps.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let options = options(&mut random, folder.path());
    let mut hub = TestHub::with(options.clone()).await;
    let (urls, url) = watch::channel(hub.stream(""));
    let stream = |hub: &TestHub| hub.client.get(hub.stream("").trim_end_matches('/'));
    let epoch = answer(stream(&hub)).await.1["epoch"].as_str().unwrap().to_owned();
    let truth = Arc::new(Truth::default());
    let (answered, mut progress) = watch::channel(0);
    let (last, told) = watch::channel(None);

    let appends = random.between(20, 120);
    let appenders: Vec<_> = (0..random.between(1, 4) as usize)
        .map(|name| Appender {
            name,
            client: reqwest::Client::new(),
            url: url.clone(),
            random: random.fork(),
            truth: truth.clone(),
            answered: answered.clone(),
        })
        .map(|appender| tokio::spawn(appender.run(appends)))
        .collect();
    let subscribers: Vec<_> = (0..random.between(2, 7))
        .map(|_| Subscriber {
            client: reqwest::Client::new(),
            url: url.clone(),
            truth: truth.clone(),
            epoch: epoch.clone(),
            filter: filter(&mut random),
            is_slow: random.one_in(3),
            last: told.clone(),
            notes: Notes::default(),
            random: random.fork(),
        })
        .map(|subscriber| tokio::spawn(subscriber.run()))
        .collect();
    let reader = tokio::spawn(read(url.clone(), truth.clone(), told.clone()));

    let appends = appends * appenders.len() as u64;
    let restarts = random.below(4);
    let mut at: Vec<u64> = (0..restarts).map(|_| random.below(appends)).collect();
    at.sort_unstable();
    for at in at {
        within("an appender", progress.wait_for(|answered| *answered >= at)).await.unwrap();
        within("stopping", hub.stop()).await;
        hub = within("starting", TestHub::with(options.clone())).await;
        urls.send_replace(hub.stream(""));
    }
    let mut done = Vec::new();
    for appender in appenders {
        done.push(within("an appender", appender).await.unwrap());
    }
    let head = answer(stream(&hub)).await.1["head"].as_u64().unwrap();
    last.send_replace(Some(head));
    let mut notes = Vec::new();
    for subscriber in subscribers {
        notes.push(in_the_end("a subscriber", subscriber).await.unwrap());
    }
    // One who comes last of all has to be told of everything that is pruned.
    let late = Subscriber {
        client: reqwest::Client::new(),
        url: url.clone(),
        truth: truth.clone(),
        epoch: epoch.clone(),
        filter: Filter { types: "", service: "" },
        is_slow: false,
        last: told.clone(),
        notes: Notes::from_the_beginning(),
        random: random.fork(),
    };
    notes.push(in_the_end("the last subscriber", late.run()).await);
    within("the reader", reader).await.unwrap();
    within("the state", same_state(&hub)).await;
    within("stopping", hub.stop()).await;

    let (first_seq, head) = files(folder.path(), &truth);
    let ids = truth.ids(first_seq, head);
    for (id, seq) in done.iter().flat_map(|done| &done.acknowledged) {
        match seq {
            Some(seq) => assert_eq!(ids.get(id), Some(seq), "{id} was acknowledged"),
            None => assert!(ids.get(id).is_none_or(|&seq| seq < first_seq), "{id} was said to be pruned"),
        }
        sum.repeated += 1;
    }
    sum.repeated -= ids.len() as u64;
    for id in done.iter().flat_map(|done| &done.refused) {
        assert_eq!(ids.get(id), None, "{id} was refused");
    }
    sum.events += head;
    sum.pruned += first_seq - 1;
    sum.restarts += restarts;
    for (filter, notes) in &notes {
        notes.check(*filter, &truth, first_seq);
        sum.subscribers += 1;
        sum.connections += notes.connections;
        sum.resets += notes.resets;
        sum.gaps += notes.told.iter().filter(|told| matches!(told, Told::Gap { .. })).count() as u64;
    }
}

fn options(random: &mut Random, data: &Path) -> rig_hub::Options {
    let policy = if random.one_in(4) {
        Policy::default()
    } else {
        Policy::parse(&format!("[retention]\nmax_events = {}\n", random.between(60, 300))).unwrap()
    };
    let interval = Durability::Interval(Duration::from_millis(random.between(1, 20)));
    rig_hub::Options {
        data: Some(data.to_owned()),
        policy,
        durability: random.choose(&[Durability::Always, interval]),
        seals: random
            .choose(&[None, Some(rig_hub::Seals { events: 25, interval: Duration::from_millis(40) })]),
        segment_bytes: random.between(2, 24) << 10,
        retention_interval: Duration::from_millis(random.between(2, 30)),
        heartbeat: Duration::from_millis(random.between(5, 60)),
        ..Default::default()
    }
}

fn filter(random: &mut Random) -> Filter {
    if random.one_in(2) {
        return Filter { types: "", service: "" };
    }
    Filter {
        types: random.choose(&["", "shop.*", "shop.paid", "door.opened,snapshot.*", "log.*", "none.*"]),
        service: random.choose(&["", "api", "web"]),
    }
}

/// Reads ranges as they come, so that what is pruned later is known too.
async fn read(mut url: watch::Receiver<String>, truth: Arc<Truth>, last: watch::Receiver<Option<Seq>>) {
    let (client, mut next) = (reqwest::Client::new(), 1);
    while last.borrow().is_none_or(|last| next <= last) {
        let base = url.borrow_and_update().clone();
        let Ok(mut response) = client.get(format!("{base}events?from={next}")).send().await else {
            url.changed().await.expect("there is a next hub");
            continue;
        };
        if response.status() == 410 {
            let Ok(gone) = response.text().await else { continue };
            next = serde_json::from_str::<Value>(&gone).unwrap()["first_seq"].as_u64().unwrap();
            continue;
        }
        // Anything else: there is nothing new, so the range would begin past the head.
        let is_range = response.status() == 200;
        // It breaks off where a prune or a restart overtakes it; a line that is there as a whole is a line.
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            text.extend_from_slice(&chunk);
        }
        let lines = if is_range { &text[..] } else { b"" };
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            truth.read(next, std::str::from_utf8(line).unwrap());
            next += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The hub's state is the fold of what it gives as a session.
async fn same_state(hub: &TestHub) {
    let session = hub.client.get(hub.stream("session")).send().await.unwrap().bytes().await.unwrap();
    let mut reader = SessionReader::new(&session[..]).unwrap();
    let mut state = match reader.checkpoint() {
        Some(checkpoint) => State::from_json(checkpoint.state.get().as_bytes()).unwrap(),
        None => State::default(),
    };
    for record in &mut reader {
        state.apply(&Envelope::parse(&record.unwrap().line).unwrap()).unwrap();
    }
    let (status, told) = hub.get(&format!("state?at={}", state.seq)).await;
    // Pruned up to there in the meantime: then there is nothing to compare with.
    if status != 410 {
        assert_eq!((status, told["hash"].as_str()), (200, Some(state.hash().as_str())), "{told}");
    }
}

/// Reads the segment files themselves; gives the first and the last seq.
fn files(data: &Path, truth: &Truth) -> (Seq, Seq) {
    let folder = std::fs::read_dir(data.join("streams/main")).unwrap();
    let mut segments: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    segments.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<Seq>().unwrap();
    let first_seq = name(&segments[0]);
    let mut next = first_seq;
    for path in segments {
        assert_eq!(name(&path), next, "segments follow one another");
        for line in std::fs::read_to_string(path).unwrap().lines() {
            truth.read(next, line);
            next += 1;
        }
    }
    (first_seq, next - 1)
}
