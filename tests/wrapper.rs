//! `rig record -- CMD` as a wrapper: the command does not notice it, whatever signals, terminals and pipes there are.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Hub, Running, clean, finish, folder, rig, run, text, verify};
use crate::player::Pty;

/// Reads the lines of output in a recording.
fn logged(session: &Path) -> Vec<String> {
    let lines = fs::read_to_string(session).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let logs = events.filter(|event| event["type"] == "service.log");
    logs.map(|event| event["data"].as_str().unwrap().to_owned()).collect()
}

/// A script that says `up` and runs until it is told to end, on the named signal.
fn until(signal: &str) -> String {
    format!("trap 'echo got; exit 5' {signal}; echo up; while :; do sleep 0.02; done")
}

#[test]
fn every_signal_reaches_the_command_and_none_ends_the_recorder() {
    for signal in ["USR1", "USR2", "ALRM", "WINCH", "CONT", "TSTP", "XCPU", "VTALRM", "PROF"] {
        let folder = folder();
        let session = folder.path().join("run.jsonl");
        let running =
            Running::start(rig(&["record", "-o", text(&session), "--", "sh", "-c", &until(signal)]));
        assert_eq!(running.line(), "up", "{signal}");
        running.signal(signal);
        assert_eq!((running.line().as_str(), running.wait()), ("got", 5), "{signal}");
        assert_eq!(verify(text(&session), None), "unsigned", "{signal}");
        let lines = fs::read_to_string(&session).unwrap();
        assert!(lines.contains("\"outcome\":\"failed\"") && !lines.contains("service.stopping"), "{signal}");
    }
}

#[test]
fn a_command_that_is_stopped_stops_the_recorder_and_both_go_on() {
    let folder = folder();
    let session = folder.path().join("run.jsonl");
    let script = "echo up; while ! test -e go; do sleep 0.02; done; echo end; exit 5";
    let mut command = rig(&["record", "-o", text(&session), "--", "sh", "-c", script]);
    command.current_dir(&folder);
    let running = Running::start(command);
    assert_eq!(running.line(), "up");
    running.signal("TSTP");
    let stat = format!("/proc/{}/stat", running.id());
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") T ")) {
        std::thread::yield_now();
    }
    fs::write(folder.path().join("go"), "").unwrap();
    running.signal("CONT");
    assert_eq!((running.line().as_str(), running.wait()), ("end", 5));
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_was_ignored_stays_ignored_and_the_exit_code_is_known() {
    let script = "grep SigIgn /proc/self/status; exit 5";
    for signals in [&["HUP"][..], &["CHLD"], &["PIPE"], &["HUP", "INT", "CHLD", "PIPE"]] {
        let folder = folder();
        let ignoring = |args: &[&str]| {
            let signals: Vec<String> =
                signals.iter().map(|signal| format!("--ignore-signal={signal}")).collect();
            let mut command = clean(Command::new("env"), &[]);
            command.args(signals).args(args).current_dir(&folder);
            let said = finish(5, command, b"").stdout;
            let bits = u64::from_str_radix(said.trim().rsplit('\t').next().unwrap(), 16).unwrap();
            // The C library keeps two for itself, which it ignores in what it spawns.
            bits & !0x1_8000_0000
        };
        let alone = ignoring(&["sh", "-c", script]);
        let rig = env!("CARGO_BIN_EXE_rig");
        let recorded = ignoring(&[rig, "record", "-o", "run.jsonl", "--", "sh", "-c", script]);
        assert_eq!(format!("{recorded:x}"), format!("{alone:x}"), "{signals:?}");
    }
}

#[test]
fn the_terminal_can_be_read_though_standard_input_is_redirected() {
    let folder = folder();
    let session = folder.path().join("run.jsonl");
    let script = "stty size </dev/tty; read -r said </dev/tty; echo \"got $said\"";
    let mut command = rig(&["record", "-o", text(&session), "--", "sh", "-c", script]);
    command.stdin(Stdio::null());
    let mut pty = Pty::start(command, 99, 33);
    pty.press("hello\n");
    pty.see("got hello");
    pty.see("recorded to");
    assert!(logged(&session).contains(&"got hello".to_owned()));
}

#[test]
fn an_interrupt_from_the_terminal_comes_once() {
    let folder = folder();
    let session = folder.path().join("run.jsonl");
    let script =
        "n=0; trap 'n=$((n+1)); echo \"number $n\"' INT; echo up; read -r said; echo \"$said after $n\"";
    let mut pty = Pty::start(rig(&["record", "-o", text(&session), "--", "sh", "-c", script]), 80, 24);
    pty.see("up");
    pty.press("\u{3}");
    pty.see("number 1");
    pty.press("end\n");
    pty.see("recorded to");
    assert!(!logged(&session).contains(&"number 2".to_owned()), "{:?}", logged(&session));
}

