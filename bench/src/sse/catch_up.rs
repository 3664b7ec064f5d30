//! One subscriber that begins at seq 1, beside nginx that serves the same bytes as a file.

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::Setup;
use crate::log;
use crate::machine;
use crate::report::{Bar, Cell, Report, median};
use crate::server::{Nginx, Server};

/// The frame that follows the last event there was when the subscriber came.
const CAUGHT_UP: &[u8] = b"event: caught-up\n";

pub fn run(setup: &Setup, nginx: Option<&Nginx>, report: &mut Report) -> Result<()> {
    let (events, rounds) = if setup.quick { (100_000, 1) } else { (1_000_000, 5) };
    let folder = log::folder(setup)?;
    let hub = Server::hub(&setup.rig, &folder.path().join("data"))?;
    log::fill(&hub, events)?;
    let nginx_folder = folder.path().join("nginx");
    fs::create_dir_all(&nginx_folder)?;

    // The first time the answer is kept: it is the file. Every event must be in it, in order.
    let path = nginx_folder.join("events");
    let mut kept = Vec::new();
    get(hub.address, HUB, |bytes| kept.extend_from_slice(bytes))?;
    let seqs = memchr::memmem::find_iter(&kept, b"\ndata: {\"seq\":").map(|at| seq(&kept[at + 14..]));
    let in_order = seqs.zip(1..).filter(|(seq, due)| seq == due).count();
    ensure!(in_order >= events, "only {in_order} of {events} events came in order");
    BufWriter::new(File::create(&path)?).write_all(&kept)?;
    let bytes = kept.len();
    drop(kept);

    let server = nginx.map(|nginx| {
        let block = format!("location = /events {{ root {}; }}", nginx_folder.display());
        Server::nginx(nginx, &nginx_folder, &block)
    });
    let server = server.transpose()?;
    let (mut from_hub, mut from_nginx) = (Vec::new(), Vec::new());
    let mut cpu = Duration::ZERO;
    for _ in 0..rounds {
        if let Some(server) = &server {
            from_nginx.push(get(server.address, "/events", |_| ())?);
        }
        let before = machine::cpu(&hub.pids());
        from_hub.push(get(hub.address, HUB, |_| ())?);
        cpu += machine::cpu(&hub.pids()).saturating_sub(before);
    }
    hub.stop()?;
    server.map(Server::stop).transpose()?;

    let speed = |times: &[Duration]| median(times.iter().map(|time| bytes as f64 / 1e6 / time.as_secs_f64()));
    let seconds = |times: &[Duration]| median(times.iter().map(Duration::as_secs_f64));
    let mut rows = vec![vec![
        "hub, from=1".into(),
        speed(&from_hub).into(),
        seconds(&from_hub).into(),
        (cpu.as_secs_f64() / rounds as f64).into(),
    ]];
    if !from_nginx.is_empty() {
        rows.push(vec![
            "nginx, the same bytes as a file".into(),
            speed(&from_nginx).into(),
            seconds(&from_nginx).into(),
            Cell::None,
        ]);
    }
    let megabytes = bytes / 1_000_000;
    report.table(
        &format!("catch-up of {events} events, {megabytes} MB"),
        &["who", "MB/s", "seconds", "CPU s"],
        &rows,
    );
    if !from_nginx.is_empty() {
        let ratio = median(from_hub.iter().zip(&from_nginx).map(|(h, n)| n.as_secs_f64() / h.as_secs_f64()));
        report.bar("catch-up beside nginx serving a file", Bar::AtLeast(0.5), ratio);
    }
    Ok(())
}

const HUB: &str = "/v1/streams/main/events?from=1";

/// Reads an answer until it ends or the subscriber has caught up; how long that took from the request on.
fn get(address: SocketAddr, path: &str, mut each: impl FnMut(&[u8])) -> Result<Duration> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let begun = Instant::now();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut buffer = vec![0; 256 << 10];
    let mut first = true;
    // The end of the last read, in which the last frame may have begun.
    let mut carried: Vec<u8> = Vec::new();
    loop {
        let n = stream.read(&mut buffer).context("nothing came for a minute")?;
        if n == 0 {
            return Ok(begun.elapsed());
        }
        let mut bytes = &buffer[..n];
        if std::mem::take(&mut first) {
            ensure!(bytes.get(9..12) == Some(b"200"), "refused: {}", String::from_utf8_lossy(bytes));
            let head =
                memchr::memmem::find(bytes, b"\r\n\r\n").context("the answer's head came in pieces")?;
            bytes = &bytes[head + 4..];
        }
        each(bytes);
        // It comes last, so the end of what was read is all there is to look at.
        let tail = &bytes[bytes.len().saturating_sub(128)..];
        carried.extend_from_slice(tail);
        if memchr::memmem::find(&carried, CAUGHT_UP).is_some() {
            return Ok(begun.elapsed());
        }
        carried.drain(..carried.len().saturating_sub(CAUGHT_UP.len()));
    }
}

fn seq(bytes: &[u8]) -> u64 {
    bytes.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
}
