//! The key-encryption keys of a hub: those of a Transit service, and those of the key file.

use std::sync::Arc;

use rig_recorder::blob::{DataKey, Record, Wrapped};

use super::local::LocalKeys;
use super::transit::Transit;
use super::wrap::{Unavailable, Wrap};
use crate::data::DataDir;
use crate::error::Error;
use crate::settings::BlobSettings;

/// The key-encryption keys of a hub.
pub(crate) struct Keys {
    local: Option<Arc<LocalKeys>>,
    /// The first one wraps, all of them unwrap.
    all: Vec<Arc<dyn Wrap>>,
}

impl Keys {
    /// Opens the keys that the settings ask for, and those that originals from before may need.
    pub(crate) fn open(data: &DataDir, settings: &BlobSettings) -> Result<Option<Keys>, Error> {
        let transit = settings.transit.as_ref().map(Transit::new).transpose()?;
        let local = match (&transit, settings.keep || data.has_blob_keys()) {
            (None, true) => Some(Arc::new(LocalKeys::of(data)?)),
            (Some(_), _) if data.has_blob_keys() => Some(Arc::new(LocalKeys::of(data)?)),
            _ => None,
        };
        let first = transit.map(|transit| {
            transit.tell_health();
            Arc::new(transit) as Arc<dyn Wrap>
        });
        let second = local.clone().map(|local| local as Arc<dyn Wrap>);
        let all: Vec<_> = first.into_iter().chain(second).collect();
        Ok(if all.is_empty() { None } else { Some(Keys { local, all }) })
    }

    /// Reads the key file again, if there is one: a line may have been added.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        self.local.as_ref().map_or(Ok(()), |local| local.reload())
    }

    pub(super) async fn wrap(&self, record: &Record, key: &DataKey) -> Result<Wrapped, Unavailable> {
        self.all[0].wrap(record, key).await
    }

    fn of(&self, wrapped: &Wrapped) -> Result<&dyn Wrap, Unavailable> {
        let known = self.all.iter().find(|keys| keys.knows(wrapped));
        known.map(Arc::as_ref).ok_or_else(|| {
            // An id, not a key: it is in plain text in the first line of the blob.
            let by = wrapped.by.escape_debug().take(80).collect::<String>();
            Unavailable::Now(format!(
                "the original is encrypted with `{by}`, which this hub does not have (docs/secrecy.md)"
            ))
        })
    }

    pub(super) async fn unwrap(&self, record: &Record, wrapped: &Wrapped) -> Result<DataKey, Unavailable> {
        self.of(wrapped)?.unwrap(record, wrapped).await
    }

    pub(super) async fn rewrap(
        &self,
        record: &Record,
        wrapped: &Wrapped,
    ) -> Result<Option<Wrapped>, Unavailable> {
        if self.all[0].knows(wrapped) {
            return self.all[0].rewrap(record, wrapped).await;
        }
        let key = self.unwrap(record, wrapped).await?;
        self.wrap(record, &key).await.map(Some)
    }
}