#[test]
fn with_tty_colours_and_progress_stay_and_the_recording_has_plain_lines() {
    let script = "test -t 1 && echo terminal; stty size </dev/tty; cat; printf '\\033[31mred\\033[0m\\n'; printf ' 10%%\\r100%%\\n'; \
                  echo error >&2; exit 3";
    let plain = ["terminal", "24 80", "piped", "red", "100%", "error"];
    let folder = folder();
    let session = folder.path().join("run.jsonl");
    let said =
        finish(3, rig(&["record", "--tty", "-o", text(&session), "--", "sh", "-c", script]), b"piped\n");
    assert_eq!(said.stdout, "terminal\n24 80\npiped\n\u{1b}[31mred\u{1b}[0m\n 10%\r100%\nerror\n");
    assert_eq!(logged(&session), plain);
    // From a terminal it has that one's size, and the keys reach it.
    let script = "stty size; read -r said; echo \"got $said\"";
    let mut pty =
        Pty::start(rig(&["record", "--tty", "-o", text(&session), "--", "sh", "-c", script]), 99, 33);
    pty.see("33 99");
    pty.press("keys\r");
    pty.see("got keys");
    pty.see("recorded to");
    // What is not there is said as a shell says it.
    run(127, &["record", "--tty", "-o", text(&session), "--", "no-such-program"]);
}

#[test]
fn a_recording_that_goes_to_a_pipe_or_a_device_is_whole_and_says_so() {
    let folder = folder();
    let script = ["--", "sh", "-c", "echo out; echo err >&2; exit 3"];
    let said = run(3, &[&["record", "-o", "/dev/null"], &script[..]].concat());
    assert_eq!(said.stdout, "out\n");
    assert_eq!(said.stderr, "err\nrig: 4 events recorded to /dev/null: failed\n");
    // Standard output is the recording, and the command's own is in it.
    let said = run(3, &[&["record", "-o", "/dev/stdout"], &script[..]].concat());
    assert_eq!(said.stderr, "err\nrig: 4 events recorded to /dev/stdout: failed\n");
    let verified = finish(1, rig(&["verify", "-"]), said.stdout.as_bytes()).stdout;
    assert!(verified.starts_with("unsigned") && said.stdout.contains("\"data\":\"out\""), "{verified}");
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = {
        let fifo = fifo.clone();
        std::thread::spawn(move || {
            let mut read = String::new();
            fs::File::open(fifo).unwrap().read_to_string(&mut read).unwrap();
            read
        })
    };
    let said = run(0, &["record", "-o", text(&fifo), "--", "seq", "3000"]);
    assert!(said.stderr.contains("recorded to") && !said.stderr.contains("warning"), "{said:?}");
    let read = reader.join().unwrap();
    let verified = finish(1, rig(&["verify", "-"]), read.as_bytes()).stdout;
    assert!(verified.starts_with("unsigned") && read.lines().count() > 3000, "{verified}");
    // A pipe that nobody reads costs the recording, and the command runs all the same.
    let said = run(3, &[&["record", "-o", text(&fifo)], &script[..]].concat());
    assert!(said.stdout == "out\n" && said.stderr.contains("nobody reads"), "{said:?}");
}

#[test]
fn the_last_line_says_where_the_recording_is_and_what_to_run_next() {
    let folder = folder();
    let closing = |name: &str, code: i32, script: &str| {
        let mut command = rig(&["record", "-o", name, "--", "sh", "-c", script]);
        command.current_dir(&folder);
        finish(code, command, b"").stderr
    };
    assert_eq!(
        closing("a.jsonl", 0, "echo 1"),
        "rig: 3 events recorded to a.jsonl: passed; next: rig replay a.jsonl\n"
    );
    assert_eq!(
        closing("it's b.jsonl", 3, "exit 3"),
        "rig: 2 events recorded to it's b.jsonl: failed; next: rig explain 'it'\\''s b.jsonl'\n"
    );
}

#[test]
fn a_second_recorder_of_one_file_is_refused_and_nothing_is_lost() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let session = folder.path().join("s.jsonl");
    let first = Running::start(rig(&["record", "-o", text(&session), "--", "sh", "-c", &until("USR1")]));
    assert_eq!(first.line(), "up");
    let said = run(2, &["record", &hub.main(), "-o", text(&session), "--force"]);
    assert!(said.stderr.contains("another rig"), "{said:?}");
    // Another command runs, without a recording.
    let said = run(3, &["record", "-o", text(&session), "--", "sh", "-c", "echo ran; exit 3"]);
    assert!(said.stdout == "ran\n" && said.stderr.contains("another rig"), "{said:?}");
    first.signal("USR1");
    assert_eq!((first.line().as_str(), first.wait()), ("got", 5));
    assert_eq!(verify(text(&session), None), "unsigned");
    assert_eq!(logged(&session), ["up", "got"]);
}
