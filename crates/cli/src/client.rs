//! Speaking to a hub: the only place that knows its addresses, and what turns its problems into sentences.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, Url};
use rig_client::login;
use rig_event::session::Outcome;
use rig_event::{Epoch, Seq, ServiceName, StreamName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A stream of a hub: `http://127.0.0.1:7070/main`.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// The stream that every call is about.
    pub stream: StreamName,
    /// True if the stream was named, false if it is `main` because none was.
    is_named: bool,
}

/// What a capture or an append answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Appended {
    /// The stream.
    pub stream: StreamName,
    /// The stream's epoch.
    pub epoch: Epoch,
    /// Seq of the first event it led to.
    pub first_seq: Seq,
    /// Seq of the last.
    pub last_seq: Seq,
    /// The events, as they stand in the log.
    pub events: Vec<Box<RawValue>>,
}

/// A refusal of the hub, `application/problem+json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in general.
    pub title: String,
    /// What is wrong, in this case.
    pub detail: Option<String>,
    /// The stable code.
    pub code: String,
    /// Where in the document.
    pub line: Option<u64>,
    /// Where in the line.
    pub column: Option<u64>,
    /// On `expected-seq`: where the stream stands.
    pub head: Option<Seq>,
    /// The time after which it may be tried again, if the hub says one.
    #[serde(skip)]
    pub wait: Option<Duration>,
}

impl Problem {
    /// Returns true if the same request may be answered otherwise a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500..)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.detail.as_deref().filter(|detail| !detail.is_empty()).unwrap_or(&self.title);
        f.write_str(&crate::output::plain(text))?;
        // The place may stand in the sentence already.
        if let Some(line) = self.line.filter(|line| !text.contains(&format!("line {line}"))) {
            write!(f, " (line {line}")?;
            if let Some(column) = self.column {
                write!(f, ", column {column}")?;
            }
            f.write_str(")")?;
        }
        write!(f, " [{}]", crate::output::plain(&self.code))
    }
}

impl std::error::Error for Problem {}

/// What the hub says about a stream, as far as it is needed.
#[derive(Deserialize)]
struct About {
    epoch: Epoch,
    first_seq: Seq,
    head: Seq,
}

impl Client {
    /// A client for `address`, `http://HOST:PORT[/STREAM]` or `https://…`; `stream` is taken where the address names none. The
    /// environment names the token and whom to trust.
    ///
    /// # Errors
    /// When the address is none, its stream's name is not allowed, or what the environment names cannot be used.
    pub fn new(address: &str, stream: Option<StreamName>) -> Result<Client> {
        Client::trusting(address, stream, None)
    }

