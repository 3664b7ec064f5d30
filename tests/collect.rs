//! A hub that collects over SSH tells no secret: not in its log at the finest level, not in its folder, not in an answer.

#[allow(dead_code, clippy::print_stdout, reason = "the hub's own tests use the rest")]
#[path = "../crates/ingest/tests/it/ssh/router.rs"]
mod router;

use std::process::Command;

use self::router::{Router, left_out, make_key};
use crate::harness::{Hub, Running, files, folder, run, text};

const PASSPHRASE: &str = "planted passphrase";
const OUTPUT: &str = "planted output";

#[test]
fn what_logs_in_and_what_is_no_configuration_come_out_nowhere() {
    if left_out() {
        return;
    }
    let (router, data, own) = (Router::start(), folder(), folder());
    make_key(&router.folder.path().join("id"), &["ed25519"], PASSPHRASE);
    router.authorize("id");
    let (settings, log) = (own.path().join("hub.toml"), own.path().join("log"));
    let other = router.device("key_passphrase_env = \"WRONG\"").replace("\"r1\"", "\"r2\"");
    std::fs::write(&settings, router.device("key_passphrase_env = \"RIGHT\"") + &other).unwrap();

    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2> \"$LOG\"", env!("CARGO_BIN_EXE_rig"), "hub"]);
    command.args(["--listen", "127.0.0.1:0", "--data", text(data.path()), "--config", text(&settings)]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LOG", &log);
    command.env("RIG_LOG", "trace").env("RIGHT", PASSPHRASE).env("WRONG", format!("no {PASSPHRASE}"));
    let running = Running::start(command);
    let hub = Hub { url: running.line(), running };

    let mut told = String::new();
    let mut collect = |service: &str| {
        let (status, answer) =
            hub.http("POST", &format!("/v1/streams/main/services/{service}/collect"), &[], b"");
        told += &answer.to_string();
        (status, answer["code"].as_str().map(str::to_owned))
    };
    assert_eq!(collect("r1"), (201, None));
    assert_eq!(collect("r2"), (500, Some("credentials-unreadable".to_owned())));
    for (script, code) in [
        (format!("echo '{OUTPUT}'; exit 3"), "command-failed"),
        (format!("echo '{OUTPUT}' >&2; exit 3"), "command-failed"),
        (format!("printf '{OUTPUT}\\377\\000'"), "output-not-utf8"),
        (format!("printf '{OUTPUT}\\n --More-- '"), "pager-prompt"),
    ] {
        router.does(&script);
        assert_eq!(collect("r1"), (502, Some(code.to_owned())), "{script}");
    }
    for stream in ["main", "_hub"] {
        told += &run(0, &["tail", &format!("{}/{stream}", hub.url), "--no-follow", "--from", "1"]).stdout;
    }
    assert!(told.contains("collect.failed") && told.contains("host-key.pinned"), "{told}");
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);

    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("a device could not be collected from"), "{logged}");
    // Its last line but one but one: the middle of the key itself.
    let key = std::fs::read_to_string(router.path("id")).unwrap();
    let piece = key.lines().rev().nth(2).unwrap();
    let written = files(data.path())
        .into_iter()
        .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned());
    for text in written.chain([told, logged]) {
        for planted in [PASSPHRASE, OUTPUT, piece] {
            assert!(!text.contains(planted), "{planted} in {text}");
        }
    }
}
