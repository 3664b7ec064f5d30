//! An appender of the model check: events, batches, documents, at an expected head or not, repeated until answered.

use std::sync::Arc;
use std::time::Duration;

use rig_event::Seq;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::truth::Truth;
use crate::random::Random;
use crate::try_answer;

pub(crate) const TYPES: [&str; 4] = ["shop.sold", "shop.paid", "door.opened", "request.started"];
pub(crate) const SERVICES: [&str; 3] = ["api", "web", "db"];

pub(crate) struct Appender {
    pub(crate) name: usize,
    pub(crate) client: reqwest::Client,
    pub(crate) url: watch::Receiver<String>,
    pub(crate) random: Random,
    pub(crate) truth: Arc<Truth>,
    /// Appends answered, by all appenders.
    pub(crate) answered: watch::Sender<u64>,
}

/// What an appender knows at the end.
#[derive(Default)]
pub(crate) struct Done {
    /// Ids that were acknowledged, with their seqs where they are known.
    pub(crate) acknowledged: Vec<(String, Option<Seq>)>,
    /// Ids that must not be in the log.
    pub(crate) refused: Vec<String>,
}

/// An append or a capture, as it is sent.
struct Request {
    path: String,
    body: String,
    ids: Vec<String>,
    expected: Option<Seq>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    first_seq: Seq,
    last_seq: Seq,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

impl Appender {
    pub(crate) async fn run(mut self, appends: u64) -> Done {
        let mut done = Done::default();
        for n in 0..appends {
            let request = self.request(n).await;
            self.send(&request, false, &mut done).await;
            if self.random.one_in(6) {
                self.send(&request, true, &mut done).await;
            }
            if self.random.one_in(3) {
                tokio::time::sleep(Duration::from_micros(self.random.below(3_000))).await;
            }
            self.answered.send_modify(|n| *n += 1);
        }
        done
    }

    async fn request(&mut self, n: u64) -> Request {
        let Appender { name, random, .. } = self;
        if random.one_in(5) {
            let id = format!("{name}-{n}");
            let document = json!({ "n": random.below(4), "fixed": "x".repeat(random.below(200) as usize) });
            let service = random.choose(&SERVICES);
            let path = format!("snapshots?service={service}&format=json&id={id}");
            return Request { path, body: document.to_string(), ids: vec![id], expected: None };
        }
        let count = if random.one_in(2) { 1 } else { random.between(2, 9) };
        let ids: Vec<String> = (0..count).map(|i| format!("{name}-{n}-{i}")).collect();
        let events: Vec<Value> = ids
            .iter()
            .map(|id| {
                let mut event = json!({
                    "type": random.choose(&TYPES),
                    "id": id,
                    "source": "a", "target": "b",
                    "pad": "x".repeat(random.below(300) as usize),
                });
                if random.one_in(2) {
                    event["service"] = json!(random.choose(&SERVICES));
                }
                event
            })
            .collect();
        let mut request =
            Request { path: "events".to_owned(), body: json!(events).to_string(), ids, expected: None };
        if random.one_in(6) {
            let url = self.url.borrow().clone();
            // A hub that stops tells no head.
            if let Ok((_, stream)) = try_answer(self.client.get(url.trim_end_matches('/'))).await
                && let Some(head) = stream["head"].as_u64()
            {
                request.expected = Some(head);
                request.path = format!("events?expected_seq={head}");
            }
        }
        request
    }

    /// Sends until there is an answer; while there is no hub, it waits for the next.
    async fn send(&mut self, request: &Request, again: bool, done: &mut Done) {
        let mut again = again;
        loop {
            let url = self.url.borrow_and_update().clone() + &request.path;
            let sending = async {
                let answer = self.client.post(url).body(request.body.clone()).send().await?;
                // Its text, since the events have to be compared as they are spelled.
                Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
            };
            let Ok((status, text)) = sending.await else {
                again = true;
                self.url.changed().await.expect("there is a next hub");
                continue;
            };
            let code = || serde_json::from_str::<Value>(&text).unwrap()["code"].clone();
            match status {
                200 | 201 => {
                    assert!(status == 201 || again, "answered as a repetition: {text}");
                    return self.acknowledged(request, &text, done);
                }
                // What was repeated was there, and is pruned by now.
                410 if again => {
                    assert_eq!(code(), "pruned");
                    return done.acknowledged.extend(request.ids.iter().map(|id| (id.clone(), None)));
                }
                409 if request.expected.is_some() => {
                    assert_eq!(code(), "expected-seq");
                    assert_ne!(
                        serde_json::from_str::<Value>(&text).unwrap()["head"],
                        json!(request.expected)
                    );
                    // Repeated after it was taken, it would have been answered as such.
                    if !done.acknowledged.iter().any(|(id, _)| request.ids.contains(id)) {
                        done.refused.extend(request.ids.iter().cloned());
                    }
                    return;
                }
                503 => {
                    assert_eq!(code(), "closed", "{text}");
                    again = true;
                    self.url.changed().await.expect("there is a next hub");
                }
                _ => panic!("{status}: {text}"),
            }
        }
    }

    fn acknowledged(&self, request: &Request, text: &str, done: &mut Done) {
        let answer: Answer = serde_json::from_str(text).unwrap();
        let lines: Vec<(Seq, &str)> =
            (answer.first_seq..).zip(answer.events.iter().map(|event| event.get())).collect();
        assert_eq!(lines.last().map(|(seq, _)| *seq), Some(answer.last_seq), "{text}");
        for (seq, line) in &lines {
            self.truth.answered(*seq, line);
        }
        if let Some(expected) = request.expected
            && !done.acknowledged.iter().any(|(id, _)| request.ids.contains(id))
        {
            // Repeated after a restart it may stand where it stood before; then the head was right then.
            assert_eq!(answer.first_seq, expected + 1, "{text}");
        }
        let ids = lines.iter().rev().zip(request.ids.iter().rev());
        for ((seq, line), id) in ids {
            assert!(line.contains(&format!("\"id\":\"{id}\"")), "{id} is not in {line}");
            done.acknowledged.push((id.clone(), Some(*seq)));
        }
    }
}
