//! Key-encryption keys that never leave an OpenBao or Vault server: its Transit engine wraps and unwraps data keys, over HTTP.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use rig_outbound::Secret;
use rig_recorder::BoxFuture;
use rig_recorder::blob::{DataKey, Record, Wrapped};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::wrap::{Unavailable, Wrap};
use crate::error::Error;
use crate::settings::{TransitSettings, is_name};

/// The beginning of `by`.
const TRANSIT: &str = "transit:";

/// The time that a connection and a whole request may take. Captures wait for it.
const CONNECT: Duration = Duration::from_secs(1);
const WHOLE: Duration = Duration::from_secs(3);

/// Maximum size of a response, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// A Transit engine.
pub(super) struct Transit(Arc<Engine>);

struct Engine {
    client: Client,
    settings: TransitSettings,
}

/// A response of the engine.
#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Ciphertext {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Plaintext {
    plaintext: String,
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

impl Transit {
    /// Prepares the client. Sends nothing yet: the engine may start later than the hub.
    pub(super) fn new(settings: &TransitSettings) -> Result<Self, Error> {
        let bad = |why: String| Error::Transit(why);
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            // The token must not be sent to another server.
            .redirect(redirect::Policy::none())
            .no_proxy();
        if let Some(path) = &settings.ca {
            let pem = std::fs::read(path).map_err(|e| bad(format!("cannot read {}: {e}", path.display())))?;
            let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
            let certificates =
                certificates.ok_or_else(|| bad(format!("{} holds no certificate", path.display())))?;
            client = client.tls_certs_only(certificates);
        }
        let client = client.build().map_err(|e| bad(format!("no client for HTTP: {e}")))?;
        let engine = Engine { client, settings: settings.clone() };
        // A file may be created later.
        if let Secret::Env(_) = &settings.token {
            settings.token.read_now().map_err(|why| bad(format!("{why}; it must hold the token")))?;
        }
        Ok(Transit(Arc::new(engine)))
    }

    /// Checks whether the engine can be used, and logs the result.
    pub(super) fn tell_health(&self) {
        let engine = self.0.clone();
        tokio::spawn(async move {
            match engine.health().await {
                Ok(()) => tracing::info!(url = %engine.settings.url, "the Transit service is there"),
                Err(why) => {
                    tracing::warn!(url = %engine.settings.url, %why, "captures fail until the Transit service is there");
                }
            }
        });
    }

    fn key_of(&self, record: &Record) -> String {
        self.0.settings.key.replace("{stream}", record.stream.as_str())
    }
}

impl Engine {
    fn address(&self, path: &str) -> Result<Url, Unavailable> {
        let base = self.settings.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/v1/{path}"))
            .map_err(|_| Unavailable::Now("its URL cannot be used".to_owned()))
    }

