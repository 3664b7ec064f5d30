//! `rig ci`: the summary, the annotations, the JUnit report and the exit code; and the templates in docs/ci.md.

use std::process::Command;

use clap::CommandFactory as _;

use crate::harness::{Hub, Said, file, finish, folder, rig, run, text, workspace};

fn cause(name: &str) -> String {
    text(&workspace().join("fixtures/sessions/causes").join(name)).to_owned()
}

/// `rig ci` outside of GitHub.
fn ci(args: &[&str]) -> Command {
    let mut command = rig(&[&["ci"], args].concat());
    command.env_remove("GITHUB_STEP_SUMMARY").env_remove("GITHUB_ACTIONS");
    command
}

fn note(seq: u32, error: &str) -> String {
    format!(
        "{}\n",
        serde_json::json!({"seq": seq, "type": "test.note", "environment": "E", "error": error, "timestamp": "2026-02-28T20:37:23.420908+11:00"})
    )
}

#[test]
fn what_failed_is_on_the_page_and_the_exit_code_says_so() {
    let said = finish(1, ci(&[&cause("timeout.jsonl"), &cause("../v1/bare.jsonl")]), b"");
    assert!(said.stdout.starts_with("# 2 recordings: 2 failed"), "{}", said.stdout);
    assert!(
        said.stdout.contains("payments.timeout") && said.stdout.contains("<details open>"),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains("::error"), "{}", said.stdout);
    let fine = finish(0, ci(&[&cause("../v1/parts.jsonl.zst")]), b"");
    assert!(fine.stdout.contains(": 0 failed") && fine.stdout.contains("✅"), "{}", fine.stdout);
    // What cannot be read does not keep the rest from being told.
    let said = finish(2, ci(&[&cause("timeout.jsonl"), "/no/such/file.jsonl"]), b"");
    assert!(
        said.stdout.contains("1 could not be read to the end") && said.stdout.contains("payments.timeout"),
        "{}",
        said.stdout
    );
    let json = finish(1, ci(&[&cause("timeout.jsonl"), "--json"]), b"").json();
    assert_eq!(json["sessions"][0]["failed"], true);
}

#[test]
fn on_github_the_summary_is_appended_and_annotations_point_at_the_lines() {
    let folder = folder();
    let session = file(folder.path(), "run.jsonl", note(1, "a_test.go:42: expected 200,\ngot 500"));
    let summary = file(folder.path(), "summary.md", "what was there\n");
    let github = |command: &mut Command| {
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    };
    let mut command = ci(&[&session]);
    github(&mut command);
    let said = finish(1, command, b"");
    let line = said.stdout.lines().next().unwrap();
    assert!(line.starts_with("::error file=a_test.go,line=42,title="), "{line}");
    assert!(line.contains("expected 200,%0Agot 500"), "{line}");
    let page = std::fs::read_to_string(&summary).unwrap();
    assert!(page.starts_with("what was there\n# 1 recording: 1 failed"), "{page}");
}

#[test]
fn there_are_never_more_than_ten_annotations() {
    let folder = folder();
    let many: String = (1..=500).map(|n| note(n, &format!("a_test.go:{n}: no"))).collect();
    let session = file(folder.path(), "many.jsonl", many);
    let said = finish(1, ci(&[&session, &session, "--annotations"]), b"");
    let lines: Vec<&str> = said.stdout.lines().filter(|line| line.starts_with("::error")).collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[9], "::error::991 more failures, see the summary");
}

#[test]
fn a_summary_never_passes_what_github_takes() {
    let folder = folder();
    let body = "x".repeat(900);
    let many: String = (1..=40).map(|n| note(n, &format!("a_test.go:{n}: {body}"))).collect();
    let session = file(folder.path(), "run.jsonl", many);
    let sessions: Vec<&str> = std::iter::repeat_n(session.as_str(), 300).collect();
    let summary = folder.path().join("summary.md");
    for _ in 0..2 {
        let command = ci(&[&sessions[..], &["--summary", text(&summary)]].concat());
        finish(1, command, b"");
        assert!(std::fs::metadata(&summary).unwrap().len() <= 1 << 20);
    }
    let page = std::fs::read_to_string(&summary).unwrap();
    assert!(page.contains("left out: a summary may have 1 MiB"));
    assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
}

