//! An object store as the place of snapshot files, seen from the program's side.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::harness::{file, finish, folder, rig};

/// An answer of a store to a request instead of doing it: status and more headers. It is asked with the method, the path, and
/// how often that was asked before.
type Instead = fn(&str, &str, usize) -> Option<(u16, &'static str)>;

/// A store in memory that speaks as much of S3, and of the XML interface of Google's, as rig asks of it.
struct Store {
    address: String,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Store {
    fn new(instead: Instead) -> Store {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (objects, asked) = (Arc::default(), Arc::default());
        let store = Store { address, objects: Arc::clone(&objects), asked: Arc::clone(&asked) };
        // It ends with the test's process.
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                serve(socket, instead, &objects, &asked);
            }
        });
        store
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    /// `rig snapshot api …` into the bucket.
    fn snapshot(&self, document: &str, out: &str, more: &[&str]) -> Command {
        let mut rig = rig(&[&["snapshot", "api", document, "--out", out, "--json"], more].concat());
        let google = format!(
            r#"{{"gcs_base_url":"{}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#,
            self.address
        );
        for (name, value) in [
            ("AWS_ENDPOINT", self.address.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2-key"),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", &google),
            ("GOOGLE_ALLOW_HTTP", "true"),
        ] {
            rig.env(name, value);
        }
        rig
    }
}

fn serve(
    mut socket: TcpStream,
    instead: Instead,
    objects: &Mutex<BTreeMap<String, Vec<u8>>>,
    asked: &Mutex<Vec<String>>,
) {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    let head = loop {
        let Ok(read @ 1..) = socket.read(&mut buffer) else { return };
        request.extend_from_slice(&buffer[..read]);
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8(request[..end].to_vec()).unwrap();
        }
    };
    let lower = head.to_lowercase();
    let length: usize = lower
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    while request.len() < head.len() + 4 + length {
        let read = socket.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..read]);
    }
    let body = request.split_off(head.len() + 4);
    let mut line = head.split(' ');
    let (method, target) = (line.next().unwrap(), line.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let name = path.trim_start_matches('/').split_once('/').map_or("", |(_, name)| name);
    let name = decoded(name);
    let before = {
        let mut asked = asked.lock().unwrap();
        let said = format!("{method} {name}");
        asked.push(said.clone());
        asked.iter().filter(|one| **one == said).count() - 1
    };
    let mut objects = objects.lock().unwrap();
    let (status, more, answer) = match (instead(method, &name, before), method) {
        (Some((status, more)), _) => (status, more, Vec::new()),
        (None, "PUT") if lower.contains("if-none-match: *") && objects.contains_key(&name) => {
            (412, "", Vec::new())
        }
        (None, "PUT") => {
            objects.insert(name, body);
            (200, "", Vec::new())
        }
        (None, "GET") if name.is_empty() => {
            let prefix = query.split("prefix=").nth(1).map_or("", |rest| rest.split('&').next().unwrap());
            let prefix = decoded(prefix);
            let entries = objects.iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(name, content)| {
                format!(
                    "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"x\"</ETag><Size>{}</Size></Contents>",
                    content.len()
                )
            });
            let list = format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>",
                entries.collect::<String>()
            );
            (200, "", list.into_bytes())
        }
        (None, "GET") => match objects.get(&name) {
            Some(content) => (200, "", content.clone()),
            None => (404, "", Vec::new()),
        },
        (None, "DELETE") => {
            objects.remove(&name);
            (204, "", Vec::new())
        }
        // S3 deletes several at once.
        (None, "POST") => {
            let body = String::from_utf8(body).unwrap();
            let keys: Vec<&str> =
                body.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap()).collect();
            keys.iter().for_each(|key| drop(objects.remove(*key)));
            let deleted = keys.iter().map(|key| format!("<Deleted><Key>{key}</Key></Deleted>"));
            (200, "", format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>()).into_bytes())
        }
        _ => (405, "", Vec::new()),
    };
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\netag: \"x\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nconnection: close\r\n{more}content-length: {length}\r\n\r\n"
    );
    let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&answer));
}

/// A name without the escapes of an address.
fn decoded(name: &str) -> String {
    let mut parts = name.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        name.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        name + &part[2..]
    })
}

fn puts(asked: &[String]) -> usize {
    asked.iter().filter(|one| one.starts_with("PUT ")).count()
}

