//! Sessions of format v1 that were written once and must load for ever, with the same state and the same answer.

use crate::harness::{finish, rig, run, text, workspace};

#[test]
fn golden_sessions_of_v1_give_what_they_always_gave() {
    let folder = workspace().join("fixtures/sessions/v1");
    let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
    let mut files = 0;
    for row in expected.lines().filter(|line| !line.starts_with('#')) {
        let [file, seq, hash, verdict] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let (path, keys) = (folder.join(file), folder.join("keys"));
        let state = run(0, &["state", text(&path), "--json"]).json();
        assert_eq!((state["seq"].to_string().as_str(), state["hash"].as_str()), (seq, Some(hash)), "{file}");
        let verify = rig(&["verify", text(&path), "--json", "--keys", text(&keys)]);
        let report = finish(i32::from(verdict != "verified"), verify, b"").json();
        assert_eq!(report["verdict"], verdict, "{file}: {report}");
        files += 1;
    }
    assert_eq!(files, 8);
}
