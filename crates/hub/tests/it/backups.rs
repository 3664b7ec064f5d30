//! A backup is made while the hub is written to and prunes, and what is restored of it is what was there.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rig_event::Timestamp;
use rig_hub::backup::{self, BackupError, Manifest};
use serde_json::Value;

use super::TestHub;

fn options(data: &Path) -> rig_hub::Options {
    rig_hub::Options {
        data: Some(data.to_owned()),
        policy: rig_config::Policy::parse("[retention]\nmax_events = 4000\n").unwrap(),
        retention_interval: Duration::from_millis(20),
        segment_bytes: 32 << 10,
        ..Default::default()
    }
}

fn save(data: &Path, with_keys: bool) -> (Manifest, Vec<u8>) {
    let mut bytes = Vec::new();
    let manifest = backup::write(data, &mut bytes, with_keys, Timestamp::default()).unwrap();
    (manifest, bytes)
}

async fn hash_at(hub: &TestHub, seq: u64) -> Value {
    let (status, state) = hub.get(&format!("state?at={seq}")).await;
    assert_eq!(status, 200, "{state}");
    state["hash"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_with_pruning_restores_to_the_same_state() {
    let folder = tempfile::tempdir().unwrap();
    let (data, restored) = (folder.path().join("data"), folder.path().join("restored"));
    let hub = TestHub::with(options(&data)).await;
    let done = AtomicBool::new(false);
    let load = async {
        let mut n = 0;
        while !done.load(Relaxed) {
            n += 1;
            let document = format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(n % 100));
            assert_eq!(hub.capture(&format!("service=s{}", n % 7), document).await.0, 201);
            let batch: Vec<String> =
                (0..20).map(|i| format!("{{\"type\":\"shop.sold\",\"n\":{i},\"of\":{n}}}")).collect();
            assert_eq!(hub.append("", &format!("[{}]", batch.join(","))).await.0, 201);
        }
    };
    // Some backups before anything is pruned, some while it is.
    let backups = async {
        let mut pruned = 0;
        while pruned < 3 {
            let (data, restored) = (data.clone(), restored.clone());
            let saved = tokio::task::spawn_blocking(move || save(&data, true));
            let (manifest, bytes) = saved.await.unwrap();
            let main =
                manifest.streams.iter().find(|copied| copied.stream.as_str() == "main").unwrap().clone();
            let hash = hash_at(&hub, main.last_seq).await;
            pruned += u32::from(main.first_seq > 1);

            let put = restored.clone();
            let again = tokio::task::spawn_blocking(move || backup::restore(&bytes[..], &put).unwrap()).await;
            assert_eq!(again.unwrap(), manifest);
            let copy =
                TestHub::with(rig_hub::Options { policy: Default::default(), ..options(&restored) }).await;
            assert_eq!(hash_at(&copy, main.last_seq).await, hash);
            let (_, about) = super::answer(copy.client.get(format!("{}/v1/streams/main", copy.url))).await;
            assert_eq!(about["epoch"].as_str().unwrap(), main.epoch.as_str());
            // It goes on where it was.
            let (status, answer) = copy.append("", "{\"type\":\"a.b\"}").await;
            assert_eq!(status, 201);
            assert!(answer["first_seq"].as_u64().unwrap() > main.last_seq);
            copy.stop().await;
            std::fs::remove_dir_all(&restored).unwrap();
        }
        done.store(true, Relaxed);
    };
    tokio::join!(load, backups);
    hub.stop().await;

    // Of a hub that has ended, everything is in it.
    let (manifest, bytes) = save(&data, false);
    let main = manifest.streams.iter().find(|copied| copied.stream.as_str() == "main").unwrap();
    backup::restore(&bytes[..], &restored).unwrap();
    assert!(!restored.join("keys").exists(), "keys are copied only where that is asked for");
    let hub = TestHub::with(options(&data)).await;
    let (_, about) = super::answer(hub.client.get(format!("{}/v1/streams/main", hub.url))).await;
    assert!(about["head"].as_u64().unwrap() >= main.last_seq);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_elsewhere_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (data, restored) = (folder.path().join("data"), folder.path().join("restored"));
    let hub = TestHub::on(&data).await;
    for n in 0..50 {
        assert_eq!(hub.capture("service=api", format!("{{\"n\":{n}}}")).await.0, 201);
    }
    let (_, bytes) = save(&data, true);
    hub.stop().await;

    assert!(matches!(backup::restore(&bytes[..], &data), Err(BackupError::NotEmpty(_))));
    for cut in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        assert!(backup::restore(&bytes[..cut], &restored).is_err(), "{cut} of {} bytes", bytes.len());
    }
    // Another content under the same manifest, and entries that lead out of the folder.
    let plain = zstd::decode_all(&bytes[..]).unwrap();
    let at = plain.windows(9).position(|window| window == b"\"after\":7").unwrap();
    let mut altered = plain.clone();
    altered[at + 8] = b'8';
    let refused = backup::restore(&zstd::encode_all(&altered[..], 0).unwrap()[..], &restored).unwrap_err();
    assert!(refused.to_string().contains("streams/main/"), "{refused}");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..9].copy_from_slice(b"../escape");
    header.set_size(1);
    header.set_cksum();
    tar.append(&header, &b"x"[..]).unwrap();
    let escape = zstd::encode_all(&tar.into_inner().unwrap()[..], 0).unwrap();
    assert!(backup::restore(&escape[..], &restored).unwrap_err().to_string().contains("leads elsewhere"));
    assert!(!folder.path().join("escape").exists());
    // Nothing is left behind.
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["data"]);
}

