//! Snapshot files on Azure Blob Storage: Azurite's, of npm.

use std::process::Command;

use serde_json::Value;

use super::{left_out, packages, program, source};
use crate::harness::{Running, file, finish, folder, rig, text};

/// A server with one container.
struct Azure {
    _server: Running,
    url: String,
}

impl Azure {
    fn start() -> Azure {
        let mut azurite = Command::new(program("node"));
        azurite.arg(packages("node").join("node_modules/azurite/dist/src/blob/main.js"));
        azurite.args(["--blobHost", "127.0.0.1", "--blobPort", "0"]);
        azurite.args(["--inMemoryPersistence", "--silent", "--disableTelemetry"]);
        let server = Running::start(azurite);
        let url = loop {
            if let Some((_, url)) = server.line().split_once("successfully listens on ") {
                break url.trim().to_owned();
            }
        };
        let azure = Azure { _server: server, url };
        azure.ask("201", &["PUT", "/container?restype=container"]);
        azure
    }

    /// One request, and the body of its answer.
    #[track_caller]
    fn ask(&self, status: &str, request: &[&str]) -> String {
        let mut client = Command::new(program("node"));
        client.arg(source("with_azurite.mjs")).arg(&self.url).args(request);
        let said = finish(0, client, b"").stdout;
        let (found, body) = said.split_once(' ').unwrap();
        assert_eq!(found, status, "{said}");
        body.to_owned()
    }

    /// The names of all blobs.
    fn names(&self) -> Vec<String> {
        let list = self.ask("200", &["GET", "/container?restype=container&comp=list"]);
        list.split("<Name>").skip(1).map(|rest| rest.split("</Name>").next().unwrap().to_owned()).collect()
    }

    fn rig(&self, args: &[&str]) -> Command {
        let mut command = rig(args);
        command.env("AZURE_STORAGE_USE_EMULATOR", "true").env("AZURITE_BLOB_STORAGE_URL", &self.url);
        command
    }
}

#[test]
fn snapshots_lie_and_rotate_in_a_container() {
    if left_out() {
        return;
    }
    let (azure, folder) = (Azure::start(), folder());
    let document = file(folder.path(), "api.yaml", "host: a\npassword: hunter2-hunter2\n");
    let write = |code: i32, out: &str, more: &[&str]| {
        let args = [&["snapshot", "api", &document, "--out", out, "--json"], more].concat();
        finish(code, azure.rig(&args), b"")
    };
    let first = "az://container/conf/api-20200101-000000.json";
    assert_eq!(write(0, first, &[]).json()["written"], first);
    let content = azure.ask("200", &["GET", "/container/conf/api-20200101-000000.json"]);
    let snapshot: Value = serde_json::from_str(&content).unwrap();
    assert_eq!(snapshot["config"]["password"], "***redacted***");
    assert!(!content.contains("hunter2"));
    let local = file(folder.path(), "api.json", &content);
    finish(0, azure.rig(&["diff", first, &local]), b"");
    finish(2, azure.rig(&["diff", "az://container/none.json", text(folder.path())]), b"");

    let others = [
        ("conf/api-20200102-000000.json", "{\"mine\":1}".to_owned()),
        ("conf/api-20200103-000000.json", content.replace("\"service\": \"api\"", "\"service\": \"web\"")),
        ("conf/deep/api-20200104-000000.json", content.clone()),
    ];
    for (name, content) in &others {
        azure.ask("201", &["PUT", &format!("/container/{name}"), content]);
    }
    let said = write(0, "az://container/conf/api-{{timestamp}}.json", &["--keep", "1"]).json();
    let written = said["written"].as_str().unwrap().strip_prefix("az://container/").unwrap();
    let mut names: Vec<&str> = others.iter().map(|(name, _)| *name).chain([written]).collect();
    names.sort_unstable();
    assert_eq!(azure.names(), names, "only the old one of this service is gone");

    // What is there and not ours is not overwritten.
    let said = write(2, "az://container/conf/api-20200102-000000.json", &[]);
    assert!(said.stderr.contains("not written by rig"), "{said:?}");
    let said = write(2, "az://no-such-container/x.json", &[]);
    assert!(said.stderr.contains("az://no-such-container") && !said.stderr.contains("hunter2"), "{said:?}");
}
