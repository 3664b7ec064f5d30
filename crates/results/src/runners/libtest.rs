//! The JSON lines of libtest, and of nextest in its form.

use rig_event::test::TestKind;
use serde_json::Value;

use super::rust::Panics;
use crate::case::{Fill as _, Verdict};
use crate::place::Project;
use crate::sheet::{Runner, Sheet, Sheets};
use crate::text::Line;

/// Reads libtest's JSON.
pub struct Libtest {
    sheets: Sheets,
    started: u64,
    ended: u64,
}

impl Libtest {
    /// Begins.
    pub fn new() -> Libtest {
        Libtest { sheets: Sheets::new("libtest"), started: 0, ended: 0 }
    }
}

impl Runner for Libtest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if !text.starts_with('{') || !text.contains("\"type\"") || !text.contains("\"event\"") {
            return;
        }
        let Ok(value) = serde_json::from_str::<Value>(text) else { return };
        let said = |key: &str| value.get(key).and_then(Value::as_str);
        let (Some(kind), Some(event)) = (said("type"), said("event")) else { return };
        match (kind, event) {
            ("suite", "started") => {
                self.started += 1;
                self.sheets.now(line).source = "json";
            }
            ("suite", "ok" | "failed") => {
                self.ended += 1;
                let (started, ended) = (self.started, self.ended);
                self.sheets.now(line).ended = started == ended;
            }
            ("test", event) => {
                let Some(whole) = said("name") else { return };
                // nextest: `crate::binary$module::test#2`.
                let (suite, name) =
                    whole.split_once('$').map_or((None, whole), |(suite, name)| (Some(suite), name));
                let (name, attempt) = match name.rsplit_once('#') {
                    Some((name, number)) if suite.is_some() => (name, number.parse::<u64>().ok()),
                    _ => (name, None),
                };
                let name = ["", " - should panic", " - compile fail", " - compile"]
                    .into_iter()
                    .rev()
                    .find_map(|end| name.strip_suffix(end))
                    .unwrap_or(name);
                let suites: Vec<&str> = suite.into_iter().collect();
                let (verdict, failure) = match event {
                    "started" => (Verdict::Started, None),
                    "ok" => (Verdict::Passed, None),
                    "ignored" => (Verdict::Skipped, Some(TestKind::Skipped)),
                    "timeout" => return,
                    _ => (Verdict::Failed, Some(TestKind::Failed)),
                };
                let sheet = self.sheets.now(line);
                sheet.source = "json";
                let Some(case) = sheet.verdict(&suites, name, verdict, failure) else { return };
                case.test.attempt = attempt.filter(|attempt| *attempt > 1).or(case.test.attempt);
                if let Some(seconds) = value.get("exec_time").map(ToString::to_string) {
                    case.test.seconds(&seconds);
                }
                if let Some(message) = said("message").filter(|_| verdict == Verdict::Skipped) {
                    case.test.say(message);
                }
                if verdict == Verdict::Failed {
                    let mut panics = Panics::of(name);
                    for text in said("message").unwrap_or_default().lines().take(1) {
                        panics.line(line, &format!("note: {text}"), project);
                    }
                    for text in said("stdout").unwrap_or_default().lines() {
                        panics.line(line, text, project);
                    }
                    let (message, place) = panics.read();
                    let message =
                        if message.is_empty() { said("message").unwrap_or_default() } else { &message };
                    case.test.say(message);
                    case.test.put(place);
                    case.test.detail = crate::text::cut(&panics.block.detail, crate::case::DETAIL);
                }
            }
            _ => {}
        }
    }

    fn finish(self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.sheets.finish()
    }
}
