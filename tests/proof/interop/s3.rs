//! Snapshot files on a real S3 server: moto's, of PyPI.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;

use super::{left_out, packages};
use crate::harness::{Running, file, finish, folder, rig};

/// A server with one bucket.
struct S3 {
    _server: Running,
    address: String,
}

impl S3 {
    fn start() -> S3 {
        let mut moto = Command::new("sh");
        let server = packages("python").join("bin/moto_server");
        moto.args(["-c", "exec \"$0\" -H 127.0.0.1 -p 0 2>&1"]).arg(server);
        let server = Running::start(moto);
        let address = loop {
            if let Some((_, address)) = server.line().split_once("Running on http://") {
                break address.trim().to_owned();
            }
        };
        let s3 = S3 { _server: server, address };
        assert_eq!(s3.http("PUT", "/bucket", "").0, 200);
        s3
    }

    fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let host = &self.address;
        // moto asks for a signature and does not check it.
        let key = "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {key}\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The names of all objects.
    fn names(&self) -> Vec<String> {
        let (_, list) = self.http("GET", "/bucket?list-type=2", "");
        let names = list.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned());
        names.collect()
    }

    fn rig(&self, args: &[&str]) -> Command {
        let mut command = rig(args);
        command
            .env("AWS_ENDPOINT", format!("http://{}", self.address))
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "hunter2-key");
        command
    }
}

#[test]
fn snapshots_lie_and_rotate_in_a_bucket() {
    if left_out() {
        return;
    }
    let (s3, folder) = (S3::start(), folder());
    let document = file(folder.path(), "api.yaml", "host: a\npassword: hunter2-hunter2\n");
    let out = "s3://bucket/conf/api-{{timestamp}}.json";
    let write = |code: i32, out: &str, more: &[&str]| {
        finish(code, s3.rig(&[&["snapshot", "api", &document, "--out", out, "--json"], more].concat()), b"")
    };
    let said = write(0, out, &[]).json();
    let name = said["written"].as_str().unwrap().strip_prefix("s3://bucket/").unwrap().to_owned();
    let (status, content) = s3.http("GET", &format!("/bucket/{name}"), "");
    assert_eq!(status, 200);
    let snapshot: Value = serde_json::from_str(&content).unwrap();
    assert_eq!(
        (&snapshot["version"], &snapshot["config"]["password"]),
        (&"1.0".into(), &"***redacted***".into())
    );
    assert!(!content.contains("hunter2"));

    let others = [
        ("conf/api-20200103-000000.json", "{\"mine\":1}".to_owned()),
        ("conf/api-20200104-000000.json", content.replace("\"service\": \"api\"", "\"service\": \"web\"")),
        ("conf/deep/api-20200105-000000.json", content.clone()),
        ("api-20200106-000000.json", content.clone()),
    ];
    for (name, content) in &others {
        assert_eq!(s3.http("PUT", &format!("/bucket/{name}"), content).0, 200);
    }
    for day in ["01", "02"] {
        s3.http("PUT", &format!("/bucket/conf/api-202001{day}-000000.json"), &content);
    }
    write(0, out, &["--keep", "1"]);
    let names = s3.names();
    for (name, _) in &others {
        assert!(names.iter().any(|found| found == name), "{name} of {names:?}");
    }
    assert!(
        !names.iter().any(|name| name.contains("conf/api-20200101") || name.contains("conf/api-20200102")),
        "{names:?}"
    );

    // What is there and not ours is not overwritten.
    let said = write(2, "s3://bucket/conf/api-20200103-000000.json", &[]);
    assert!(said.stderr.contains("not written by rig"), "{said:?}");
    let said = write(2, "s3://no-such-bucket/x.json", &[]);
    assert!(said.stderr.contains("s3://no-such-bucket") && !said.stderr.contains("hunter2"), "{said:?}");
}
