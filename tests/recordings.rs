//! Recordings and followers under what happens to them: signals, kills, restarts, torn files.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Hub, Running, file, files, fixture, folder, rig, run, text, verify};

/// Seqs and how many of the events are not seals: those the hub sets when it wants to.
#[derive(Default)]
struct Seen {
    seqs: Vec<u64>,
    ready: usize,
}

impl Seen {
    fn take(&mut self, line: &str) {
        let event: Value = serde_json::from_str(line).unwrap();
        self.seqs.push(event["seq"].as_u64().unwrap());
        self.ready += usize::from(event["type"] == "service.ready");
    }

    #[track_caller]
    fn assert_gapless(&self) {
        assert_eq!(self.seqs, (1..=self.seqs.len() as u64).collect::<Vec<_>>());
    }
}

/// Appends `n` events over HTTP.
fn append(hub: &Hub, n: usize) {
    let events = vec![r#"{"type":"service.ready","service":"api"}"#; n].join("\n");
    let (status, answer) = hub.http(
        "POST",
        "/v1/streams/main/events",
        &["content-type: application/x-ndjson"],
        events.as_bytes(),
    );
    assert_eq!(status, 201, "{answer}");
}

/// The state hash of a source.
fn hash(source: &str) -> Value {
    run(0, &["state", source, "--json"]).json()["hash"].clone()
}

/// Waits until the file says that it holds `seq`: a recording is written as it comes.
fn until_recorded(session: &str, seq: u64) {
    let wanted = format!("{{\"seq\":{seq},");
    let begun = std::time::Instant::now();
    while !std::fs::read_to_string(session).is_ok_and(|text| text.contains(&wanted)) {
        assert!(begun.elapsed() < crate::harness::PATIENCE, "seq {seq} is not recorded");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupted_recording_has_its_footer() {
    for (signal, outcome) in [("INT", "interrupted"), ("TERM", "interrupted"), ("INT", "passed")] {
        let (hub, folder) = (Hub::in_memory(), folder());
        append(&hub, 3);
        let session = folder.path().join("s.jsonl");
        let session = text(&session);
        let mut args = vec!["record", "", "-o", session];
        let main = hub.main();
        args[1] = &main;
        if outcome == "passed" {
            args.extend(["--outcome", "passed"]);
        }
        let record = Running::start(rig(&args));
        until_recorded(session, 3);
        append(&hub, 2);
        until_recorded(session, 5);
        record.signal(signal);
        assert_eq!(record.wait(), 0);
        let recorded = std::fs::read_to_string(session).unwrap();
        let footer: Value = serde_json::from_str(recorded.lines().last().unwrap()).unwrap();
        assert_eq!(footer["type"], "session.footer");
        assert_eq!(footer["events"], recorded.lines().count() - 2);
        assert_eq!(footer["outcome"], outcome);
        assert_eq!(verify(session, None), "unsigned");
    }
}

#[test]
fn an_unfinished_recording_is_resumed_without_gap_or_repeat() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    append(&hub, 3);
    let session = folder.path().join("s.jsonl");
    let session = text(&session);
    let record = Running::start(rig(&["record", &main, "-o", session]));
    until_recorded(session, 3);
    record.kill();
    // As a power cut may leave it: a line that is not whole.
    let mut torn = std::fs::OpenOptions::new().append(true).open(session).unwrap();
    torn.write_all(br#"{"seq":4,"ts":"20"#).unwrap();
    drop(torn);
    assert_eq!(verify(session, None), "truncated");
    append(&hub, 4);
    let said = run(0, &["record", &main, "-o", session, "--until-caught-up"]);
    assert!(said.stderr.contains("resumed after seq"), "{said:?}");
    assert_eq!(verify(session, None), "unsigned");
    let mut seen = Seen::default();
    run(0, &["ls", session, "--json"]).stdout.lines().for_each(|line| seen.take(line));
    seen.assert_gapless();
    assert_eq!(seen.ready, 7);

    // A finished one is not touched, unless that is wanted.
    let said = run(2, &["record", &main, "-o", session, "--until-caught-up"]);
    assert!(said.stderr.contains("--force"), "{said:?}");
    run(0, &["record", &main, "-o", session, "--until-caught-up", "--force"]);
    // Nor is what is no recording.
    let precious = file(folder.path(), "thesis.txt", "years of work\n");
    run(2, &["record", &main, "-o", &precious, "--until-caught-up"]);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "years of work\n");
}

#[test]
fn a_recording_of_another_life_of_the_stream_is_not_mixed() {
    let (first, second, folder) = (Hub::in_memory(), Hub::in_memory(), folder());
    append(&first, 3);
    append(&second, 5);
    let session = folder.path().join("s.jsonl");
    let session = text(&session);
    let record = Running::start(rig(&["record", &first.main(), "-o", session]));
    until_recorded(session, 3);
    record.kill();
    let events = run(0, &["ls", session]).stdout;
    let said = run(2, &["record", &second.main(), "-o", session, "--until-caught-up"]);
    assert!(said.stderr.contains("another"), "{said:?}");
    assert_eq!(run(0, &["ls", session]).stdout, events);
}

#[test]
fn a_recording_that_begins_in_the_middle_carries_the_state_before() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    for version in ["web-1.env", "web-2.env"] {
        run(0, &["snapshot", "web", &fixture(version), "--hub", &main]);
    }
    let session = folder.path().join("s.jsonl");
    let session = text(&session);
    run(0, &["record", &main, "-o", session, "--from", "3", "--until-caught-up"]);
    assert_eq!(run(0, &["ls", session, "--json"]).lines()[0]["seq"], 3);
    assert_eq!(hash(session), hash(&main));
    run(0, &["state", session, "--at", "2"]);
    run(2, &["state", session, "--at", "1"]);
    assert_eq!(verify(session, None), "unsigned");
}

#[test]
fn a_follower_outlives_the_hub_without_gap_or_repeat() {
    let folder = folder();
    let hub = Hub::on(folder.path());
    let address = hub.address().to_owned();
    append(&hub, 5);
    let tail = Running::start(rig(&["tail", &hub.main(), "--from", "1", "--json"]));
    let mut seen = Seen::default();
    let mut until = |ready: usize| {
        while seen.ready < ready {
            seen.take(&tail.line());
        }
        seen.assert_gapless();
    };
    until(5);
    hub.running.kill();
    let hub = Hub::listening(&address, &["--data", text(folder.path())]);
    append(&hub, 5);
    until(10);
    tail.signal("INT");
    assert_eq!(tail.wait(), 0);
}

#[test]
fn a_hub_that_is_asked_to_end_does_and_keeps_everything() {
    for signal in ["INT", "TERM"] {
        let folder = folder();
        let hub = Hub::on(folder.path());
        run(0, &["snapshot", "web", &fixture("web-1.env"), "--hub", &hub.url]);
        let before = hash(&hub.main());
        hub.running.signal(signal);
        assert_eq!(hub.running.wait(), 0);
        let hub = Hub::on(folder.path());
        assert_eq!(hash(&hub.main()), before);
    }
}

#[test]
fn an_altered_recording_is_found_out() {
    let (hub, folder) = (Hub::in_memory(), folder());
    for version in ["web-1.env", "web-2.env"] {
        run(0, &["snapshot", "web", &fixture(version), "--hub", &hub.url]);
    }
    let session = folder.path().join("s.jsonl");
    let session = text(&session);
    run(0, &["record", &hub.main(), "-o", session, "--until-caught-up"]);
    let whole = std::fs::read_to_string(session).unwrap();
    let altered = file(folder.path(), "altered.jsonl", whole.replace("\"8080\"", "\"8081\""));
    assert_ne!(std::fs::read_to_string(&altered).unwrap(), whole);
    assert_eq!(verify(&altered, None), "altered");
    run(2, &["state", &altered]);
    let lines: Vec<&str> = whole.lines().collect();
    let unfinished = file(folder.path(), "cut.jsonl", lines[..lines.len() - 1].join("\n") + "\n");
    assert_eq!(verify(&unfinished, None), "truncated");
    assert!(run(0, &["state", &unfinished]).stderr.contains("unfinished"));
    let holed = file(folder.path(), "holed.jsonl", [&lines[..2], &lines[3..]].concat().join("\n") + "\n");
    assert_eq!(verify(&holed, None), "altered");
    assert!(run(2, &["state", &holed]).stderr.contains("line 3"));
}

#[test]
fn a_signed_recording_is_proven_by_its_keys_only() {
    let (data, other, folder) = (folder(), folder(), folder());
    let (hub, stranger) = (Hub::on(data.path()), Hub::on(other.path()));
    append(&hub, 5);
    let session = folder.path().join("s.jsonl.zst");
    let session = text(&session);
    run(0, &["record", &hub.main(), "-o", session, "--until-caught-up"]);
    let keys = |data: &Path| text(&data.join("keys/signing")).to_owned();
    assert_eq!(verify(session, Some(&keys(data.path()))), "verified");
    assert_eq!(verify(session, None), "wrong-key");
    assert_eq!(verify(session, Some(&keys(other.path()))), "wrong-key");
    drop(stranger);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_stops_the_recording_with_a_count() {
    let hub = Hub::in_memory();
    append(&hub, 2000);
    // A device that is always full.
    let said = run(2, &["record", &hub.main(), "-o", "/dev/full", "--until-caught-up"]);
    assert!(said.stderr.contains("No space left"), "{said:?}");
    assert_eq!(hub.http("GET", "/readyz", &[], b"").0, 200);
}

#[test]
fn a_rotated_recording_replays_part_by_part() {
    let (hub, folder) = (Hub::in_memory(), folder());
    append(&hub, 60);
    let first = folder.path().join("r.jsonl.zst");
    run(0, &["record", &hub.main(), "-o", text(&first), "--rotate-size", "1KiB", "--until-caught-up"]);
    let mut parts = files(folder.path());
    // By the seq in the name; the first has none.
    parts.sort_by_key(|p| text(p).rsplit('-').next().and_then(|n| n.split('.').next()?.parse::<u64>().ok()));
    assert!(parts.len() > 2, "{parts:?}");
    let mut seen = Seen::default();
    for part in &parts {
        run(0, &["ls", text(part), "--json"]).stdout.lines().for_each(|line| seen.take(line));
    }
    seen.assert_gapless();
    assert_eq!(seen.ready, 60);
    let last = run(0, &["state", text(parts.last().unwrap()), "--json"]).json();
    assert_eq!(last["hash"], run(0, &["state", &hub.main(), "--json"]).json()["hash"]);
}

/// The events of all files in a folder, which must follow each other.
fn recorded_in(folder: &Path) -> usize {
    let mut events: Vec<u64> = Vec::new();
    for part in files(folder) {
        let listed = run(0, &["ls", text(&part), "--json"]).lines();
        events.extend(listed.iter().map(|event| event["seq"].as_u64().unwrap()));
    }
    events.sort_unstable();
    assert_eq!(events, (1..=events.len() as u64).collect::<Vec<_>>());
    events.len()
}

#[test]
fn a_recorder_that_is_started_again_goes_on_where_it_stopped() {
    for (args, signal) in [
        (&[][..], "TERM"),
        (&[][..], "KILL"),
        (&["--rotate-size", "1KiB"][..], "TERM"),
        (&["--rotate-size", "1KiB"][..], "KILL"),
        (&["--rotate-age", "1h"][..], "TERM"),
    ] {
        let (hub, folder) = (Hub::in_memory(), folder());
        let session = folder.path().join("r.jsonl");
        let main = hub.main();
        let mut recorded = 0;
        for round in 1..=3 {
            let before: Vec<_> = files(folder.path())
                .iter()
                .map(|file| (file.clone(), file.metadata().unwrap().len()))
                .collect();
            let record = Running::start(rig(&[&["record", &main, "-o", text(&session)], args].concat()));
            append(&hub, 10);
            let head = run(0, &["ls", &main, "--json"]).lines().len();
            let begun = std::time::Instant::now();
            let last = format!("{{\"seq\":{head},");
            let holds = |file: &std::path::PathBuf| {
                std::fs::read_to_string(file).is_ok_and(|text| text.contains(&last))
            };
            while !files(folder.path()).iter().any(holds) {
                assert!(begun.elapsed() < crate::harness::PATIENCE, "seq {head} is not recorded");
                std::thread::yield_now();
            }
            record.signal(signal);
            assert!(record.wait() == 0 || signal == "KILL", "{args:?} {signal} {round}");
            recorded = recorded_in(folder.path());
            assert!(recorded >= 10 * round, "{args:?} {signal}: {recorded}");
            for (file, size) in before {
                assert!(file.metadata().unwrap().len() >= size, "{args:?} {signal}: {}", file.display());
            }
        }
        assert!(recorded >= 30);
        if signal == "KILL" {
            // The one that was killed has no footer yet.
            run(0, &[&["record", &main, "-o", text(&session), "--until-caught-up"], args].concat());
        }
        for part in files(folder.path()) {
            assert_ne!(verify(text(&part), None), "truncated", "{args:?} {signal} {}", part.display());
        }
    }
}

#[test]
fn a_finished_recording_of_something_else_is_not_gone_on_with() {
    let (hub, folder) = (Hub::in_memory(), folder());
    append(&hub, 3);
    let session = folder.path().join("s.jsonl");
    run(0, &["record", "-o", text(&session), "--", "true"]);
    let before = std::fs::read(&session).unwrap();
    let said = run(2, &["record", &hub.main(), "-o", text(&session)]);
    assert!(said.stderr.contains("another stream"), "{said:?}");
    assert_eq!(std::fs::read(&session).unwrap(), before);
}

#[test]
fn recordings_are_listed_with_the_newest_first() {
    let folder = folder();
    let inside = |args: &[&str], code: i32| {
        let mut command = rig(args);
        command.current_dir(&folder);
        crate::harness::finish(code, command, b"")
    };
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    inside(&["record", "-o", "runs/a.jsonl", "--", "true"], 0);
    inside(
        &["record", "-o", "runs/b.jsonl.zst", "--service", "suite", "--", "sh", "-c", "echo 1; exit 3"],
        3,
    );
    std::fs::write(folder.path().join("runs/notes.txt"), "no recording").unwrap();
    let listed = inside(&["ls", "runs"], 0).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(
        lines[0].contains("failed") && lines[0].contains("suite: service.failed exit code 3"),
        "{listed}"
    );
    assert!(lines[0].contains("runs/b.jsonl.zst") && lines[1].contains("passed"), "{listed}");
    let failed = inside(&["ls", "runs/*.jsonl*", "--failed", "--json"], 0).lines();
    assert_eq!(
        (failed.len(), failed[0]["name"].as_str(), failed[0]["services"][0].as_str()),
        (1, Some("b"), Some("suite"))
    );
    assert_eq!(inside(&["ls", "runs/a.jsonl", "runs/b.jsonl.zst", "-n", "1"], 0).stdout.lines().count(), 1);
    // One recording is listed by its events, as ever.
    assert!(inside(&["ls", "runs/a.jsonl"], 0).stdout.contains("service.starting"));
    std::fs::write(folder.path().join("runs/c.jsonl"), "{\"type\":\"session.header\",\"v\":9}\n").unwrap();
    let said = inside(&["ls", "runs"], 2);
    assert!(said.stdout.contains("unreadable") && said.stdout.contains("version 9"), "{said:?}");
    inside(&["ls", "runs", "--service", "suite"], 2);
    inside(&["ls", "runs/a.jsonl", "--failed"], 2);
    inside(&["ls", "nothing/*.jsonl"], 2);
}
