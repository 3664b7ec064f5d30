//! Sends snapshots to a hub.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use rig_config::{SnapshotFile, snapshot_file};

use crate::retry::retry;
use crate::{Error, login};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A stream of a hub.
#[derive(Clone, Debug)]
pub struct Hub {
    http: reqwest::Client,
    url: Url,
}

impl Hub {
    /// The hub at `http://HOST:PORT/STREAM`, or `https://…`; without a stream, `main`. The environment names the token
    /// and whom to trust ([`login`]).
    ///
    /// # Errors
    /// [`Error::Hub`] when the address is none, or what the environment names cannot be used.
    pub fn new(address: &str) -> Result<Hub, Error> {
        let shown = address.rsplit_once('@').map_or(address, |(_, host)| host).to_owned();
        let bad = |why: &str| Error::Hub {
            address: shown.clone(),
            why: why.to_owned(),
            transient: false,
            retry_after: None,
        };
        let mut url: Url = address.parse().map_err(|_| bad("write http://HOST:PORT/STREAM"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad("write http://HOST:PORT/STREAM, or https://"));
        }
        let parts: Vec<String> = url
            .path_segments()
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let stream = match parts.as_slice() {
            [] => "main".to_owned(),
            [stream] => stream.clone(),
            _ => return Err(bad("write http://HOST:PORT/STREAM; the rest of the path is rig's business")),
        };
        url.set_path(&format!("v1/streams/{stream}/snapshots"));
        url.set_query(None);
        url.set_fragment(None);
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        let http = login::client(&url, None, http).map_err(|e| bad(&e.to_string()))?;
        Ok(Hub { http, url })
    }

    /// The address, without what may stand before an `@`.
    pub fn address(&self) -> String {
        let mut url = self.url.clone();
        // Neither can fail on an http address, and without them nothing is shown that was not asked for.
        let _ = (url.set_username(""), url.set_password(None));
        url.to_string()
    }

    /// Sends a snapshot as it is: redact it before. The service is the one that its audit metadata names.
    ///
    /// It is tried again where that may help, under one idempotency key: it is captured once.
    ///
    /// # Errors
    /// [`Error::Hub`].
    pub async fn send(&self, snapshot: &SnapshotFile) -> Result<(), Error> {
        let mut body = Vec::new();
        snapshot.write(&mut body).map_err(|e| self.failed(e.to_string(), false))?;
        let body = bytes::Bytes::from(body);
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|e| Error::System { what: "random numbers", why: e.to_string() })?;
        let id = format!("{:032x}", u128::from_le_bytes(random));
        let service = snapshot.audit.get("service").map(String::as_str).unwrap_or_default();
        retry(async || {
            let request = self
                .http
                .post(self.url.clone())
                .query(&[("service", service), ("format", "snapshot"), ("id", &id)])
                .header("content-type", snapshot_file::MEDIA_TYPE)
                .body(body.clone());
            let answer = request.send().await.map_err(|e| self.failed(describe(&e), !e.is_builder()))?;
            let status = answer.status();
            if status.is_success() {
                return Ok(());
            }
            let busy = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY
            );
            let wait = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
            let why = detail(answer).await.unwrap_or_else(|| format!("it answered {status}"));
            Err(Error::Hub {
                address: self.address(),
                why,
                transient: status.is_server_error() || busy,
                retry_after: wait.map(Duration::from_secs),
            })
        })
        .await
    }

    fn failed(&self, why: String, transient: bool) -> Error {
        Error::Hub { address: self.address(), why, transient, retry_after: None }
    }
}

fn describe(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "nobody answers there".to_owned()
    } else if error.is_timeout() {
        "it does not answer in time".to_owned()
    } else {
        "the connection broke off".to_owned()
    }
}

/// What the hub says is wrong, if it says it in the first 64 KiB.
async fn detail(mut answer: reqwest::Response) -> Option<String> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > 64 << 10 {
            break;
        }
    }
    let problem: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let detail: String = problem["detail"].as_str()?.chars().filter(|c| !c.is_control()).take(500).collect();
    Some(format!("{detail} [{}]", problem["code"].as_str().unwrap_or("?")))
}
