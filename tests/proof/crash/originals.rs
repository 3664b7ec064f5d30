//! A hub that is killed between any two steps of keeping or deleting originals names none that is gone, and gives every one that
//! it names to the byte.
//!
//! The hub runs in a process of its own and ends itself, as a kill would, the n-th time that it has taken the step.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rig_config::Policy;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::{Running, files, folder, text};
use crate::planted::token;

const PROCESS: &str = "RIG_PROOF_ORIGINALS";

/// Every step that a crash may come after, in the order in which they come.
const STEPS: [&str; 9] = [
    "blob.wrapped",
    "blob.made",
    "blob.written",
    "blob.synced",
    "blob.renamed",
    "blob.durable",
    "capture.appended",
    "sweep.told",
    "sweep.removed",
];

/// Most documents until a step was taken often enough: a sweep comes when it comes.
const PATIENCE: u64 = 20_000;

fn document(n: u64) -> String {
    format!(
        "{{\"n\": {n}, \"password\": \"hunter2-Planted\", \"text\": \"{}\"}}",
        "x".repeat((n % 700) as usize)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_killed_after_any_step_has_every_original_that_it_names() {
    for step in STEPS {
        let folder = folder();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let client = client(&token(&data));
        let mut sent = 0;
        // The first time, and in the midst of things.
        for times in [1, 3] {
            sent = capture_until_killed(&client, &data, step, times, sent).await;
            check(&client, &data, step).await;
        }
    }
}

/// Documents until the process ends itself; how many were sent is told.
async fn capture_until_killed(
    client: &reqwest::Client,
    data: &Path,
    step: &str,
    times: u64,
    mut sent: u64,
) -> u64 {
    let running = Running::start(process(data, &format!("{step}:{times}")));
    let url = address(&running);
    let begun = sent;
    loop {
        assert!(sent < begun + PATIENCE, "the hub never took the step {step} {times} times");
        sent += 1;
        let address = format!("{url}/v1/streams/main/snapshots?service=s{}&format=json&id=n{sent}", sent % 2);
        match client.post(&address).body(document(sent)).send().await {
            Ok(answer) => assert_eq!(answer.status(), 201, "{step}"),
            Err(_) => break,
        }
    }
    running.kill();
    sent
}

/// Every original that an event names can be read to the byte, but for those that were told to be deleted; and what no event names goes.
async fn check(client: &reqwest::Client, data: &Path, step: &str) {
    let running = Running::start(process(data, "none:0"));
    let url = address(&running);
    let get = async |path: &str| {
        let answer = client.get(format!("{url}/v1/streams/main{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let events = get("/events?from=1").await.1;
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut newest = std::collections::BTreeMap::new();
    for event in events.iter().filter(|event| event["type"] == "snapshot.captured") {
        assert!(event["blob"].is_string(), "after {step}: {event}");
        let service = event["service"].as_str().unwrap();
        newest.entry(service.to_owned()).or_insert_with(Vec::new).push(event["seq"].as_u64().unwrap());
    }
    for (service, seqs) in newest {
        for (age, seq) in seqs.iter().rev().enumerate() {
            let (status, body) = get(&format!("/services/{service}/config?raw=1&at={seq}")).await;
            // The policy keeps three.
            match status {
                200 => {
                    let n = serde_json::from_str::<Value>(&body).unwrap()["n"].as_u64().unwrap();
                    assert_eq!(body, document(n), "after {step}");
                }
                410 if age >= 3 => {}
                other => {
                    panic!("after {step}: {other} for {service} at {seq}, {age} before the newest: {body}")
                }
            }
        }
    }
    // What is left in the end is what is named: three of each service, and nothing half written.
    let begun = std::time::Instant::now();
    let left = || {
        let blobs = data.join("streams/main/blobs");
        if blobs.exists() { files(&blobs).len() } else { 0 }
    };
    while left() > 6 {
        assert!(begun.elapsed() < Duration::from_secs(30), "after {step}: {} are left", left());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.kill();
    for file in files(data) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", file.display());
    }
}

/// One that shows its token.
fn client(token: &str) -> reqwest::Client {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    reqwest::Client::builder().default_headers(headers).build().unwrap()
}

fn address(running: &Running) -> String {
    std::iter::repeat_with(|| running.line()).find(|line| line.starts_with("http://")).unwrap()
}

fn process(data: &Path, ends_after: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["crash::originals::hub_process", "--exact", "--ignored", "--nocapture"]);
    command.env(PROCESS, format!("{ends_after} {}", text(data)));
    command
}

/// Ends the process the n-th time that the step was taken.
fn step(taken: &'static str) {
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let what = std::env::var(PROCESS).unwrap_or_default();
    let Some((name, times)) = what.split(' ').next().and_then(|step| step.split_once(':')) else { return };
    if name == taken && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == times.parse::<u64>().unwrap() {
        // No destructor runs, nothing is flushed.
        std::process::abort();
    }
}

/// A hub that deletes originals every few milliseconds, and ends itself.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that a_hub_killed_after_any_step_has_every_original_that_it_names ends"]
async fn hub_process() {
    let Ok(what) = std::env::var(PROCESS) else { return };
    let (_, data) = what.split_once(' ').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nhttp://{}", listener.local_addr().unwrap());
    let options = rig_hub::Options {
        data: Some(data.into()),
        policy: Policy::parse("[retention]\nkeep = 3\n").unwrap(),
        sweep_interval: Duration::from_millis(20),
        unnamed_grace: Duration::ZERO,
        step,
        ..Default::default()
    };
    rig_testhub::serve(listener, std::future::pending(), options).await.unwrap();
}
