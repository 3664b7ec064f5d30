//! A hub for tests: it runs in the process of the test, which talks to it over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

pub mod tokens;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rig_hub::{Builder, Component, Error, Hub, Options};
use rig_recorder::{Folders, Memory, Store};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running hub and a client for it.
pub struct TestHub {
    /// Its URL, without a slash at the end.
    pub url: String,
    /// A client.
    pub client: reqwest::Client,
    /// Stops it.
    pub stop: oneshot::Sender<()>,
    /// The task that it runs in.
    pub served: JoinHandle<Result<(), Error>>,
}

/// Creates a builder of a hub with these options. Its logs are in the store that these imply.
pub fn builder(options: Options) -> Builder {
    let store = store(&options);
    Hub::builder(options, store)
}

/// Returns the store for the logs of a hub with these options.
pub fn store(options: &Options) -> Arc<dyn Store> {
    match &options.data {
        Some(data) => Arc::new(Folders::new(data, options.segments())),
        None => Arc::new(Memory::default()),
    }
}

/// Runs a hub without components on `listener` until `shutdown` is ready.
///
/// # Errors
/// The hub cannot be opened, or its listener failed.
pub async fn serve(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
    options: Options,
) -> Result<(), Error> {
    serve_with(listener, shutdown, options, Vec::new()).await
}

/// Runs a hub on `listener` until `shutdown` is ready.
///
/// # Errors
/// The hub cannot be opened, or its listener failed.
pub async fn serve_with(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
    options: Options,
    components: Vec<Component>,
) -> Result<(), Error> {
    let address = listener.local_addr()?;
    let hub = open(address, options, components).await?;
    hub.serve(listener, shutdown).await
}

/// Opens a hub that will listen on `address`.
///
/// # Errors
/// The hub cannot be opened.
pub async fn open(address: SocketAddr, options: Options, components: Vec<Component>) -> Result<Hub, Error> {
    components.into_iter().fold(builder(options), Builder::mount).open(Some(address)).await
}

impl TestHub {
    /// Starts a hub in memory.
    pub async fn in_memory() -> TestHub {
        TestHub::with(unsealed()).await
    }

    /// Starts a hub on a data directory.
    pub async fn on(data: &Path) -> TestHub {
        TestHub::with(Options { data: Some(data.to_owned()), ..unsealed() }).await
    }

    /// Starts a hub without components.
    pub async fn with(options: Options) -> TestHub {
        TestHub::mounted(options, Vec::new()).await
    }

    /// Starts a hub with components.
    pub async fn mounted(options: Options, components: Vec<Component>) -> TestHub {
        TestHub::at(TcpListener::bind("127.0.0.1:0").await.unwrap(), options, components).await
    }

    /// Starts a hub on a listener.
    pub async fn at(listener: TcpListener, options: Options, components: Vec<Component>) -> TestHub {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let mut served = tokio::spawn(serve_with(listener, shutdown, options, components));
        let client = reqwest::Client::new();
        tokio::select! {
            ended = &mut served => panic!("the hub does not start: {ended:?}"),
            ready = client.get(format!("{url}/readyz")).send() => assert_eq!(ready.unwrap().status(), 200),
        }
        TestHub { url, client, stop, served }
    }

    /// Stops the hub and waits until everything is durable.
    pub async fn stop(self) {
        drop(self.client);
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }

    /// Returns the URL of a path below the stream `main`.
    pub fn stream(&self, path: &str) -> String {
        format!("{}/v1/streams/main/{path}", self.url)
    }

    /// Gets a path below the stream `main`.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.stream(path))).await
    }

    /// Captures a document into the stream `main`.
    pub async fn capture(&self, query: &str, document: impl Into<reqwest::Body>) -> (u16, Value) {
        answer(self.client.post(self.stream(&format!("snapshots?{query}"))).body(document)).await
    }

    /// Appends events to the stream `main`.
    pub async fn append(&self, query: &str, events: &str) -> (u16, Value) {
        answer(self.client.post(self.stream(&format!("events{query}"))).body(events.to_owned())).await
    }

    /// Reads the metrics.
    pub async fn metrics(&self) -> String {
        let answer = self.client.get(format!("{}/metrics", self.url)).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Reads the lines of the hub's own stream.
    pub async fn own_lines(&self) -> String {
        let url = format!("{}/v1/streams/_hub/events?from=1", self.url);
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Reads the lines of a range of the stream `main`.
    pub async fn lines(&self, query: &str) -> Vec<String> {
        let answer = self.client.get(self.stream(&format!("events?{query}"))).send().await.unwrap();
        answer.text().await.unwrap().lines().map(str::to_owned).collect()
    }
}

/// A subscriber to a stream, from its first event on.
pub struct Told {
    answer: reqwest::Response,
    buffer: String,
}

impl Told {
    /// Subscribes to a stream, which need not exist yet.
    pub async fn by(hub: &TestHub, stream: &str) -> Told {
        let url = format!("{}/v1/streams/{stream}/events?from=1", hub.url);
        loop {
            let answer = hub.client.get(&url).header("accept", "text/event-stream").send().await.unwrap();
            // The stream is created by the component under test.
            if answer.status() == 200 {
                return Told { answer, buffer: String::new() };
            }
        }
    }

    /// Waits for the next event of a type.
    pub async fn next(&mut self, type_name: &str) -> Value {
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
            let chunk = chunk.expect("nothing is told").unwrap().unwrap();
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

/// Returns options without seals, so that a test can name seqs.
pub fn unsealed() -> Options {
    Options { seals: None, ..Default::default() }
}

/// Sends a request, and returns the status and the body of its answer.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    try_answer(request).await.unwrap()
}

/// Sends a request to a hub that may be gone.
///
/// # Errors
/// The hub did not answer.
pub async fn try_answer(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Returns the types of the events in an answer.
pub fn types(answer: &Value) -> Vec<&str> {
    answer["events"]
        .as_array()
        .map(|e| e.iter().map(|e| e["type"].as_str().unwrap()).collect())
        .unwrap_or_default()
}