#[test]
fn a_store_that_stumbles_is_tried_again_and_one_that_refuses_is_not() {
    let folder = folder();
    let document = file(folder.path(), "api.yaml", "port: 1\n");
    let stumbles: Instead =
        |method, _, before| (method == "PUT").then_some(()).and([(503, ""), (500, "")].get(before).copied());
    let refuses: Instead = |method, _, _| (method == "PUT").then_some((403, ""));
    for (instead, code, tries) in [(stumbles, 0, 3), (refuses, 2, 1)] {
        let store = Store::new(instead);
        let said = finish(code, store.snapshot(&document, "s3://bucket/a.json", &[]), b"");
        assert!(!said.stderr.contains("hunter2"), "{said:?}");
        assert_eq!(said.stderr.contains("s3:PutObject"), code == 2, "{said:?}");
        assert_eq!(puts(&store.asked()), tries);
    }
}

#[test]
fn a_store_is_asked_again_as_late_as_it_says() {
    let folder = folder();
    let document = file(folder.path(), "api.yaml", "port: 1\n");
    let store = Store::new(|method, _, before| {
        (method == "PUT" && before == 0).then_some((503, "retry-after: 1\r\n"))
    });
    let begun = Instant::now();
    finish(0, store.snapshot(&document, "s3://bucket/a.json", &[]), b"");
    assert!(begun.elapsed().as_millis() >= 1_000);
    let store = Store::new(|method, _, _| (method == "PUT").then_some((429, "retry-after: 3600\r\n")));
    let said = finish(2, store.snapshot(&document, "s3://bucket/a.json", &[]), b"");
    assert!(said.stderr.contains("asks to wait for 3600 seconds"), "{said:?}");
    assert_eq!(puts(&store.asked()), 1);
}

#[test]
fn without_the_permission_to_look_a_name_is_written_if_it_is_free() {
    let folder = folder();
    let document = file(folder.path(), "api.yaml", "port: 1\n");
    let store = Store::new(|method, _, _| (method == "GET").then_some((403, "")));
    finish(0, store.snapshot(&document, "s3://bucket/a.json", &[]), b"");
    assert_eq!(store.names(), ["a.json"]);
    let said = finish(2, store.snapshot(&document, "s3://bucket/a.json", &[]), b"");
    assert!(said.stderr.contains("is there already") && said.stderr.contains("{{timestamp}}"), "{said:?}");
}

#[test]
fn rotation_in_a_bucket_reads_nothing_where_the_name_says_whose_it_is() {
    let folder = folder();
    let document = file(folder.path(), "api.yaml", "port: 1\n");
    for scheme in ["s3", "gs"] {
        let store = Store::new(|_, _, _| None);
        let out = format!("{scheme}://bucket/{{{{service}}}}/{{{{hostname}}}}-{{{{timestamp}}}}.json");
        let first = finish(0, store.snapshot(&document, &out, &[]), b"").json();
        let name = first["written"].as_str().unwrap().split("/bucket/").nth(1).unwrap().to_owned();
        let stem = name[..name.len() - "-20260101-000000.json".len()].to_owned();
        for stamp in ["20200101-000000", "20200102-000000", "20990101-000000"] {
            let content = store.objects.lock().unwrap()[&name].clone();
            store.objects.lock().unwrap().insert(format!("{stem}-{stamp}.json"), content);
        }
        store.objects.lock().unwrap().insert("api/else.json".to_owned(), b"{}".to_vec());
        store.asked();
        let said = finish(0, store.snapshot(&document, &out, &["--keep", "2"]), b"");
        let json = said.json();
        assert_eq!(json["ahead"].as_array().unwrap().len(), 1, "{said:?}");
        let written = json["written"].as_str().unwrap().split("/bucket/").nth(1).unwrap().to_owned();
        let names = store.names();
        assert!(names.contains(&written) && names.contains(&"api/else.json".to_owned()), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("-2020")), "{names:?}");
        // One look at the new name, and the listing.
        let reads: Vec<String> = store.asked().into_iter().filter(|one| one.starts_with("GET ")).collect();
        assert_eq!(reads, [format!("GET {written}"), "GET ".to_owned()], "{scheme}");
        // What was written is read, and compared.
        let address = json["written"].as_str().unwrap();
        let mut diff = store.snapshot(&document, address, &[]);
        let environment: Vec<_> =
            diff.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        diff = rig(&["diff", address, &document]);
        for (name, value) in environment {
            if let Some(value) = value {
                diff.env(name, value);
            }
        }
        finish(0, diff, b"");
    }
}
