//! `rig report`: one file that people without rig can read, and in which a recording is nothing but text.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{file, folder, run, text, workspace};

fn hostile() -> String {
    let texts = [
        "</script><script>document.title='taken'</script>",
        "<img src=x onerror=\"document.title='taken'\">",
        "</pre><iframe src='http://127.0.0.1:1/'></iframe>",
        "<!--<script>",
        "]]>{{constructor.constructor('document.title=1')()}}",
    ];
    let lines = texts.iter().enumerate().map(|(i, text)| {
        let seq = 2 * i as u64 + 1;
        let log = json!({"seq": seq, "ts": "2026-11-20T10:30:05Z", "type": "service.log", "service": "api", "stream": "stderr", "data": text});
        let note = json!({"seq": seq + 1, "ts": "2026-11-20T10:30:06Z", "type": "test.note", "error": format!("a_test.go:1: {text}")});
        format!("{log}\n{note}\n")
    });
    lines.collect()
}

#[test]
fn a_report_is_one_file_without_markup_of_others() {
    let folder = folder();
    let session = file(folder.path(), "<b>&'.jsonl", hostile());
    let report = folder.path().join("report.html");
    run(0, &["report", &session, "-o", text(&report)]);
    let page = std::fs::read_to_string(&report).unwrap();
    assert_eq!(page.matches("<script").count(), 2);
    assert!(!page.contains("<img") && !page.contains("<iframe"), "{page}");
    assert!(page.contains("default-src 'none'; script-src 'sha256-"));
    assert!(page.contains("a_test.go:1: &lt;/script&gt;"));
    // What does not fit is said: it is in the data, so look at what the page would show.
    let timeout = workspace().join("fixtures/sessions/causes/timeout.jsonl");
    run(0, &["report", text(&timeout), "-o", text(&report), "--events", "10"]);
    assert!(std::fs::metadata(&report).unwrap().len() < 2 << 20);
    run(2, &["report", "/no/such/file", "-o", text(&report)]);
}

/// A page as Chromium has it when its scripts have run; `None` where there is no Chromium.
fn shown(page: &std::path::Path, profile: &std::path::Path) -> Option<String> {
    let out = Command::new("chromium")
        .args(["--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--disable-dev-shm-usage"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn a_browser_shows_a_hostile_recording_as_text() {
    let folder = folder();
    let session = file(folder.path(), "hostile.jsonl", hostile());
    let report = folder.path().join("report.html");
    run(0, &["report", &session, "-o", text(&report), "--events", "8"]);
    let Some(dom) = shown(&report, &folder.path().join("profile")) else { return };
    assert!(dom.contains("<title>hostile: failed</title>"), "{dom}");
    assert!(dom.contains("8 of 8 events") && dom.contains("Left out of this report: 2 events"), "{dom}");
    assert!(
        dom.contains("<td class=\"\">stderr &lt;img src=x") || dom.contains("&lt;img src=x onerror"),
        "{dom}"
    );
    assert_eq!(
        (dom.matches("<script").count(), dom.matches("<img").count(), dom.matches("<iframe").count()),
        (2, 0, 0)
    );
    // States and what differs between them.
    let timeout = workspace().join("fixtures/sessions/causes/timeout.jsonl");
    run(0, &["report", text(&timeout), "-o", text(&report)]);
    let dom = shown(&report, &folder.path().join("profile")).unwrap();
    assert!(dom.contains("payments.timeout") && dom.contains("class=\"differs\""), "{dom}");
}