/// A log takes lines of [`rig_event::MAX_LINE`] bytes, and so must everything that reads them.
#[test]
fn a_line_of_the_most_bytes_is_backed_up_and_restored() {
    use rig_recorder::{EventLog as _, Lines, SegmentLog};
    let folder = tempfile::tempdir().unwrap();
    let (data, restored) = (folder.path().join("data"), folder.path().join("restored"));
    let (stream, epoch) = (rig_event::StreamName::main(), "e1".parse().unwrap());
    let dir = data.join("streams/main");
    let log = SegmentLog::create(&dir, stream, epoch, Timestamp::default(), Default::default()).unwrap();
    let frame = r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"a.b","text":""}"#;
    let text = "x".repeat(rig_event::MAX_LINE - frame.len());
    let line = format!("{}{text}\"}}\n", &frame[..frame.len() - 2]);
    log.append(Lines::split(1, line.clone())).wait().unwrap();
    drop(log);
    let own = SegmentLog::create(
        &data.join("streams/_hub"),
        rig_event::StreamName::hub(),
        "e2".parse().unwrap(),
        Timestamp::default(),
        Default::default(),
    );
    drop(own.unwrap());
    let (_, bytes) = save(&data, false);
    backup::restore(&bytes[..], &restored).unwrap();
    let (log, _) = SegmentLog::open(&restored.join("streams/main"), Default::default()).unwrap();
    assert!(log.read_blocking(1, 1, 0).unwrap().bytes == line);
}

/// The entries of a backup; the manifest is the last.
fn entries(backup: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(backup).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    });
    entries.collect()
}

/// Packs entries as a backup does, with a manifest that lists them all.
fn packed(mut entries: Vec<(String, Vec<u8>)>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    use sha2::Digest as _;
    let (name, text) = entries.pop().unwrap();
    let mut manifest: Value = serde_json::from_slice(&text).unwrap();
    manifest["files"] = entries
        .iter()
        .map(|(name, content)| {
            let sha256 = rig_event::keyfile::hex(&sha2::Sha256::digest(content));
            (name.clone(), serde_json::json!({"bytes": content.len(), "sha256": sha256}))
        })
        .collect();
    change(&mut manifest);
    entries.push((name, manifest.to_string().into_bytes()));
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, &content[..]).unwrap();
    }
    zstd::encode_all(&tar.into_inner().unwrap()[..], 0).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_takes_what_a_backup_may_hold_and_nothing_else_all_of_it_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, restored) = (folder.path().join("data"), folder.path().join("restored"));
    let hub = TestHub::on(&data).await;
    assert_eq!(hub.capture("service=api", "{}").await.0, 201);
    let (_, bytes) = save(&data, true);
    hub.stop().await;
    let whole = entries(&bytes);
    std::fs::create_dir(&restored).unwrap();
    let put = |backup: &[u8]| backup::restore(backup, &restored);

    let with = |name: &str| {
        let mut entries = whole.clone();
        entries.insert(0, (name.to_owned(), b"x".to_vec()));
        packed(entries, |_| {})
    };
    for name in [
        "index/db",
        "keys/more/signing",
        "streams/main/notes.txt",
        "streams/main/00000000000000000001.idx",
        "streams/prod/stream.json",
        "lock",
    ] {
        let refused = put(&with(name)).unwrap_err().to_string();
        assert!(refused.starts_with(name), "{name}: {refused}");
        assert_eq!(names(&restored), [""; 0], "{name}");
    }
    let refused = put(&packed(whole.clone(), |manifest| manifest["with_keys"] = false.into())).unwrap_err();
    assert!(refused.to_string().starts_with("keys/"), "{refused}");
    let without_own = |(name, _): &(String, Vec<u8>)| !name.starts_with("streams/_hub/");
    let open = packed(whole.iter().filter(|entry| without_own(entry)).cloned().collect(), |manifest| {
        manifest["streams"].as_array_mut().unwrap().retain(|copied| copied["stream"] != "_hub");
    });
    let refused = put(&open).unwrap_err();
    assert!(refused.to_string().contains("stand open"), "{refused}");
    let twice = packed(whole.clone(), |manifest| {
        let streams = manifest["streams"].as_array_mut().unwrap();
        streams.push(streams[0].clone());
    });
    assert!(put(&twice).is_err());
    assert_eq!(names(&restored), [""; 0]);

    // What a restore left behind that was killed is in nobody's way.
    for leftover in [".restore-1/streams/main", "keys"] {
        std::fs::create_dir_all(restored.join(leftover)).unwrap();
    }
    put(&packed(whole, |_| {})).unwrap();
    assert_eq!(names(&restored), ["keys", "streams"]);
    std::fs::create_dir(restored.join(".restore-1")).unwrap();
    assert!(matches!(put(&bytes), Err(BackupError::NotEmpty(_))), "it is a data directory now");
}
