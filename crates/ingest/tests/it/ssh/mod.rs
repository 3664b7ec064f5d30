//! Configuration that is collected over SSH, from real OpenSSH servers.

mod password;
mod router;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rig_hub::{Component, Options};
use rig_ingest::ssh::{Collect, Device};
use rig_testhub::{TestHub, Told, answer, types, unsealed};
use serde::Deserialize;
use serde_json::{Value, json};

use self::router::{Router, left_out, make_key};

#[derive(Deserialize)]
struct Settings {
    device: Vec<Device>,
    #[serde(default)]
    collect: Collect,
}

fn component(settings: Settings) -> Component {
    rig_ingest::ssh::component(settings.device, &settings.collect, Default::default())
}

/// Starts a hub that collects from these devices.
async fn start(settings: &str, data: Option<&Path>) -> TestHub {
    let options = Options { data: data.map(Path::to_owned), ..unsealed() };
    TestHub::mounted(options, vec![component(toml::from_str(settings).unwrap())]).await
}

async fn hub(settings: &str) -> TestHub {
    start(settings, None).await
}

async fn collect(hub: &TestHub) -> (u16, Value) {
    answer(hub.client.post(hub.stream("services/r1/collect"))).await
}

/// Returns the events about host keys in the hub's own stream.
async fn own_events(hub: &TestHub) -> Vec<Value> {
    let text = hub.own_lines().await;
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["type"].as_str().unwrap().starts_with("host-key.")).collect()
}

