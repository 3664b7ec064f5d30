//! What people give the program by mistake: it says so, and never that all is well.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::harness::{Hub, Running, file, finish, folder, rig, run, text, verify, workspace};

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

#[test]
fn a_damaged_header_is_answered_with_altered() {
    let (hub, folder) = (Hub::in_memory(), folder());
    hub.capture("service=a&format=yaml", b"a: 1\n");
    let session = text(&folder.path().join("s.jsonl")).to_owned();
    run(0, &["record", &hub.main(), "-o", &session, "--until-caught-up"]);
    let whole = std::fs::read_to_string(&session).unwrap();
    for (from, to) in [("\"epoch\"", "\"epoci\""), ("session.header", "session.headez")] {
        let damaged = file(folder.path(), "damaged.jsonl", whole.replacen(from, to, 1));
        assert_eq!(verify(&damaged, None), "altered", "{to}");
    }
    let later = file(folder.path(), "later.jsonl", whole.replacen("\"v\":1", "\"v\":3", 1));
    run(2, &["verify", &later]);
}

#[test]
fn memory_on_the_command_line_wins_over_a_folder_in_the_environment() {
    let folder = folder();
    let data = folder.path().join("data");
    let mut hub = rig(&["hub", "--memory", "--listen", "127.0.0.1:0"]);
    hub.env("RIG_DATA", &data);
    let hub = Running::start(hub);
    assert!(hub.line().starts_with("http://127.0.0.1:"));
    assert!(!data.exists());
}

#[test]
fn a_hub_tells_without_colours_where_nobody_sees_them() {
    let mut child = rig(&["hub", "--memory", "--listen", "127.0.0.1:0"])
        .env("RIG_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first line says that it has begun; after that it has told something.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    child.kill().unwrap();
    let said = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(said.stderr).unwrap();
    assert!(stderr.contains("DEBUG") && !stderr.contains('\x1b'), "{stderr:?}");
}

#[test]
fn record_says_where_it_does_not_record_to() {
    let (hub, folder) = (Hub::in_memory(), folder());
    hub.capture("service=a&format=yaml", b"a: 1\n");
    let main = hub.main();
    let record = |code, rest: &[&str]| {
        let mut record = rig(&[&["record", &main, "--until-caught-up"], rest].concat());
        record.current_dir(folder.path());
        finish(code, record, b"")
    };
    assert!(record(2, &["-o", "-"]).stderr.contains("standard output"));
    assert!(!folder.path().join("-").exists());
    for force in [&[][..], &["--force"]] {
        assert!(record(2, &[&["-o", "."], force].concat()).stderr.contains("is a folder"));
    }
    // Unfinished, so that it would be resumed.
    record(0, &["-o", "s.jsonl"]);
    let path = folder.path().join("s.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let footer = whole.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&path, &whole[..footer]).unwrap();
    assert!(record(2, &["-o", "s.jsonl", "--from", "1"]).stderr.contains("--from"));
    record(0, &["-o", "s.jsonl", "--from", "1", "--force"]);
}

#[test]
fn types_that_are_none_are_refused_on_files_too() {
    let folder = folder();
    let ready = r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"service.ready","service":"a"}"#;
    let log = file(folder.path(), "log.jsonl", format!("{ready}\n"));
    for command in ["ls", "tail"] {
        run(0, &[command, &log, "--types", "diff.*,service.ready"]);
        for types in ["a, b", "a b", "", "(nonsense)"] {
            let said = run(2, &[command, &log, "--types", types]);
            assert!(said.stderr.contains("commas"), "{said:?}");
        }
    }
}

#[test]
fn a_password_in_a_hubs_address_is_not_echoed() {
    for address in ["http://ana:hunter2@127.0.0.1:1/main", "https://ana:hunter2@hub/main"] {
        let said = run(2, &["state", address]);
        assert!(!said.stderr.contains("hunter2"), "{said:?}");
        let said = run(2, &["snapshot", "a", "-", "--hub", address]);
        assert!(!said.stderr.contains("hunter2"), "{said:?}");
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_named_and_a_closed_pipe_is_quiet() {
    let folder = folder();
    let old = file(folder.path(), "old.yaml", "a: 1\n");
    let new = file(folder.path(), "new.yaml", "a: 2\n");
    for args in [&["diff", &old, &new][..], &["diff", &old, &new, "--json"], &["ls", &session()]] {
        let mut command = rig(args);
        command.stdout(std::fs::File::create("/dev/full").unwrap()).stderr(Stdio::piped());
        let said = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("cannot write standard output: No space left"), "{stderr}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = rig(args);
        command.stdout(writer).stderr(Stdio::piped());
        let said = command.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!((said.status.code(), said.stderr), (Some(0), vec![]));
    }
}

fn session() -> String {
    text(&workspace().join("fixtures/sessions/v1/hello.jsonl")).to_owned()
}

#[test]
fn a_document_without_a_telling_name_is_told_of_the_option() {
    let hub = Hub::in_memory();
    let said = finish(2, rig(&["snapshot", "a", "-", "--hub", &hub.url]), b"\x01 what is this");
    assert!(said.stderr.contains("--format") && !said.stderr.contains("?format"), "{said:?}");
}

#[test]
fn watch_goes_on_in_a_folder_that_was_made_again() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let inner = folder.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let api = file(&inner, "api.yaml", "port: 1\n");
    let watch = Running::start(rig(&["watch", "api", &api, "--hub", &hub.url, "--json"]));
    let until = |wanted: &str| while !watch.line().contains(wanted) {};
    until("snapshot.captured");
    for port in [2, 3] {
        std::fs::remove_dir_all(inner.parent().unwrap()).unwrap();
        std::fs::create_dir_all(&inner).unwrap();
        file(&inner, "api.yaml", format!("port: {port}\n"));
        until("diff.computed");
        file(&inner, "api.yaml", format!("port: {port}0\n"));
        until("diff.computed");
    }
}

#[cfg(unix)]
#[test]
fn watch_sees_a_link_on_the_way_swapped() {
    use std::os::unix::fs::symlink;

    let (hub, folder) = (Hub::in_memory(), folder());
    let at = |name: &str| folder.path().join(name);
    for (name, content) in [("v1", "port: 1\n"), ("v2", "port: 2\n")] {
        std::fs::create_dir(at(name)).unwrap();
        file(&at(name), "api.yaml", content);
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/api.yaml", at("api.yaml")).unwrap();
    let api = at("api.yaml");
    let watch = Running::start(rig(&["watch", "api", text(&api), "--hub", &hub.url, "--json"]));
    let until = |wanted: &str| while !watch.line().contains(wanted) {};
    until("snapshot.captured");
    symlink("v2", at("..new")).unwrap();
    std::fs::rename(at("..new"), at("..data")).unwrap();
    until("diff.computed");
}

#[test]
fn watch_does_not_wake_itself_by_what_it_says() {
    let folder = folder();
    let api = file(folder.path(), "api.yaml", "port: 1\n");
    let errors = folder.path().join("errors");
    // Nobody listens on port 1, so that every attempt says something.
    let mut child = rig(&["watch", "api", &api, "--hub", "http://127.0.0.1:1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    let said = || std::fs::read_to_string(&errors).unwrap().lines().count();
    while said() < 3 {
        assert!(begun.elapsed() < crate::harness::PATIENCE);
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Two pauses of two seconds lie between three attempts.
    assert!(begun.elapsed().as_millis() > 3_900, "{:?}", begun.elapsed());
}
