//! The GitHub Action and the GitLab component: their steps, run by bash as a runner does, and the comment that they post.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{Said, clean, finish, folder, text, workspace};

/// The comments of a pull request, behind an API on loopback.
#[derive(Clone)]
struct Api {
    address: String,
    comments: Arc<Mutex<Vec<(u64, String)>>>,
    /// Method, path and credentials of every request.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// Starts with comments of others, more than one page of them.
    fn start() -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let others = (1..=130).map(|id| (id, format!("<b>comment</b> {id} of somebody"))).collect();
        let api = Api {
            address: format!("http://{}", listener.local_addr().unwrap()),
            comments: Arc::new(Mutex::new(others)),
            requests: Arc::default(),
        };
        let served = api.clone();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|socket| served.serve(socket)));
        api
    }

    fn serve(&self, mut socket: TcpStream) {
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|len| len > 2) {
            head.push_str(&std::mem::take(&mut line));
        }
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
            line.map(|line| line[name.len() + 1..].trim().to_owned()).unwrap_or_default()
        };
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let token = header("authorization") + &header("private-token");
        self.requests.lock().unwrap().push(format!("{method} {path} {token}"));
        let answer = self.answer(&method, &path, body["body"].as_str().unwrap_or_default());
        let (status, answer) = if token.ends_with("secret-token") {
            answer
        } else {
            (403, json!({"message": "Resource not accessible"}))
        };
        let answer = answer.to_string();
        let length = answer.len();
        let _ = write!(
            socket,
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{answer}"
        );
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut comments = self.comments.lock().unwrap();
        let shown = |(id, body): &(u64, String)| json!({"id": id, "body": body});
        match method {
            "GET" => {
                let page: usize = path.rsplit_once("&page=").unwrap().1.parse().unwrap();
                (200, comments.iter().skip((page - 1) * 100).take(100).map(shown).collect())
            }
            "POST" => {
                let id = comments.len() as u64 + 1;
                comments.push((id, body.to_owned()));
                (201, json!({"id": id}))
            }
            _ => {
                let id: u64 = path.rsplit_once('/').unwrap().1.parse().unwrap();
                comments[id as usize - 1].1 = body.to_owned();
                (200, json!({"id": id}))
            }
        }
    }

    /// The comments that rig wrote.
    fn written(&self) -> Vec<String> {
        self.comments.lock().unwrap().iter().skip(130).map(|(_, body)| body.clone()).collect()
    }
}

/// A YAML file as flat fields.
fn fields(text: &str) -> BTreeMap<String, String> {
    let limits = rig_config::Limits::default();
    let document = rig_config::parse(text.as_bytes(), rig_config::Format::Yaml, &limits).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    document.config.iter().map(|(path, value)| (path.to_string(), text(value))).collect()
}

/// The runner of a job: folders, files, and the answers to `${{ … }}`.
struct Runner {
    folder: tempfile::TempDir,
    action: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
}

