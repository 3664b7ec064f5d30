//! A hub that was stopped or killed starts again and knows what it knew, whatever was appended last.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Hub, files, folder, run, text};

/// Sizes around the lines that one read of a log gives, up to the most events of one append.
const SIZES: [u64; 4] = [4_095, 4_096, 4_097, 10_000];

const MAIN: &str = "/v1/streams/main/events";

/// One append of so many events, under a key.
fn append(hub: &Hub, key: &str, events: u64) -> (u16, Value) {
    let body: String =
        (0..events).map(|n| format!("{{\"type\":\"shop.sold\",\"service\":\"api\",\"n\":{n}}}\n")).collect();
    append_text(hub, key, &body)
}

fn append_text(hub: &Hub, key: &str, ndjson: &str) -> (u16, Value) {
    let headers = ["content-type: application/x-ndjson", &format!("idempotency-key: {key}")];
    hub.http("POST", MAIN, &headers, ndjson.as_bytes())
}

fn range(answer: &Value) -> (u64, u64) {
    (answer["first_seq"].as_u64().unwrap(), answer["last_seq"].as_u64().unwrap())
}

fn head(hub: &Hub) -> u64 {
    hub.http("GET", "/v1/streams/main", &[], b"").1["head"].as_u64().unwrap()
}

fn stop(hub: Hub) {
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
}

fn kill(hub: Hub) {
    hub.running.kill();
}

/// Stops and kills, and each with the index there when the hub starts again, and with it deleted.
fn each_way_to_end(check: impl Fn(&dyn Fn(Hub, &Path))) {
    for end in [stop, kill] {
        for keep_index in [true, false] {
            check(&|hub, data| {
                end(hub);
                if !keep_index {
                    std::fs::remove_dir_all(data.join("index")).unwrap();
                }
            });
        }
    }
}

/// The issue: an append of 4,097 events, and the hub never said its address again.
#[test]
fn a_hub_starts_again_after_an_append_of_any_size() {
    each_way_to_end(|end| {
        let folder = folder();
        let hub = Hub::on(folder.path());
        let sent: Vec<(u64, (u64, u64))> = SIZES
            .iter()
            .map(|&events| {
                let (status, answer) = append(&hub, &format!("of-{events}"), events);
                assert_eq!(status, 201, "{answer}");
                (events, range(&answer))
            })
            .collect();
        end(hub, folder.path());

        let hub = Hub::on(folder.path());
        assert!(head(&hub) >= SIZES.iter().sum());
        for (events, first_and_last) in sent {
            assert_eq!(first_and_last.1 - first_and_last.0 + 1, events);
            let (status, answer) = append(&hub, &format!("of-{events}"), events);
            assert_eq!((status, range(&answer)), (200, first_and_last), "{events} events");
            let (from, to) = first_and_last;
            let (status, lines) = hub.http("GET", &format!("{MAIN}?from={from}&to={to}"), &[], b"");
            // Between them stand the sizes of the pieces in which the answer came.
            let lines = lines.as_str().unwrap().lines().filter(|line| line.starts_with("{\"seq\":")).count();
            assert_eq!((status, lines as u64), (200, events));
        }
        stop(hub);
    });
}

/// The last append is another each time: where the hub begins to index, one stands as a whole.
#[test]
fn a_hub_starts_again_after_each_size_alone() {
    for events in SIZES {
        let folder = folder();
        let hub = Hub::on(folder.path());
        let sent = range(&append(&hub, "k", events).1);
        kill(hub);
        let hub = Hub::on(folder.path());
        let (status, answer) = append(&hub, "k", events);
        assert_eq!((status, range(&answer)), (200, sent), "{events} events");
        stop(hub);
    }
}

/// 256 KiB are read at once, a line has at most 1 MiB, an append 16 MiB.
#[test]
fn a_hub_starts_again_after_appends_around_the_bytes_of_a_read_and_of_a_line() {
    let event = |bytes: usize| {
        let frame = r#"{"type":"shop.sold","text":""}"#;
        format!("{}{}\"}}\n", &frame[..frame.len() - 2], "x y ".repeat(bytes / 4))
    };
    let read = 256 << 10;
    let mut appends = Vec::new();
    for bytes in [read - 512, read - 64, read, read + 512] {
        appends.push(event(bytes));
        appends.push(event(bytes / 2).repeat(2));
        appends.push(event(bytes / 64).repeat(64));
    }
    appends.push(event(1_000_000).repeat(16));
    let folder = folder();
    let hub = Hub::on(folder.path());
    let sent: Vec<(u64, u64)> = appends
        .iter()
        .enumerate()
        .map(|(n, append)| {
            let (status, answer) = append_text(&hub, &format!("n-{n}"), append);
            assert_eq!(status, 201, "{answer}");
            range(&answer)
        })
        .collect();
    kill(hub);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let hub = Hub::on(folder.path());
    for (n, (append, sent)) in appends.iter().zip(sent).enumerate() {
        let (status, answer) = append_text(&hub, &format!("n-{n}"), append);
        assert_eq!((status, range(&answer)), (200, sent), "append {n}");
    }
    stop(hub);
}

