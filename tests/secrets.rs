//! Secrets planted in documents of every format are nowhere: not in the hub's folder, a recording, or what is printed.

use crate::harness::{Hub, files, fixture, folder, run, text, workspace};

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
