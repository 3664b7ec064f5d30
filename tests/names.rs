//! One program, two names: what it is called decides what it is.

use std::path::Path;
use std::process::Command;

use crate::harness::{clean, file, finish, folder, rig, rig_diff, run, text};

/// Puts the program `rig` into a folder under another name, by `ln`, `ln -s` or `cp`, and gives its path.
///
/// A program of the system does it: a file that this process wrote could still be open for writing in a child of another test.
fn named(folder: &Path, name: &str, by: &[&str]) -> String {
    let path = folder.join(name);
    let made = Command::new(by[0]).args(&by[1..]).arg(env!("CARGO_BIN_EXE_rig")).arg(&path).status().unwrap();
    assert!(made.success(), "{by:?}");
    text(&path).to_owned()
}

#[test]
fn rig_is_rig_diff_under_that_name() {
    let folder = folder();
    let old = file(folder.path(), "old.yaml", "port: 1\n");
    let new = file(folder.path(), "new.yaml", "port: 2\n");
    for (name, by) in [("copied", &["cp"][..]), ("linked", &["ln", "-s"])] {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        let program = named(&place, "rig-diff", by);
        for (code, args) in [
            (0, &["--help"][..]),
            (0, &["-V"]),
            (0, &[&old, &old]),
            (1, &[&old, &new]),
            (1, &[&old, &new, "--json"]),
            (2, &[&old, "none.yaml"]),
            (2, &["--no-such-option"]),
            (2, &[]),
            (2, &["diff", &old, &new]),
        ] {
            let said = finish(code, clean(Command::new(&program), args), b"");
            let expected = finish(code, rig_diff(args), b"");
            assert_eq!((said.stdout, said.stderr), (expected.stdout, expected.stderr), "{name} {args:?}");
        }
        // Any other name is that of `rig`.
        let program = named(&place, "rig-diff-of-yesterday", by);
        let said = finish(1, clean(Command::new(&program), &["diff", &old, &new]), b"");
        assert_eq!(said.stdout, run(1, &["diff", &old, &new]).stdout);
    }
    assert_eq!(
        finish(0, rig(&["-V"]), b"").stdout.replace("rig", "rig-diff"),
        finish(0, rig_diff(&["-V"]), b"").stdout
    );
}
