//! The peers of the diff: packages of PyPI and npm, installed in folders of their own below the target folder.

use std::path::PathBuf;
use std::process::Command;

use crate::Setup;
use crate::report::Report;

/// What is installed from PyPI and from npm.
const PYTHON: &[&str] = &["deepdiff==9.1.0", "jsonpatch==1.47"];
const NODE: &[&str] = &["jsondiffpatch@0.7.7"];

/// A program and how it takes a script: rounds and files follow.
pub struct Program {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub folder: Option<PathBuf>,
}

impl Program {
    /// The machine's Python, for what comes with it.
    pub fn python() -> Program {
        Program { program: "python3".into(), args: vec!["-c".into()], folder: None }
    }
}

/// Those that are there.
pub struct Peers {
    pub python: Option<Program>,
    pub node: Option<Program>,
    missing: Vec<String>,
}

/// Finds them, and installs what is missing where that can be done.
pub fn find(setup: &Setup) -> Peers {
    let folder = setup.out.join("peers");
    let (venv, npm) = (folder.join("python"), folder.join("node"));
    let run = |program: &PathBuf, args: &[&str]| {
        Command::new(program).args(args).output().is_ok_and(|out| out.status.success())
    };
    let (python, pip) = (venv.join("bin/python"), venv.join("bin/pip"));
    let venv_text = venv.display().to_string();
    let has_python = || run(&python, &["-c", "import deepdiff, jsonpatch"]);
    let make_python = || {
        let install: Vec<&str> =
            ["install", "--quiet", "--disable-pip-version-check"].iter().chain(PYTHON).copied().collect();
        run(&"python3".into(), &["-m", "venv", &venv_text]) && run(&pip, &install) && has_python()
    };
    let npm_text = npm.display().to_string();
    let has_node = || npm.join("node_modules/jsondiffpatch").is_dir();
    let make_node = || {
        let prefix =
            ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", &npm_text];
        let install: Vec<&str> = prefix.iter().chain(NODE).copied().collect();
        run(&"npm".into(), &install) && has_node()
    };
    let mut missing = Vec::new();
    let python = (has_python() || make_python()).then(|| Program {
        program: python.clone(),
        args: vec!["-c".into()],
        folder: None,
    });
    if python.is_none() {
        missing.push(format!(
            "deepdiff and jsonpatch are missing: python3 -m venv {venv_text} && {}/bin/pip install {}",
            venv.display(),
            PYTHON.join(" ")
        ));
    }
    let node = (has_node() || make_node()).then(|| Program {
        program: "node".into(),
        args: vec!["--input-type=module".into(), "--eval".into()],
        folder: Some(npm.clone()),
    });
    if node.is_none() {
        missing.push(format!("jsondiffpatch is missing: npm install --prefix {npm_text} {}", NODE.join(" ")));
    }
    Peers { python, node, missing }
}

impl Peers {
    /// Says what is missing and how to get it.
    pub fn notes(&self, report: &mut Report) {
        if !self.missing.is_empty() {
            report.note("peers of the diff", &self.missing.join("; "));
        }
    }

    /// Says which git it is.
    pub fn note_git(&self, report: &mut Report) {
        let version = Command::new("git").arg("--version").output();
        let said = version.map_or_else(
            |_| "git is missing: apt-get install git".to_owned(),
            |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        );
        report.note("peer of the text diff", &said);
    }
}

pub const DEEPDIFF: &str = "
from deepdiff import DeepDiff
old, new = (json.load(open(f)) for f in files)
for _ in range(rounds):
    timed(lambda: DeepDiff(old, new))
done()
";

pub const JSONPATCH: &str = "
import jsonpatch
old, new = (json.load(open(f)) for f in files)
for _ in range(rounds):
    timed(lambda: jsonpatch.make_patch(old, new))
done()
";

pub const DIFFLIB: &str = "
import difflib
old, new = (open(f).read().splitlines(True) for f in files)
for _ in range(rounds):
    timed(lambda: list(difflib.unified_diff(old, new)))
done()
";

pub const JSONDIFFPATCH: &str = "
import { readFileSync } from 'node:fs';
import * as jsondiffpatch from 'jsondiffpatch';
const [rounds, ...files] = process.argv.slice(1);
const [before, after] = files.map((file) => JSON.parse(readFileSync(file, 'utf8')));
const differ = jsondiffpatch.create({ objectHash: (o) => o.name });
const ms = [];
let cpu_ms = 0;
for (let n = 0; n < Number(rounds); n++) {
  const busy = process.cpuUsage(), begin = performance.now();
  differ.diff(before, after);
  ms.push(performance.now() - begin);
  const { user, system } = process.cpuUsage(busy);
  cpu_ms += (user + system) / 1e3;
}
const kib = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
console.log(JSON.stringify({ ms, cpu_ms, kib }));
";