#[test]
fn what_others_wrote_is_no_markup_and_no_command() {
    let folder = folder();
    let evil = "a_test.go:1: </details><script>alert(1)</script> | x\n::stop-commands::x\n::error file=x::y\n```\n<b>";
    let session = file(folder.path(), "<i>.jsonl", note(1, evil));
    let mut command = ci(&[&session, "--junit", text(&folder.path().join("report.xml"))]);
    command.env("GITHUB_ACTIONS", "true");
    let said = finish(1, command, b"");
    // On GitHub a page on standard output stands where no command is read.
    let lines: Vec<&str> = said.stdout.lines().collect();
    let word = lines[0].strip_prefix("::stop-commands::").unwrap();
    let end = lines.iter().position(|line| *line == format!("::{word}::")).unwrap();
    assert!(lines[1..end].iter().any(|line| line.trim_start().starts_with("::error")), "{lines:#?}");
    let after: Vec<&&str> = lines[end + 1..].iter().filter(|line| line.starts_with("::")).collect();
    assert_eq!(after.len(), 1, "{lines:#?}");
    assert!(after[0].starts_with("::error file=a_test.go,line=1"), "{after:?}");
    let tags = lines.iter().filter(|line| line.starts_with("| ") || line.starts_with("<details"));
    assert!(tags.clone().count() == 3 && tags.clone().all(|line| !line.contains("<i>")), "{lines:#?}");
}

/// Enough of XML to see that a report is well-formed: tags match, and no `<` or `&` stands where it may not.
fn well_formed(xml: &str) -> Vec<String> {
    let (mut open, mut names, mut rest) = (Vec::new(), Vec::new(), xml);
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        for entity in text.split('&').skip(1) {
            assert!(entity.split(';').next().is_some_and(|name| name.len() <= 5), "{text}");
        }
        let (tag, after) = tag[1..].split_once('>').unwrap();
        rest = after;
        if tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        names.push(name.clone());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
    names
}

#[test]
fn the_junit_report_is_well_formed_and_counts_what_it_holds() {
    let folder = folder();
    let odd =
        file(folder.path(), "odd \"<&>.jsonl", note(1, "a_test.go:1: \u{0}\u{1b}[31m<]]> & \"x\" 'y'\nmore"));
    let report = folder.path().join("report.xml");
    let sessions = [odd.as_str(), &cause("timeout.jsonl"), &cause("../v1/parts.jsonl.zst"), "/no/such/file"];
    finish(2, ci(&[&sessions[..], &["--junit", text(&report)]].concat()), b"");
    let xml = std::fs::read_to_string(&report).unwrap();
    let names = well_formed(&xml);
    let count = |name: &str| names.iter().filter(|known| *known == name).count();
    let head = xml.lines().nth(1).unwrap();
    let expected = format!(
        "<testsuites tests=\"{}\" failures=\"{}\" errors=\"1\" skipped=\"0\">",
        count("testcase"),
        count("failure")
    );
    assert_eq!((count("testsuite"), count("error"), head), (4, 1, expected.as_str()), "{xml}");
    assert!(xml.contains("file=\"a_test.go\" line=\"1\""), "{xml}");
    // Where Python is, its parser says so too.
    let python = Command::new("python3")
        .args(["-c", "import sys,xml.dom.minidom as m; m.parse(sys.argv[1])", text(&report)])
        .status();
    assert!(python.map_or(true, |status| status.success()));
}

/// The blocks of a language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    page.split(&format!("```{language}\n")).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_templates_in_the_documentation_parse_and_name_what_there_is() {
    let page = std::fs::read_to_string(workspace().join("docs/ci.md")).unwrap();
    let templates = blocks(&page, "yaml");
    assert_eq!(templates.len(), 3);
    let mut commands: Vec<String> = blocks(&page, "sh").concat().lines().map(str::to_owned).collect();
    for template in templates {
        let document =
            rig_config::parse(template.as_bytes(), rig_config::Format::Yaml, &rig_config::Limits::default())
                .unwrap();
        let texts = document.config.values().filter_map(|value| value.as_str());
        commands.extend(texts.filter(|text| text.starts_with("rig ")).map(str::to_owned));
    }
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        rig_cli::cmd::Rig::command()
            .try_get_matches_from(command.split(' '))
            .unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

#[test]
fn the_two_commands_of_a_job_go_together() {
    let folder = folder();
    let session = folder.path().join("run.jsonl.zst");
    let script = "printf 'workers: 4\\n' > api.yaml; $RIG snapshot api api.yaml >/dev/null; printf 'workers: 0\\n' > api.yaml; \
                  $RIG snapshot api api.yaml >/dev/null; echo 'no workers' >&2; exit 3";
    let mut command = rig(&["record", "-o", text(&session), "--service", "suite", "--", "sh", "-c", script]);
    command.env("RIG", env!("CARGO_BIN_EXE_rig")).current_dir(&folder);
    let Said { stderr, .. } = finish(3, command, b"");
    assert!(stderr.starts_with("no workers\n"), "{stderr}");
    let said = finish(1, ci(&[text(&session)]), b"");
    for told in ["failed", "workers", "no workers", "exit code 3"] {
        assert!(said.stdout.contains(told), "{told}: {}", said.stdout);
    }
    let why = run(0, &["why", text(&session)]).stdout;
    assert!(why.contains("service.failed"), "{why}");
}