    /// The same, where `ca` is the file of the certificates to trust.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn trusting(address: &str, stream: Option<StreamName>, ca: Option<&Path>) -> Result<Client> {
        let shown = without_login(address);
        let url: Url = address.parse().with_context(|| {
            format!("{shown:?} is not the address of a hub; write http://HOST:PORT/STREAM")
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            bail!("{shown}: a hub is spoken to over http:// or https://");
        }
        let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let named = match segments.as_slice() {
            [] => None,
            [name] => Some(name.parse::<StreamName>()?),
            _ => bail!("{shown}: write http://HOST:PORT/STREAM; the rest of the path is rig's business"),
        };
        if url.host_str().is_none() {
            bail!("{shown}: there is no host in it");
        }
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(10));
        let http = login::client(&url, ca, http)?;
        let mut base = url;
        base.set_path("/");
        base.set_query(None);
        base.set_fragment(None);
        let stream = named.or(stream);
        let is_named = stream.is_some();
        Ok(Client { http, base, stream: stream.unwrap_or_else(StreamName::main), is_named })
    }

    /// Returns a client for each stream that is meant: the named one, or if none is named all of the hub that have events.
    ///
    /// # Errors
    /// A [`Problem`] when the hub does not list them.
    pub async fn each_stream(&self) -> Result<Vec<Client>> {
        #[derive(Deserialize)]
        struct Listed {
            stream: StreamName,
            head: Seq,
        }
        #[derive(Deserialize)]
        struct Streams {
            streams: Vec<Listed>,
        }
        if self.is_named {
            return Ok(vec![self.clone()]);
        }
        let url = self.base.join("v1/streams")?;
        let listed: Streams = json(self.send(self.http.get(url)).await?).await?;
        let with_events = listed.streams.into_iter().filter(|listed| listed.head > 0);
        Ok(with_events
            .map(|Listed { stream, .. }| Client { stream, is_named: true, ..self.clone() })
            .collect())
    }

    /// The address of the hub for messages: what may be in front of it for a proxy, `user:password@`, is not for everybody.
    fn shown(&self) -> String {
        without_login(self.base.as_str())
    }

    /// The address of the hub and its stream, for messages.
    pub fn source(&self) -> String {
        format!("{}{}", self.shown(), self.stream)
    }

    /// Waits until the hub says that it is ready.
    ///
    /// # Errors
    /// When nobody answers, or the hub says that it is not.
    pub async fn ready(&self) -> Result<()> {
        let url = self.base.join("readyz")?;
        self.send(self.http.get(url)).await.map(drop)
    }

    /// Captures a document; `query` holds format, name, actor, id and meta.KEY.
    ///
    /// # Errors
    /// A [`Problem`] when the hub refuses it.
    pub async fn capture(
        &self,
        service: &ServiceName,
        query: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Appended> {
        let request = self
            .request(Method::POST, &["snapshots"])?
            .query(&[("service", service.as_str())])
            .query(query)
            .header("content-type", "application/octet-stream")
            .body(body);
        json(self.send(request).await?).await
    }

    /// The state at `at`, or now.
    ///
    /// # Errors
    /// A [`Problem`] when the stream is unknown or ends before `at`.
    pub async fn state(&self, at: Option<Seq>) -> Result<Bytes> {
        let at = at.map(|at| ("at", at));
        let response = self.send(self.request(Method::GET, &["state"])?.query(at.as_slice())).await?;
        whole(response, MAX_STATE).await
    }

    /// The last seq of the stream.
    ///
    /// # Errors
    /// A [`Problem`] when the stream is unknown.
    pub async fn head(&self) -> Result<Seq> {
        Ok(self.about().await?.head)
    }

    /// The oldest seq that the stream still has.
    ///
    /// # Errors
    /// A [`Problem`] when the stream is unknown.
    pub async fn first_seq(&self) -> Result<Seq> {
        Ok(self.about().await?.first_seq)
    }

    /// The epoch of the stream: another one says that it was made anew.
    ///
    /// # Errors
    /// A [`Problem`] when the stream is unknown.
    pub async fn epoch(&self) -> Result<Epoch> {
        Ok(self.about().await?.epoch)
    }

    async fn about(&self) -> Result<About> {
        json(self.send(self.request(Method::GET, &[])?).await?).await
    }

    /// A session file of a stretch, whose ends may be left to the hub, that says how it ended.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such stretch.
    pub async fn session(
        &self,
        (from, to): (Option<Seq>, Option<Seq>),
        outcome: Option<Outcome>,
    ) -> Result<Response> {
        let query = [("from", from.map(|seq| seq.to_string())), ("to", to.map(|seq| seq.to_string()))];
        let outcome = outcome.map(|outcome| ("outcome", outcome.as_str().to_owned()));
        let query: Vec<_> =
            query.into_iter().filter_map(|(name, value)| Some((name, value?))).chain(outcome).collect();
        self.send(self.request(Method::GET, &["session"])?.query(&query)).await
    }

    /// The live stream: after `last_id`, or from `from`, or from the next event on.
    ///
    /// # Errors
    /// A [`Problem`] when the stream is unknown or the cursor is none.
    pub async fn events(&self, last_id: Option<&str>, query: &[(&str, String)]) -> Result<Response> {
        let mut request =
            self.request(Method::GET, &["events"])?.query(query).header("accept", "text/event-stream");
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        self.send(request).await
    }

    /// Approves the service's current config.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such service, or its digest is not `digest`.
    pub async fn approve(&self, service: &ServiceName, query: &[(&str, &str)]) -> Result<Appended> {
        let request = self.request(Method::PUT, &["services", service.as_str(), "baseline"])?.query(query);
        json(self.send(request).await?).await
    }

    /// Takes the service's baseline back.
    ///
    /// # Errors
    /// A [`Problem`] when it has none.
    pub async fn revoke(&self, service: &ServiceName, query: &[(&str, &str)]) -> Result<Appended> {
        let request = self.request(Method::DELETE, &["services", service.as_str(), "baseline"])?.query(query);
        json(self.send(request).await?).await
    }

    /// Declares some of the service's fields with a document.
    ///
    /// # Errors
    /// A [`Problem`] when the hub refuses the document.
    pub async fn declare(
        &self,
        service: &ServiceName,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Appended> {
        let request = self.request(Method::PUT, &["services", service.as_str(), "declared"])?.query(query);
        json(self.send(request.header("content-type", "application/octet-stream").body(body)).await?).await
    }

    /// Takes the declaration back.
    ///
    /// # Errors
    /// A [`Problem`] when there is none.
    pub async fn withdraw(&self, service: &ServiceName, query: &[(&str, &str)]) -> Result<Appended> {
        let request = self.request(Method::DELETE, &["services", service.as_str(), "declared"])?.query(query);
        json(self.send(request).await?).await
    }

    /// Accepts differences from the baseline.
    ///
    /// # Errors
    /// A [`Problem`] when nothing differs there.
    pub async fn accept(&self, service: &ServiceName, what: &Value) -> Result<Appended> {
        let request = self
            .request(Method::POST, &["services", service.as_str(), "drift", "accept"])?
            .header("content-type", "application/json")
            .body(serde_json::to_vec(what)?);
        json(self.send(request).await?).await
    }

    /// Makes a token; the answer has its text.
    ///
    /// # Errors
    /// A [`Problem`] when the hub refuses.
    pub async fn new_token(&self, new: &rig_hub::access::NewToken) -> Result<Value> {
        let request = self.http.post(self.base.join("v1/tokens")?).header("content-type", "application/json");
        json(self.send(request.body(serde_json::to_vec(new)?)).await?).await
    }

    /// Returns the caller as the hub knows it.
    ///
    /// # Errors
    /// A [`Problem`] when the hub refuses.
    pub async fn whoami(&self) -> Result<Value> {
        json(self.send(self.http.get(self.base.join("v1/whoami")?)).await?).await
    }

    /// A code with which a browser signs in.
    ///
    /// # Errors
    /// A [`Problem`] when the hub refuses.
    pub async fn login(&self) -> Result<Value> {
        json(self.send(self.http.post(self.base.join("v1/logins")?)).await?).await
    }

    /// The address of the dashboard at the stream, or at the hub if none is named.
    pub fn page(&self) -> String {
        if self.is_named { format!("{}s/{}", self.shown(), self.stream) } else { self.shown() }
    }

    /// All tokens.
    ///
    /// # Errors
    /// A [`Problem`] when the hub refuses.
    pub async fn tokens(&self) -> Result<Value> {
        json(self.send(self.http.get(self.base.join("v1/tokens")?)).await?).await
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such token, or the hub refuses.
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        let mut url = self.base.join("v1/tokens")?;
        url.path_segments_mut().map_err(|()| anyhow!("{} cannot have a path", self.shown()))?.push(id);
        self.send(self.http.delete(url)).await.map(drop)
    }

    /// A request below `/v1/streams/STREAM`; the segments are escaped here.
    fn request(&self, method: Method, segments: &[&str]) -> Result<RequestBuilder> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} cannot have a path", self.shown()))?
            .clear()
            .extend(["v1", "streams", self.stream.as_str()])
            .extend(segments);
        Ok(self.http.request(method, url))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| {
            if error.is_connect() && is_about_certificates(&error) {
                anyhow!(
                    "the hub at {} shows a certificate that is not trusted here; name the file of who vouches for it, --ca or RIG_CA",
                    self.shown()
                )
            } else if error.is_connect() {
                anyhow!("no hub answers at {}: start one with `rig hub`, or name another", self.shown())
            } else {
                anyhow::Error::new(error.without_url())
                    .context(format!("the hub at {} broke off", self.shown()))
            }
        })?;
        if response.status().is_success() { Ok(response) } else { Err(problem(response).await.into()) }
    }
}

