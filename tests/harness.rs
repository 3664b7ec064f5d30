//! Starts the binaries and speaks to them; what a test started ends with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// No test waits so long; it is there so that a defect is a failure and not a hang.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// `rig` with arguments, and nothing of the developer's own settings.
pub fn rig(args: &[&str]) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_rig")), args)
}

/// `rig` with arguments and without a terminal, whatever the tests are run on.
#[allow(dead_code, reason = "tests/proof has this file too")]
pub fn detached(args: &[&str]) -> Command {
    if cfg!(target_os = "linux") {
        clean(Command::new("setsid"), &[&[env!("CARGO_BIN_EXE_rig")], args].concat())
    } else {
        rig(args)
    }
}

/// `rig-diff` with arguments.
pub fn rig_diff(args: &[&str]) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_rig-diff")), args)
}

/// A program with arguments, and nothing of the developer's own settings.
pub fn clean(mut command: Command, args: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RIG_") {
            command.env_remove(name);
        }
    }
    command.env_remove("COLUMNS").args(args);
    command
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Standard output as one JSON value a line.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs to the end, which must come with `code`.
#[track_caller]
pub fn run(code: i32, args: &[&str]) -> Said {
    finish(code, rig(args), b"")
}

/// What `rig verify` says of a recording, with the keys in a file where one is named.
#[track_caller]
pub fn verify(session: &str, keys: Option<&str>) -> String {
    let keys = keys.map_or_else(Vec::new, |file| vec!["--keys", file]);
    let said = finish(None, rig(&[&["verify", session, "--json"], &keys[..]].concat()), b"");
    let verdict = said.json()["verdict"].as_str().unwrap().to_owned();
    assert_eq!(said.code, i32::from(verdict != "verified"), "{said:?}");
    verdict
}

/// Runs to the end with something on standard input; `None` takes any exit code.
#[track_caller]
pub fn finish(code: impl Into<Option<i32>>, mut command: Command, stdin: &[u8]) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Whoever does not read its input may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the program ends");
    let said = Said {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).expect("UTF-8"),
        stderr: String::from_utf8(stderr).expect("UTF-8"),
    };
    assert_eq!(said.code, code.into().unwrap_or(said.code), "{command:?}\n{said:?}");
    said
}

/// A program that goes on, with its standard output line by line.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    pub fn start(command: Command) -> Running {
        Running::with_stdin(command, Stdio::null()).0
    }

    /// The same, with a standard input of its own where that is piped.
    pub fn with_stdin(mut command: Command, stdin: Stdio) -> (Running, Option<ChildStdin>) {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        (Running { child, lines }, stdin)
    }

    /// The next line; it must come.
    #[track_caller]
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// The next line, if it comes in that time.
    #[allow(dead_code, reason = "tests/proof, which has this file too, looks whether a line is held back")]
    pub fn line_within(&self, time: Duration) -> Option<String> {
        self.lines.recv_timeout(time).ok()
    }

    /// The most memory it ever held, in MiB, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
    }

    /// Sends a signal, `INT` or `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits for the end, which the closed output tells, and gives the exit code.
    #[track_caller]
    pub fn wait(mut self) -> i32 {
        while match self.lines.recv_timeout(PATIENCE) {
            Ok(_) => true,
            Err(mpsc::RecvTimeoutError::Disconnected) => false,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program does not end"),
        } {}
        self.child.wait().expect("the program ends").code().unwrap_or(-1)
    }

    #[allow(dead_code, reason = "tests/proof, which has this file too, reads the memory of processes")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A hub process.
pub struct Hub {
    pub running: Running,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

impl Hub {
    pub fn in_memory() -> Hub {
        Hub::start(&["--memory"])
    }

    pub fn on(data: &Path) -> Hub {
        Hub::start(&["--data", text(data)])
    }

    pub fn start(args: &[&str]) -> Hub {
        Hub::listening("127.0.0.1:0", args)
    }

    pub fn listening(address: &str, args: &[&str]) -> Hub {
        let mut command = rig(&["hub", "--listen", address]);
        command.args(args);
        let running = Running::start(command);
        let url = running.line();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        Hub { running, url }
    }

    /// The stream as a SOURCE.
    pub fn main(&self) -> String {
        format!("{}/main", self.url)
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("an address")
    }

    /// Captures a document over HTTP; the query holds what is to be said besides the service.
    pub fn capture(&self, query: &str, document: &[u8]) -> (u16, Value) {
        self.http("POST", &format!("/v1/streams/main/snapshots?{query}"), &[], document)
    }

    /// One request, and its answer's status and JSON.
    pub fn http(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> (u16, Value) {
        let mut socket = self.socket();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        socket.write_all(head.as_bytes()).unwrap();
        // A hub that refuses early need not read the rest.
        let _ = socket.write_all(body);
        answer(socket)
    }

    pub fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// The types of all events in the stream `main`, but for the seals that the hub sets in between.
    pub fn types(&self) -> Vec<String> {
        let tail = run(0, &["tail", &self.main(), "--no-follow", "--json"]);
        tail.lines()
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .filter(|name| name != "log.sealed")
            .collect()
    }
}

/// Status and JSON of an answer that ends with its connection; problems must be told as such.
pub fn answer(mut socket: TcpStream) -> (u16, Value) {
    let mut bytes = Vec::new();
    let read = socket.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) =
        text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer ({read:?}): {text:?}"));
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    // Only what is fine may be told in plain words: `ready`.
    let json: Value = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.trim().to_owned()));
    if status >= 400 {
        assert!(head.to_ascii_lowercase().contains("content-type: application/problem+json"), "{head}");
        assert_eq!(json["status"], status, "{json}");
        for key in ["type", "title", "detail", "code"] {
            assert!(json[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {json}");
        }
    }
    (status, json)
}

/// A folder for one test.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary things")
}

/// Writes a file and gives its path.
pub fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("the file is written");
    text(&path).to_owned()
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// A document of fixtures/demo.
pub fn fixture(name: &str) -> String {
    text(&workspace().join("fixtures/demo").join(name)).to_owned()
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
