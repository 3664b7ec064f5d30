//! Traces over OTLP reach a collector; `cargo test -p rig --features otlp --test whole otlp`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use crate::harness::{Hub, Running, rig};

/// The fields of a protobuf message that have bytes, by number.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            5 => 4,
            other => panic!("no wire type {other} in proto3"),
        };
        let (bytes, rest) = message.split_at(length);
        message = rest;
        if key & 7 == 2 {
            found.push((key >> 3, bytes));
        }
    }
    found
}

/// What stands in the messages at a path of field numbers.
fn at<'a>(message: &'a [u8], path: &[u64]) -> Vec<&'a [u8]> {
    path.iter().fold(vec![message], |messages, number| {
        let inner = messages.into_iter().flat_map(fields);
        inner.filter(|(n, _)| n == number).map(|(_, bytes)| bytes).collect()
    })
}

/// Takes one request and gives its address and body.
fn receive(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (first, body)
}

#[test]
fn requests_reach_a_collector_as_spans() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut command = rig(&["hub", "--memory", "--listen", "127.0.0.1:0"]);
    command.env("RIG_OTLP_ENDPOINT", endpoint);
    let running = Running::start(command);
    let hub = Hub { url: running.line(), running };
    assert_eq!(hub.http("PUT", "/v1/streams/seen", &["x-request-id: trace-me-7"], b"").0, 201);
    // What is not sent yet goes at the end.
    hub.running.signal("TERM");
    let mut attributes = Vec::new();
    while !attributes.iter().any(|text: &String| text == "trace-me-7") {
        let (first, body) = receive(&listener);
        assert!(first.starts_with("POST /v1/traces "), "{first}");
        // resource_spans, scope_spans, spans, and of these the name, and the values of the attributes as far as they are text.
        assert!(at(&body, &[1, 2, 2, 5]).contains(&b"request".as_slice()));
        let values = at(&body, &[1, 2, 2, 9, 2, 1]);
        attributes.extend(values.into_iter().map(|value| String::from_utf8(value.to_vec()).unwrap()));
    }
    assert!(attributes.iter().any(|text| text == "/v1/streams/seen"), "{attributes:?}");
    assert_eq!(hub.running.wait(), 0);
}