    async fn token(&self) -> Result<HeaderValue, Unavailable> {
        let token = self.settings.token.read().await.map_err(Unavailable::Now)?;
        let mut value = HeaderValue::from_str(&token)
            .map_err(|_| Unavailable::Now("the token has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn health(&self) -> Result<(), Unavailable> {
        let answer = self.client.get(self.address("sys/health?standbyok=true")?).send().await;
        let status = answer.map_err(|e| no_answer(&e))?.status();
        if status.is_success() { Ok(()) } else { Err(refused(status)) }
    }

    /// Performs one operation with one key.
    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, Unavailable> {
        if !is_name(key) {
            return Err(Unavailable::Now("the name of its key has characters that no name has".to_owned()));
        }
        let address = self.address(&format!("{}/{what}/{key}", self.settings.mount))?;
        let body = serde_json::to_vec(body)
            .map_err(|_| Unavailable::Now("the request cannot be written".to_owned()))?;
        let request = self.client.post(address).header("x-vault-token", self.token().await?).body(body);
        let mut answer = request.send().await.map_err(|e| no_answer(&e))?;
        if !answer.status().is_success() {
            return Err(refused(answer.status()));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        while let Some(piece) = answer.chunk().await.map_err(|e| no_answer(&e))? {
            if bytes.len() + piece.len() > MAX_ANSWER {
                return Err(unreadable());
            }
            bytes.extend_from_slice(&piece);
        }
        let answer: Answer<T> = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        Ok(answer.data)
    }
}

/// Describes a failure of the client, without the address, which stands in the settings.
fn no_answer(e: &reqwest::Error) -> Unavailable {
    let why = if e.is_timeout() {
        "it does not answer in time"
    } else if e.is_connect() {
        "it cannot be reached"
    } else {
        "the connection broke off"
    };
    Unavailable::Now(format!("the Transit service holds the key, and {why}"))
}

/// Returns what to do about an error that it answered. The text of the answer is not repeated.
fn refused(status: StatusCode) -> Unavailable {
    let hint = match status.as_u16() {
        400 => "the key does not exist or cannot be used for this",
        403 => "the token is not valid or may not use the key",
        404 => "no Transit engine is mounted there, or the key does not exist",
        429 => "it has too much to do",
        501 => "it is not initialised",
        503 => "it is sealed",
        _ => "see its log",
    };
    Unavailable::Now(format!("the Transit service holds the key, and answered {}: {hint}", status.as_u16()))
}

fn unreadable() -> Unavailable {
    Unavailable::Now(
        "the Transit service holds the key, and its answer is none of a Transit engine".to_owned(),
    )
}

/// Returns the version of the key in `vault:v3:…`.
fn version(ciphertext: &str) -> Option<&str> {
    ciphertext.split(':').nth(1)
}

impl Wrap for Transit {
    fn knows(&self, wrapped: &Wrapped) -> bool {
        wrapped.by.starts_with(TRANSIT)
    }

    fn wrap<'a>(
        &'a self,
        record: &'a Record,
        data_key: &'a DataKey,
    ) -> BoxFuture<'a, Result<Wrapped, Unavailable>> {
        Box::pin(async move {
            #[derive(Serialize)]
            struct Encrypt<'a> {
                plaintext: &'a str,
            }
            let key = self.key_of(record);
            let plaintext = Zeroizing::new(BASE64.encode(data_key.bytes()));
            let answer: Ciphertext = self.0.ask("encrypt", &key, &Encrypt { plaintext: &plaintext }).await?;
            Ok(Wrapped { by: format!("{TRANSIT}{key}"), wrapped: answer.ciphertext })
        })
    }

    fn unwrap<'a>(
        &'a self,
        _record: &'a Record,
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<DataKey, Unavailable>> {
        Box::pin(async move {
            let key = wrapped.by.strip_prefix(TRANSIT).unwrap_or_default();
            let body = Encrypted { ciphertext: &wrapped.wrapped };
            let answer: Plaintext = self.0.ask("decrypt", key, &body).await?;
            let bytes = Zeroizing::new(BASE64.decode(&answer.plaintext).map_err(|_| unreadable())?);
            DataKey::new(&bytes).ok_or_else(unreadable)
        })
    }

    fn rewrap<'a>(
        &'a self,
        record: &'a Record,
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<Option<Wrapped>, Unavailable>> {
        Box::pin(async move {
            let key = self.key_of(record);
            if wrapped.by != format!("{TRANSIT}{key}") {
                let data_key = self.unwrap(record, wrapped).await?;
                return self.wrap(record, &data_key).await.map(Some);
            }
            let body = Encrypted { ciphertext: &wrapped.wrapped };
            let answer: Ciphertext = self.0.ask("rewrap", &key, &body).await?;
            // The same version is the same key: nothing needs to be written.
            let is_newer = version(&answer.ciphertext) != version(&wrapped.wrapped);
            Ok(is_newer.then(|| Wrapped { by: wrapped.by.clone(), wrapped: answer.ciphertext }))
        })
    }
}

#[derive(Serialize)]
struct Encrypted<'a> {
    ciphertext: &'a str,
}
