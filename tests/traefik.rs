//! The proof on real input: 120 successive versions of the Helm values of Traefik, through a hub process and back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rig_config::{FlatConfig, Format, Limits};
use rig_event::{Envelope, Event};
use rig_replay::State;
use serde_json::Value;

use crate::harness::{Hub, folder, run, text, workspace};

/// The versions in order, or nothing where the data is not at hand.
fn versions() -> Option<Vec<Vec<u8>>> {
    let data: PathBuf = workspace().join("../shared/data/traefik-values");
    if !data.is_dir() {
        eprintln!("left out: {} is not there", data.display());
        return None;
    }
    let versions: Vec<_> =
        (1..).map_while(|n| std::fs::read(data.join(format!("{n:03}.yaml"))).ok()).collect();
    assert_eq!(versions.len(), 120);
    Some(versions)
}

#[test]
fn every_version_comes_back_from_the_recording() {
    let Some(versions) = versions() else { return };
    let (hub, folder) = (Hub::in_memory(), folder());

    // What must come of it, by the parser alone.
    let parse = |bytes: &Vec<u8>| rig_config::parse(bytes, Format::Yaml, &Limits::default()).unwrap();
    let parsed: Vec<_> = versions.iter().map(parse).collect();
    let documents = 1 + parsed.windows(2).filter(|pair| pair[0].normalised != pair[1].normalised).count();
    let configs = parsed.windows(2).filter(|pair| pair[0].config != pair[1].config).count();
    assert!(documents > configs + 1, "some versions change only comments");

    let mut seqs = Vec::new();
    for version in &versions {
        let (status, answer) = hub.capture("service=traefik&format=yaml", version);
        assert!(status < 300, "{answer}");
        seqs.push(answer["last_seq"].as_u64().unwrap());
    }

    let session = folder.path().join("traefik.jsonl");
    run(0, &["record", &hub.main(), "-o", text(&session), "--until-caught-up"]);
    let recorded = std::fs::read_to_string(&session).unwrap();

    // Folded once, looked at wherever a version ends.
    let (mut captured, mut diffs) = (0, 0);
    let mut state = State::default();
    let mut moments = BTreeMap::new();
    for line in recorded.lines().filter(|line| !line.starts_with(r#"{"type":"session."#)) {
        let envelope = Envelope::parse(line.as_bytes()).unwrap();
        captured += usize::from(matches!(envelope.event, Event::SnapshotCaptured(_)));
        diffs += usize::from(matches!(envelope.event, Event::DiffComputed(_)));
        state.apply(&envelope).unwrap();
        moments.insert(state.seq, state.clone());
    }
    assert_eq!((captured, diffs), (documents, configs));

    let mut known = Fingerprints::default();
    for (n, (seq, document)) in seqs.iter().zip(&parsed).enumerate() {
        let state = &moments[seq];
        known.assert_same(n + 1, &state.service("traefik").unwrap().config, &document.config);
        let (_, live) = hub.http("GET", &format!("/v1/streams/main/state?at={seq}"), &[], b"");
        assert_eq!(live["hash"], state.hash(), "version {}", n + 1);
    }

    // The same from the program itself, for some: it is the same code, and a process each.
    for n in [1, 2, 60, 119, 120] {
        let at = seqs[n - 1].to_string();
        let shown = run(0, &["state", text(&session), "--at", &at, "--json"]).json();
        assert_eq!(shown["hash"], moments[&seqs[n - 1]].hash(), "version {n}");
        let config = serde_json::from_value(shown["services"]["traefik"]["config"].clone()).unwrap();
        known.assert_same(n, &config, &parsed[n - 1].config);
    }

    let (status, again) = hub.capture("service=traefik&format=yaml", &versions[119]);
    assert!(status < 300);
    let types: Vec<&Value> = again["events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["snapshot.unchanged"]);
}

/// The plaintext behind every fingerprint seen: equal secrets must have equal ones, others must not.
#[derive(Default)]
struct Fingerprints(BTreeMap<String, Value>);

impl Fingerprints {
    /// A derived config is the document's, but for secrets, which are fingerprints.
    fn assert_same(&mut self, n: usize, derived: &FlatConfig, document: &FlatConfig) {
        assert!(derived.keys().eq(document.keys()), "version {n} has other fields");
        let mut shown = 0;
        for (path, value) in derived {
            match value.get("redacted").and_then(Value::as_str) {
                Some(fingerprint) => {
                    let plain = &document[path];
                    let behind = self.0.entry(fingerprint.to_owned()).or_insert_with(|| plain.clone());
                    assert_eq!(behind, plain, "version {n}: two secrets under one fingerprint at {path}");
                }
                None => {
                    assert_eq!(value, &document[path], "version {n}: {path}");
                    shown += 1;
                }
            }
        }
        assert!(shown * 10 > derived.len() * 9, "version {n}: most of it is no secret");
    }
}
