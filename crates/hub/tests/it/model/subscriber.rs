//! A subscriber of the model check: filtered or not, slow or not, it hangs up and comes back, and notes what it was told.

use std::sync::Arc;
use std::time::Duration;

use rig_event::Seq;
use serde_json::Value;
use tokio::sync::watch;

use super::truth::Truth;
use super::within;
use crate::random::Random;
use crate::try_answer;

/// What a subscriber asks for, and the model of what that means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    pub(crate) types: &'static str,
    pub(crate) service: &'static str,
}

impl Filter {
    fn is_all(self) -> bool {
        self.types.is_empty() && self.service.is_empty()
    }

    pub(crate) fn matches(self, line: &str) -> bool {
        let event: Value = serde_json::from_str(line).unwrap();
        let name = event["type"].as_str().unwrap();
        let wanted = |pattern: &str| match pattern.split_once('*') {
            Some((family, "")) => name.starts_with(family),
            _ => name == pattern,
        };
        (self.types.is_empty() || self.types.split(',').any(wanted))
            && (self.service.is_empty() || event["service"] == self.service)
    }

    fn query(self) -> String {
        let types = if self.types.is_empty() { String::new() } else { format!("&types={}", self.types) };
        let service =
            if self.service.is_empty() { String::new() } else { format!("&service={}", self.service) };
        types + &service
    }
}

/// What a subscriber was told, to be held against the log at the end.
#[derive(Debug)]
pub(crate) enum Told {
    /// This event came.
    Event(Seq),
    /// Nothing in between is for it.
    Nothing { from: Seq, to: Seq },
    /// These are pruned.
    Gap { to: Seq },
}

pub(crate) struct Subscriber {
    pub(crate) client: reqwest::Client,
    pub(crate) url: watch::Receiver<String>,
    pub(crate) random: Random,
    pub(crate) truth: Arc<Truth>,
    pub(crate) epoch: String,
    pub(crate) filter: Filter,
    pub(crate) is_slow: bool,
    /// The last event that it must have heard of, once everything is appended.
    pub(crate) last: watch::Receiver<Option<Seq>>,
    pub(crate) notes: Notes,
}

/// What a subscriber has come to.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) told: Vec<Told>,
    /// The next event that it may be told of; `None`: that is for the hub to say.
    next: Option<Seq>,
    /// The lowest seq that may come while `next` is not known.
    at_least: Seq,
    /// The id of the last event.
    last_id: Option<String>,
    pub(crate) connections: u64,
    pub(crate) resets: u64,
}

/// Why a connection is over.
enum Over {
    Enough,
    HungUp,
    Ended,
}

impl Subscriber {
    pub(crate) async fn run(mut self) -> (Filter, Notes) {
        loop {
            let url = self.url.borrow_and_update().clone();
            match self.connection(&url).await {
                Some(Over::Enough) => return (self.filter, self.notes),
                Some(Over::HungUp | Over::Ended) => {}
                None => {
                    within("waiting for the next hub", self.url.changed())
                        .await
                        .expect("there is a next hub");
                }
            }
        }
    }

    /// Subscribes from where it stands, or anew; `None`: there is no hub, or it stops.
    async fn connection(&mut self, url: &str) -> Option<Over> {
        let asking = try_answer(self.client.get(url.trim_end_matches('/')));
        let (_, about) = within("asking about the stream", asking).await.ok()?;
        let (first, head) = (about["first_seq"].as_u64()?, about["head"].as_u64()?);
        let mut request = self.client.get(format!("{url}events")).header("accept", "text/event-stream");
        let mut query = self.filter.query();
        let mut expect_reset = false;
        match (self.notes.next, &self.notes.last_id) {
            (Some(_), Some(id)) if self.random.one_in(2) => {
                let seq: Seq = id.split_once(':').unwrap().1.parse().unwrap();
                request = request.header("last-event-id", id);
                self.notes.next = Some(seq + 1);
                query += "&from=1";
            }
            (Some(next), _) if next > 1 && self.random.one_in(2) => {
                let id = if self.random.one_in(2) {
                    format!("{}:{}", self.epoch, next - 1)
                } else {
                    (next - 1).to_string()
                };
                request = request.header("last-event-id", id);
            }
            (Some(next), _) => query += &format!("&from={next}"),
            (None, _) => match self.random.below(8) {
                0 => self.notes.at_least = head + 1,
                1 => {
                    request = request.header("last-event-id", format!("otherone:{}", self.random.below(99)));
                    expect_reset = true;
                }
                2 => {
                    request = request.header("last-event-id", format!("{}:1000000", self.epoch));
                    expect_reset = true;
                }
                3..6 => {
                    self.notes.next = Some(1);
                    query += "&from=1";
                }
                _ => {
                    let from = self.random.between(1, head + 1);
                    self.notes.next = Some(from);
                    query += &format!("&from={from}");
                }
            },
        }
        let url = format!("{url}events?{}", query.trim_start_matches('&'));
        let (client, request) = request.build_split();
        let mut request = request.ok()?;
        *request.url_mut() = url.parse().unwrap();
        let mut response = within("subscribing", client.execute(request)).await.ok()?;
        if response.status() == 503 {
            let refused = response.text().await.ok()?;
            assert!(refused.contains("\"code\":\"closed\""), "{refused}");
            return None;
        }
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(response.headers()["rig-epoch"], self.epoch.as_str());
        self.notes.connections += 1;
        if expect_reset {
            self.notes.resets += 1;
            self.notes.at_least = first;
        }

        let hang_up_after = if self.random.one_in(2) { self.random.between(1, 150) } else { u64::MAX };
        let (mut text, mut frames) = (Vec::new(), 0);
        loop {
            let chunk = within("hearing something, be it a heartbeat,", response.chunk()).await;
            match chunk {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return Some(Over::Ended),
            }
            let mut start = 0;
            while let Some(end) = text[start..].windows(2).position(|two| two == b"\n\n") {
                let frame = std::str::from_utf8(&text[start..start + end]).unwrap().to_owned();
                start += end + 2;
                frames += 1;
                self.frame(&frame, frames, expect_reset);
                if let (Some(next), Some(last)) = (self.notes.next, *self.last.borrow())
                    && next > last
                {
                    return Some(Over::Enough);
                }
                if frames >= hang_up_after && self.last.borrow().is_none() {
                    return Some(Over::HungUp);
                }
            }
            text.drain(..start);
            if self.is_slow && self.last.borrow().is_none() {
                tokio::time::sleep(Duration::from_millis(self.random.below(12))).await;
            }
        }
    }

