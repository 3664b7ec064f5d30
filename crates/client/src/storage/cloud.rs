//! Object stores: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.
//!
//! `object_store` retries by itself what is worth it, with exponential backoff and jitter: connections that fail, answers
//! 5xx and 429. So its errors are final here. What it does not do is done by [`service`]: waiting as long as a store asks.

mod service;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt as _, PutMode, RetryConfig};
use rig_event::Timestamp;

use self::service::Connector;
use super::{Answer, Content, Listed, Storage};
use crate::Error;
use crate::retry;

/// The most objects that are looked at under a prefix.
const MAX_LISTED: usize = 100_000;

/// A bucket or container.
#[derive(Clone, Debug)]
pub struct Cloud {
    store: Arc<dyn ObjectStore>,
    address: String,
    requests: Connector,
}

impl Cloud {
    /// The bucket of a scheme: `s3`, `gs` or `az`.
    ///
    /// # Errors
    /// [`Error::Store`] when the environment does not say enough to reach it.
    pub fn open(scheme: &str, bucket: &str) -> Result<Cloud, Error> {
        let address = format!("{scheme}://{bucket}");
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: retry::FIRST, max_backoff: retry::LONGEST, base: 2.0 },
            max_retries: retry::TIMES,
            retry_timeout: std::time::Duration::from_secs(60),
        };
        let requests = Connector::default();
        let store: Result<Arc<dyn ObjectStore>, object_store::Error> = match scheme {
            "s3" => AmazonS3Builder::from_env()
                .with_url(&address)
                .with_retry(retry)
                .with_http_connector(requests.clone())
                .build()
                .map(|s| Arc::new(s) as _),
            "gs" => GoogleCloudStorageBuilder::from_env()
                .with_url(&address)
                .with_retry(retry)
                .with_http_connector(requests.clone())
                .build()
                .map(|s| Arc::new(s) as _),
            _ => MicrosoftAzureBuilder::from_env()
                .with_url(&address)
                .with_retry(retry)
                .with_http_connector(requests.clone())
                .build()
                .map(|s| Arc::new(s) as _),
        };
        match store {
            Ok(store) => Ok(Cloud { store, address, requests }),
            Err(error) => Err(failed(address, &error, "")),
        }
    }

    /// Begins to read an object; nothing if there is none.
    async fn found(&self, name: &str) -> Result<Option<object_store::GetResult>, Error> {
        match self.store.get(&self.path(name)?).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(name, &error, "s3:GetObject")),
        }
    }

    fn failed(&self, name: &str, error: &object_store::Error, needs: &'static str) -> Error {
        failed(self.shown(name), error, needs)
    }

    /// Collects what is to be written, in memory: a request says how long it is.
    fn content(&self, name: &str, content: Content<'_>) -> Result<Bytes, Error> {
        let mut bytes = Vec::new();
        content(&mut bytes).map_err(|error| Error::Store {
            address: self.shown(name),
            why: error.to_string(),
            transient: false,
        })?;
        Ok(bytes.into())
    }

    fn path(&self, name: &str) -> Result<Path, Error> {
        Path::parse(name).map_err(|error| Error::Store {
            address: self.shown(name),
            why: error.to_string(),
            transient: false,
        })
    }
}

impl Storage for Cloud {
    fn put<'a>(&'a self, name: &'a str, content: Content<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let (path, content) = (self.path(name)?, self.content(name, content)?);
            let put = self.store.put(&path, content.into()).await;
            put.map(drop).map_err(|error| self.failed(name, &error, "s3:PutObject"))
        })
    }

    fn put_new<'a>(&'a self, name: &'a str, content: Content<'a>) -> Answer<'a, bool> {
        Box::pin(async move {
            let (path, content) = (self.path(name)?, self.content(name, content)?);
            match self.store.put_opts(&path, content.into(), PutMode::Create.into()).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(false)
                }
                Err(error) => Err(self.failed(name, &error, "s3:PutObject")),
            }
        })
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move {
            let Some(found) = self.found(name).await? else { return Ok(None) };
            if found.meta.size > limit {
                return Err(Error::TooLarge { limit });
            }
            let read = found.bytes().await;
            Ok(Some(read.map_err(|error| self.failed(name, &error, "s3:GetObject"))?))
        })
    }

    fn head<'a>(&'a self, name: &'a str, most: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move {
            let Some(found) = self.found(name).await? else { return Ok(None) };
            // No range: one that begins behind an empty object is an error. The rest is not waited for.
            let (mut chunks, mut head) = (found.into_stream(), BytesMut::new());
            while (head.len() as u64) < most
                && let Some(chunk) = chunks.next().await
            {
                head.extend_from_slice(&chunk.map_err(|error| self.failed(name, &error, "s3:GetObject"))?);
            }
            head.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            Ok(Some(head.freeze()))
        })
    }

    fn list<'a>(&'a self, folder: &'a str, depth: usize) -> Answer<'a, Vec<Listed>> {
        Box::pin(async move {
            let prefix = (!folder.is_empty()).then(|| self.path(folder.trim_end_matches('/'))).transpose()?;
            let mut found = self.store.list(prefix.as_ref());
            let mut listed = Vec::new();
            while let Some(object) = found.next().await {
                let object = object.map_err(|error| self.failed(folder, &error, "s3:ListBucket"))?;
                let name = object.location.to_string();
                let below = name.get(folder.len()..).unwrap_or_default();
                if below.matches('/').count() > depth {
                    continue;
                }
                if listed.len() == MAX_LISTED {
                    let why = format!("it has more than {MAX_LISTED} objects");
                    return Err(Error::Store { address: self.shown(folder), why, transient: false });
                }
                let modified = Timestamp::from_micros(object.last_modified.timestamp_micros());
                listed.push(Listed { name, modified: Some(modified) });
            }
            Ok(listed)
        })
    }

    fn delete<'a>(&'a self, name: &'a str, _folder: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = self.path(name)?;
            self.store.delete(&path).await.map_err(|error| self.failed(name, &error, "s3:DeleteObject"))
        })
    }

    fn is_near(&self) -> bool {
        false
    }

    fn requests(&self) -> usize {
        self.requests.count()
    }

    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

/// Says what went wrong, and what it takes; `needs` is a permission of S3.
fn failed(address: String, error: &object_store::Error, needs: &'static str) -> Error {
    let needs = if address.starts_with("s3:") { needs } else { "" };
    let why = match error {
        object_store::Error::NotFound { .. } => "there is no such bucket or object".to_owned(),
        object_store::Error::PermissionDenied { .. } => return Error::Denied { address, needs },
        object_store::Error::Unauthenticated { .. } => {
            "the store does not know these credentials; they come from the environment".to_owned()
        }
        other => match other.to_string() {
            text if text.contains(service::NO_CREDENTIALS) => {
                format!("{}: {}", service::NO_CREDENTIALS, names(&address))
            }
            text => text,
        },
    };
    Error::Store { address, why, transient: false }
}

/// Where credentials for an address come from.
fn names(address: &str) -> &'static str {
    match address.split(':').next() {
        Some("s3") => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_WEB_IDENTITY_TOKEN_FILE, or run where a role gives them"
        }
        Some("gs") => {
            "set GOOGLE_SERVICE_ACCOUNT to the file of a service account's key, or run where an account is attached"
        }
        _ => {
            "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or run where an identity is attached"
        }
    }
}
