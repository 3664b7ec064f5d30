//! The help pages, as they stand in tests/help. After a change on purpose: INSTA_UPDATE=always cargo test -p rig help

use clap::CommandFactory as _;

use crate::harness::{finish, rig, rig_diff, workspace};

fn check(name: &str, page: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(workspace().join("tests/help"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, page));
}

/// Every command of the tree below `command`, as the words that name it.
fn pages(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
    all.push(words.to_vec());
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let mut words = words.to_vec();
        words.push(below.get_name().to_owned());
        pages(below, &words, all);
    }
}

#[test]
fn every_command_has_its_page() {
    let mut all = Vec::new();
    pages(&rig_cli::cmd::Rig::command(), &[], &mut all);
    assert!(all.len() > 14, "{all:?}");
    for words in all {
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.push("--help");
        let name = ["rig".to_owned()].into_iter().chain(words.iter().cloned()).collect::<Vec<_>>().join("-");
        check(&name, &finish(0, rig(&args), b"").stdout);
    }
}

#[test]
fn rig_diff_has_its_page_too() {
    // `rig diff` is `rig-diff` already among the pages.
    check("standalone-rig-diff", &finish(0, rig_diff(&["--help"]), b"").stdout);
}
