//! Tests against those of earlier recordings: what is new, what is fixed, and what comes and goes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rig_event::Timestamp;
use rig_replay::identity::{Numbers, normalised};
use rig_replay::tests::{Standing, Tested, Tests, tests};
use serde::Serialize;

use crate::output;
use crate::source::Source;

/// Most recordings of a folder that are read, the newest.
const RUNS: usize = 20;

/// Most tests of a list on the page.
const SHOWN: usize = 20;

/// Earlier recordings, the newest first.
pub(super) struct Earlier {
    runs: Vec<Run>,
    /// True if they are those of a folder, of which the right one is to be found.
    is_folder: bool,
}

struct Run {
    file: String,
    started: Option<Timestamp>,
    tests: Tests,
}

/// The tests of a recording against earlier ones.
#[derive(Debug, Serialize)]
pub(super) struct Against {
    /// The recording that they are compared with: of a folder the last one in which no test failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Tests that fail now, and did not there.
    new: Vec<Named>,
    /// Tests that fail now, and have failed and passed before: they come and go.
    flaky: Vec<Named>,
    /// Tests that fail now, and did there.
    still: Vec<Named>,
    /// Tests that failed there, and pass now.
    fixed: Vec<Named>,
    /// Failures with equal messages, those that are the most first.
    groups: Vec<Group>,
}

/// A test in a list.
#[derive(Clone, Debug, Serialize)]
struct Named {
    seq: u64,
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// Failures that say the same.
#[derive(Debug, Serialize)]
struct Group {
    message: String,
    tests: Vec<String>,
}

impl From<&Tested> for Named {
    fn from(tested: &Tested) -> Named {
        Named {
            seq: tested.seq,
            id: tested.test.id.clone(),
            name: tested.test.full_name(),
            place: tested.test.place(),
            message: tested.test.message.clone(),
        }
    }
}

impl Earlier {
    /// Reads a recording, or the newest ones of a folder, but none of those that are reported.
    ///
    /// # Errors
    /// If the recording or the folder cannot be read.
    pub(super) async fn read(path: &Path, reported: &[Source]) -> Result<Earlier> {
        if !path.is_dir() {
            let run = run_of(path).await?;
            return Ok(Earlier { runs: vec![run], is_folder: false });
        }
        let reported: Vec<PathBuf> = reported
            .iter()
            .filter_map(|source| match source {
                Source::File(path) => path.canonicalize().ok(),
                _ => None,
            })
            .collect();
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut files: Vec<(std::time::SystemTime, PathBuf)> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.to_string_lossy();
                let is_recording = name.ends_with(".jsonl") || name.ends_with(".jsonl.zst");
                is_recording && path.canonicalize().is_ok_and(|path| !reported.contains(&path))
            })
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        let mut runs = Vec::new();
        for (_, file) in files.into_iter().take(RUNS) {
            match run_of(&file).await {
                Ok(run) => runs.push(run),
                Err(error) => output::note(format!(
                    "{} is not compared with: {}",
                    output::plain(&file.to_string_lossy()),
                    output::chain(&error)
                )),
            }
        }
        // A copied file has the time of its copy.
        runs.sort_by_key(|run| std::cmp::Reverse(run.started));
        Ok(Earlier { runs, is_folder: true })
    }

    /// Compares tests with them. Nothing comes of it where there are no tests.
    pub(super) fn against(&self, now: &Tests) -> Option<Against> {
        if now.all.is_empty() {
            return None;
        }
        let ids: HashMap<&str, &Tested> = now.all.iter().map(|test| (test.test.id.as_str(), test)).collect();
        // Of a folder only runs of the same tests count.
        let same = |run: &&Run| {
            let known = run
                .tests
                .all
                .iter()
                .any(|test| ids.contains_key(test.test.id.as_str()) && !test.test.id.is_empty());
            !self.is_folder || known
        };
        let runs: Vec<&Run> = self.runs.iter().filter(same).collect();
        let green = runs.iter().find(|run| run.tests.counts.failed == 0 && run.tests.counts.unfinished == 0);
        let base = if self.is_folder { green.copied() } else { runs.first().copied() };
        let before: HashMap<&str, Standing> = base
            .map(|run| run.tests.all.iter().map(|test| (test.test.id.as_str(), test.standing)).collect())
            .unwrap_or_default();
        let mut against = Against {
            file: base.map(|run| run.file.clone()),
            new: Vec::new(),
            flaky: Vec::new(),
            still: Vec::new(),
            fixed: Vec::new(),
            groups: groups(now),
        };
        for test in now.that(Standing::Failed) {
            let id = test.test.id.as_str();
            let list = if before.get(id) == Some(&Standing::Failed) {
                &mut against.still
            } else if comes_and_goes(&runs, id) {
                &mut against.flaky
            } else {
                &mut against.new
            };
            list.push(test.into());
        }
        for test in now.all.iter().filter(|test| matches!(test.standing, Standing::Passed | Standing::Flaky))
        {
            if before.get(test.test.id.as_str()) == Some(&Standing::Failed) {
                against.fixed.push(test.into());
            }
        }
        Some(against)
    }
}

