//! A hub in this process, spoken to over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod bodies;
mod captures;
mod history;
mod model;
mod openapi;
mod operation;
mod originals;
mod random;
mod retention;
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