async fn events(hub: &TestHub) -> Vec<Value> {
    hub.lines("from=1").await.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types_of(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_prints_is_captured_like_any_document() {
    if left_out() {
        return;
    }
    let router = Router::start();
    let hub = hub(&router.device("")).await;
    let (status, first) = collect(&hub).await;
    assert_eq!((status, types(&first)), (201, vec!["snapshot.captured"]), "{first}");
    let event = &first["events"][0];
    assert_eq!((&event["actor"], &event["format"]), (&json!("ssh"), &json!("routeros")));
    assert_eq!(event["meta"], json!({ "host": format!("127.0.0.1:{}", router.port) }));
    let (status, second) = collect(&hub).await;
    assert_eq!((status, types(&second)), (201, vec!["snapshot.unchanged"]));
    router.says("/ip dns\nset servers=9.9.9.9\n");
    // Whoever asks again at once is not in the way of the schedule.
    let (_, third) = collect(&hub).await;
    assert_eq!(types(&third), ["snapshot.captured", "diff.computed"], "{third}");
    let (_, config) = hub.get("services/r1/config").await;
    assert_eq!(config["config"]["text"], "/ip dns\nset servers=9.9.9.9\n");
    let (status, none) = answer(hub.client.post(hub.stream("services/r2/collect"))).await;
    assert_eq!((status, &none["code"]), (404, &json!("no-device")));
    let metrics = hub.metrics().await;
    assert!(metrics.contains("rig_collects_total{stream=\"main\"} 3"), "{metrics}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_key_is_refused_until_somebody_forgets_the_old_one() {
    if left_out() {
        return;
    }
    let (router, folder) = (Router::start(), tempfile::tempdir().unwrap());
    let address = format!("127.0.0.1:{}", router.port);
    let device = router.device("");
    let start = || start(&device, Some(folder.path()));
    let hub = start().await;
    let old = router.fingerprint();
    assert_eq!(collect(&hub).await.0, 201);
    hub.stop().await;

    router.change_host_key();
    let new = router.fingerprint();
    // Told once, also over a restart.
    for _ in 0..2 {
        let hub = start().await;
        for _ in 0..2 {
            let (status, refused) = collect(&hub).await;
            assert_eq!((status, &refused["code"]), (502, &json!("host-key-changed")), "{refused}");
            assert_eq!((&refused["expected"], &refused["fingerprint"]), (&json!(old), &json!(new)));
            let detail = refused["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("DELETE /v1/host-keys/{address}")), "{detail}");
        }
        hub.stop().await;
    }

    let hub = start().await;
    assert_eq!(types_of(&events(&hub).await), ["snapshot.captured", "collect.failed"]);
    let keys = format!("{}/v1/host-keys", hub.url);
    let (_, listed) = answer(hub.client.get(&keys)).await;
    assert_eq!(listed["host_keys"][0]["fingerprint"], old);
    let (status, forgotten) = answer(hub.client.delete(format!("{keys}/{address}?actor=ana"))).await;
    assert_eq!((status, &forgotten["forgotten"]["fingerprint"]), (200, &json!(old)));
    let (status, none) = answer(hub.client.delete(format!("{keys}/{address}"))).await;
    assert_eq!((status, &none["code"]), (404, &json!("no-host-key")));
    assert_eq!(collect(&hub).await.0, 201);

    let told = own_events(&hub).await;
    let told: Vec<_> =
        told.iter().map(|e| (e["type"].as_str().unwrap(), e["fingerprint"].as_str().unwrap())).collect();
    let (old, new) = (old.as_str(), new.as_str());
    assert_eq!(
        told,
        [
            ("host-key.pinned", old),
            ("host-key.changed", new),
            ("host-key.forgotten", old),
            ("host-key.pinned", new)
        ]
    );
    let own = own_events(&hub).await;
    assert_eq!((&own[1]["expected"], &own[2]["actor"]), (&json!(old), &json!("ana")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_pinned_in_advance_is_the_only_one_taken() {
    if left_out() {
        return;
    }
    let router = Router::start();
    let right = format!("host_key = \"{}\"", router.fingerprint());
    let ours = hub(&router.device(&right)).await;
    assert_eq!(collect(&ours).await.0, 201);
    router.change_host_key();
    let (status, refused) = collect(&ours).await;
    assert_eq!((status, &refused["code"]), (502, &json!("host-key-changed")));
    assert!(refused["detail"].as_str().unwrap().contains("`host_key`"), "{refused}");
    assert_eq!(types_of(&own_events(&ours).await), ["host-key.changed"]);
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_gets_a_better_host_key_still_shows_the_pinned_one() {
    if left_out() {
        return;
    }
    let router = Router::start();
    make_key(&router.folder.path().join("rsa_key"), &["rsa", "-b", "2048"], "");
    router.configure("HostKey FOLDER/rsa_key\n");
    let hub = hub(&router.device("")).await;
    assert_eq!(collect(&hub).await.0, 201);
    router.configure("HostKey FOLDER/rsa_key\nHostKey FOLDER/host_key\n");
    assert_eq!(collect(&hub).await.0, 201);
    let own = own_events(&hub).await;
    assert_eq!((own.len(), &own[0]["algorithm"]), (1, &json!("ssh-rsa")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_configuration_is_never_captured() {
    if left_out() {
        return;
    }
    let router = Router::start();
    let hub = hub(&router.device("max_output = \"64KiB\"\n")).await;
    for (script, code) in [
        ("cat config-of-nobody; exit 3", "command-failed"),
        ("printf 'hostname r1\\n'; kill -9 $$", "command-failed"),
        ("echo 'bad command name exprot (line 1 column 2)'", "command-failed"),
        ("true", "empty-output"),
        ("printf 'a\\377\\000b\\n'", "output-not-utf8"),
        ("yes planted-output", "output-too-large"),
        ("yes planted-output >&2", "output-too-large"),
        ("printf 'hostname r1\\n --More-- '", "pager-prompt"),
    ] {
        router.does(script);
        let (status, failed) = collect(&hub).await;
        assert_eq!((status, failed["code"].as_str().unwrap()), (502, code), "{script}: {failed}");
        assert!(!failed.to_string().contains("planted"), "{failed}");
    }
    router.says("/ip dns\n");
    router.is_down(true);
    assert_eq!(collect(&hub).await.1["code"], "ssh-failed");
    router.is_down(false);
    assert_eq!(collect(&hub).await.0, 201);
    assert_eq!(collect(&hub).await.0, 201);

    let told = events(&hub).await;
    assert_eq!(
        types_of(&told),
        ["collect.failed", "snapshot.captured", "collect.recovered", "snapshot.unchanged"]
    );
    assert_eq!(
        (&told[0]["code"], &told[0]["service"], &told[0]["actor"]),
        (&json!("command-failed"), &json!("r1"), &json!("ssh"))
    );
    let reason = told[0]["reason"].as_str().unwrap();
    assert!(reason.ends_with(&format!("ended with status 3 on 127.0.0.1:{}", router.port)), "{reason}");
    assert_eq!((&told[2]["cause"], &told[2]["failures"]), (&json!(1), &json!(9)));
    let metrics = hub.metrics().await;
    assert!(metrics.contains("rig_collects_failed_total{stream=\"main\"} 9"), "{metrics}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_is_given_up_and_its_connection_cut() {
    if left_out() {
        return;
    }
    let router = Router::start();
    // It reads until its connection ends, and says so then.
    let end = router.path("end");
    router.does(&format!("echo begun; cat; mkfifo {end} 2>/dev/null; echo over > {end}"));
    let hub = hub(&router.device("timeout = \"1s\"\n")).await;
    let (status, late) = collect(&hub).await;
    assert_eq!((status, &late["code"]), (504, &json!("device-timeout")), "{late}");
    let over = tokio::task::spawn_blocking(move || {
        while !Path::new(&end).exists() {
            std::thread::yield_now();
        }
        std::fs::read_to_string(end)
    });
    let over = tokio::time::timeout(Duration::from_secs(20), over).await.expect("the connection goes on");
    assert_eq!(over.unwrap().unwrap(), "over\n");
    router.does("printf ' --More-- '; cat");
    assert_eq!(collect(&hub).await.1["code"], "pager-prompt");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_back_is_collected_by_the_schedule() {
    if left_out() {
        return;
    }
    let router = Router::start();
    router.is_down(true);
    let mut settings: Settings = toml::from_str(&router.device("")).unwrap();
    let device = &mut settings.device[0];
    device.interval = Duration::from_millis(5);
    device.jitter = Some(Duration::from_millis(5));
    device.max_backoff = Duration::from_millis(40);
    let hub = TestHub::mounted(unsealed(), vec![component(settings)]).await;
    Told::by(&hub, "main").await.next("collect.failed").await;
    router.is_down(false);
    Told::by(&hub, "main").await.next("collect.recovered").await;
    Told::by(&hub, "main").await.next("snapshot.unchanged").await;
    let told = events(&hub).await;
    assert_eq!(
        types_of(&told)[..4],
        ["collect.failed", "snapshot.captured", "collect.recovered", "snapshot.unchanged"]
    );
    assert_eq!(told[2]["cause"], 1);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_once_also_over_a_restart() {
    if left_out() {
        return;
    }
    let (router, folder) = (Router::start(), tempfile::tempdir().unwrap());
    router.is_down(true);
    for _ in 0..2 {
        let hub = start(&router.device(""), Some(folder.path())).await;
        assert_eq!(collect(&hub).await.0, 502);
        hub.stop().await;
    }
    router.is_down(false);
    for _ in 0..2 {
        let hub = start(&router.device(""), Some(folder.path())).await;
        assert_eq!(collect(&hub).await.0, 201);
        let told = events(&hub).await;
        assert_eq!(types_of(&told)[..3], ["collect.failed", "snapshot.captured", "collect.recovered"]);
        assert_eq!(types_of(&told).iter().filter(|t| t.starts_with("collect.")).count(), 2, "{told:?}");
        assert_eq!((&told[2]["cause"], &told[2]["failures"]), (&json!(1), &json!(1)));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_speaks_to_a_device_and_a_hub_that_stops_hangs_up() {
    if left_out() {
        return;
    }
    let router = Arc::new(Router::start());
    router.does("cat");
    let other = router.device("").replace("\"r1\"", "\"r2\"");
    let settings = format!("[collect]\nconcurrency = 1\n{}{other}", router.device("timeout = \"1h\"\n"));
    let folder = tempfile::tempdir().unwrap();
    let hub = start(&settings, Some(folder.path())).await;
    let hanging = tokio::spawn(answer(hub.client.post(hub.stream("services/r1/collect"))));
    router.is_called().await;
    let (status, second) = collect(&hub).await;
    assert_eq!((status, &second["code"]), (409, &json!("collect-in-progress")));
    let (status, third) = answer(hub.client.post(hub.stream("services/r2/collect"))).await;
    assert_eq!((status, &third["code"]), (429, &json!("too-many-collects")));
    hub.stop().await;
    let (status, ended) = hanging.await.unwrap();
    assert_eq!((status, &ended["code"]), (503, &json!("closed")));
    // That was no failure of the device.
    let hub = TestHub::on(folder.path()).await;
    assert_eq!(types_of(&events(&hub).await), [""; 0]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_algorithms_are_spoken_only_where_that_is_said() {
    if left_out() {
        return;
    }
    let router = Router::start();
    make_key(&router.folder.path().join("rsa_key"), &["rsa", "-b", "2048"], "");
    make_key(&router.folder.path().join("id"), &["rsa", "-b", "2048"], "");
    router.authorize("id");
    let old = "HostKey FOLDER/rsa_key\nHostKeyAlgorithms ssh-rsa\nKexAlgorithms diffie-hellman-group14-sha1\n\
               Ciphers aes128-cbc\nMACs hmac-sha1\n";
    router.configure(old);
    let modern = hub(&router.device("")).await;
    let (status, refused) = collect(&modern).await;
    assert_eq!((status, &refused["code"]), (502, &json!("ssh-failed")));
    assert!(refused["detail"].as_str().unwrap().contains("legacy_algorithms"), "{refused}");
    modern.stop().await;
    let legacy = hub(&router.device("legacy_algorithms = true\n")).await;
    let (status, taken) = collect(&legacy).await;
    assert_eq!(status, 201, "{taken}");
    legacy.stop().await;
    router.configure("HostKey FOLDER/rsa_key\n");
    let modern = hub(&router.device("")).await;
    let (status, taken) = collect(&modern).await;
    assert_eq!(status, 201, "{taken}");
    modern.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_only_the_machine_itself_should_reach_is_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let device = |service: &str, address: &str| {
        format!(
            "[[device]]\nservice = \"{service}\"\nstream = \"fleet\"\naddress = \"{address}\"\nuser = \"u\"\npassword_env = \"RIG_TEST_UNSET\"\n\
             kind = \"cisco\"\ninterval = \"9w\"\njitter = \"9w\"\n"
        )
    };
    let settings =
        device("metadata", "169.254.169.254:80") + &device("own", &own) + &device("unset", "127.0.0.1:1");
    let hub = TestHub::at(listener, unsealed(), vec![component(toml::from_str(&settings).unwrap())]).await;
    for (service, expected) in [
        ("metadata", (403, "address-refused")),
        ("own", (403, "address-refused")),
        ("unset", (500, "credentials-unreadable")),
    ] {
        // The stream was not there.
        let url = format!("{}/v1/streams/fleet/services/{service}/collect", hub.url);
        let (status, refused) = answer(hub.client.post(url)).await;
        assert_eq!((status, refused["code"].as_str().unwrap()), expected, "{refused}");
    }
    hub.stop().await;
}
