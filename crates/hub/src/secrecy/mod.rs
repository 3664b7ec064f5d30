//! The originals of documents: encrypted before the event that names them, opened for those who may, deleted when nothing names
//! them (docs/secrecy.md).
//!
//! In reading order: [`settings`]; [`Wrap`], what is asked of whoever holds the key-encryption keys, and its two implementations,
//! `local` (a file) and `transit` (OpenBao or Vault); [`Keys`], those that a hub has; `originals` (keeping and opening);
//! [`sweep`] (deleting).

mod local;
mod originals;
pub mod settings;
pub(crate) mod sweep;
mod transit;

use std::sync::Arc;

use rig_recorder::BoxFuture;
use rig_recorder::blob::{DataKey, Record, Wrapped};

pub(crate) use self::local::LocalKeys;
use self::settings::BlobSettings;
use self::transit::Transit;
use crate::Error;
use crate::data::DataDir;

pub(crate) use self::originals::{Blobs, Rewrapped, keep, open, rewrap};

/// Why a data key cannot be wrapped or unwrapped now. It quotes no key and nothing that a server answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unavailable(pub(crate) String);

/// Whoever holds key-encryption keys.
pub(crate) trait Wrap: Send + Sync {
    /// Whether it is one of its keys that this data key is wrapped with.
    fn knows(&self, wrapped: &Wrapped) -> bool;

    /// Wraps a data key with the newest key.
    fn wrap<'a>(
        &'a self,
        record: &'a Record,
        key: &'a DataKey,
    ) -> BoxFuture<'a, Result<Wrapped, Unavailable>>;

    /// Unwraps a data key.
    fn unwrap<'a>(
        &'a self,
        record: &'a Record,
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<DataKey, Unavailable>>;

    /// The same data key wrapped with the newest key; `None` where it is already.
    fn rewrap<'a>(
        &'a self,
        record: &'a Record,
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<Option<Wrapped>, Unavailable>>;
}

/// The key-encryption keys of a hub.
pub(crate) struct Keys {
    local: Option<Arc<LocalKeys>>,
    /// The first wraps, all of them unwrap.
    all: Vec<Arc<dyn Wrap>>,
}

impl Keys {
    /// What the settings ask for, and what originals may be there from before.
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

    /// Reads the key file again, where there is one: a line may have been added.
    fn reload(&self) -> Result<(), Error> {
        self.local.as_ref().map_or(Ok(()), |local| local.reload())
    }

    async fn wrap(&self, record: &Record, key: &DataKey) -> Result<Wrapped, Unavailable> {
        self.all[0].wrap(record, key).await
    }

    fn of(&self, wrapped: &Wrapped) -> Result<&dyn Wrap, Unavailable> {
        let known = self.all.iter().find(|keys| keys.knows(wrapped));
        known.map(Arc::as_ref).ok_or_else(|| {
            // An id, not a key: it stands in the plain first line of the blob.
            let by = wrapped.by.escape_debug().take(80).collect::<String>();
            Unavailable(format!(
                "the original is encrypted with `{by}`, which this hub does not have (docs/secrecy.md)"
            ))
        })
    }

    async fn unwrap(&self, record: &Record, wrapped: &Wrapped) -> Result<DataKey, Unavailable> {
        self.of(wrapped)?.unwrap(record, wrapped).await
    }

    async fn rewrap(&self, record: &Record, wrapped: &Wrapped) -> Result<Option<Wrapped>, Unavailable> {
        if self.all[0].knows(wrapped) {
            return self.all[0].rewrap(record, wrapped).await;
        }
        let key = self.unwrap(record, wrapped).await?;
        self.wrap(record, &key).await.map(Some)
    }
}
