//! One bit flipped anywhere in a data directory: it is told, or nothing is different.
//!
//! A sample of offsets by a fixed seed; all of them, which takes an hour, with `RIG_FLIP_ALL=1`. Of the small files that say what
//! the rest is, every bit is flipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rig_hub::doctor;
use rig_testhub::tokens::{admin, with};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::random::Random;
use crate::{TestHub, answer, try_answer};

/// Offsets that are looked at of a larger file, where not all are.
const SAMPLE: u64 = 12;

fn all() -> bool {
    std::env::var_os("RIG_FLIP_ALL").is_some_and(|value| value == "1")
}

fn options(data: &Path) -> rig_hub::Options {
    rig_hub::Options {
        data: Some(data.to_owned()),
        seals: Some(rig_hub::Seals { events: 20, interval: Duration::from_secs(600) }),
        segment_bytes: 8 << 10,
        ..Default::default()
    }
}

/// A folder in memory where the machine has one.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Makes a directory with a pruned stream and one that is not, originals, a token, a key that was added by hand and a certificate;
/// returns the token.
async fn build(data: &Path) -> String {
    let retention = rig_config::Policy::parse("[retention]\nmax_events = 60\n").unwrap();
    let hub = TestHub::with(rig_hub::Options {
        policy: retention,
        retention_interval: Duration::from_millis(20),
        ..options(data)
    })
    .await;
    let (mut n, mut first) = (0, 1);
    while first == 1 {
        assert!(n < 5_000, "nothing was pruned");
        let document = json!({"n": n % 3, "fixed": "x".repeat(200)}).to_string();
        hub.capture(&format!("service=s{}&format=json", n % 2), document).await;
        let (_, about) = answer(hub.client.get(format!("{}/v1/streams/main", hub.url))).await;
        first = about["first_seq"].as_u64().unwrap();
        n += 1;
    }
    hub.stop().await;
    certificate(data).await;
    let blobs = data.join("keys/blobs");
    fs::write(&blobs, fs::read_to_string(&blobs).unwrap() + &format!("b2:{}\n", "0b".repeat(32))).unwrap();

    let hub = TestHub::with(options(data)).await;
    let token = admin(&hub).await;
    let made = hub.client.put(format!("{}/v1/streams/calm", hub.url)).bearer_auth(&token);
    assert_eq!(answer(made).await.0, 201);
    for n in 0..30 {
        let event = json!({"type": "shop.sold", "service": "till", "id": format!("k{n}"), "n": n});
        let posted = hub.client.post(format!("{}/v1/streams/calm/events", hub.url)).body(event.to_string());
        assert_eq!(answer(posted.bearer_auth(&token)).await.0, 201);
    }
    hub.stop().await;
    // A start notes the key that was added, and the certificate stays.
    let hub = TestHub::with(options(data)).await;
    hub.stop().await;
    token
}

