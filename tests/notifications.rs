//! Notifications of a hub that is killed, and the settings that say who gets them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use serde_json::Value;

use crate::harness::{Hub, PATIENCE, file, folder, run, text};

/// Somebody who is notified: takes everything, or nothing. What came is told with whether it was taken.
fn receiver(taking: Arc<AtomicBool>) -> (String, mpsc::Receiver<(Value, bool)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let (send, received) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(connection);
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            // Whoever was killed sends no more.
            if reader.read_exact(&mut body).is_err() || body.is_empty() {
                continue;
            }
            let taken = taking.load(Ordering::SeqCst);
            let status = if taken { "204 No Content" } else { "503 Service Unavailable" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = reader.get_mut().write_all(answer.as_bytes());
            if send.send((serde_json::from_slice(&body).unwrap(), taken)).is_err() {
                return;
            }
        }
    });
    (url, received)
}

#[test]
fn a_hub_that_is_killed_loses_no_notification() {
    let folder = folder();
    let taking = Arc::new(AtomicBool::new(true));
    let (url, received) = receiver(taking.clone());
    let next = || received.recv_timeout(PATIENCE).expect("a notification in time");
    let toml = format!("allow = ['127.0.0.1']\n[[notify]]\nname = 'ops'\nurl = '{url}'\n");
    let config = file(folder.path(), "hub.toml", toml);
    let data = folder.path().join("data");
    let start = || Hub::start(&["--data", text(&data), "--config", &config]);
    let drift = |hub: &Hub, service: &str| {
        let document = file(folder.path(), "a.json", r#"{"a":1}"#);
        run(0, &["snapshot", service, &document, "--hub", &hub.url]);
        run(0, &["baseline", "approve", &hub.main(), service, "--reason", "fine"]);
        std::fs::write(&document, r#"{"a":2}"#).unwrap();
        run(0, &["snapshot", service, &document, "--hub", &hub.url]);
    };
    let mut hub = start();
    let mut expected = Vec::new();
    for (service, takes) in [("s0", true), ("s1", false), ("s2", true), ("s3", false)] {
        taking.store(takes, Ordering::SeqCst);
        drift(&hub, service);
        expected.push(service.to_owned());
        // Until it is taken, or until something is refused: then that stands before all else.
        while !matches!(next(), (message, taken) if taken == takes && (!takes || message["event"]["service"] == service))
        {
        }
        // As a power cut would.
        hub.running.kill();
        while received.try_recv().is_ok() {}
        taking.store(true, Ordering::SeqCst);
        hub = start();
    }
    drift(&hub, "last");
    let mut told = Vec::new();
    while told.last().is_none_or(|service| service != "last") {
        let (message, taken) = next();
        if taken {
            told.push(message["event"]["service"].as_str().unwrap().to_owned());
        }
    }
    // What was not taken is told now, in its order; what was may be told once more.
    told.dedup();
    assert!(told.ends_with(&["s3".to_owned(), "last".to_owned()]), "{told:?}");
    assert!(expected.ends_with(&told[..told.len() - 1]), "{told:?}");
}

#[test]
fn check_config_looks_at_endpoints_too() {
    let folder = folder();
    let check = |code, toml: &str| {
        let config = file(folder.path(), "hub.toml", toml);
        run(code, &["hub", "--check-config", "--config", &config]).stderr
    };
    let endpoint = |rest: &str| format!("[[notify]]\nname = 'ops'\n{rest}\n");
    check(0, &endpoint("url = 'https://hooks.example.com/x'"));
    let said = check(2, &endpoint("url = 'http://10.0.0.5/x'"));
    assert!(said.contains("a private network") && said.contains("allow = [\"10.0.0.5\"]"), "{said}");
    check(0, &format!("allow = ['10.0.0.0/8']\n{}", endpoint("url = 'http://10.0.0.5/x'")));
    let said = check(2, &endpoint("url = 'https://x/'\nkey_file = '/no/such/file'"));
    assert!(said.contains("/no/such/file"), "{said}");
    let said = check(2, &endpoint("url = 'ftp://user:hunter2@x/'"));
    assert!(said.contains("https://") && !said.contains("hunter2"), "{said}");
    let said = check(2, "[[watch]]\nservice = 'api'\npaths = ['/etc/*.yaml']\n");
    assert!(said.contains("{{stem}}"), "{said}");
}