/// A recorded run that failed, whole and in part.
#[test]
fn what_could_not_be_read_is_never_green() {
    let folder = folder();
    let session = folder.path().join("run.jsonl");
    let good = folder.path().join("good.jsonl");
    run(0, &["record", "-o", text(&good), "--", "true"]);
    run(1, &["record", "-o", text(&session), "--", "sh", "-c", "seq 6; echo boom >&2; exit 1"]);
    let (good, whole) = (std::fs::read_to_string(good).unwrap(), std::fs::read_to_string(session).unwrap());
    let lines: Vec<&str> = whole.lines().collect();
    let damaged = lines[4].replace("\"seq\"", "\"sex\"");
    let damaged = [&lines[..4], &[damaged.as_str()], &lines[5..]].concat().join("\n");
    let broken = [
        ("two", format!("{good}{whole}")),
        ("killed", lines[..4].join("\n") + "\n"),
        ("cut", whole[..whole.find("boom").unwrap()].to_owned()),
        ("header", lines[0].to_owned() + "\n"),
        ("damaged", damaged),
        ("later", whole.replace("\"v\":1", "\"v\":2")),
        ("empty", String::new()),
    ];
    for (name, content) in broken {
        let session = file(folder.path(), name, content);
        let report = folder.path().join("report.xml");
        let said = finish(2, ci(&[&session, "--junit", text(&report)]), b"");
        assert!(!said.stdout.contains('✅'), "{name}: {}", said.stdout);
        assert!(std::fs::read_to_string(&report).unwrap().contains(" errors=\"1\""), "{name}");
        for args in [
            &["explain", &session][..],
            &["bisect", &session, "--where", "api:x"],
            &["compare", &session, &session],
        ] {
            let said = run(2, args);
            assert!(!said.stderr.is_empty(), "{name}: {args:?}");
        }
    }
    // What failed before is a failure all the same.
    let failed = file(folder.path(), "failed", lines[..lines.len() - 1].join("\n") + "\n");
    let said = finish(1, ci(&[&failed]), b"");
    assert!(said.stdout.contains("unfinished") && said.stdout.contains('❌'), "{}", said.stdout);
    run(1, &["explain", &failed]);
}

#[test]
fn one_output_that_cannot_be_written_costs_only_itself() {
    let folder = folder();
    let session = file(folder.path(), "run.jsonl", note(1, "a_test.go:42: boom"));
    let report = folder.path().join("report.xml");
    let mut command = ci(&[&session, "--junit", text(&report)]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", folder.path().join("not/here/summary"));
    let said = finish(1, command, b"");
    assert!(said.stdout.starts_with("::error file=a_test.go,line=42"), "{said:?}");
    assert!(said.stderr.contains("cannot write the summary"), "{said:?}");
    assert!(std::fs::read_to_string(&report).unwrap().contains("boom"));
    // Nothing failed: what is missing is the trouble.
    let fine = cause("../v1/parts.jsonl.zst");
    finish(2, ci(&[&fine, "--summary", text(&folder.path().join("not/here/summary"))]), b"");
}

#[test]
fn nothing_is_invented_about_a_stream_that_goes_on() {
    let hub = Hub::in_memory();
    let events = "{\"type\":\"service.ready\",\"service\":\"api\"}\n".repeat(3);
    let headers = ["content-type: application/x-ndjson"];
    assert_eq!(hub.http("POST", "/v1/streams/main/events", &headers, events.as_bytes()).0, 201);
    let said = run(0, &["explain", &hub.main()]).stdout;
    assert!(said.starts_with("main: unknown (judged by its events), 3 events\n"), "{said}");
    let page = finish(0, ci(&[&hub.main()]), b"").stdout;
    assert!(page.contains("➖ unknown") && !page.contains("interrupted"), "{page}");
    // What was recorded as interrupted is told so.
    let folder = folder();
    let session = folder.path().join("s.jsonl");
    run(0, &["record", &hub.main(), "-o", text(&session), "--until-caught-up", "--outcome", "interrupted"]);
    let said = run(0, &["explain", text(&session), "--json"]).json();
    assert_eq!(said["outcome"], "interrupted", "{said}");
}
