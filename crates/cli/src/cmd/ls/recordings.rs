//! The recordings in a folder, one line each: the newest first, with how each ended and what failed first.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use globset::GlobBuilder;
use rig_event::Timestamp;
use rig_replay::explain::Limits;
use serde::Serialize;

use crate::cmd::explain::{explained, first_failure};
use crate::output;
use crate::source::Source;
use crate::table::{self, Rows};
use crate::timeline;

/// The most folders below each other that are looked into.
const DEEPEST: usize = 32;

/// The most files that are listed.
const MOST: usize = 100_000;

/// The characters of a pattern.
const WILD: [char; 4] = ['*', '?', '[', '{'];

/// A recording, as one line says it.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    file: String,
    /// When it was begun; of a file that cannot be read, when it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Timestamp>,
    /// `passed`, `failed`, `crashed`, `interrupted`, `unknown`, `unfinished` or `unreadable`.
    outcome: String,
    pub(super) failed: bool,
    /// The test or the environment.
    name: String,
    /// As it was recorded, or from the first event to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    events: usize,
    services: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<String>,
    /// Why it could not be read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Overview {
    pub(super) fn is_unreadable(&self) -> bool {
        self.outcome == "unreadable"
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.error.is_some()
    }
}

/// Returns the files that are meant if the arguments stand for recordings to list, and not for one to read.
pub(super) fn meant(sources: &[Source]) -> Result<Option<Vec<PathBuf>>> {
    let is_list = |source: &Source| match source {
        Source::File(path) => path.is_dir() || is_pattern(path),
        _ => false,
    };
    if sources.len() == 1 && !sources.iter().any(is_list) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for source in sources {
        let Source::File(path) = source else { bail!("{source} is not a file, and files are listed") };
        if path.is_dir() {
            files.extend(in_folder(path)?);
        } else if is_pattern(path) {
            files.extend(matching(path)?);
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    files.dedup();
    Ok(Some(files))
}

fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(WILD)) && !path.exists()
}

fn is_recording(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with('.') && (name.ends_with(".jsonl") || name.ends_with(".jsonl.zst"))
}

/// The recordings in a folder, but not in those below it.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| is_recording(path) && path.is_file()).take(MOST).collect())
}

/// The files that a pattern names.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_string_lossy();
    let glob = GlobBuilder::new(&text).literal_separator(true).build();
    let glob = glob.with_context(|| format!("{} is not a pattern", output::plain(&text)))?.compile_matcher();
    let plain = |step: &&std::ffi::OsStr| !step.to_string_lossy().contains(WILD);
    let base: PathBuf = pattern.iter().take_while(plain).collect();
    let mut found = Vec::new();
    let mut folders = vec![(base, 0)];
    while let Some((folder, depth)) = folders.pop() {
        let readable = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        for entry in fs::read_dir(readable).into_iter().flatten().flatten() {
            let path = folder.join(entry.file_name());
            // Links to folders could lead round in a circle.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEEPEST && !entry.file_name().to_string_lossy().starts_with('.') {
                    folders.push((path, depth + 1));
                }
            } else if glob.is_match(&path) && path.is_file() && found.len() < MOST {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        bail!("no file is called {}", output::plain(&text));
    }
    Ok(found)
}

/// Reads the recordings, and gives them with the newest first.
pub(super) fn read(files: &[PathBuf]) -> Vec<Overview> {
    let mut found = timeline::each(files, async |file: &PathBuf| overview(file).await);
    found.sort_by(|a, b| (Reverse(a.started), &a.file).cmp(&(Reverse(b.started), &b.file)));
    found
}

async fn overview(file: &Path) -> Overview {
    let shown = file.display().to_string();
    match recorded(file).await {
        Ok(overview) => overview,
        Err(error) => Overview {
            started: written(file),
            outcome: "unreadable".to_owned(),
            failed: false,
            name: crate::source::stem(file),
            duration_ms: None,
            events: 0,
            services: Vec::new(),
            first_failure: None,
            // The file is named already.
            error: Some(output::chain(&error).replacen(&format!("{shown}: "), "", 1)),
            file: shown,
        },
    }
}

async fn recorded(file: &Path) -> Result<Overview> {
    let indexed = Source::File(file.to_owned()).timeline(None).await?;
    let timeline = &indexed.timeline;
    let it = explained(&indexed, Limits { items: 1, lines: 0, bytes: 200 })?;
    let doubt = indexed.doubt();
    let outcome = if doubt.is_some() && !it.is_failure() { "unfinished" } else { it.outcome.as_str() };
    let first = (!timeline.is_empty()).then(|| timeline.entry(0).ts);
    let name = match (timeline.header(), timeline.rigd_header()) {
        (Some(header), _) => header.session.clone(),
        _ => timeline.stream().to_owned(),
    };
    Ok(Overview {
        file: file.display().to_string(),
        started: timeline.header().map(|header| header.started).or(first).or_else(|| written(file)),
        outcome: outcome.to_owned(),
        failed: it.is_failure(),
        name,
        duration_ms: Some(it.duration_ms).filter(|ms| it.outcome_recorded || *ms > 0),
        events: it.events,
        services: timeline.services().map(str::to_owned).collect(),
        first_failure: first_failure(&it),
        error: doubt,
    })
}

fn written(file: &Path) -> Option<Timestamp> {
    let written = fs::metadata(file).and_then(|meta| meta.modified()).ok()?;
    let since = written.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_micros(i64::try_from(since.as_micros()).ok()?))
}

/// Prints them as columns.
pub(super) fn print(overviews: &[Overview]) -> Result<()> {
    let mut rows = Rows::default();
    let widest =
        |of: fn(&Overview) -> usize, most: usize| overviews.iter().map(of).max().unwrap_or(0).min(most);
    let (name, file) = (widest(|it| it.name.chars().count(), 32), widest(|it| it.file.chars().count(), 60));
    for it in overviews {
        match it.started {
            Some(started) => rows.time(started),
            None => rows.cell("", 23),
        }
        rows.text("  ");
        rows.cell(&it.outcome, 11);
        rows.text("  ");
        rows.cell(&it.name, name);
        rows.text("  ");
        let took = it.duration_ms.map_or_else(String::new, |ms| table::latency(ms.saturating_mul(1000)));
        rows.right(&took, 8);
        rows.text("  ");
        let services = match it.services.as_slice() {
            names if names.len() <= 3 => names.join(","),
            names => format!("{},… {} services", names[..1].join(","), names.len()),
        };
        rows.cell(&services, 24);
        rows.text("  ");
        rows.cell(&it.file, file);
        for what in [&it.first_failure, &it.error].into_iter().flatten() {
            rows.text("  ");
            rows.foreign(&output::short(&what.replace('\n', " "), 160));
        }
        rows.end()?;
    }
    Ok(rows.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_files_below_it_and_a_folder_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["a.jsonl", "b.jsonl.zst", "notes.txt", ".c.jsonl", "deep/er/d.jsonl", "deep/.git/e.jsonl"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names = |paths: Vec<PathBuf>| {
            let mut names: Vec<String> = paths
                .iter()
                .map(|path| path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(in_folder(folder.path()).unwrap()), ["a.jsonl", "b.jsonl.zst"]);
        assert_eq!(names(matching(&folder.path().join("**/*.jsonl")).unwrap()).len(), 3);
        assert_eq!(names(matching(&folder.path().join("*/er/?.jsonl")).unwrap()), ["deep/er/d.jsonl"]);
        assert!(matching(&folder.path().join("*.xml")).is_err());
        assert!(meant(&[Source::File(folder.path().join("a.jsonl"))]).unwrap().is_none());
    }
}
