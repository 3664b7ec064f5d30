//! How long after its start the player shows the first events of a large recording, and how long it then indexes.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ptyprocess::PtyProcess;

use super::Recording;
use crate::Setup;
use crate::report::{Bar, Report, median};

const COLUMNS: u16 = 160;
const ROWS: u16 = 48;
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(setup: &Setup, recording: &Recording, report: &mut Report) -> Result<()> {
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..if setup.quick { 1 } else { 5 } {
        let (frame, indexed) = play(setup, recording)?;
        first.push(frame.as_secs_f64() * 1000.0);
        whole.push(indexed.as_secs_f64() * 1000.0);
    }
    let worst = first.iter().copied().fold(0.0, f64::max);
    let rows = [vec!["rig replay".into(), median(first).into(), worst.into(), median(whole).into()]];
    report.table(
        "player",
        &["", "first frame with events, ms", "worst, ms", "everything indexed, ms"],
        &rows,
    );
    report.bar("first frame of the player, ms", Bar::AtMost(300.0), worst);
    Ok(())
}

/// From the start to the first events on the screen, and to the end of the indexing.
fn play(setup: &Setup, recording: &Recording) -> Result<(Duration, Duration)> {
    let mut command = Command::new(&setup.rig);
    command.arg("replay").arg(&recording.path).env("TERM", "xterm-256color");
    let began = Instant::now();
    let mut process = PtyProcess::spawn(command).context("no pseudo-terminal")?;
    process.set_window_size(COLUMNS, ROWS).context("the terminal has no size")?;
    let mut input = process.get_raw_handle().context("the terminal cannot be written")?;
    let mut reader = process.get_raw_handle().context("the terminal cannot be read")?;
    let (send, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = reader.read(&mut buffer) {
            if len == 0 || send.send(buffer[..len].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut screen = vt100::Parser::new(ROWS, COLUMNS, 0);
    let mut until = |there: &dyn Fn(&str) -> bool| -> Result<Duration> {
        while !there(&screen.screen().contents()) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let bytes = output.recv_timeout(left).context("the player does not show what it should")?;
            screen.process(&bytes);
        }
        Ok(began.elapsed())
    };
    let first = until(&|shown| shown.contains("REPLAY") && shown.contains("seq 1 of"))?;
    let whole = until(&|shown| shown.contains("seq 1 of") && !shown.contains("indexing"))?;
    input.write_all(b"q")?;
    process.wait().context("the player does not end")?;
    Ok((first, whole))
}
