//! What is recorded of a figment, and what a baseline does.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use rig_client::{
    BaselineKeys, Error, FigmentExt as _, OnDrift, Outcome, Policy, Recorder, Redaction, Secret, Writer,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    port: u16,
    /// Not in any source: the program's own default.
    #[serde(default)]
    retries: u32,
    pin: Secret<u32>,
    #[serde(default)]
    keys: Secret<Vec<String>>,
    #[serde(default)]
    hosts: Vec<String>,
}

fn figment() -> Figment {
    let toml = "port = 8080\npin = 77123\nkeys = [\"hunter2\", \"hunter3\"]\nhosts = [\"a\", \"b\"]\n";
    Figment::new().merge(Serialized::default("port", 1)).merge(Toml::string(toml))
}

fn recorded() -> Recorder {
    figment().recorded("api")
}

fn address(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

#[track_caller]
fn outcomes(recorder: Recorder) -> Vec<Outcome> {
    recorder.extract::<Settings>().unwrap().1.flush(PATIENCE).unwrap()
}

/// Writes a snapshot of the settings to `name`.
#[track_caller]
fn write(folder: &Path, name: &str, recorder: Recorder) -> String {
    let address = address(folder, name);
    let written = outcomes(recorder.with_snapshot_writer(Writer::new(&address).unwrap()));
    assert!(matches!(written.as_slice(), [Outcome::Written(_)]), "{written:?}");
    address
}

#[test]
fn secrets_are_marked_by_their_type_and_leave_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, recording) = recorded().extract::<Settings>().unwrap();
    assert_eq!((*settings.pin.expose(), settings.keys.expose().len()), (77123, 2));
    assert!(!format!("{settings:?}").contains("77123"));
    let config: Value = serde_json::to_value(&recording.snapshot.config).unwrap();
    assert_eq!(
        config,
        json!({
            "hosts[0]": "a", "hosts[1]": "b", "keys[0]": "***redacted***", "keys[1]": "***redacted***",
            "pin": "***redacted***", "port": 8080, "retries": 0
        })
    );
    let secret: Vec<&str> = recording
        .snapshot
        .provenance
        .iter()
        .filter(|(_, o)| o.secret)
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(secret, ["keys[0]", "keys[1]", "pin"]);
    let text = std::fs::read_to_string(write(folder.path(), "a.json", recorded())).unwrap();
    assert!(!text.contains("hunter") && !text.contains("77123"), "{text}");
}

#[test]
fn secrets_are_marked_by_rule_too() {
    let policy = Policy::parse("[[secret]]\npath = \"hosts[*]\"").unwrap();
    let (_, recording) = recorded().with_policy(policy).extract::<Settings>().unwrap();
    assert_eq!(recording.snapshot.config["hosts[1]"], "***redacted***");
}

#[test]
fn fields_can_be_left_out() {
    let (_, recording) =
        recorded().exclude("HOSTS").unwrap().exclude("k*[*]").unwrap().extract::<Settings>().unwrap();
    let paths: Vec<&String> = recording.snapshot.config.keys().collect();
    assert_eq!(paths, ["pin", "port", "retries"]);
}

#[test]
fn a_configuration_that_does_not_fit_is_told_without_its_value() {
    let figment = figment().merge(Serialized::default("port", "hunter2"));
    let error = figment.recorded("api").extract::<Settings>().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("port") && !text.contains("hunter2"), "{text}");
}

#[test]
fn in_sync_with_its_baseline_nothing_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = write(folder.path(), "baseline.json", recorded());
    let call = OnDrift::Call(Box::new(|drifted| panic!("{drifted:?}")));
    let found = outcomes(recorded().with_baseline_snapshot(&baseline, call));
    assert!(matches!(found.as_slice(), [Outcome::InSync(_)]), "{found:?}");
}

#[test]
fn drift_is_called_back_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = write(folder.path(), "baseline.json", recorded());
    let (send, drifts) = mpsc::channel();
    let call = OnDrift::Call(Box::new(move |drifted| send.send(drifted.clone()).unwrap()));
    let now = figment().merge(Serialized::default("port", 9090)).recorded("api");
    let found = outcomes(now.with_baseline_snapshot(&baseline, call));
    let drifted = drifts.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(found.as_slice(), [Outcome::Drifted(told)] if *told == drifted), "{found:?}");
    let paths: Vec<&str> = drifted.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["port"]);
    // A rotated secret is not seen without a key, and is with one.
    let key = folder.path().join("key");
    std::fs::write(&key, format!("k1:{}\n", "ab".repeat(32))).unwrap();
    let keyed = |figment: Figment| {
        figment.recorded("api").with_redaction(Redaction::key_file(&key, &Policy::default()).unwrap())
    };
    let rotated = || figment().merge(Serialized::default("pin", 88123));
    let found = outcomes(rotated().recorded("api").with_baseline_snapshot(&baseline, OnDrift::Warn));
    assert!(matches!(found.as_slice(), [Outcome::InSync(_)]), "{found:?}");
    let baseline = write(folder.path(), "keyed.json", keyed(figment()));
    let found = outcomes(keyed(rotated()).with_baseline_snapshot(&baseline, OnDrift::Warn));
    assert!(
        matches!(found.as_slice(), [Outcome::Drifted(told)] if told.changes[0].path == "pin"),
        "{found:?}"
    );
}

