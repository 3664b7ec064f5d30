//! A client under whose feet the hub is killed: it notes what it sent and what it was answered.

use rig_event::Seq;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::ledger::Ledger;
use crate::random::Random;

/// One append, batch or capture.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub body: String,
    /// The idempotency keys of its events, in order; the last `ids.len()` events of the append carry them.
    pub ids: Vec<String>,
}

/// What became of it.
pub enum Outcome {
    /// Answered: the seqs and lines that it led to.
    Acknowledged { request: Request, repeated: bool, lines: Vec<(Seq, String)> },
    /// The hub was gone before it answered.
    Unknown(Request),
}

#[derive(Deserialize)]
struct Answer<'a> {
    first_seq: Seq,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Sends what is `left` over from earlier rounds, and then new requests, until the hub is gone.
pub async fn run(
    url: String,
    name: String,
    mut random: Random,
    left: Vec<Request>,
    answers: watch::Sender<u64>,
) -> Vec<Outcome> {
    let client = reqwest::Client::new();
    let mut outcomes = Vec::new();
    let mut left = left.into_iter();
    for n in 0u64.. {
        let request = left.next().unwrap_or_else(|| request(&name, n, &mut random));
        match send(&client, &url, &request).await {
            None => {
                outcomes.push(Outcome::Unknown(request));
                // The rest was not even sent this time.
                outcomes.extend(left.map(Outcome::Unknown));
                return outcomes;
            }
            Some((repeated, lines)) => outcomes.push(Outcome::Acknowledged { request, repeated, lines }),
        }
        answers.send_modify(|n| *n += 1);
    }
    outcomes
}

async fn send(client: &reqwest::Client, url: &str, request: &Request) -> Option<(bool, Vec<(Seq, String)>)> {
    let url = format!("{url}/v1/streams/main/{}", request.path);
    let answer = client.post(url).body(request.body.clone()).send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    assert!(matches!(status, 200 | 201), "{status}: {text}");
    let answer: Answer = serde_json::from_str(&text).unwrap();
    let lines = (answer.first_seq..).zip(answer.events.iter().map(|event| event.get().to_owned()));
    Some((status == 200, lines.collect()))
}

fn request(name: &str, n: u64, random: &mut Random) -> Request {
    let pad = "x".repeat(random.below(400) as usize);
    let event = |id: &str| json!({ "type": "shop.sold", "service": "shop", "id": id, "pad": pad });
    match random.below(6) {
        0 => {
            let id = format!("{name}-{n}");
            let document =
                json!({ "n": random.below(5), "list": [pad], "host": format!("db{}", random.below(3)) });
            let service = random.choose(&["api", "web", "db"]);
            let path = format!("snapshots?service={service}&format=json&id={id}");
            Request { path, body: document.to_string(), ids: vec![id] }
        }
        1 | 2 => {
            let ids: Vec<String> = (0..random.between(2, 12)).map(|i| format!("{name}-{n}-{i}")).collect();
            let events: Vec<Value> = ids.iter().map(|id| event(id)).collect();
            Request { path: "events".to_owned(), body: json!(events).to_string(), ids }
        }
        _ => {
            let id = format!("{name}-{n}");
            Request { path: "events".to_owned(), body: event(&id).to_string(), ids: vec![id] }
        }
    }
}

impl Outcome {
    /// Holds it against the log. Gives the request back where it may be sent again.
    pub fn check(self, ledger: &Ledger) -> Option<Request> {
        match self {
            Outcome::Acknowledged { request, lines, .. } => {
                assert!(lines.len() >= request.ids.len(), "{request:?}");
                for (seq, line) in &lines {
                    assert_eq!(ledger.line(*seq), Some(line.as_str()), "acknowledged as {seq}");
                }
                for ((seq, _), id) in lines.iter().rev().zip(request.ids.iter().rev()) {
                    assert_eq!(ledger.seq_of(id), Some(*seq), "{id} was acknowledged");
                }
                None
            }
            Outcome::Unknown(request) => {
                let seqs: Vec<Option<Seq>> = request.ids.iter().map(|id| ledger.seq_of(id)).collect();
                for (pair, id) in seqs.windows(2).zip(&request.ids) {
                    assert_eq!(pair[0].map(|seq| seq + 1), pair[1], "a part of the batch of {id} is there");
                }
                Some(request)
            }
        }
    }
}
