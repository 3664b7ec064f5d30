//! The player in a pseudo-terminal: what a person sees who starts it, presses keys and makes the window small.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use ptyprocess::{PtyProcess, Signal, WaitStatus};

use crate::harness::*;

/// A program in a terminal of its own.
pub struct Pty {
    process: PtyProcess,
    input: std::fs::File,
    output: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Everything that was written to the terminal.
    pub raw: Vec<u8>,
}

impl Pty {
    pub fn start(mut command: Command, cols: u16, rows: u16) -> Pty {
        command.env("TERM", "xterm-256color");
        let mut process = PtyProcess::spawn(command).unwrap();
        process.set_window_size(cols, rows).unwrap();
        let input = process.get_raw_handle().unwrap();
        let mut reader = process.get_raw_handle().unwrap();
        let (send, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            // A terminal whose program is gone gives an error, not an end.
            while let Ok(len) = reader.read(&mut buffer) {
                if len == 0 || send.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Pty { process, input, output, screen: vt100::Parser::new(rows, cols, 0), raw: Vec::new() }
    }

    pub fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        self.screen.screen_mut().set_size(rows, cols);
        self.process.set_window_size(cols, rows).unwrap();
    }

    fn shown(&self) -> String {
        self.screen.screen().contents()
    }

    /// Reads until the screen is as it should be.
    #[track_caller]
    fn until(&mut self, what: &str, mut there: impl FnMut(&vt100::Screen) -> bool) {
        let began = Instant::now();
        while !there(self.screen.screen()) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.output.recv_timeout(left) {
                Ok(bytes) => {
                    self.screen.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(_) => panic!("waited for {what}; the screen is\n{}", self.shown()),
            }
        }
    }

    #[track_caller]
    pub fn see(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    #[track_caller]
    fn see_no(&mut self, text: &str) {
        self.until(&format!("no {text}"), |screen| !screen.contents().contains(text));
    }

    /// The program ends with that code, and the terminal is as it was.
    #[track_caller]
    fn ends(&mut self, code: i32) {
        self.until("the old screen", |screen| {
            let no_mouse = screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None;
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste() && no_mouse
        });
        assert!(matches!(self.process.wait(), Ok(WaitStatus::Exited(_, ended)) if ended == code));
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.process.exit(true);
    }
}

fn session(name: &str) -> String {
    format!("{}/../../fixtures/sessions/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_recording_is_stepped_through_and_the_terminal_put_back() {
    let mut pty = Pty::start(rig(&["replay", &session("causes/timeout.jsonl")]), 80, 24);
    pty.see("seq 1 of 218");
    pty.see("REPLAY");
    pty.press("ll");
    pty.see("seq 3 of 218");
    pty.press("h");
    pty.see("seq 2 of 218");
    pty.press("!");
    pty.see("seq 218 of 218");
    pty.press("?");
    pty.see("the first failure");
    pty.press("q");
    pty.see_no("the first failure");
    pty.press("2");
    pty.see("timeout_ms");
    pty.press("g50%\r");
    pty.see("seq 109 of 218");
    pty.resize(160, 48);
    pty.until("all panes", |screen| {
        let shown = screen.contents();
        ["1 Services", "2 Config", "3 Events", "4 Logs", "5 Traffic", "6 Graph"]
            .iter()
            .all(|t| shown.contains(t))
    });
    pty.resize(12, 3);
    pty.see("too small");
    pty.resize(80, 24);
    pty.see("seq 109 of 218");
    pty.press("q");
    pty.ends(0);
}

#[test]
fn a_click_and_a_drag_on_the_scrubber_seek() {
    let mut pty = Pty::start(rig(&["replay", &session("causes/timeout.jsonl")]), 80, 24);
    pty.see("seq 1 of 218");
    pty.press("\u{1b}[<0;40;2M\u{1b}[<0;40;2m");
    pty.see("seq 10");
    pty.press("\u{1b}[<0;40;2M\u{1b}[<32;1;2M\u{1b}[<0;1;2m");
    pty.see("seq 1 of 218");
    pty.press("\u{3}");
    pty.ends(0);
}

#[test]
fn a_recording_on_standard_input_leaves_the_keys_to_the_terminal() {
    let mut command = Command::new("sh");
    let pipe = "cat \"$1\" | \"$0\" replay -";
    command.args(["-c", pipe, env!("CARGO_BIN_EXE_rig"), &session("v1/drift.jsonl")]);
    let mut pty = Pty::start(command, 100, 30);
    pty.see("REPLAY");
    pty.see("seq 1 of ");
    pty.press("l");
    pty.see("seq 2 of ");
    pty.press("q");
    pty.ends(0);
}

#[test]
fn without_colours_no_colour_is_sent_and_the_badge_still_stands_out() {
    let mut command = rig(&["replay", &session("causes/timeout.jsonl")]);
    command.env("NO_COLOR", "1");
    let mut pty = Pty::start(command, 160, 48);
    pty.see("REPLAY");
    pty.press("!");
    pty.see("seq 218 of 218");
    let badge = pty.screen.screen().cell(0, 1).unwrap();
    assert!(badge.inverse());
    for row in 0..48 {
        for column in 0..160 {
            let cell = pty.screen.screen().cell(row, column).unwrap();
            assert_eq!((cell.fgcolor(), cell.bgcolor()), (vt100::Color::Default, vt100::Color::Default));
        }
    }
    pty.press("q");
    pty.ends(0);
}

#[test]
fn being_ended_puts_the_terminal_back_too() {
    let mut pty = Pty::start(rig(&["replay", &session("v1/hello.jsonl")]), 80, 24);
    pty.see("seq 1 of 5");
    pty.process.signal(Signal::SIGTERM).unwrap();
    pty.ends(0);
}

#[test]
fn what_is_no_recording_is_told_after_the_terminal_is_put_back() {
    let mut pty = Pty::start(rig(&["replay", &session("v1/expected.txt")]), 80, 24);
    pty.see("this is no recording");
    pty.ends(2);
}

#[test]
fn damage_is_named_and_strict_makes_it_an_error() {
    let mut pty = Pty::start(rig(&["replay", "--strict", &session("v1/torn.jsonl")]), 120, 24);
    pty.see("CUT: the last");
    pty.press("q");
    pty.ends(2);
}

#[test]
fn a_live_stream_is_followed_until_somebody_steps_back() {
    let hub = Hub::in_memory();
    hub.capture("service=api&format=json", br#"{"pool": 10}"#);
    let mut pty = Pty::start(rig(&["replay", &hub.main()]), 80, 24);
    pty.see("LIVE");
    pty.see("seq 1 of 1");
    hub.capture("service=api&format=json", br#"{"pool": 20}"#);
    pty.see("seq 3 of 3");
    pty.see("LIVE");
    pty.press("h");
    pty.see("REPLAY");
    pty.see("1 behind");
    hub.capture("service=api&format=json", br#"{"pool": 30}"#);
    pty.see("3 behind");
    pty.press("G");
    pty.see("LIVE");
    pty.see("seq 5 of 5");
    pty.press("2");
    pty.see("pool 30");
    pty.press("q");
    pty.ends(0);
}

#[test]
fn an_event_is_put_on_the_clipboard_through_the_terminal() {
    let mut pty = Pty::start(rig(&["replay", &session("causes/timeout.jsonl")]), 80, 24);
    pty.see("seq 1 of 218");
    pty.press("g10\rY");
    pty.see("curl http://api/");
    assert!(String::from_utf8_lossy(&pty.raw).contains("\u{1b}]52;c;Y3Vyb"), "no OSC 52 was sent");
    pty.press("qq");
    pty.ends(0);
}

#[test]
fn a_recording_that_grows_is_followed() {
    let folder = folder();
    let all = std::fs::read_to_string(session("v1/drift.jsonl")).unwrap();
    let (half, rest) = all.split_at(all.len() / 2);
    let growing = file(folder.path(), "growing.jsonl", half);
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new().append(true).open(&growing).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let mut pty = Pty::start(rig(&["replay", &growing]), 120, 24);
    pty.see("seq 1 of ");
    pty.see("CUT: the last");
    pty.see("REPLAY");
    let (some, rest) = rest.split_at(rest.len() / 2);
    append(some);
    pty.see("behind");
    pty.see_no("CUT");
    pty.press("G");
    pty.see("LIVE");
    append(rest);
    pty.see("seq 15 of 15");
    // There is a footer: no more will come.
    pty.see("REPLAY");
    pty.press("q");
    pty.ends(0);
}

#[test]
fn a_log_of_rigd_that_is_served_is_followed() {
    let log = format!("{}/../../fixtures/rigd/incident.jsonl", env!("CARGO_MANIFEST_DIR"));
    let args = ["serve", &log, "--listen", "127.0.0.1:0", "--speed", "max", "--from", "10", "--paused"];
    let (running, stdin) = Running::with_stdin(rig(&args), std::process::Stdio::piped());
    let mut pty = Pty::start(rig(&["replay", &format!("{}/TestCheckout", running.line())]), 120, 24);
    pty.see("seq 9 of 9");
    pty.see("LIVE");
    stdin.unwrap().write_all(b"\n").unwrap();
    pty.see("seq 26 of 26");
    pty.press("q");
    pty.ends(0);
}

#[test]
fn control_z_leaves_the_terminal_to_the_shell_until_it_says_to_go_on() {
    let mut shell = Command::new("sh");
    let script = r#"set -m; "$0" replay "$1"; echo stopped; read go; fg %1; echo over"#;
    shell.args(["-c", script, env!("CARGO_BIN_EXE_rig"), &session("causes/timeout.jsonl")]);
    let mut pty = Pty::start(shell, 80, 24);
    pty.see("seq 1 of 218");
    pty.press("ll");
    pty.see("seq 3 of 218");
    pty.press("\u{1a}");
    pty.until("the shell", |screen| {
        let no_mouse = screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None;
        screen.contents().contains("stopped") && !screen.alternate_screen() && no_mouse
    });
    // The terminal is a terminal again: it shows what is typed, and hands on whole lines.
    pty.press("on\r");
    pty.see("seq 3 of 218");
    pty.until("the mouse", |screen| screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None);
    pty.press("l");
    pty.see("seq 4 of 218");
    pty.press("q");
    pty.see("over");
    pty.ends(0);
}

/// A recording on a disk that breaks once it was indexed.
#[derive(Debug)]
struct Broken;

impl rig_replay::timeline::Bytes for Broken {
    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
        panic!("the disk is on fire");
    }

    fn size(&self) -> std::io::Result<u64> {
        Ok(1 << 20)
    }
}

#[test]
#[ignore = "the next test runs it in a terminal of its own"]
fn a_player_that_panics() {
    let lines = std::fs::read(session("v1/bare.jsonl")).unwrap();
    let (send, news) = mpsc::sync_channel(1);
    send.send(rig_tui::News::Chunk(Box::new(rig_replay::timeline::Chunk::scan(&lines, 0, true)))).unwrap();
    let options = rig_tui::Options {
        source: "broken".into(),
        total: None,
        live: true,
        follow: true,
        at: None,
        speed: None,
        colour: true,
    };
    let timeline = rig_replay::Timeline::new(std::sync::Arc::new(Broken), "broken");
    let mut player = rig_tui::Player::new(timeline, options).unwrap();
    let _ = rig_tui::run(&mut player, &news, &std::sync::atomic::AtomicBool::new(false));
}

#[test]
fn a_panic_puts_the_terminal_back() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "player::a_player_that_panics"]);
    let mut pty = Pty::start(command, 80, 24);
    pty.see("the disk is on fire");
    pty.ends(101);
    assert!(String::from_utf8_lossy(&pty.raw).contains("\u{1b}[?1049h"), "the player never had the terminal");
}