#[test]
fn a_hub_starts_again_after_a_document_in_many_parts() {
    let document: String =
        (0..1_500).map(|n| format!("field{n}: \"{}\"\n", "some words ".repeat(150))).collect();
    each_way_to_end(|end| {
        let folder = folder();
        let hub = Hub::on(folder.path());
        let (status, sent) = hub.capture("service=api&format=yaml&id=k", document.as_bytes());
        assert_eq!(status, 201, "{sent}");
        let sent = range(&sent);
        assert!(sent.1 > sent.0 + 2, "{sent:?}");
        end(hub, folder.path());
        let hub = Hub::on(folder.path());
        let (status, again) = hub.capture("service=api&format=yaml&id=k", document.as_bytes());
        assert_eq!((status, range(&again)), (200, sent));
        stop(hub);
    });
}

#[test]
fn a_backup_of_large_appends_is_restored_to_a_hub_that_starts() {
    let folder = folder();
    let (data, back) = (folder.path().join("data"), folder.path().join("back"));
    let file = folder.path().join("rig.backup");
    let hub = Hub::on(&data);
    let sent: Vec<(u64, u64)> =
        SIZES.iter().map(|&events| range(&append(&hub, &format!("of-{events}"), events).1)).collect();
    run(0, &["backup", "--data", text(&data), "-o", text(&file), "--with-keys"]);
    kill(hub);
    run(0, &["restore", text(&file), "--data", text(&back)]);
    let hub = Hub::on(&back);
    for (events, sent) in SIZES.into_iter().zip(sent) {
        let (status, answer) = append(&hub, &format!("of-{events}"), events);
        assert_eq!((status, range(&answer)), (200, sent), "{events} events");
    }
    stop(hub);
}

/// Five of them are more than the log's end in memory, so that the hub indexes them from its files.
#[test]
fn a_hub_that_runs_indexes_large_appends_to_their_end() {
    let folder = folder();
    let hub = Hub::on(folder.path());
    for n in 0..5 {
        assert_eq!(append(&hub, &format!("k{n}"), 10_000).0, 201);
    }
    let lag = || {
        let (_, metrics) = hub.http("GET", "/metrics", &[], b"");
        let row =
            metrics.as_str().unwrap().lines().find_map(|line| {
                line.strip_prefix("rig_index_lag_events{stream=\"main\"} ").map(str::to_owned)
            });
        row.unwrap().parse::<u64>().unwrap()
    };
    while lag() > 0 {}
    stop(hub);
}

/// As long as nothing was appended, every start finds the index where the one before was interrupted.
#[test]
fn a_hub_that_is_killed_while_its_index_catches_up_goes_on_with_it() {
    let folder = folder();
    let hub = Hub::on(folder.path());
    let sent: Vec<(u64, u64)> =
        (0..6).map(|n| range(&append(&hub, &format!("k{n}"), SIZES[n % SIZES.len()]).1)).collect();
    kill(hub);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    for end in [kill, stop, kill, kill] {
        end(Hub::on(folder.path()));
    }
    let hub = Hub::on(folder.path());
    for (n, sent) in sent.into_iter().enumerate() {
        let (status, answer) = append(&hub, &format!("k{n}"), SIZES[n % SIZES.len()]);
        assert_eq!((status, range(&answer)), (200, sent), "append {n}");
    }
    stop(hub);
}

/// The index catches up behind the start; that it knows of events which the log has no more still keeps a hub from starting.
#[test]
fn a_log_that_is_older_than_its_index_is_refused() {
    let folder = folder();
    let (data, old) = (folder.path().join("data"), folder.path().join("old"));
    let main = data.join("streams/main");
    let hub = Hub::on(&data);
    assert_eq!(append(&hub, "k0", 3).0, 201);
    stop(hub);
    std::fs::create_dir(&old).unwrap();
    for path in files(&main) {
        std::fs::copy(&path, old.join(path.file_name().unwrap())).unwrap();
    }
    let hub = Hub::on(&data);
    assert_eq!(append(&hub, "k1", 4_097).0, 201);
    stop(hub);
    std::fs::remove_dir_all(&main).unwrap();
    std::fs::rename(&old, &main).unwrap();
    let refused = run(2, &["hub", "--data", text(&data), "--listen", "127.0.0.1:0"]);
    assert!(refused.stderr.contains("the end of its log is lost"), "{refused:?}");
    std::fs::remove_dir_all(data.join("index")).unwrap();
    let hub = Hub::on(&data);
    assert_eq!(append(&hub, "k0", 3).0, 200);
    assert_eq!(append(&hub, "k1", 4_097).0, 201);
    stop(hub);
}