fn is_about_certificates(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.any(|cause| cause.to_string().contains("certificate"))
}

/// An address as it may be shown: nothing of `user:password@`.
pub(crate) fn without_login(address: &str) -> String {
    let from = address.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = address.split_at(from);
    // The last @, also behind a slash: a password may be written badly.
    match rest.rfind('@') {
        Some(at) => format!("{scheme}{}", &rest[at + 1..]),
        None => address.to_owned(),
    }
}

/// What the hub says is wrong, also where it says it badly.
async fn problem(response: Response) -> Problem {
    let status = response.status();
    let wait = response.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    let mut response = response;
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > 1 << 16 {
            break;
        }
    }
    let said = serde_json::from_slice(&body).ok().filter(|problem: &Problem| !problem.code.is_empty());
    let said = said.unwrap_or_else(|| Problem {
        title: format!("the hub answered {status} without saying why; is it a rig hub?"),
        code: "no-problem-given".to_owned(),
        ..Problem::default()
    });
    Problem { status: status.as_u16(), wait: wait.map(Duration::from_secs), ..said }
}

/// Maximum size of a state, and of any other answer that is read whole, in bytes. Whoever answers may be no hub.
const MAX_STATE: usize = 1 << 30;
const MAX_ANSWER: usize = 64 << 20;