/// Returns true if a test was flaky before, or has both failed and passed.
fn comes_and_goes(runs: &[&Run], id: &str) -> bool {
    let (mut failed, mut passed) = (false, false);
    for run in runs {
        for test in run.tests.all.iter().filter(|test| test.test.id == id) {
            match test.standing {
                Standing::Flaky => return true,
                Standing::Failed => failed = true,
                Standing::Passed => passed = true,
                Standing::Skipped | Standing::Unfinished => {}
            }
        }
    }
    failed && passed
}

/// Failures that say the same but for numbers, where there are at least two.
fn groups(now: &Tests) -> Vec<Group> {
    let mut by: BTreeMap<String, Group> = BTreeMap::new();
    for test in now.that(Standing::Failed).filter(|test| !test.test.message.is_empty()) {
        let key = normalised(&test.test.message, Numbers::All);
        let group =
            by.entry(key).or_insert_with(|| Group { message: test.test.message.clone(), tests: Vec::new() });
        group.tests.push(test.test.full_name());
    }
    let mut groups: Vec<Group> = by.into_values().filter(|group| group.tests.len() > 1).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.tests.len()));
    groups
}

async fn run_of(path: &Path) -> Result<Run> {
    let source = Source::File(path.to_owned());
    let indexed = source.timeline(None).await?;
    let started = (!indexed.timeline.is_empty()).then(|| indexed.timeline.entry(0).ts);
    Ok(Run { file: path.display().to_string(), started, tests: tests(&indexed.timeline)? })
}

impl Against {
    /// Its part of the page.
    pub(super) fn markdown(&self) -> String {
        let mut page = String::new();
        match &self.file {
            Some(file) => {
                let _ = writeln!(page, "\nAgainst {}:", code(file));
            }
            None => page.push_str("\nNo earlier run in which all of these tests passed was found.\n"),
        }
        for (title, tests) in [
            ("New failures", &self.new),
            ("Failures of tests that come and go", &self.flaky),
            ("Failed there too", &self.still),
            ("Fixed", &self.fixed),
        ] {
            if tests.is_empty() {
                continue;
            }
            let _ = writeln!(page, "\n### {title}: {}\n", tests.len());
            for test in tests.iter().take(SHOWN) {
                let place = test.place.as_ref().map_or(String::new(), |place| format!(" at {}", code(place)));
                let _ = writeln!(page, "- [{}] {}{place}", test.seq, code(&test.name));
            }
            if tests.len() > SHOWN {
                let _ = writeln!(page, "- … and {} more", tests.len() - SHOWN);
            }
        }
        for group in self.groups.iter().take(SHOWN) {
            let _ = writeln!(
                page,
                "\n{} say: {}",
                output::count(group.tests.len() as u64, "test"),
                code(&group.message)
            );
        }
        page
    }
}

/// Foreign text as code, so that nothing in it is markup.
fn code(text: &str) -> String {
    let text = output::plain(text).replace(['`', '\n'], " ");
    format!("`{}`", output::short(&text, 300))
}
