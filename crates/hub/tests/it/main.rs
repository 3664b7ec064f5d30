//! A hub in this process, spoken to over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod access;
mod backups;
mod bodies;
mod captures;
mod files;
mod flips;
mod history;
mod model;
mod notify;
mod openapi;
mod operation;
mod originals;
mod random;
mod retention;
#[cfg(unix)]
mod ssh;
mod streaming;

use std::path::Path;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running hub and a client for it.
pub(crate) struct TestHub {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), rig_hub::Error>>,
}

impl TestHub {
    pub(crate) async fn in_memory() -> TestHub {
        TestHub::with(unsealed()).await
    }

    pub(crate) async fn on(data: &Path) -> TestHub {
        TestHub::with(rig_hub::Options { data: Some(data.to_owned()), ..unsealed() }).await
    }

    pub(crate) async fn with(options: rig_hub::Options) -> TestHub {
        TestHub::at(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).await
    }

    pub(crate) async fn at(listener: TcpListener, options: rig_hub::Options) -> TestHub {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let mut served = tokio::spawn(rig_hub::serve(listener, shutdown, options));
        let client = reqwest::Client::new();
        tokio::select! {
            ended = &mut served => panic!("the hub does not start: {ended:?}"),
            ready = client.get(format!("{url}/readyz")).send() => assert_eq!(ready.unwrap().status(), 200),
        }
        TestHub { url, client, stop, served }
    }

    /// Stops the hub and waits until everything is durable.
    pub(crate) async fn stop(self) {
        drop(self.client);
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }

    pub(crate) fn stream(&self, path: &str) -> String {
        format!("{}/v1/streams/main/{path}", self.url)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.stream(path))).await
    }

    pub(crate) async fn capture(&self, query: &str, document: impl Into<reqwest::Body>) -> (u16, Value) {
        answer(self.client.post(self.stream(&format!("snapshots?{query}"))).body(document)).await
    }

    pub(crate) async fn append(&self, query: &str, events: &str) -> (u16, Value) {
        answer(self.client.post(self.stream(&format!("events{query}"))).body(events.to_owned())).await
    }

    /// What Prometheus would read.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.client.get(format!("{}/metrics", self.url)).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// The lines of the hub's own stream.
    pub(crate) async fn own_lines(&self) -> String {
        let url = format!("{}/v1/streams/_hub/events?from=1", self.url);
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// The lines of a range.
    pub(crate) async fn lines(&self, query: &str) -> Vec<String> {
        let text = self
            .client
            .get(self.stream(&format!("events?{query}")))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// What the stream tells, from its first event on.
pub(crate) struct Told {
    answer: reqwest::Response,
    buffer: String,
}

impl Told {
    pub(crate) async fn by(hub: &TestHub, stream: &str) -> Told {
        let url = format!("{}/v1/streams/{stream}/events?from=1", hub.url);
        loop {
            let answer = hub.client.get(&url).header("accept", "text/event-stream").send().await.unwrap();
            // The stream is made by what is watched.
            if answer.status() == 200 {
                return Told { answer, buffer: String::new() };
            }
        }
    }

    /// The next event of a type.
    pub(crate) async fn next(&mut self, type_name: &str) -> Value {
        loop {
            while let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.buffer = rest.to_owned();
                let event: Value = serde_json::from_str(&data.unwrap_or_default()).unwrap_or_default();
                if event["type"] == type_name {
                    return event;
                }
            }
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(40), self.answer.chunk()).await;
            self.buffer
                .push_str(std::str::from_utf8(&chunk.expect("nothing is told").unwrap().unwrap()).unwrap());
        }
    }
}

/// Options without seals, so that a test can name seqs.
pub(crate) fn unsealed() -> rig_hub::Options {
    rig_hub::Options { seals: None, ..Default::default() }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    try_answer(request).await.unwrap()
}

/// The same where the hub may be gone.
pub(crate) async fn try_answer(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// The types of the events in an answer.
pub(crate) fn types(answer: &Value) -> Vec<&str> {
    answer["events"]
        .as_array()
        .map(|e| e.iter().map(|e| e["type"].as_str().unwrap()).collect())
        .unwrap_or_default()
}
