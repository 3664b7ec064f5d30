//! The way of requests to a store: counted, as late as the store asks, and quick to say that there are no credentials.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// The words of an error when the machine has no service that gives credentials.
pub(super) const NO_CREDENTIALS: &str = "there are no credentials for it";

/// The longest wait that a store may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// The longest wait for a service of the machine that gives credentials; it is near, or there is none.
const METADATA: Duration = Duration::from_secs(2);

/// The hosts of such services.
const METADATA_HOSTS: [&str; 3] = ["169.254.169.254", "metadata.google.internal", "metadata"];

/// Makes clients, and counts what they ask of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Connector {
    requests: Arc<AtomicUsize>,
}

impl Connector {
    /// Returns the number of requests that were made of the store.
    pub fn count(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Patient { client, requests: self.requests.clone() }))
    }
}

#[derive(Debug)]
struct Patient {
    client: HttpClient,
    requests: Arc<AtomicUsize>,
}

/// Why a request is not tried again.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{NO_CREDENTIALS}")]
    NoCredentials,
    #[error("the store is busy and asks to wait for {} seconds", .0.as_secs())]
    Busy(Duration),
}

impl HttpService for Patient {
    // As `async_trait` spells it, which the trait is made with.
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            if METADATA_HOSTS.contains(&host.as_str()) {
                let answer = tokio::time::timeout(METADATA, self.client.execute(request)).await;
                return match answer {
                    Ok(Ok(answer)) if answer.status().is_success() => Ok(answer),
                    _ => Err(HttpError::new(HttpErrorKind::Unknown, Refused::NoCredentials)),
                };
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            let answer = self.client.execute(request).await?;
            if !matches!(answer.status().as_u16(), 429 | 503) {
                return Ok(answer);
            }
            let asked = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
            match asked.and_then(|asked| wait(asked, jiff::Timestamp::now())) {
                None => Ok(answer),
                Some(asked) if asked > LONGEST_ASKED => {
                    Err(HttpError::new(HttpErrorKind::Unknown, Refused::Busy(asked)))
                }
                Some(asked) => {
                    tracing::debug!(?asked, "the store asks to wait");
                    tokio::time::sleep(asked).await;
                    Ok(answer)
                }
            }
        })
    }
}

/// Returns the wait that `Retry-After` asks for: seconds, or until a date.
fn wait(asked: &str, now: jiff::Timestamp) -> Option<Duration> {
    if let Ok(seconds) = asked.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(asked.trim()).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_asks_in_seconds_or_by_a_date() {
        let now: jiff::Timestamp = "2026-01-15T10:30:00Z".parse().unwrap();
        for (asked, seconds) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("Thu, 15 Jan 2026 10:30:05 GMT", Some(5)),
            ("Thu, 15 Jan 2026 10:29:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(wait(asked, now), seconds.map(Duration::from_secs), "{asked}");
        }
    }
}