/// Has the hub make its certificate for development.
async fn certificate(data: &Path) {
    let tls = rig_hub::settings::TlsSettings { self_signed: true, ..Default::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = crate::serve(listener, std::future::ready(()), rig_hub::Options { tls, ..options(data) });
    served.await.unwrap();
    assert!(data.join("keys/tls-cert.pem").exists());
}

/// Everything that a hub on this directory shows: every line, the states, what an idempotency key leads to. An error is what it
/// says of damage, when it starts or when it is asked.
async fn observe(data: &Path, token: &str) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let mut served = tokio::spawn(crate::serve(listener, async { drop(stopped.await) }, options(data)));
    let client = reqwest::Client::new();
    tokio::select! {
        ended = &mut served => return Err(chain(&ended.unwrap().unwrap_err())),
        _ = client.get(format!("{url}/readyz")).send() => {}
    }
    let read = async {
        let mut seen = String::new();
        for stream in ["_hub", "calm", "main"] {
            let about = with(client.get(format!("{url}/v1/streams/{stream}")), Some(token));
            let (status, about) = try_answer(about).await.map_err(|e| e.to_string())?;
            if status != 200 {
                return Err(about.to_string());
            }
            let (first, head) = (about["first_seq"].as_u64().unwrap(), about["head"].as_u64().unwrap());
            seen += &format!("{stream} {} {first} {head}\n", about["epoch"]);
            let between = first + (head - first) / 2;
            for path in [
                format!("events?from={first}"),
                format!("events?from={first}&service=till"),
                format!("state?at={head}"),
                format!("state?at={between}"),
            ] {
                let get = with(client.get(format!("{url}/v1/streams/{stream}/{path}")), Some(token));
                let (status, text) = try_answer(get).await.map_err(|e| e.to_string())?;
                if status != 200 {
                    return Err(format!("{path}: {text}"));
                }
                seen += &text.to_string();
            }
        }
        // A service's events and an earlier append are looked up in the index.
        let again = json!({"type": "shop.sold", "service": "till", "id": "k7", "n": 7}).to_string();
        let again = with(client.post(format!("{url}/v1/streams/calm/events")).body(again), Some(token));
        let (status, text) = try_answer(again).await.map_err(|e| e.to_string())?;
        if status != 200 {
            return Err(format!("{status} {text}"));
        }
        Ok(seen + &text.to_string())
    };
    let read = read.await;
    let _ = stop.send(());
    drop(client);
    served.await.unwrap().map_err(|e| chain(&e))?;
    read
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Every file, by its path below `folder`.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    drop(found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(path).unwrap()))
                }
            }
        }
    }
    found
}

fn copy(files: &BTreeMap<PathBuf, Vec<u8>>, to: &Path) {
    for (path, content) in files {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }
}

/// Returns true for the small files that say what the rest is.
fn is_small(path: &Path) -> bool {
    path.starts_with("keys") && !path.to_str().unwrap().contains("tls")
        || path.ends_with("stream.json")
        || path.ends_with("cut.json") && all()
}

/// The bits of a file to flip.
fn bits(path: &Path, content: &[u8], random: &mut Random) -> Vec<usize> {
    if is_small(path) {
        return (0..content.len() * 8).collect();
    }
    // sled's file is mostly room.
    let offsets: Vec<usize> = match path.starts_with("index") {
        true => (0..content.len()).filter(|&at| content[at] != 0).collect(),
        false => (0..content.len()).collect(),
    };
    if all() {
        return offsets.iter().map(|at| at * 8 + random.below(8) as usize).collect();
    }
    let count = offsets.len() as u64;
    let mut pick = |_| offsets[random.below(count) as usize] * 8 + random.below(8) as usize;
    (0..SAMPLE.min(count)).map(&mut pick).collect()
}

fn flipped(content: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// The content of a key file, a description or a certificate for its reader, without comments, checksums and spelling.
fn meaning(path: &Path, content: &[u8]) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(".pem") {
        // Behind it stands the checksum.
        let text = String::from_utf8_lossy(content);
        return Some(text[..text.find("-----END")? + 12].to_owned());
    }
    let text = str::from_utf8(content).ok()?;
    if path.starts_with("keys") && name != "checks" && !name.starts_with("tls-") {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_lowercase());
        return Some(lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"));
    }
    let mut json: Value = serde_json::from_str(text).ok()?;
    json.as_object_mut()?.retain(|key, _| {
        ["v", "stream", "epoch", "created", "first_seq", "chain", "state", "keys"].contains(&key.as_str())
    });
    Some(json.to_string())
}

fn examine(data: &Path) -> String {
    serde_json::to_string(&doctor::examine(data, false).unwrap()).unwrap()
}

