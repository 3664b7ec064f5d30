//! `[[watch]]`: files become captures.

use std::fs;

use rig_hub::{Component, Options};
use rig_ingest::watch::{Entry, component};
use rig_testhub::{TestHub, Told, unsealed};
use serde::Deserialize;

#[derive(Deserialize)]
struct Settings {
    watch: Vec<Entry>,
}

fn files(toml: &str) -> Component {
    let settings: Settings = toml::from_str(toml).unwrap();
    component(settings.watch.into_iter().map(|entry| entry.try_into().unwrap()).collect())
}

async fn watching(toml: &str) -> TestHub {
    TestHub::mounted(unsealed(), vec![files(toml)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_captured_at_the_start_and_on_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("conf")).unwrap();
    fs::write(at("conf/api.yaml"), "port: 1\npassword: hunter2\n").unwrap();
    let hub = watching(&format!(
        "[[watch]]\nservice = 'edge/{{{{stem}}}}'\nstream = 'edge'\npaths = ['{}/**/*.yaml']\ndebounce = '20ms'\n",
        at("conf").display()
    ))
    .await;
    let mut told = Told::by(&hub, "edge").await;
    let first = told.next("snapshot.captured").await;
    assert_eq!((&first["service"], &first["actor"]), (&"edge/api".into(), &"watch".into()), "{first}");
    assert!(first["meta"]["file"].as_str().unwrap().ends_with("conf/api.yaml"), "{first}");
    assert!(!first.to_string().contains("hunter2"));
    // Replaced by renaming.
    fs::write(at("conf/new"), "port: 2\npassword: hunter2\n").unwrap();
    fs::rename(at("conf/new"), at("conf/api.yaml")).unwrap();
    assert_eq!(told.next("diff.computed").await["changes"][0]["after"], 2);
    // A folder that comes later, and a document that is none.
    fs::create_dir_all(at("conf/more")).unwrap();
    fs::write(at("conf/more/web.yaml"), "port: [\n").unwrap();
    let refused = told.next("snapshot.rejected").await;
    assert_eq!((&refused["service"], &refused["code"]), (&"edge/web".into(), &"malformed-document".into()));
    fs::write(at("conf/more/web.yaml"), "port: 3\n").unwrap();
    assert_eq!(told.next("snapshot.captured").await["service"], "edge/web");
    // A second file of the same service is left alone.
    fs::write(at("conf/more/api.yaml"), "port: 4\n").unwrap();
    fs::write(at("conf/last.yaml"), "port: 5\n").unwrap();
    assert_eq!(told.next("snapshot.captured").await["service"], "edge/last");
    drop(told);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_and_leaves_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    fs::write(&path, "x".repeat(2_000)).unwrap();
    let toml = format!("[[watch]]\nservice = 'a'\npaths = ['{}']\n", path.display());
    let limits = rig_config::Limits { bytes: 1_000, ..Default::default() };
    let hub = TestHub::mounted(Options { limits, ..unsealed() }, vec![files(&toml)]).await;
    let mut told = Told::by(&hub, "main").await;
    assert_eq!(told.next("snapshot.rejected").await["code"], "too-large");
    drop(told);
    hub.stop().await;
}
