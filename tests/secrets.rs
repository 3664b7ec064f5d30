//! Secrets planted in documents of every format are nowhere: not in the hub's folder, a recording, or what is printed.

use crate::cases::read;
use crate::harness::{Hub, file, files, finish, fixture, folder, rig, run, text, workspace};
use crate::planted;

#[test]
fn planted_secrets_never_come_out() {
    const PLANTED: &str = "demo-Secret";
    let (data, folder) = (folder(), folder());
    let hub = Hub::on(data.path());
    let main = hub.main();
    let mut printed = String::new();
    let mut planted = 0;
    for document in files(&workspace().join("fixtures/demo")) {
        planted += std::fs::read_to_string(&document).unwrap().matches(PLANTED).count();
        let name = document.file_name().unwrap().to_str().unwrap();
        if name == "rig.toml" {
            continue;
        }
        let service = name.split('-').next().unwrap();
        printed += &run(0, &["snapshot", service, text(&document), "--hub", &main, "--json"]).stdout;
    }
    assert!(planted > 10, "the fixtures hold {planted}");
    let session = folder.path().join("s.jsonl");
    run(0, &["record", &main, "-o", text(&session), "--until-caught-up"]);
    for args in [&["state", &main, "--json"][..], &["tail", &main, "--no-follow", "--json"], &["ls", &main]] {
        printed += &run(0, args).stdout;
    }
    for (old, new) in [
        ("web-1.env", "web-2.env"),
        ("router-1.rsc", "router-2.rsc"),
        ("api-staging-1.yaml", "api-prod-1.yaml"),
    ] {
        printed += &run(1, &["diff", &fixture(old), &fixture(new)]).stdout;
    }
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);

    let at = printed.find(PLANTED).map(|at| &printed[at.saturating_sub(80)..at]);
    assert_eq!(at, None, "printed");
    let mut looked_at = 0;
    for file in files(data.path()).into_iter().chain(files(folder.path())) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!found, "in {}", file.display());
        looked_at += 1;
    }
    assert!(looked_at > 2);
}

#[test]
fn originals_are_kept_and_nothing_of_them_is_in_files_logs_and_answers() {
    let (data, folder) = (folder(), folder());
    let (log, in_the_way) = (folder.path().join("log"), data.path().join("streams/main/blobs"));
    let aside = folder.path().join("blobs");
    let config = file(folder.path(), "hub.toml", "[blobs]\nkeep = true\n");
    let hub = planted::talkative(data.path(), &config, &log);
    let fails = || {
        std::fs::rename(&in_the_way, &aside).unwrap();
        std::fs::write(&in_the_way, "").unwrap();
    };
    let mends = || {
        std::fs::remove_file(&in_the_way).unwrap();
        std::fs::rename(&aside, &in_the_way).unwrap();
    };
    planted::the_secret_is_nowhere(hub, data.path(), &log, fails, mends);
}