/// Reads an answer to its end.
///
/// # Errors
/// When it breaks off, or is longer than `limit`.
async fn whole(mut response: Response, limit: usize) -> Result<Bytes> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the hub's answer broke off")? {
        if chunk.len() > limit - body.len() {
            bail!("the hub's answer is longer than {limit} bytes; is it a rig hub?");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

async fn json<T: serde::de::DeserializeOwned>(response: Response) -> Result<T> {
    let bytes = whole(response, MAX_ANSWER).await?;
    serde_json::from_slice(&bytes).context("the hub's answer is not what this version of rig expects")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_hub_and_stream() {
        let client = Client::new("http://127.0.0.1:7070/ci-1", None).unwrap();
        assert_eq!(client.source(), "http://127.0.0.1:7070/ci-1");
        let stream = Some("staging".parse().unwrap());
        assert_eq!(Client::new("http://[::1]:7070", stream).unwrap().source(), "http://[::1]:7070/staging");
        for bad in ["127.0.0.1:7070", "ftp://hub/main", "http://hub/a/b", "http://hub/.x", "nonsense"] {
            assert!(Client::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_never_repeated() {
        for address in [
            "ftp://ana:hunter2@hub/main",
            "http://ana:hunter2@hub/a/b",
            "http://ana:hunter2@hub:port/main",
            "http://ana:hunter2/x@hub/main",
            "ana:hunter2@hub",
        ] {
            let error = Client::new(address, None).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{address}: {error:?}");
        }
        let client = Client::new("http://ana:hunter2@127.0.0.1:7070/main", None).unwrap();
        assert_eq!(client.source(), "http://127.0.0.1:7070/main");
    }

    #[test]
    fn segments_are_escaped() {
        let client = Client::new("http://127.0.0.1:7070/main", None).unwrap();
        let request =
            client.request(Method::GET, &["services", "a/b ü?", "baseline"]).unwrap().build().unwrap();
        assert_eq!(request.url().path(), "/v1/streams/main/services/a%2Fb%20%C3%BC%3F/baseline");
    }

    #[test]
    fn a_problem_reads_as_a_sentence_with_its_place() {
        let problem: Problem = serde_json::from_str(
            r#"{"title":"The document is malformed","status":422,"detail":"unexpected end","code":"malformed","line":3,"column":9}"#,
        )
        .unwrap();
        assert_eq!(problem.to_string(), "unexpected end (line 3, column 9) [malformed]");
        let said = Problem { detail: Some("at line 3: no".into()), ..problem };
        assert_eq!(said.to_string(), "at line 3: no [malformed]");
    }
}
