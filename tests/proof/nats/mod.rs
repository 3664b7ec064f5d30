//! Snapshots that come by a real NATS JetStream: whatever is killed, and whenever, each config is captured exactly once, in order.

mod flood;
mod server;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::pull;
use rig_hub::Settings;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use self::flood::{check, devices, events, flood, message, publish};
use self::server::{STREAM, Server, make_stream};
use crate::harness::{Hub, PATIENCE, Running, folder, text};
use crate::interop::left_out;
use crate::random::{Random, seed};

const PROCESS: &str = "RIG_PROOF_NATS_HUB";
const FAULT: &str = "RIG_PROOF_NATS_FAULT";
const CONSUMER: &str = "config_snapshot_ingest";

/// Between which steps the hub is killed, and at which time it comes there.
const FAULTS: [&str; 14] = [
    "fetched:1",
    "fetched:40",
    "parse:1",
    "parse:9",
    "write:1",
    "write:17",
    "ack:1",
    "ack:33",
    "acked:1",
    "acked:70",
    "refused:1",
    "refused:3",
    "write:5",
    "ack:90",
];

fn settings(server: &Server, more: &str) -> String {
    format!("[nats]\nurl = \"{}\"\nack_wait = \"1s\"\n{more}", server.url())
}

/// The hub as this program runs it: it kills itself where it is told to.
fn killed_at(data: &Path, settings: &str, fault: &str) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["nats::hub_process", "--exact", "--ignored", "--nocapture"]);
    command.env(PROCESS, text(data)).env("RIG_PROOF_NATS_SETTINGS", settings).env(FAULT, fault);
    Running::start(command)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that a_hub_killed_between_any_two_steps_captures_each_config_once kills"]
async fn hub_process() {
    let Ok(data) = std::env::var(PROCESS) else { return };
    let settings = std::env::var("RIG_PROOF_NATS_SETTINGS").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nhttp://{}", listener.local_addr().unwrap());
    let options = rig_hub::Options {
        data: Some(data.into()),
        settings: Settings::parse(&settings).unwrap(),
        step: |step| {
            static SEEN: AtomicU64 = AtomicU64::new(0);
            let fault = std::env::var(FAULT).unwrap();
            let (name, count) = fault.split_once(':').unwrap();
            if step == name && SEEN.fetch_add(1, SeqCst) + 1 == count.parse::<u64>().unwrap() {
                let _ = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
                loop {
                    std::thread::park();
                }
            }
        },
        ..Default::default()
    };
    rig_hub::serve(listener, std::future::pending(), options).await.unwrap();
}

/// Waits until everything in the stream is acknowledged.
async fn all_done(context: &Context) {
    let done = async {
        loop {
            let stream = context.get_stream(STREAM).await.unwrap();
            if let Ok(mut consumer) = stream.get_consumer::<pull::Config>(CONSUMER).await {
                let info = consumer.info().await.unwrap();
                if info.num_pending == 0 && info.num_ack_pending == 0 {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE * 2, done).await.expect("everything is acknowledged in time");
}

/// How many messages came to that end, as the hub counts them.
async fn counted(hub: &Hub, outcome: &str) -> u64 {
    let text = reqwest::get(format!("{}/metrics", hub.url)).await.unwrap().text().await.unwrap();
    let sample = format!("rig_ingest_messages_total{{source=\"nats\",outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&sample)).expect("the sample").parse().unwrap()
}

fn hub_on(data: &Path, settings: &str) -> Hub {
    let file = data.with_extension("toml");
    std::fs::write(&file, settings).unwrap();
    Hub::start(&["--data", text(data), "--config", text(&file)])
}

/// What was refused stands in the hub's own stream, each once.
async fn refused(hub: &Hub) -> Vec<Value> {
    let events = events(hub, "_hub").await;
    events.into_iter().filter(|event| event["type"] == "snapshot.rejected").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_killed_between_any_two_steps_captures_each_config_once() {
    if left_out() {
        return;
    }
    let seed = seed("RIG_NATS_SEED");
    println!("RIG_NATS_SEED={seed}");
    let folder = folder();
    let server = Server::start(&folder.path().join("nats"));
    let context = server.context().await;
    make_stream(&context, &["config.snapshot.>"]).await;
    let devices = devices(3, 10, 8);
    let (messages, malformed) = flood(&devices, 9, &mut Random::new(seed));
    assert!(messages.len() > 2_000 && malformed > 20);
    publish(&context, &messages).await;

    let (data, settings) = (folder.path().join("data"), settings(&server, ""));
    for fault in FAULTS {
        println!("{fault}");
        killed_at(&data, &settings, fault).wait();
    }
    let hub = hub_on(&data, &settings);
    all_done(&context).await;
    check(&hub, &devices).await;
    assert_eq!(refused(&hub).await.len(), malformed);
    // What is left after so many kills is more than was done.
    assert!(counted(&hub, "duplicate").await > 500);
    assert_eq!(counted(&hub, "dead_letter").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_made_after_the_hub_and_a_server_killed_in_between_lose_nothing() {
    if left_out() {
        return;
    }
    let seed = seed("RIG_NATS_SEED");
    println!("RIG_NATS_SEED={seed}");
    let folder = folder();
    let (store, data) = (folder.path().join("nats"), folder.path().join("data"));
    let server = Server::start(&store);
    let (port, settings) = (i32::from(server.port), settings(&server, ""));
    let hub = hub_on(&data, &settings);
    let context = server.context().await;
    make_stream(&context, &["config.snapshot.>"]).await;
    let devices = devices(2, 8, 6);
    let (messages, malformed) = flood(&devices, 6, &mut Random::new(seed));
    let (before, after) = messages.split_at(messages.len() / 2);
    publish(&context, before).await;
    while counted(&hub, "captured").await < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    let server = Server::at(&store, port);
    let context = server.context().await;
    publish(&context, after).await;
    all_done(&context).await;
    check(&hub, &devices).await;
    assert_eq!(refused(&hub).await.len(), malformed);

    // A hub that is told to stop ends, with everything that it took done or given back.
    let more = devices_again(&devices);
    publish(&context, &more).await;
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    let hub = hub_on(&data, &settings);
    all_done(&context).await;
    check(&hub, &devices).await;
}

/// The last message of each device once more.
fn devices_again(devices: &[flood::Device]) -> Vec<flood::Message> {
    devices.iter().map(|device| message(device, device.versions.len() - 1, 0)).collect()
}