#[test]
fn the_corpus_leaves_nothing_in_a_hubs_folder_and_answers() {
    let data = folder();
    let hub = Hub::on(data.path());
    let mut answers = String::new();
    let (mut secrets, mut taken, mut open) = (Vec::new(), 0, String::new());
    for (number, case) in read("secrets.corpus").into_iter().chain(read("heldout.corpus")).enumerate() {
        let (status, answer) = if case.format == "event" {
            let event = case.text.as_bytes();
            hub.http("POST", "/v1/streams/main/events", &["content-type: application/json"], event)
        } else {
            hub.capture(&format!("service=s{number}&format={}", case.format), case.text.as_bytes())
        };
        let refused = status == 422 && answer["code"] == "secret-in-key";
        assert!(status == 201 || refused, "line {}: {answer}", case.line);
        taken += usize::from(!refused);
        answers += &answer.to_string();
        secrets.extend(case.secrets);
        open += &case.open;
    }
    assert!(taken > 200, "{taken}");
    // A service or a stream that is called by a secret is refused, and the answer does not repeat it.
    let token = secrets.iter().find(|secret| secret.starts_with("ghp")).unwrap();
    for (path, body) in [
        (format!("/v1/streams/main/snapshots?service={token}&format=json"), "{}".to_owned()),
        ("/v1/streams/main/events".to_owned(), format!(r#"{{"type":"service.ready","service":"{token}"}}"#)),
    ] {
        let (status, answer) = hub.http("POST", &path, &["content-type: application/json"], body.as_bytes());
        assert_eq!((status, &answer["code"]), (400, &"secret-in-name".into()), "{answer}");
        answers += &answer.to_string();
    }
    answers += &run(0, &["tail", &hub.main(), "--no-follow", "--json"]).stdout;
    answers += &run(0, &["state", &hub.main(), "--json"]).stdout;
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    let kept: Vec<String> = files(data.path())
        .iter()
        .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned())
        .chain([answers])
        .collect();
    // Any eight bytes of a secret in a row; `postgres` is a part of one and an open word of other cases. Of hexadecimal digits twelve:
    // digests are there by the thousand, and eight digits of one are found in another sooner or later.
    let is_hex = |piece: &[u8]| piece.iter().all(u8::is_ascii_hexdigit);
    let pieces: std::collections::HashSet<&[u8]> = secrets
        .iter()
        .flat_map(|secret| {
            let secret = secret.as_bytes();
            let eight = secret.windows(8).filter(|piece| !is_hex(piece));
            eight.chain(secret.windows(12).filter(|piece| is_hex(piece)))
        })
        .filter(|piece| !open.as_bytes().windows(piece.len()).any(|window| window == *piece))
        .collect();
    assert!(pieces.len() > 5_000, "{}", pieces.len());
    for text in &kept {
        let mut windows = text.as_bytes().windows(8).chain(text.as_bytes().windows(12));
        let found = windows.find(|window| pieces.contains(window));
        assert_eq!(found.map(String::from_utf8_lossy), None);
    }
}

#[test]
fn an_explanation_names_rules_and_lines_and_asks_no_hub() {
    let folder = folder();
    let config =
        "hostname r1\nenable secret 5 hunter2hunter2\nusername a secret <removed>\npassword = ${X}\n";
    let path = file(folder.path(), "r1.cfg", config);
    for args in [
        &["snapshot", "--explain", &path][..],
        &["snapshot", "r1", &path, "--explain"],
        &["snapshot", "--explain", "r1", &path],
    ] {
        let said = run(0, &[args, &["--json"]].concat()).json();
        let said = &said[&path];
        assert_eq!(said["redacted"][0]["line"], 2, "{said}");
        assert_eq!(said["redacted"][0]["rule"], "cisco-ios", "{said}");
        assert_eq!(
            (&said["masked"][0]["line"], &said["left"][0]["why"]),
            (&3.into(), &"reference".into()),
            "{said}"
        );
        assert!(!said.to_string().contains("hunter2"), "{said}");
    }
    let said = run(0, &["snapshot", "--explain", &path]).stdout;
    assert!(said.contains("recognised as cisco-ios") && said.contains("line 2"), "{said}");
    // A policy counts, and a diff explains both sides before it begins.
    let policy = file(folder.path(), "rig.toml", "[[secret]]\nline = '^hostname (\\S+)'\n");
    let said = run(0, &["snapshot", "--explain", &path, "--policy", &policy]).stdout;
    assert!(said.contains("1 policy"), "{said}");
    let other = file(folder.path(), "r2.cfg", config.replace("r1", "r2"));
    let said = run(1, &["diff", &path, &other, "--explain-redaction"]);
    assert!(
        said.stderr.matches("1 value redacted").count() == 2 && said.stdout.contains("+hostname r2"),
        "{said:?}"
    );
    let said = run(1, &["diff", &path, &other, "--explain-redaction", "--json"]).json();
    assert_eq!(said["redaction"]["new"]["rules"]["cisco-ios"], 1, "{said}");
    run(2, &["snapshot", "--explain"]);
}

#[test]
fn a_leaked_value_is_found_where_it_stood_by_its_fingerprint() {
    let (data, folder) = (folder(), folder());
    let hub = Hub::on(data.path());
    let versions = ["password: hunter2hunter2\nport: 1\n", "password: hunter3hunter3\nport: 1\n"];
    for version in versions {
        let path = file(folder.path(), "api.yaml", version);
        run(0, &["snapshot", "api", &path, "--hub", &hub.main()]);
    }
    let session = folder.path().join("s.jsonl");
    run(0, &["record", &hub.main(), "-o", text(&session), "--until-caught-up"]);
    let key = data.path().join("keys/redaction");
    let ask = |code, value: &str, args: &[&str]| {
        let args = [&["fingerprint", "--redaction-key", text(&key)], args].concat();
        finish(code, rig(&args), value.as_bytes())
    };
    for source in [text(&session), &hub.main(), hub.address()] {
        let source = if source.contains('/') { source.to_owned() } else { format!("http://{source}") };
        let said = ask(1, "hunter2hunter2\n", &[&source, "--json"]).json();
        let stood = &said["stood"][0];
        assert_eq!((&stood["service"], &stood["path"]), (&"api".into(), &"password".into()), "{said}");
        assert_eq!(stood["from"], 1, "{said}");
        assert!(stood["to"].as_u64().is_some_and(|to| to < 4), "{said}");
        let said = ask(1, "hunter3hunter3", &[&source]).stdout;
        assert!(said.contains("main: api password from seq") && said.contains("and still does"), "{said}");
        assert!(ask(0, "another", &[&source]).stdout.contains("it stood nowhere"));
    }
    let one = ask(0, "hunter2hunter2", &["--stream", "main"]).stdout;
    assert!(std::fs::read_to_string(&session).unwrap().contains(one.trim()), "{one}");
    ask(2, "", &[]);
    ask(2, "two\nlines\n", &[]);
}
