//! What people give the program by mistake: it says so, and never that all is well.

use crate::harness::{file, finish, folder, rig, run};

#[test]
fn a_file_that_is_no_recording_is_never_fine() {
    let folder = folder();
    let wrong = [
        file(folder.path(), "hello", "hello\n"),
        file(folder.path(), "readme.md", "# rig\n\nA flight recorder.\n"),
        file(folder.path(), "bytes", [0_u8, 159, 146, 150, 10, 255, 254, 10]),
        file(folder.path(), "config.json", "{\"seq\": 1, \"type\": \"a\"}\n"),
        file(folder.path(), "empty", ""),
    ];
    for wrong in &wrong {
        for command in ["state", "ls", "replay", "tail", "drift"] {
            let said = run(2, &[command, wrong]);
            assert!(said.stderr.contains("no recording"), "{command}: {said:?}");
            assert_eq!(said.stdout, "", "{command} {wrong}");
        }
        assert_eq!(run(1, &["verify", wrong]).stderr, "");
    }
    for command in ["state", "ls", "replay", "tail", "drift"] {
        assert!(finish(2, rig(&[command, "-"]), b"").stderr.contains("no recording"), "{command}");
    }
}

#[test]
fn drift_does_not_speak_for_lines_that_it_could_not_read() {
    let ready = r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"service.ready","service":"a"}"#;
    let folder = folder();
    let whole = file(folder.path(), "whole.jsonl", format!("{ready}\n"));
    let holed = file(folder.path(), "holed.jsonl", format!("{ready}\n{{broken\n"));
    run(0, &["drift", &whole]);
    run(0, &["state", &holed]);
    run(0, &["replay", &holed, "--to", "1"]);
    let said = run(2, &["drift", &holed]);
    assert!(said.stderr.contains("could not be read"), "{said:?}");
}

#[test]
fn a_reason_is_said_once() {
    let folder = folder();
    let keys = file(folder.path(), "keys", "nonsense\n");
    let data = file(folder.path(), "data", "a file where the folder should be");
    let said = run(2, &["verify", &keys, "--keys", &keys]);
    assert_eq!(said.stderr.matches("of the key file").count(), 1, "{said:?}");
    let said = run(2, &["hub", "--listen", "127.0.0.1:0", "--data", &data]);
    assert_eq!(said.stderr.matches("os error").count(), 1, "{said:?}");
}