impl Runner {
    fn new(inputs: &[(&str, &str)]) -> Runner {
        let action = fields(&fs::read_to_string(workspace().join("action.yml")).unwrap());
        let mut values = BTreeMap::new();
        for (field, value) in &action {
            if let Some(input) = field.strip_prefix("inputs.").and_then(|rest| rest.strip_suffix(".default"))
            {
                values.insert(format!("inputs.{input}"), value.clone());
            }
        }
        for (name, value) in inputs {
            assert!(action.contains_key(&format!("inputs.{name}.description")), "{name}");
            values.insert(format!("inputs.{name}"), (*value).to_owned());
        }
        values.insert("github.token".to_owned(), "secret-token".to_owned());
        values.insert("github.action_path".to_owned(), text(&workspace()).to_owned());
        values.insert("github.action_repository".to_owned(), "owner/rig".to_owned());
        let folder = folder();
        for name in ["output", "path", "summary.md"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::write(folder.path().join("event.json"), json!({"pull_request": {"number": 7}}).to_string())
            .unwrap();
        Runner { folder, action, values }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Puts values in the place of `${{ … }}`.
    fn filled(&self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${{") {
            let (name, after) = after.split_once("}}").unwrap();
            text.push_str(before);
            let value = self.values.get(name.trim()).unwrap_or_else(|| panic!("nobody sets {name}"));
            // A default may be another expression.
            text.push_str(&self.filled(value));
            rest = after;
        }
        text + rest
    }

    /// Runs every step that has a script; the exit code is that of the first that failed.
    fn run(&mut self, api: &Api, token: Option<&str>) -> (i32, String) {
        if let Some(token) = token {
            self.values.insert("github.token".to_owned(), token.to_owned());
        }
        let (mut code, mut said) = (0, String::new());
        for step in (0..).take_while(|step| self.action.contains_key(&format!("runs.steps[{step}].name"))) {
            let field = |name: &str| self.action.get(&format!("runs.steps[{step}].{name}"));
            let Some(script) = field("run") else { continue };
            assert!(!script.contains("${{"), "values come by the environment: {script}");
            let name = field("name").unwrap().clone();
            let mut command =
                clean(Command::new("bash"), &["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
            let directory = field("working-directory").map_or(".".to_owned(), |folder| self.filled(folder));
            let output = self.path("output");
            fs::write(&output, "").unwrap();
            let programs = format!(
                "{}:{}",
                text(Path::new(env!("CARGO_BIN_EXE_rig")).parent().unwrap()),
                std::env::var("PATH").unwrap()
            );
            command
                .current_dir(self.folder.path().join(directory))
                .env("PATH", programs)
                .envs([
                    ("GITHUB_ACTIONS", "true"),
                    ("GITHUB_REPOSITORY", "owner/shop"),
                    ("GITHUB_WORKFLOW", "tests"),
                    ("GITHUB_JOB", "unit"),
                ])
                .envs([
                    ("GITHUB_SERVER_URL", "https://github.example"),
                    ("GITHUB_RUN_ID", "42"),
                    ("GITHUB_API_URL", &api.address),
                ])
                .env("GITHUB_OUTPUT", &output)
                .env("GITHUB_PATH", self.path("path"))
                .env("GITHUB_STEP_SUMMARY", self.path("summary.md"))
                .env("GITHUB_EVENT_PATH", self.path("event.json"))
                .env("RUNNER_TEMP", self.folder.path());
            let prefix = format!("runs.steps[{step}].env.");
            for (name, value) in self.action.range(prefix.clone()..) {
                let Some(name) = name.strip_prefix(&prefix) else { break };
                command.env(name, self.filled(value));
            }
            let Said { code: ended, stdout, stderr } = finish(None, command, b"");
            said.push_str(&format!("== {name}\n{stdout}{stderr}"));
            if code == 0 {
                code = ended;
            }
            if let Some(id) = field("id").cloned() {
                for line in fs::read_to_string(&output).unwrap().lines() {
                    let (key, value) = line.split_once('=').unwrap();
                    self.values.insert(format!("steps.{id}.outputs.{key}"), value.to_owned());
                }
            }
        }
        (code, said)
    }
}

const FAILING: &str = "printf 'workers: 4\\n' > api.yaml; rig snapshot api api.yaml > /dev/null; printf 'workers: 0\\n' > api.yaml; \
                       rig snapshot api api.yaml > /dev/null; echo 'no @workers <b>' >&2; exit 3";

#[test]
fn the_action_writes_one_comment_with_the_first_failure_and_the_change_before_it() {
    let api = Api::start();
    let mut runner = Runner::new(&[("run", FAILING), ("junit", "report.xml")]);
    let (code, said) = runner.run(&api, None);
    assert_eq!(code, 3, "{said}");
    let written = api.written();
    assert_eq!(written.len(), 1, "{said}");
    let comment = &written[0];
    let first = "<!-- rig: tests/unit -->\n### rig: 1 recording, 1 failed\n";
    assert!(comment.starts_with(first), "{comment}");
    assert!(comment.contains("First failure: tests: service.failed exit code 3\n"), "{comment}");
    assert!(comment.contains("The change before it: api workers: 4 → 0"), "{comment}");
    assert!(comment.contains("(https://github.example/owner/shop/actions/runs/42)"), "{comment}");
    assert!(!comment.contains("<b>") || comment.contains("`no @workers <b>`"), "{comment}");
    let summary = fs::read_to_string(runner.path("summary.md")).unwrap();
    assert!(summary.contains("1 failed") && said.contains("::error"), "{summary} {said}");
    assert!(fs::read_to_string(runner.path("report.xml")).unwrap().contains("<failure"));
    // The next run brings it up to date, and the comments of others stay.
    runner.values.insert("inputs.run".to_owned(), "echo fine".to_owned());
    let (code, said) = runner.run(&api, None);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        api.written(),
        ["<!-- rig: tests/unit -->\n### rig: 1 recording, nothing failed\n\n[The job, with its summary and the recording](https://github.example/owner/shop/actions/runs/42)\n".to_owned()]
    );
    let requests = api.requests.lock().unwrap().clone();
    assert_eq!(
        requests.iter().map(|request| request.rsplit_once(' ').unwrap().0).collect::<Vec<_>>()[2..],
        [
            "POST /repos/owner/shop/issues/7/comments Bearer",
            "GET /repos/owner/shop/issues/7/comments?per_page=100&page=1 Bearer",
            "GET /repos/owner/shop/issues/7/comments?per_page=100&page=2 Bearer",
            "PATCH /repos/owner/shop/issues/comments/131 Bearer",
        ]
    );
    assert!(api.comments.lock().unwrap()[..130].iter().all(|(_, body)| body.contains("of somebody")));
}

#[test]
fn a_comment_that_may_not_be_written_costs_only_itself() {
    let api = Api::start();
    let mut runner = Runner::new(&[("run", "echo fine")]);
    let (code, said) = runner.run(&api, Some("read-only"));
    assert!(code == 0 && said.contains("no comment is written") && !said.contains("read-only"), "{said}");
    // What passes leaves no comment where none is, and a push has no pull request.
    let mut runner = Runner::new(&[("run", "echo fine")]);
    assert_eq!(runner.run(&api, None).0, 0);
    let mut runner = Runner::new(&[("run", "exit 4"), ("working-directory", "deeper")]);
    fs::create_dir(runner.path("deeper")).unwrap();
    fs::write(runner.path("event.json"), "{}").unwrap();
    let (code, said) = runner.run(&api, None);
    assert!(code == 4 && said.contains("no pull request"), "{said}");
    assert!(runner.path("deeper/run.jsonl.zst").exists());
    assert!(api.written().is_empty());
}

#[test]
fn the_component_writes_a_note_to_the_merge_request() {
    let api = Api::start();
    let component = fs::read_to_string(workspace().join("templates/rig.yml")).unwrap();
    let (spec, job) = component.split_once("\n---\n").unwrap();
    let inputs = fields(spec);
    let mut job = job.replace("$[[ inputs.run ]]", "exit 5");
    for (field, value) in &inputs {
        if let Some(input) = field.strip_prefix("spec.inputs.").and_then(|rest| rest.strip_suffix(".default"))
        {
            job = job.replace(&format!("$[[ inputs.{input} ]]"), value);
        }
    }
    assert!(!job.contains("$[["), "{job}");
    let job = fields(&job);
    let folder = folder();
    let script = |part: &str| {
        let lines: Vec<&str> =
            (0..).map_while(|line| Some(job.get(&format!("rig.{part}[{line}]"))?.as_str())).collect();
        assert!(lines.len() > 1, "{job:?}");
        let mut command = clean(Command::new("bash"), &["-e", "-c", &lines.join("\n")]);
        let programs = format!(
            "{}:{}",
            text(Path::new(env!("CARGO_BIN_EXE_rig")).parent().unwrap()),
            std::env::var("PATH").unwrap()
        );
        command
            .current_dir(&folder)
            .env("PATH", programs)
            .envs(
                job.iter().filter_map(|(field, value)| Some((field.strip_prefix("rig.variables.")?, value))),
            )
            .envs([
                ("CI_PROJECT_DIR", text(folder.path())),
                ("CI_API_V4_URL", &api.address),
                ("CI_PROJECT_ID", "12"),
                ("CI_MERGE_REQUEST_IID", "3"),
            ])
            .envs([
                ("CI_JOB_NAME", "rig"),
                ("CI_JOB_URL", "https://gitlab.example/jobs/9"),
                ("RIG_GITLAB_TOKEN", "secret-token"),
            ])
            .env_remove("GITHUB_EVENT_PATH");
        finish(None, command, b"")
    };
    assert_eq!(script("script").code, 5);
    assert_eq!(script("after_script").code, 1);
    assert_eq!(script("after_script").code, 1);
    let written = api.written();
    assert!(
        written.len() == 1 && written[0].contains("First failure: tests: service.failed exit code 5"),
        "{written:?}"
    );
    assert!(written[0].contains("(https://gitlab.example/jobs/9)"), "{written:?}");
    let last = api.requests.lock().unwrap().last().unwrap().clone();
    assert_eq!(last, "PUT /projects/12/merge_requests/3/notes/131 secret-token");
    assert!(folder.path().join("rig-report.xml").exists() && folder.path().join("rig-summary.md").exists());
}
