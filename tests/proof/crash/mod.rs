//! A hub that is killed at random moments under load loses, changes and doubles nothing that it acknowledged.
//!
//! `cargo xtask crash --rounds 10000` runs more of it; `RIG_CRASH_SEED` repeats what a run did, as far as the moments of kills can
//! be repeated. Every other round runs `rig hub`; the rest a hub with small segments that prunes, so that kills come
//! while segments begin and go.

mod client;
mod ledger;
mod originals;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rig_config::Policy;
use rig_recorder::Durability;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::client::{Outcome, Request};
use self::ledger::Ledger;
use crate::harness::{Running, folder, rig, text};
use crate::random::{Random, rounds, seed};

/// Rounds on one data directory; then it begins anew, so that many rounds do not take ever longer.
const ROUNDS_A_FOLDER: u64 = 200;

const PROCESS: &str = "RIG_PROOF_HUB";

#[derive(Debug, Default)]
struct Sum {
    rounds: u64,
    kills_at_start: u64,
    acknowledged: u64,
    events: u64,
    unanswered: u64,
    unanswered_but_there: u64,
    repeated: u64,
    pruned: u64,
    seals: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_hub_keeps_what_it_acknowledged() {
    let (seed, rounds) = (seed("RIG_CRASH_SEED"), rounds("RIG_CRASH_ROUNDS", 200));
    println!("RIG_CRASH_SEED={seed} RIG_CRASH_ROUNDS={rounds}");
    let (begun, mut random, mut sum) = (Instant::now(), Random::new(seed), Sum::default());
    while sum.rounds < rounds {
        let some = (rounds - sum.rounds).min(ROUNDS_A_FOLDER);
        one_folder(random.fork(), some, &mut sum).await;
        println!("{:.0?} {sum:?}", begun.elapsed());
    }
    if rounds >= ROUNDS_A_FOLDER {
        let Sum { kills_at_start, acknowledged, unanswered_but_there, repeated, pruned, .. } = sum;
        assert!(kills_at_start > 0 && acknowledged > 2_000 && repeated > 0 && pruned > 0, "{sum:?}");
        assert!(unanswered_but_there > 0, "no kill came between the write and the answer: {sum:?}");
    }
}

async fn one_folder(mut random: Random, rounds: u64, sum: &mut Sum) {
    let mut folder = folder();
    // What a failure leaves is there to be looked at.
    folder.disable_cleanup(true);
    println!("data in {}", folder.path().display());
    let data = folder.path().to_owned();
    let data = data.as_path();
    let mut ledger = None;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut first_seq = 1;
    for round in 0..=rounds {
        let is_real = random.one_in(2);
        let durability = if random.one_in(3) { "interval=20ms" } else { "always" };
        if round < rounds && random.one_in(8) {
            // While it opens what the last kill left.
            let running = Running::start(process(is_real, data, durability));
            tokio::time::sleep(Duration::from_micros(random.below(60_000))).await;
            running.kill();
            sum.kills_at_start += 1;
        }
        let running = Running::start(process(is_real, data, durability));
        let url = std::iter::repeat_with(|| running.line()).find(|line| line.starts_with("http://")).unwrap();
        let ledger = match &mut ledger {
            Some(ledger) => ledger,
            none => none.insert(Ledger::new(&epoch(&url).await)),
        };
        read_on(&url, ledger).await;
        let mut left = Vec::new();
        for outcome in outcomes.drain(..) {
            match &outcome {
                Outcome::Acknowledged { request, repeated, lines } => {
                    sum.acknowledged += request.ids.len() as u64;
                    sum.repeated += u64::from(*repeated);
                    assert!(!lines.is_empty());
                }
                Outcome::Unknown(request) => {
                    sum.unanswered += 1;
                    sum.unanswered_but_there += u64::from(ledger.seq_of(&request.ids[0]).is_some());
                }
            }
            if let Some(request) = outcome.check(ledger) {
                // Some clients never come back.
                if random.one_in(2) {
                    left.push(request);
                }
            }
        }
        if round == rounds {
            running.kill();
            break;
        }
        outcomes = load(&url, running, left, &format!("r{round}"), &mut random).await;
        if round % 50 == 49 {
            first_seq = ledger.check_files(data);
        }
        sum.rounds += 1;
    }
    let ledger = ledger.unwrap();
    first_seq = first_seq.max(ledger.check_files(data));
    sum.events += ledger.head();
    sum.seals += ledger.seals;
    sum.pruned += first_seq - 1;
    folder.disable_cleanup(false);
}

/// Clients at work until the kill, which comes after a while or right after some answer.
async fn load(
    url: &str,
    running: Running,
    left: Vec<Request>,
    name: &str,
    random: &mut Random,
) -> Vec<Outcome> {
    let (answers, mut answered) = watch::channel(0);
    let clients = random.between(1, 6) as usize;
    let mut parts = vec![Vec::new(); clients];
    for (i, request) in left.into_iter().enumerate() {
        parts[i % clients].push(request);
    }
    let clients: Vec<_> = parts
        .into_iter()
        .enumerate()
        .map(|(i, left)| {
            let (url, name) = (url.to_owned(), format!("{name}c{i}"));
            tokio::spawn(client::run(url, name, random.fork(), left, answers.clone()))
        })
        .collect();
    if random.one_in(2) {
        tokio::time::sleep(Duration::from_micros(random.below(80_000))).await;
    } else {
        let enough = random.between(1, 60);
        answered.wait_for(|answers| *answers >= enough).await.unwrap();
    }
    running.kill();
    let mut outcomes = Vec::new();
    for client in clients {
        outcomes.extend(client.await.unwrap());
    }
    outcomes
}

/// Reads what the log has beyond the ledger, and compares the states.
async fn read_on(url: &str, ledger: &mut Ledger) {
    let client = reqwest::Client::new();
    let stream = format!("{url}/v1/streams/main");
    let json = async |path: String| -> Value {
        let answer = client.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    let head = json(stream.clone()).await["head"].as_u64().unwrap();
    assert!(head >= ledger.head(), "the head is {head}, and was {} before", ledger.head());
    if head > ledger.head() {
        let range = format!("{stream}/events?from={}&to={head}", ledger.head() + 1);
        let answer = client.get(range).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap().lines().for_each(|line| ledger.push(line));
    }
    assert_eq!(ledger.head(), head);
    assert!(ledger.is_whole(), "the log ends within an append");
    let state = json(format!("{stream}/state?at={head}")).await;
    assert_eq!(state["hash"].as_str(), Some(ledger.state.hash().as_str()), "{state}");
}

async fn epoch(url: &str) -> String {
    let answer = reqwest::get(format!("{url}/v1/streams/main")).await.unwrap();
    let about: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    about["epoch"].as_str().unwrap().to_owned()
}

/// `rig hub`, or this program as [`hub_process`].
fn process(is_real: bool, data: &Path, durability: &str) -> Command {
    if is_real {
        return rig(&["hub", "--listen", "127.0.0.1:0", "--data", text(data), "--durability", durability]);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["crash::hub_process", "--exact", "--ignored", "--nocapture"]);
    command.env(PROCESS, format!("{durability} {}", text(data)));
    command
}

/// A hub as no option of `rig hub` makes it: its segments are small, and it prunes every few milliseconds.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that a_killed_hub_keeps_what_it_acknowledged kills"]
async fn hub_process() {
    let Ok(what) = std::env::var(PROCESS) else { return };
    let (durability, data) = what.split_once(' ').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Nobody connects before it is ready: what comes first waits in the backlog.
    println!("\nhttp://{}", listener.local_addr().unwrap());
    let options = rig_hub::Options {
        data: Some(data.into()),
        policy: Policy::parse("[retention]\nmax_events = 3000\n").unwrap(),
        durability: durability.parse::<Durability>().unwrap(),
        segment_bytes: 16 << 10,
        retention_interval: Duration::from_millis(5),
        ..Default::default()
    };
    rig_testhub::serve(listener, std::future::pending(), options).await.unwrap();
}
