//! Subscribers that read nothing cost the hub little memory, and nobody else anything.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Hub, PATIENCE, folder};

const STALLED: u64 = 48;

/// What a subscriber that does not read may add to the hub's resident memory, in KiB.
const KIB_EACH: u64 = 512;

/// Opens a subscription and reads no more of it than that it has begun.
fn subscribe(hub: &Hub) -> BufReader<TcpStream> {
    let mut socket = hub.socket();
    let request =
        b"GET /v1/streams/main/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    socket.write_all(request).unwrap();
    let mut reader = BufReader::with_capacity(1 << 10, socket);
    let mut line = String::new();
    while !line.starts_with("event: caught-up") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended");
    }
    reader
}

/// Reads until so many of the appended events have come, each the one after the last.
fn read(mut reader: BufReader<TcpStream>, events: u64) {
    let (mut line, mut seq, mut came) = (Vec::new(), None, 0);
    while came < events {
        line.clear();
        assert!(reader.read_until(b'\n', &mut line).unwrap() > 0, "the stream ended");
        if let Some(id) = line.strip_prefix(b"id: ") {
            let id = std::str::from_utf8(id).unwrap().trim_end();
            let next: u64 = id.split_once(':').unwrap().1.parse().unwrap();
            assert!(seq.is_none_or(|seq| next == seq + 1), "{next} came after {seq:?}");
            seq = Some(next);
        }
        // The hub seals in between.
        came += u64::from(line.starts_with(b"event: shop.sold"));
    }
}

/// Resident memory of a process in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Appends batches, each of `events` events of some 10,000 bytes, and calls `between` after each.
fn append(hub: &Hub, batches: u64, events: u64, mut between: impl FnMut(u64)) {
    // A long number: a string would be searched for secrets, which takes its time in a debug build.
    let event = format!(r#"{{"type":"shop.sold","n":{}}}"#, "7".repeat(10_000));
    let batch = format!("[{}]", vec![event; events as usize].join(","));
    for n in 0..batches {
        let (status, answer) = hub.http("POST", "/v1/streams/main/events", &[], batch.as_bytes());
        assert_eq!(status, 201, "{answer}");
        between(n);
    }
}

#[test]
fn subscribers_that_read_nothing_cost_little_and_hold_up_nobody() {
    if !cfg!(target_os = "linux") {
        println!("left out: memory is read from /proc");
        return;
    }
    // Small appends, and such as fill the hub's memory for new events each by itself.
    for (batches, events) in [(480, 10), (48, 200)] {
        check(batches, events);
    }
}

fn check(batches: u64, events: u64) {
    let folder = folder();
    let hub = Hub::start(&["--data", crate::harness::text(folder.path()), "--durability", "interval=50ms"]);
    let healthy = subscribe(&hub);
    let reading = std::thread::spawn(move || read(healthy, 2 * batches * events));
    // What the hub keeps of the newest events for everybody who follows.
    append(&hub, batches, events, |_| {});
    let before = resident(hub.running.id());
    let mut stalled = Vec::new();
    // One after the other, so that each comes to a halt somewhere else.
    append(&hub, batches, events, |n| {
        if n % (batches / STALLED) == 0 {
            stalled.push(subscribe(&hub));
        }
    });
    assert_eq!(stalled.len() as u64, STALLED);
    reading.join().expect("who reads gets everything");
    let grown = resident(hub.running.id()).saturating_sub(before);
    println!("{batches} appends of {events}: {before} KiB before, {grown} KiB for {STALLED} stalled");
    assert!(
        grown < STALLED * KIB_EACH,
        "{STALLED} subscribers that do not read took {grown} KiB, beside {before} KiB before"
    );

    // They are late, not lost: the first one reads on from where it stood.
    let first = stalled.remove(0);
    first.get_ref().set_read_timeout(Some(PATIENCE + Duration::from_secs(60))).unwrap();
    read(first, (batches - 1) * events);
}