    fn frame(&mut self, frame: &str, number: u64, expect_reset: bool) {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        if number == 1 {
            return assert!(frame.starts_with("retry: "), "{frame}");
        }
        let (event, data) = (field("event: ").unwrap(), field("data: ").unwrap());
        if expect_reset && number == 2 {
            assert_eq!(event, "reset", "{frame}");
        }
        if let Some(id) = field("id: ") {
            let seq: Seq = id.strip_prefix(&format!("{}:", self.epoch)).expect("the epoch").parse().unwrap();
            self.truth.read(seq, data);
            assert!(data.contains(&format!("\"type\":\"{event}\"")), "{frame}");
            self.passed(seq, self.filter.is_all());
            self.notes.told.push(Told::Event(seq));
            self.notes.next = Some(seq + 1);
            self.notes.last_id = Some(id.to_owned());
            return;
        }
        let data: Value = serde_json::from_str(data).unwrap();
        let number = |key: &str| data[key].as_u64().unwrap_or_else(|| panic!("{frame}"));
        match event {
            "caught-up" | "heartbeat" => {
                self.passed(number("head") + 1, self.filter.is_all());
                self.notes.next = Some(number("head") + 1);
            }
            "gap" => {
                assert_eq!(data["reason"], "pruned");
                self.passed(number("from"), self.filter.is_all());
                assert!(number("from") <= number("to"), "{frame}");
                self.notes.told.push(Told::Gap { to: number("to") });
                self.notes.next = Some(number("to") + 1);
            }
            "reset" => {
                assert!(expect_reset, "{frame}");
                assert_eq!(data["epoch"], self.epoch.as_str());
            }
            other => panic!("{other}: {frame}"),
        }
    }

    /// What comes next is about `seq`: nothing before it was for this subscriber.
    #[track_caller]
    fn passed(&mut self, seq: Seq, unfiltered: bool) {
        match self.notes.next {
            Some(next) if unfiltered => assert_eq!(seq, next, "a gap or a repeat"),
            Some(next) => {
                assert!(seq >= next, "{seq} comes again, {next} was due");
                if seq > next {
                    self.notes.told.push(Told::Nothing { from: next, to: seq - 1 });
                }
            }
            None => assert!(seq >= self.notes.at_least, "{seq}, not from {} on", self.notes.at_least),
        }
    }
}

impl Notes {
    /// Of one who wants everything.
    pub(crate) fn from_the_beginning() -> Notes {
        Notes { next: Some(1), ..Notes::default() }
    }

    /// Holds what was told against what the log held.
    pub(crate) fn check(&self, filter: Filter, truth: &Truth, first_seq: Seq) {
        for told in &self.told {
            match told {
                Told::Event(seq) => {
                    let line = &truth.range(*seq, *seq)[0].1;
                    assert!(filter.matches(line), "{filter:?} was sent {line}");
                }
                Told::Nothing { from, to } => {
                    for (_, line) in truth.range(*from, *to) {
                        assert!(!filter.matches(&line), "{filter:?} was not sent {line}");
                    }
                }
                Told::Gap { to } => {
                    assert!(*to < first_seq, "{to} was said to be pruned, {first_seq} is there")
                }
            }
        }
    }
}