#[test]
fn what_the_policy_ignores_is_no_drift() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = write(folder.path(), "baseline.json", recorded());
    let policy = Policy::parse(
        "[[ignore]]\npath = \"port\"\nreason = \"x\"\nowner = \"ops\"\nexpires = \"2999-01-01\"",
    )
    .unwrap();
    let now = figment().merge(Serialized::default("port", 9090)).recorded("api").with_policy(policy);
    let found = outcomes(now.with_baseline_snapshot(&baseline, OnDrift::Fail));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_service_can_refuse_to_start_on_drift_and_then_fails_closed() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = write(folder.path(), "baseline.json", recorded());
    let start = |figment: Figment, baseline: &str| {
        figment
            .recorded("api")
            .with_baseline_snapshot(baseline, OnDrift::Fail)
            .extract::<Settings>()
            .map(drop)
    };
    start(figment(), &baseline).unwrap();
    let changed = figment().merge(Serialized::default("port", 9090));
    let error = start(changed, &baseline).unwrap_err();
    assert!(matches!(&error, Error::Drifted { fields: 1, first } if first == "port"), "{error}");
    let error = start(figment(), &address(folder.path(), "none.json")).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    std::fs::write(&baseline, "{}").unwrap();
    let error = start(figment(), &baseline).unwrap_err();
    assert!(matches!(error, Error::NoSnapshot { .. }), "{error}");
}

#[test]
fn what_cannot_be_compared_with_the_baseline_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = write(folder.path(), "baseline.json", recorded());
    let found = outcomes(recorded().with_baseline_snapshot(&baseline, OnDrift::Warn));
    let [Outcome::InSync(same)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(same.not_compared, ["keys[0]", "keys[1]", "pin"]);
    let now = figment().merge(Serialized::default("port", 9090)).recorded("api");
    let found = outcomes(now.with_baseline_snapshot(&baseline, OnDrift::Warn));
    let [Outcome::Drifted(drifted)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((drifted.changes.len(), drifted.not_compared.len()), (1, 3));
}

#[test]
fn a_signed_baseline_is_taken_with_its_keys_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let keys = |id: &str| BaselineKeys::parse(&format!("{id} hmac-sha256 {}\n", "ab".repeat(32))).unwrap();
    let (_, recording) = recorded().extract::<Settings>().unwrap();
    let mut approved = rig_config::Baseline::new(
        recording.snapshot.config.clone().into(),
        "2026-01-15T10:30:00Z".parse().unwrap(),
    );
    approved.sign(&keys("k1")).unwrap();
    let signed = address(folder.path(), "signed.json");
    std::fs::write(&signed, approved.to_json()).unwrap();
    let start = |figment: Figment, keys: BaselineKeys, baseline: &str| {
        let recorder = figment.recorded("api").with_baseline_keys(keys);
        recorder.with_baseline_snapshot(baseline, OnDrift::Fail).extract::<Settings>().map(drop)
    };
    start(figment(), keys("k1"), &signed).unwrap();
    let changed = figment().merge(Serialized::default("port", 9090));
    assert!(matches!(start(changed, keys("k1"), &signed), Err(Error::Drifted { fields: 1, .. })));
    assert!(matches!(start(figment(), keys("k2"), &signed), Err(Error::Untrusted { .. })));
    std::fs::write(&signed, approved.to_json().replace("8080", "8081")).unwrap();
    assert!(matches!(start(figment(), keys("k1"), &signed), Err(Error::Untrusted { .. })));
    let unsigned = write(folder.path(), "unsigned.json", recorded());
    assert!(matches!(start(figment(), keys("k1"), &unsigned), Err(Error::Untrusted { .. })));
    // Without keys both forms are compared.
    std::fs::write(&signed, approved.to_json()).unwrap();
    recorded().with_baseline_snapshot(&signed, OnDrift::Fail).extract::<Settings>().unwrap();
}

#[tokio::test]
async fn a_baseline_is_waited_for_inside_a_runtime_too() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = write(folder.path(), "baseline.json", recorded());
    recorded().with_baseline_snapshot(&baseline, OnDrift::Fail).extract::<Settings>().unwrap();
}

#[test]
fn a_writer_that_fails_is_told_and_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let writer = Writer::new(&address(folder.path(), "file/below/a.json")).unwrap();
    let found = outcomes(recorded().with_snapshot_writer(writer));
    assert!(matches!(found.as_slice(), [Outcome::Failed(Error::File { .. })]), "{found:?}");
}

