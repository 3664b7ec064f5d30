//! Snapshots that come by a real NATS JetStream: whatever is killed, and whenever, each config is captured exactly once, in order.

mod flood;
mod server;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{Context, stream};
use futures_util::StreamExt as _;
use rig_cli::hub::{Settings, components};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use self::flood::{Device, Message, check, config, devices, events, flood, message, publish};
use self::server::{STREAM, Server, make_stream};
use crate::harness::{Hub, PATIENCE, Running, folder, text};
use crate::interop::left_out;
use crate::random::{Random, seed};

const PROCESS: &str = "RIG_PROOF_NATS_HUB";
const FAULT: &str = "RIG_PROOF_NATS_FAULT";
const CONSUMER: &str = "config_snapshot_ingest";

/// Between which steps the hub is killed, and at which time it comes there.
const FAULTS: [&str; 16] = [
    "nats.fetched:1",
    "nats.acked:40",
    "capture.parse:1",
    "capture.write:20",
    "nats.ack:60",
    "nats.acked:1",
    "capture.write:1",
    "nats.fetched:300",
    "nats.ack:150",
    "nats.refused:1",
    "blob.wrapped:2",
    "capture.appended:3",
    "capture.parse:40",
    "nats.refused:3",
    "nats.acked:200",
    "nats.ack:1",
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
    let components = components(&Settings::parse(&settings).unwrap()).unwrap();
    rig_testhub::serve_with(listener, std::future::pending(), options, components).await.unwrap();
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

/// A folder, a server that keeps its data in it, and the stream of snapshots on it.
async fn stand() -> (tempfile::TempDir, Server, Context) {
    let folder = folder();
    let server = Server::start(&folder.path().join("nats"));
    let context = server.context().await;
    make_stream(&context, &["config.snapshot.>"]).await;
    (folder, server, context)
}

/// How many messages came to that end, as the hub counts them.
async fn counted(url: &str, outcome: &str) -> u64 {
    let text = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let sample = format!("rig_nats_messages_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&sample)).expect("the sample").parse().unwrap()
}

fn hub_on(data: &Path, settings: &str) -> Hub {
    let file = data.with_extension("toml");
    std::fs::write(&file, settings).unwrap();
    Hub::start(&["--data", text(data), "--config", text(&file)])
}

/// What was refused stands in the hub's own stream, each once.
async fn refused(url: &str) -> Vec<Value> {
    let events = events(url, "_hub").await;
    events.into_iter().filter(|event| event["type"] == "snapshot.rejected").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_killed_between_any_two_steps_captures_each_config_once() {
    if left_out() {
        return;
    }
    let seed = seed("RIG_NATS_SEED");
    println!("RIG_NATS_SEED={seed}");
    let (folder, server, context) = stand().await;
    let devices = devices(3, 10, 8);
    let (messages, malformed) = flood(&devices, &[1, 3, 20], &mut Random::new(seed));
    assert!(messages.len() > 2_000 && malformed > 20);
    publish(&context, &messages).await;

    // So many at once that most devices have several versions in work.
    let (data, settings) = (folder.path().join("data"), settings(&server, "in_flight = 256\n"));
    for fault in FAULTS {
        println!("{fault}");
        // By a signal, and not by itself.
        assert_eq!(killed_at(&data, &settings, fault).wait(), -1, "{fault}");
    }
    let hub = hub_on(&data, &settings);
    all_done(&context).await;
    check(&hub.url, &devices).await;
    assert_eq!(refused(&hub.url).await.len(), malformed);
    // What is left after so many kills is more than was done.
    assert!(counted(&hub.url, "duplicate").await > 200);
    assert_eq!(counted(&hub.url, "dead_letter").await, 0);
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
    // The hub is there before the server, and both before the stream.
    let server = Server::start(&store);
    let (port, settings) = (i32::from(server.port), settings(&server, ""));
    server.kill();
    let hub = hub_on(&data, &settings);
    let server = Server::at(&store, port, &[]);
    let context = server.context().await;
    make_stream(&context, &["config.snapshot.>"]).await;
    let devices = devices(2, 8, 6);
    let (messages, malformed) = flood(&devices, &[1, 3, 14], &mut Random::new(seed));
    let (before, after) = messages.split_at(messages.len() / 2);
    publish(&context, before).await;
    until("the first captures", async || counted(&hub.url, "captured").await >= 10).await;
    server.kill();
    let server = Server::at(&store, port, &[]);
    let context = server.context().await;
    publish(&context, after).await;
    all_done(&context).await;
    check(&hub.url, &devices).await;
    assert_eq!(refused(&hub.url).await.len(), malformed);

    // A hub that is told to stop ends, with everything that it took done or given back.
    let more = devices_again(&devices);
    publish(&context, &more).await;
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    let hub = hub_on(&data, &settings);
    all_done(&context).await;
    check(&hub.url, &devices).await;
}

/// The last message of each device once more.
fn devices_again(devices: &[Device]) -> Vec<Message> {
    devices.iter().map(|device| message(device, device.versions.len() - 1, 0)).collect()
}

/// A hub in this process, and how to end it.
async fn hub_here(
    data: &Path,
    settings: &str,
    step: fn(&'static str),
) -> (String, impl Future<Output = ()> + use<>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let options = rig_hub::Options { data: Some(data.to_owned()), step, ..Default::default() };
    let components = components(&Settings::parse(settings).unwrap()).unwrap();
    let shutdown = async { drop(stopped.await) };
    let hub = tokio::spawn(rig_testhub::serve_with(listener, shutdown, options, components));
    assert_eq!(reqwest::get(format!("{url}/readyz")).await.unwrap().status(), 200);
    let end = async {
        stop.send(()).unwrap();
        hub.await.unwrap().unwrap();
    };
    (url, end)
}

/// Waits for something that comes in a moment.
async fn until(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !there().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_again_and_again_goes_to_the_dead_letters() {
    static POISONED: AtomicBool = AtomicBool::new(true);
    if left_out() {
        return;
    }
    for is_kept in [true, false] {
        POISONED.store(true, SeqCst);
        let (folder, server, context) = stand().await;
        let client = async_nats::connect(server.url()).await.unwrap();
        let mut listener = client.subscribe("dead.letters").await.unwrap();
        client.flush().await.unwrap();
        if is_kept {
            let subjects = vec!["dead.letters".into()];
            let dead = stream::Config { name: "DEAD".into(), subjects, ..Default::default() };
            context.create_stream(dead).await.unwrap();
        }
        let settings = settings(&server, "max_deliver = 2\ndead_letter = \"dead.letters\"\n");
        let data = folder.path().join("data");
        let (url, end) = hub_here(&data, &settings, |step| {
            assert!(step != "capture.parse" || !POISONED.load(SeqCst), "poison");
        })
        .await;

        let device = devices(1, 1, 3).remove(0);
        let sent = message(&device, 0, 0);
        publish(&context, std::slice::from_ref(&sent)).await;
        until("a dead letter", async || counted(&url, "dead_letter").await == 1).await;
        POISONED.store(false, SeqCst);
        publish(&context, &[message(&device, 1, 0)]).await;
        all_done(&context).await;

        let letter = tokio::time::timeout(PATIENCE, listener.next()).await.unwrap().unwrap();
        assert_eq!(letter.payload, sent.payload.as_bytes());
        let headers = letter.headers.unwrap();
        assert_eq!(headers.get("Rig-Code").unwrap().as_str(), "defect");
        assert_eq!(headers.get("Rig-Subject").unwrap().as_str(), sent.subject);
        if is_kept {
            let dead = context.get_stream("DEAD").await.unwrap();
            assert_eq!(dead.get_info().await.unwrap().state.messages, 1);
        }
        let events = events(&url, &device.tenant).await;
        let told: Vec<_> = events.iter().filter(|event| event["type"] != "log.sealed").collect();
        assert_eq!(told[0]["code"], "dead-letter", "{told:?}");
        assert_eq!((&told[1]["type"], told.len()), (&Value::from("snapshot.captured"), 2), "{told:?}");
        end.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_now_is_given_back_and_comes_in_order() {
    if left_out() {
        return;
    }
    let (folder, server, context) = stand().await;
    // An outage is no fault of the message: it does not count as a try.
    let settings = settings(&server, "max_deliver = 1\ndead_letter = \"dead.letters\"\n");
    let data = folder.path().join("data");
    let (url, end) = hub_here(&data, &settings, |_| ()).await;

    let devices = devices(1, 3, 4);
    // The stream's folder cannot be made.
    let in_the_way = data.join("streams").join(&devices[0].tenant);
    std::fs::write(&in_the_way, "").unwrap();
    let messages: Vec<Message> =
        (0..5).flat_map(|step| devices.iter().map(move |device| message(device, step, 0))).collect();
    publish(&context, &messages).await;
    until("some are given back twice", async || counted(&url, "nak").await > 20).await;
    assert_eq!(counted(&url, "captured").await, 0);
    std::fs::remove_file(&in_the_way).unwrap();
    all_done(&context).await;
    check(&url, &devices).await;
    assert_eq!(counted(&url, "dead_letter").await, 0);
    end.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_now_and_then_comes_in_order() {
    static TRIES: AtomicU64 = AtomicU64::new(0);
    if left_out() {
        return;
    }
    let (folder, server, context) = stand().await;
    let data = folder.path().join("data");
    let (url, end) = hub_here(&data, &settings(&server, ""), |step| {
        assert!(step != "capture.parse" || !TRIES.fetch_add(1, SeqCst).is_multiple_of(3), "now and then");
    })
    .await;
    let devices = devices(1, 4, 5);
    let steps = (0..6).flat_map(|step| devices.iter().map(move |device| message(device, step, 0)));
    publish(&context, &steps.collect::<Vec<_>>()).await;
    all_done(&context).await;
    check(&url, &devices).await;
    assert!(counted(&url, "nak").await > 10);
    end.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_leaves_a_trace_without_content() {
    if left_out() {
        return;
    }
    let (folder, server, context) = stand().await;
    let devices = devices(2, 1, 1);
    let settings = settings(&server, &format!("devices = [\"{}\"]\n", devices[0].id));
    let data = folder.path().join("data");
    let (url, end) = hub_here(&data, &settings, |_| ()).await;

    let secret = "planted-hunter2";
    let altered = |device: &Device, from: &str, to: &str| {
        let message = message(device, 0, 0);
        assert!(message.payload.contains(from));
        Message { payload: message.payload.replace(from, to), ..message }
    };
    let other = config(&devices[0].id, 0).replace("version 0", secret);
    let messages = [
        message(&devices[0], 0, 0),
        altered(&devices[0], "version 0", secret),
        altered(&devices[1], "version 0", secret),
        altered(&devices[0], "\"config_text\":\"", &format!("\"config_text\":{{\"{secret}\":1}},\"x\":\"")),
        Message { subject: "config.snapshot.x".into(), payload: other },
        message(&devices[0], 0, 1),
    ];
    publish(&context, &messages).await;
    all_done(&context).await;

    let codes = |events: Vec<Value>| -> Vec<String> {
        let refused = events.iter().filter(|event| event["type"] == "snapshot.rejected");
        let mut codes: Vec<String> =
            refused.map(|event| event["code"].as_str().unwrap().to_owned()).collect();
        codes.sort();
        codes
    };
    assert_eq!(codes(refused(&url).await), ["malformed-message", "malformed-message", "unknown-device"]);
    assert_eq!(codes(events(&url, &devices[0].tenant).await), ["wrong-hash"]);
    for (outcome, count) in
        [("captured", 1), ("duplicate", 1), ("malformed", 3), ("unknown_device", 1), ("nak", 0)]
    {
        assert_eq!(counted(&url, outcome).await, count, "{outcome}");
    }
    let streams = reqwest::get(format!("{url}/v1/streams")).await.unwrap().text().await.unwrap();
    assert!(!streams.contains(&devices[1].tenant), "{streams}");
    end.await;
    for file in crate::harness::files(&data) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_want_a_password_and_speak_tls() {
    if left_out() {
        return;
    }
    let folder = folder();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        text(&path).to_owned()
    };
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) =
        (file("cert.pem", &pair.cert.pem()), file("key.pem", &pair.signing_key.serialize_pem()));
    let password = file("password", "hunter2\n");
    let user = ["--user", "rig", "--pass", "hunter2"];
    let tls = ["--tls", "--tlscert", &cert, "--tlskey", &key];
    let server = Server::at(&folder.path().join("nats"), -1, &[&user[..], &tls[..]].concat());
    let options = async_nats::ConnectOptions::with_user_and_password("rig".into(), "hunter2".into());
    let client = options.add_root_certificates(cert.clone().into()).connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    make_stream(&context, &["config.snapshot.>"]).await;
    let device = devices(1, 1, 1).remove(0);
    publish(&context, &[message(&device, 0, 0)]).await;

    let more = format!("user = \"rig\"\npassword_file = {password:?}\nca_file = {cert:?}\ntls = true\n");
    let (url, end) = hub_here(&folder.path().join("data"), &settings(&server, &more), |_| ()).await;
    all_done(&context).await;
    assert_eq!(counted(&url, "captured").await, 1);
    end.await;
}