/// Flips these bits, one after another, in a copy of the files; counts those that the doctor tells, and those that mean the same.
fn told_or_same(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    place: &Path,
    flips: &[(&PathBuf, usize)],
) -> (usize, usize) {
    copy(files, place);
    let untouched = examine(place);
    let (mut told, mut same) = (0, 0);
    for &(path, bit) in flips {
        let (content, file) = (&files[path], place.join(path));
        let changed = flipped(content, bit);
        fs::write(&file, &changed).unwrap();
        if examine(place) == untouched {
            let (meant, means) = (meaning(path, content), meaning(path, &changed));
            assert!(meant.is_some() && meant == means, "{}, bit {bit}: nothing is told", path.display());
            same += 1;
        } else {
            told += 1;
        }
        fs::write(&file, content).unwrap();
    }
    assert_eq!(examine(place), untouched);
    (told, same)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_anywhere_is_told_by_the_doctor_or_means_the_same() {
    let folder = quick_dir();
    let data = folder.path().join("data");
    build(&data).await;
    // It is looked at apart: to copy and open it takes longer than all the rest.
    fs::remove_dir_all(data.join("index")).unwrap();
    assert!(doctor::examine(&data, false).unwrap().is_fine(), "{}", examine(&data));
    let files = files(&data);
    let mut random = Random::new(1802);
    let mut kinds = BTreeMap::<String, usize>::new();
    let mut flips = Vec::new();
    for (path, content) in &files {
        let bits = bits(path, content, &mut random);
        let kind = path.extension().or(path.file_name()).unwrap_or_default();
        *kinds.entry(kind.to_string_lossy().into_owned()).or_default() += bits.len();
        flips.extend(bits.into_iter().map(|bit| (path, bit)));
    }
    // Each thread has a copy of its own.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let counts = std::thread::scope(|scope| {
        let run = flips.chunks(flips.len().div_ceil(threads)).zip(0..).map(|(flips, n)| {
            let (files, place) = (&files, folder.path().join(format!("copy{n}")));
            scope.spawn(move || told_or_same(files, &place, flips))
        });
        let run: Vec<_> = run.collect();
        run.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    let (told, same) = counts.into_iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    println!("{told} told, {same} without effect; {kinds:?}");
    assert!(told > 1_000 && same < told, "{told} told, {same} without effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_on_a_flipped_bit_says_so_or_shows_the_same() {
    let folder = quick_dir();
    let data = folder.path().join("data");
    let token = build(&data).await;
    let files = files(&data);
    let untouched = async {
        let place = folder.path().join("untouched");
        copy(&files, &place);
        observe(&place, &token).await.unwrap()
    };
    let untouched = untouched.await;
    let mut random = Random::new(3802);
    let (mut refused, mut same) = (0, 0);
    for (path, content) in &files {
        let mut bits = bits(path, content, &mut random);
        // To open a hub takes its time. The doctor looks at every file but the index, where a hub shows what an error leads to.
        let few = match (path.starts_with("index"), is_small(path)) {
            (true, _) if all() => bits.len(),
            _ if path.to_str().unwrap().contains("/blobs/") => 0,
            (true, _) | (_, true) => 5,
            _ => 2,
        };
        if few < bits.len() {
            bits = (0..few).map(|_| bits[random.below(bits.len() as u64) as usize]).collect();
        }
        for bit in bits {
            let place = folder.path().join("flipped");
            copy(&files, &place);
            fs::write(place.join(path), flipped(content, bit)).unwrap();
            match observe(&place, &token).await {
                Err(why) => {
                    let named = why.contains("stream") || why.contains("keys/") || why.contains("index");
                    assert!(named, "{}, bit {bit}: {why}", path.display());
                    refused += 1;
                }
                Ok(seen) => {
                    assert!(seen == untouched, "{}, bit {bit}: something else is shown", path.display());
                    same += 1;
                }
            }
            fs::remove_dir_all(&place).unwrap();
        }
    }
    println!("{refused} told, {same} without effect");
    assert!(refused > 20 && same > 10, "{refused} told, {same} without effect");
}

/// Takes the checksum off a file, as an earlier version wrote it, and changes something in it.
fn earlier(path: &Path, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let (content, _) = text.rsplit_once(",\"crc32c\"").unwrap();
    let changed = change(content);
    assert_ne!(changed, content);
    fs::write(path, changed + "}").unwrap();
}

/// Another digit in the place of the first one behind `before`.
fn digit(text: &str, before: &str) -> String {
    let at = text.find(before).unwrap() + before.len();
    let other = if &text[at..=at] == "7" { "3" } else { "7" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// Directories of earlier versions have no checksums: there the seals tell.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_is_opened_with_is_held_against_its_seals() {
    let folder = quick_dir();
    let data = folder.path().join("data");
    let token = build(&data).await;
    let mut files = files(&data);
    files.remove(Path::new("keys/checks")).unwrap();
    type Damage<'a> = &'a dyn Fn(&Path);
    let epoch: Damage<'_> = &|place| {
        earlier(&place.join("streams/calm/stream.json"), |text| digit(text, "\"epoch\":\""));
    };
    let pruned_epoch: Damage<'_> = &|place| {
        earlier(&place.join("streams/main/stream.json"), |text| digit(text, "\"epoch\":\""));
    };
    let chain_at_the_cut: Damage<'_> =
        &|place| earlier(&place.join("streams/main/cut.json"), |text| digit(text, "\"chain\":\"sha256:"));
    let state_at_the_cut: Damage<'_> =
        &|place| earlier(&place.join("streams/main/cut.json"), |text| digit(text, "\"captured_seq\":"));
    // A segment begins there, and the state before it is not that of cut.json.
    let beginning: Damage<'_> = &|place| {
        let starts = fs::read_dir(place.join("streams/main")).unwrap().map(|entry| entry.unwrap().path());
        let starts = starts.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
        let last: u64 =
            starts.map(|path| path.file_stem().unwrap().to_str().unwrap().parse().unwrap()).max().unwrap();
        earlier(&place.join("streams/main/stream.json"), |text| {
            let (before, _) = text.rsplit_once(':').unwrap();
            format!("{before}:{last}")
        });
    };
    let signing: Damage<'_> = &|place| {
        let path = place.join("keys/signing");
        fs::write(&path, digit(&fs::read_to_string(&path).unwrap(), "s1 hmac-sha256 ")).unwrap();
    };
    for (damage, named) in [
        (epoch, "calm"),
        (pruned_epoch, "keys/signing or stream.json"),
        (chain_at_the_cut, "cut.json"),
        (state_at_the_cut, "cut.json"),
        (beginning, "cut.json"),
        (signing, "keys/signing"),
    ] {
        let place = folder.path().join("earlier");
        copy(&files, &place);
        damage(&place);
        let segments = || {
            let mut found: Vec<_> =
                fs::read_dir(place.join("streams/main")).unwrap().flatten().map(|e| e.path()).collect();
            found.sort();
            found.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
            found
        };
        let before = segments();
        assert!(before.len() > 1);
        assert!(!doctor::examine(&place, false).unwrap().is_fine(), "{named}");
        let why = observe(&place, &token).await.unwrap_err();
        assert!(why.contains(named), "{named}: {why}");
        assert_eq!(segments(), before, "{named}: a segment was deleted");
        fs::remove_dir_all(&place).unwrap();
    }
    // Nothing in a log is made with the redaction key alone; the originals are found by it.
    let place = folder.path().join("earlier");
    copy(&files, &place);
    let path = place.join("keys/redaction");
    fs::write(&path, digit(&fs::read_to_string(&path).unwrap(), ":")).unwrap();
    let report = doctor::examine(&place, false).unwrap();
    assert!(report.findings.iter().any(|finding| finding.what.contains("keys/redaction")), "{report:?}");
    // And without damage it opens, and has its checksums afterwards.
    copy(&files, &place);
    for stream in ["main", "calm", "_hub"] {
        earlier(&place.join("streams").join(stream).join("stream.json"), |text| text.to_owned() + " ");
    }
    observe(&place, &token).await.unwrap();
    let checked = fs::read_to_string(place.join("streams/main/stream.json")).unwrap();
    assert!(checked.contains("crc32c") && place.join("keys/checks").exists());
}