#[test]
fn a_callback_that_panics_does_not_leave_anyone_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = write(folder.path(), "baseline.json", recorded());
    let now = figment().merge(Serialized::default("port", 9090)).recorded("api");
    let call = OnDrift::Call(Box::new(|_| panic!("on purpose")));
    let found = outcomes(now.with_baseline_snapshot(&baseline, call));
    assert!(matches!(found.as_slice(), [Outcome::Drifted(_)]), "{found:?}");
}

#[cfg(feature = "hub")]
mod hub {
    //! The real hub in this process and, where it has to stumble, a socket that plays one.
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use rig_client::Hub;

    use super::*;

    /// Answers one request after the other with these; gives what was asked.
    fn hub(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ci", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let answer = |answer: &&str| {
                let (mut socket, _) = listener.accept().unwrap();
                let (mut request, mut buffer) = (String::new(), [0; 4096]);
                while !request.contains("\"1.0\"") || !request.trim_end().ends_with('}') {
                    let read = socket.read(&mut buffer).unwrap();
                    request.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                let body = answer.split_once(' ').map_or("", |(_, body)| body);
                let status = answer.split(' ').next().unwrap();
                let length = body.len();
                write!(
                    socket,
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
                request
            };
            answers.iter().map(answer).collect()
        });
        (url, asked)
    }

    #[test]
    fn a_snapshot_is_sent_again_under_the_same_id_until_the_hub_has_it() {
        let (url, asked) = hub(&["503 {}", "201 {}"]);
        let found = outcomes(recorded().with_hub(Hub::new(&url).unwrap()));
        assert!(matches!(found.as_slice(), [Outcome::Sent(_)]), "{found:?}");
        let asked = asked.join().unwrap();
        let line = |request: &String| request.lines().next().unwrap().to_owned();
        assert!(
            line(&asked[0]).starts_with("POST /v1/streams/ci/snapshots?service=api&format=snapshot&id="),
            "{asked:?}"
        );
        assert_eq!(line(&asked[0]), line(&asked[1]));
        assert!(!asked[0].contains("hunter2") && !asked[0].contains("77123"), "{asked:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hub_captures_it_with_the_sources_of_its_fields() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let served = tokio::spawn(rig_testhub::serve(listener, shutdown, Default::default()));
        let (_, recording) = recorded().with_hub(Hub::new(&url).unwrap()).extract::<Settings>().unwrap();
        let found = tokio::task::spawn_blocking(move || recording.flush(PATIENCE)).await.unwrap().unwrap();
        assert!(matches!(found.as_slice(), [Outcome::Sent(_)]), "{found:?}");
        let config = reqwest::get(format!("{url}/v1/streams/main/services/api/config")).await.unwrap();
        let config: Value = serde_json::from_str(&config.text().await.unwrap()).unwrap();
        assert_eq!(config["config"]["pin"], "***redacted***");
        assert_eq!(config["provenance"]["retries"], "default");
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }

    #[test]
    fn what_the_hub_refuses_is_not_sent_again() {
        let (url, asked) = hub(&["422 {\"detail\":\"no\",\"code\":\"bad-layer\"}"]);
        let found = outcomes(recorded().with_hub(Hub::new(&url).unwrap()));
        assert!(
            matches!(found.as_slice(), [Outcome::Failed(error)] if error.to_string().contains("no [bad-layer]")),
            "{found:?}"
        );
        assert_eq!(asked.join().unwrap().len(), 1);
    }

    #[test]
    fn the_token_of_the_environment_is_shown_to_the_hub_and_to_nobody_else() {
        let Ok(token) = std::env::var("RIG_TOKEN") else {
            // Only a process of its own has an environment of its own.
            let name = "recording::hub::the_token_of_the_environment_is_shown_to_the_hub_and_to_nobody_else";
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let said =
                again.args(["--exact", name]).env("RIG_TOKEN", "rig_0_hunter2hunter2").output().unwrap();
            assert!(said.status.success(), "{said:?}");
            assert!(String::from_utf8_lossy(&said.stdout).contains("1 passed"), "{said:?}");
            return;
        };
        let (url, asked) = hub(&["201 {}"]);
        let shown = Hub::new(&url).unwrap();
        assert!(!format!("{shown:?}").contains(&token), "{shown:?}");
        let found = outcomes(recorded().with_hub(shown));
        assert!(matches!(found.as_slice(), [Outcome::Sent(_)]), "{found:?}");
        let asked = asked.join().unwrap();
        assert!(asked[0].contains(&format!("authorization: Bearer {token}\r\n")), "{asked:?}");
        let refused = Hub::new("http://hub.example/main").unwrap_err().to_string();
        assert!(refused.contains("https://") && !refused.contains(&token), "{refused}");
        Hub::new("https://hub.example/main").unwrap();
    }

    #[test]
    fn an_address_with_a_password_is_never_repeated() {
        for address in ["ftp://ana:hunter2@hub/main", "ana:hunter2@hub", "http://ana:hunter2@hub/a/b"] {
            let error = Hub::new(address).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(!Hub::new("http://ana:hunter2@127.0.0.1:1").unwrap().address().contains("hunter2"));
    }
}
