//! `rig record -o FILE -- CMD`: the command comes first, and nothing of what it did is missing from the file.

use std::process::Stdio;

use crate::harness::{Running, Said, detached, file, finish, folder, rig, run, text, verify};

/// Runs a shell script under `rig record`, and gives what it said with the lines of the file.
#[track_caller]
fn record(code: i32, script: &str) -> (Said, Vec<serde_json::Value>) {
    let folder = folder();
    let file = folder.path().join("run.jsonl");
    let mut command = detached(&["record", "-o", text(&file), "--", "sh", "-c", script]);
    command.env("RIG", env!("CARGO_BIN_EXE_rig")).current_dir(&folder);
    let said = finish(code, command, b"");
    let lines = std::fs::read_to_string(&file).unwrap();
    (said, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn types(lines: &[serde_json::Value]) -> Vec<&str> {
    lines.iter().map(|line| line["type"].as_str().unwrap()).filter(|name| *name != "log.sealed").collect()
}

#[test]
fn output_passes_unchanged_and_every_line_is_recorded() {
    let (said, lines) = record(0, "echo one; echo two >&2; printf 'three'");
    assert_eq!((said.stdout.as_str(), said.stderr.lines().next()), ("one\nthree", Some("two")));
    let logs = |stream: &str| -> Vec<String> {
        let of = lines.iter().filter(|line| line["type"] == "service.log" && line["stream"] == stream);
        of.map(|line| line["data"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((logs("stdout"), logs("stderr")), (vec!["one".into(), "three".into()], vec!["two".into()]));
    let footer = lines.last().unwrap();
    assert_eq!(
        (footer["type"].as_str(), footer["outcome"].as_str()),
        (Some("session.footer"), Some("passed"))
    );
    assert_eq!(types(&lines)[..2], ["session.header", "service.starting"]);
    assert_eq!(types(&lines)[types(&lines).len() - 2], "service.stopped");
}

#[test]
fn bytes_that_are_no_text_pass_unchanged_too() {
    let folder = folder();
    let file = folder.path().join("run.jsonl");
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    std::fs::write(folder.path().join("bytes"), &bytes).unwrap();
    let out =
        rig(&["record", "-o", text(&file), "--", "cat", "bytes"]).current_dir(&folder).output().unwrap();
    assert!(out.stdout == bytes, "{} bytes came out", out.stdout.len());
    assert!(out.status.success());
    assert_eq!(verify(text(&file), None), "unsigned");
}

#[test]
fn many_short_lines_are_all_there() {
    let (_, lines) = record(0, "yes | head -n 20000");
    assert_eq!(types(&lines).iter().filter(|name| **name == "service.log").count(), 20_000);
}

#[test]
fn output_that_is_faster_than_the_recording_is_all_there() {
    // More than waits anywhere on its way: the command ends long before its output is recorded.
    let (said, lines) = record(0, "head -c 12000000 /dev/zero | tr '\\0' x | fold -w 4000");
    let bytes: usize = lines.iter().filter_map(|line| line["data"].as_str()).map(str::len).sum();
    assert_eq!((bytes, said.stdout.len()), (12_000_000, 12_002_999));
}

#[test]
fn what_the_command_posts_to_its_hub_is_in_the_recording() {
    let script = "printf 'port: 1\\n' > api.yaml; $RIG snapshot api api.yaml > out && test -n \"$RIG_URL\" && test -n \"$RIG_STREAM\"";
    let (_, lines) = record(0, script);
    assert!(types(&lines).contains(&"snapshot.captured"), "{lines:?}");
}

#[test]
fn a_recording_is_signed_where_a_key_is_given() {
    let folder = folder();
    let keys = file(folder.path(), "keys", format!("ci hmac-sha256 {}\n", "ab".repeat(32)));
    let other = file(folder.path(), "other", format!("ci hmac-sha256 {}\n", "cd".repeat(32)));
    let session = folder.path().join("run.jsonl");
    let record = |keys: &str| {
        finish(
            3,
            rig(&["record", "-o", text(&session), "--keys", keys, "--", "sh", "-c", "echo ran; exit 3"]),
            b"",
        )
    };
    record(&keys);
    assert_eq!(verify(text(&session), Some(&keys)), "verified");
    assert_eq!(verify(text(&session), Some(&other)), "wrong-key");
    // The variable names the keys for both.
    let with_variable = |args: &[&str]| {
        let mut command = rig(args);
        command.env("RIG_SIGNING_KEYS_FILE", &keys);
        command
    };
    finish(0, with_variable(&["record", "-o", text(&session), "--", "seq", "3000"]), b"");
    let said = finish(0, with_variable(&["verify", text(&session)]), b"").stdout;
    assert!(said.starts_with("verified") && !said.contains(" 0 seals"), "{said}");
    // No key keeps the command from running.
    for bad in [file(folder.path(), "bad", "no key"), "/no/such/file".to_owned()] {
        let said = record(&bad);
        assert!(said.stdout == "ran\n" && said.stderr.contains("unsigned"), "{said:?}");
        assert_eq!(verify(text(&session), Some(&keys)), "unsigned");
    }
}

#[test]
fn a_secret_in_the_output_passes_and_is_not_recorded() {
    let script = "echo PASSWORD=hunter2; echo to postgres://u:hunter2@db/x; printf -- '-----BEGIN PRIVATE KEY-----\\nhunter2hunter2\\n-----END PRIVATE KEY-----\\n'";
    let (said, lines) = record(0, script);
    assert!(said.stdout.contains("hunter2"));
    assert!(!format!("{lines:?}").contains("hunter2"), "{lines:?}");
    assert_eq!(types(&lines).iter().filter(|name| **name == "service.log").count(), 3);
}

#[test]
fn values_of_the_environment_and_of_the_mask_are_hidden_and_two_runs_compare() {
    let folder = folder();
    let (key, mask) = (folder.path().join("key"), folder.path().join("mask"));
    std::fs::write(&key, format!("team:{}\n", "5e".repeat(32))).unwrap();
    std::fs::write(&mask, "walnut-drawer-lamp\n").unwrap();
    let run = |name: &str| {
        let file = folder.path().join(name);
        let script = "echo \"seen $SHOP_PASSWORD.\"; printf %s \"$SHOP_PASSWORD\" | base64; echo a walnut-drawer-lamp; echo PASS: TestToken";
        let options = ["--redaction-key", text(&key), "--mask", text(&mask)];
        let mut command = rig(&["record", "-o", text(&file)]);
        command.args(options).args(["--", "sh", "-c", script]).env("SHOP_PASSWORD", "quietriverbank");
        let said = finish(0, command, b"");
        assert!(said.stdout.starts_with("seen quietriverbank.\n"), "{}", said.stdout);
        let lines = std::fs::read_to_string(&file).unwrap();
        let parsed = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let logs = parsed.filter(|line| line["type"] == "service.log");
        logs.map(|line| line["data"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (one, two) = (run("one.jsonl"), run("two.jsonl"));
    assert_eq!(one, two);
    let all = one.join("\n");
    assert!(one[0].starts_with("seen <redacted:hmac:team-") && one[0].ends_with(">."), "{all}");
    for secret in ["quietriverbank", "cXVpZXRyaXZlcmJhbm", "walnut-drawer"] {
        assert!(!all.contains(secret), "{all}");
    }
    assert_eq!(one[3], "PASS: TestToken");
}

#[test]
fn the_exit_code_is_the_commands_own_and_the_outcome_says_how() {
    let outcome = |lines: &[serde_json::Value]| lines.last().unwrap()["outcome"].as_str().unwrap().to_owned();
    let (_, lines) = record(7, "exit 7");
    assert_eq!(outcome(&lines), "failed");
    assert!(types(&lines).contains(&"service.failed"));
    let (_, lines) = record(128 + 11, "kill -SEGV $$");
    assert_eq!(outcome(&lines), "crashed");
    let folder = folder();
    let file = folder.path().join("run.jsonl");
    finish(127, rig(&["record", "-o", text(&file), "--", "no-such-program"]), b"");
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"outcome\":\"failed\""));
}

#[test]
fn a_recording_that_cannot_be_made_does_not_keep_the_command_from_running() {
    let said = run(3, &["record", "-o", "/no/such/folder/run.jsonl", "--", "sh", "-c", "echo ran; exit 3"]);
    assert_eq!(said.stdout, "ran\n");
    assert!(said.stderr.contains("warning") && said.stderr.contains("missing"), "{}", said.stderr);
    // No room for the private hub either.
    let folder = folder();
    let mut command = rig(&["record", "-o", "run.jsonl", "--", "sh", "-c", "echo ran; exit 4"]);
    command.env("TMPDIR", "/no/such/folder").current_dir(&folder);
    let said = finish(4, command, b"");
    assert_eq!(said.stdout, "ran\n");
    assert!(said.stderr.contains("without a recording"), "{}", said.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_costs_the_recording_and_nothing_else() {
    let said = run(5, &["record", "-o", "/dev/full", "--", "sh", "-c", "yes | head -n 5000; exit 5"]);
    assert_eq!(said.stdout.len(), 10_000);
    assert!(said.stderr.contains("warning") && said.stderr.contains("missing"), "{}", said.stderr);
}

#[test]
fn a_request_to_end_reaches_the_whole_group() {
    let folder = folder();
    let file = folder.path().join("run.jsonl");
    let below = "trap \"echo below\" TERM; echo up; while :; do sleep 0.02; done";
    let script = format!("trap 'echo above; exit 9' TERM; sh -c '{below}' & wait; wait");
    let running = Running::start(detached(&["record", "-o", text(&file), "--", "sh", "-c", &script]));
    assert_eq!(running.line(), "up");
    running.signal("TERM");
    let mut said = [running.line(), running.line()];
    said.sort();
    assert_eq!(said, ["above", "below"]);
    assert_eq!(running.wait(), 9);
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(lines.contains("service.stopping") && lines.contains("\"outcome\":\"interrupted\""), "{lines}");
}

#[test]
fn what_the_command_left_behind_neither_hangs_nor_stays() {
    let (said, lines) = record(0, "sleep 1000 & echo $!");
    assert!(types(&lines).contains(&"service.stopped"));
    // Gone, or dead and not yet looked at by whoever is its parent now.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", said.stdout.trim()));
    assert!(stat.as_ref().map_or(true, |stat| stat.contains(") Z ")), "{stat:?}");
    // One that never stops writing does not keep the recording from its end either.
    let (_, lines) = record(0, "while :; do echo more; sleep 0.01; done & sleep 0.1");
    assert!(types(&lines).contains(&"service.stopped"));
    // One that left the group cannot be ended, and is not waited for.
    let (said, lines) = record(0, "setsid sleep 20 & echo done");
    assert_eq!(said.stdout, "done\n");
    assert!(types(&lines).contains(&"service.stopped"));
}

#[test]
fn standard_input_is_the_commands() {
    let folder = folder();
    let file = folder.path().join("run.jsonl");
    let said = finish(0, rig(&["record", "-o", text(&file), "--", "cat"]), b"a\nb");
    assert_eq!(said.stdout, "a\nb");
    let mut command = rig(&["record", "-o", text(&file), "--", "cat"]);
    assert!(command.stdin(Stdio::null()).output().unwrap().stdout.is_empty());
}

/// A run of pytest: its output and its exit status.
const PYTEST: &str = "\
============================= test session starts ==============================
collected 3 items

tests/test_pool.py .Fs                                                   [100%]

=================================== FAILURES ===================================
__________________________________ test_size ___________________________________

    def test_size():
>       raise ValueError(\"token hunter2-4f9a8c71 is refused\")
E       ValueError: token hunter2-4f9a8c71 is refused

tests/test_pool.py:7: ValueError
=========================== short test summary info ============================
FAILED tests/test_pool.py::test_size - ValueError: token hunter2-4f9a8c71 is ...
==================== 1 failed, 1 passed, 1 skipped in 0.03s ====================
";

#[test]
fn a_failing_test_is_named_with_its_place_and_no_secret_and_is_no_crash() {
    let folder = folder();
    let (session, report) = (folder.path().join("run.jsonl"), folder.path().join("new/report.xml"));
    let (session, report) = (text(&session), text(&report));
    let output = file(folder.path(), "output.txt", PYTEST);
    let mask = file(folder.path(), "mask", "hunter2-4f9a8c71\n");
    let script = format!("cat {output}; exit 1");
    run(1, &["record", "-o", session, "--mask", &mask, "--", "sh", "-c", &script]);
    let said = run(1, &["explain", session]).stdout;
    let failed = "tests/test_pool.py › test_size at tests/test_pool.py:7: ValueError: token";
    assert!(said.contains(failed) && said.contains("3 tests, 1 passed, 1 failed, 1 skipped"), "{said}");
    assert!(!said.contains("Crashes") && !said.contains("hunter2"), "{said}");
    let said = run(0, &["why", session]).stdout;
    assert!(said.contains("test_size at tests/test_pool.py:7"), "{said}");
    let said = run(1, &["ci", session, "--json", "--junit", report]).json();
    let test = &said["sessions"][0]["explanation"]["failed_tests"]["items"][0];
    assert_eq!((test["name"].as_str(), test["line"].as_u64()), (Some("test_size"), Some(7)));
    let xml = std::fs::read_to_string(report).unwrap();
    assert!(
        xml.contains("file=\"tests/test_pool.py\" line=\"7\"") && xml.contains("name=\"test_size\""),
        "{xml}"
    );
    assert!(!xml.contains("hunter2"), "{xml}");
    // A run in which it passed makes it new.
    let green = folder.path().join("green.jsonl");
    let passed = "printf '%s\\n' '== test session starts ==' 'a.py::test_size PASSED' 'tests/test_pool.py::test_size PASSED [ 50%]' '== 2 passed in 0.01s =='";
    run(0, &["record", "-o", text(&green), "--", "sh", "-c", passed]);
    let said = run(1, &["ci", session, "--json", "--against", text(folder.path())]).json();
    assert_eq!(said["sessions"][0]["against"]["new"][0]["name"], "tests/test_pool.py › test_size");
    let said = run(0, &["rerun", session]).stdout;
    assert_eq!(said.trim(), "pytest tests/test_pool.py::test_size");
}

#[test]
fn a_result_file_that_is_greener_than_the_output_makes_nothing_green() {
    let folder = folder();
    let session = folder.path().join("run.jsonl");
    let output = file(folder.path(), "output.txt", PYTEST);
    let green = r#"<testsuites><testsuite name="pytest"><testcase classname="tests.test_pool" name="test_size"/></testsuite></testsuites>"#;
    let script = format!("cat {output}; echo '{green}' > {}/r.xml; exit 1", text(folder.path()));
    let mut command = rig(&["record", "-o", text(&session), "--", "sh", "-c", &script]);
    command.current_dir(folder.path());
    finish(1, command, b"");
    let said = run(1, &["explain", text(&session)]).stdout;
    assert!(said.contains("1 failed") && said.contains("tests/test_pool.py:7"), "{said}");
}
