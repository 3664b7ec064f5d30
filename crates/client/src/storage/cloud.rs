//! Object stores: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.
//!
//! `object_store` retries by itself what is worth it, with exponential backoff and jitter: connections that fail, answers
//! 5xx and 429. So its errors are final here.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt as _, RetryConfig};

use super::{Answer, Storage};
use crate::Error;
use crate::retry;

/// The most objects that are looked at under a prefix.
const MAX_LISTED: usize = 100_000;

/// A bucket or container.
#[derive(Clone, Debug)]
pub struct Cloud {
    store: Arc<dyn ObjectStore>,
    address: String,
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
        let store: Result<Arc<dyn ObjectStore>, object_store::Error> = match scheme {
            "s3" => AmazonS3Builder::from_env()
                .with_url(&address)
                .with_retry(retry)
                .build()
                .map(|s| Arc::new(s) as _),
            "gs" => GoogleCloudStorageBuilder::from_env()
                .with_url(&address)
                .with_retry(retry)
                .build()
                .map(|s| Arc::new(s) as _),
            _ => MicrosoftAzureBuilder::from_env()
                .with_url(&address)
                .with_retry(retry)
                .build()
                .map(|s| Arc::new(s) as _),
        };
        match store {
            Ok(store) => Ok(Cloud { store, address }),
            Err(error) => Err(failed(address, &error)),
        }
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
    fn put<'a>(&'a self, name: &'a str, content: Bytes) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = self.path(name)?;
            let put = self.store.put(&path, content.into()).await;
            put.map(drop).map_err(|error| failed(self.shown(name), &error))
        })
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move {
            let path = self.path(name)?;
            let fail = |error: object_store::Error| failed(self.shown(name), &error);
            let found = match self.store.get(&path).await {
                Ok(found) => found,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(fail(error)),
            };
            if found.meta.size > limit {
                return Err(Error::TooLarge { limit });
            }
            Ok(Some(found.bytes().await.map_err(fail)?))
        })
    }

    fn list<'a>(&'a self, folder: &'a str, depth: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let prefix = (!folder.is_empty()).then(|| self.path(folder.trim_end_matches('/'))).transpose()?;
            let mut found = self.store.list(prefix.as_ref());
            let mut names = Vec::new();
            while let Some(object) = found.next().await {
                let name = object.map_err(|error| failed(self.shown(folder), &error))?.location.to_string();
                let below = name.get(folder.len()..).unwrap_or_default();
                if below.matches('/').count() > depth {
                    continue;
                }
                if names.len() == MAX_LISTED {
                    let why = format!("it has more than {MAX_LISTED} objects");
                    return Err(Error::Store { address: self.shown(folder), why, transient: false });
                }
                names.push(name);
            }
            Ok(names)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = self.path(name)?;
            self.store.delete(&path).await.map_err(|error| failed(self.shown(name), &error))
        })
    }

    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

fn failed(address: String, error: &object_store::Error) -> Error {
    let why = match error {
        object_store::Error::NotFound { .. } => "there is no such bucket or object".to_owned(),
        object_store::Error::PermissionDenied { .. } => "the store does not permit it".to_owned(),
        object_store::Error::Unauthenticated { .. } => {
            "the store does not know these credentials; they come from the environment".to_owned()
        }
        other => other.to_string(),
    };
    Error::Store { address, why, transient: false }
}
