//! An object store as the place of snapshot files, seen from the program's side.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::harness::{file, finish, folder, rig};

/// A store that has nothing, and answers the writes with these status codes, one after the other. Gives its address, and in
/// the end how many writes there were.
fn store(answers: &'static [u16]) -> (String, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let writes = std::thread::spawn(move || {
        let mut writes = 0;
        while writes < answers.len() {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            let head = loop {
                let read = socket.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
                if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                    break String::from_utf8(request[..end].to_vec()).unwrap().to_lowercase();
                }
            };
            let length = head
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            while request.len() < head.len() + 4 + length {
                let read = socket.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            let status = if head.starts_with("put ") {
                writes += 1;
                answers[writes - 1]
            } else {
                404
            };
            write!(
                socket,
                "HTTP/1.1 {status} X\r\netag: \"x\"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            .unwrap();
        }
        writes
    });
    (address, writes)
}

#[test]
fn a_store_that_stumbles_is_tried_again_and_one_that_refuses_is_not() {
    let folder = folder();
    let document = file(folder.path(), "api.yaml", "port: 1\n");
    for (answers, code) in [(&[503, 500, 200][..], 0), (&[403], 2)] {
        let (address, writes) = store(answers);
        let mut rig = rig(&["snapshot", "api", &document, "--out", "s3://bucket/a.json"]);
        for (name, value) in [
            ("AWS_ENDPOINT", address.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2-key"),
        ] {
            rig.env(name, value);
        }
        let said = finish(code, rig, b"");
        assert!(!said.stderr.contains("hunter2"), "{said:?}");
        assert_eq!(writes.join().unwrap(), answers.len());
    }
}
