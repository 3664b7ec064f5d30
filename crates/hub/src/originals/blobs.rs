//! Storing an original before the event that names it, reading it back, and wrapping its key anew.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use rig_config::Redactor;
use rig_event::StreamName;
use rig_recorder::blob::{BlobId, BlobStore, DataKey, Record, Sealed, SealedError};
use zeroize::Zeroizing;

use super::keys::Keys;
use super::wrap::Unavailable;
use crate::problem::Problem;

/// The originals of a stream.
pub(crate) struct Blobs {
    pub(crate) store: BlobStore,
    stream: StreamName,
    keys: Arc<Keys>,
    naming: Mutex<Naming>,
    step: fn(&'static str),
}

/// The originals that an event is about to name, or has just named.
#[derive(Default)]
struct Naming {
    now: HashMap<BlobId, usize>,
    /// Those of captures that ended since the last sweep began.
    since: HashSet<BlobId>,
}

/// An original that an event is about to name. It is not deleted until this is dropped, nor by a sweep that is running at that
/// time.
pub(crate) struct Named {
    blobs: Arc<Blobs>,
    id: BlobId,
}

impl Named {
    pub(crate) fn id(&self) -> &BlobId {
        &self.id
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let mut naming = self.blobs.naming();
        if let Some(captures) = naming.now.get_mut(&self.id) {
            *captures -= 1;
            if *captures == 0 {
                naming.now.remove(&self.id);
            }
        }
        naming.since.insert(self.id.clone());
    }
}

impl Blobs {
    pub(crate) fn open(
        dir: &Path,
        stream: StreamName,
        keys: Arc<Keys>,
        step: fn(&'static str),
    ) -> Result<Self, rig_recorder::Error> {
        Ok(Blobs { store: BlobStore::open(dir, step)?, stream, keys, naming: Mutex::default(), step })
    }

    fn naming(&self) -> MutexGuard<'_, Naming> {
        self.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(self: &Arc<Self>, id: BlobId) -> Named {
        *self.naming().now.entry(id.clone()).or_default() += 1;
        Named { blobs: self.clone(), id }
    }

    /// Begins a sweep. It does not delete what is named from now on.
    pub(crate) fn begin_sweep(&self) {
        self.naming().since.clear();
    }

    /// Deletes an original that no event names, unless a capture has named it since the sweep began.
    pub(crate) fn remove_unnamed(&self, id: &BlobId) -> Result<bool, rig_recorder::Error> {
        // Held during the removal: a capture of the same original then does not find it, and writes it again.
        let naming = self.naming();
        if naming.now.contains_key(id) || naming.since.contains(id) {
            return Ok(false);
        }
        self.store.remove(id).map(|()| true)
    }
}

/// The result of wrapping the keys of a hub's originals anew.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Rewrapped {
    /// Wrapped with the newest key now.
    pub(crate) rewrapped: u64,
    /// Wrapped with it already.
    pub(crate) unchanged: u64,
    /// Cannot be read; the hub's log names them.
    pub(crate) damaged: u64,
}

impl Blobs {
    /// Stores the original of a document. When this returns, it is durable and may be named. Also returns the number of bytes
    /// written, or `None` if it was already stored.
    pub(crate) async fn keep(
        self: &Arc<Self>,
        redactor: &Arc<Redactor>,
        document: Zeroizing<Vec<u8>>,
    ) -> Result<(Named, Option<u64>), Problem> {
        let (redactor, blobs) = (redactor.clone(), self.clone());
        let (document, named, is_there) = blocking(move || {
            let address = redactor.address(&document);
            let id: BlobId =
                address.parse().map_err(|_| Problem::internal("defect", "the address is none"))?;
            let named = blobs.name(id);
            let is_there = blobs.store.contains(&named.id).map_err(|e| not_stored(&e))?;
            Ok((document, named, is_there))
        })
        .await?;
        if is_there {
            return Ok((named, None));
        }
        let record = Record { stream: self.stream.clone(), id: named.id.clone() };
        let key = DataKey::random().map_err(|e| not_encrypted(&e.to_string()))?;
        let wrapped = self.keys.wrap(&record, &key).await.map_err(|e| not_encrypted(&e.to_string()))?;
        (self.step)("blob.wrapped");
        let blobs = self.clone();
        let bytes = blocking(move || {
            let sealed = Sealed::new(&document, &record, &key, wrapped).and_then(|s| s.to_bytes(&record));
            let bytes = sealed.map_err(|e| not_encrypted(&e.to_string()))?;
            blobs.store.put(&record.id, &bytes).map_err(|e| not_stored(&e))?;
            Ok(bytes.len() as u64)
        })
        .await?;
        Ok((named, Some(bytes)))
    }

    /// Reads an original.
    pub(crate) async fn read(self: &Arc<Self>, id: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let damaged = |why: String| {
            Problem::internal("damaged-blob", format!("the original {id} cannot be read: {why}"))
        };
        let record = Record {
            stream: self.stream.clone(),
            id: id.parse().map_err(|_| damaged("its name is none".into()))?,
        };
        let blobs = self.clone();
        let (sealed, record) = blocking(move || {
            let sealed =
                blobs.store.get(&record.id).map_err(|e| Problem::internal("storage", e.to_string()))?;
            Ok((sealed, record))
        })
        .await?;
        let sealed = sealed.ok_or_else(|| {
            let detail = "the original of this snapshot is gone: the policy's [retention] keeps those of the newest snapshots";
            Problem::new(StatusCode::GONE, "pruned", detail)
        })?;
        let sealed = Sealed::parse(sealed, &record).map_err(|e| damaged(e.to_string()))?;
        let key = self.keys.unwrap(&record, &sealed.key).await;
        let key = key.map_err(|e| match e {
            Unavailable::Now(why) => Problem::unavailable("encryption-unavailable", why),
            Unavailable::Damaged => damaged(e.to_string()),
        })?;
        let opened = blocking(move || Ok(sealed.open(&record, &key))).await?;
        opened.map_err(|e| damaged(e.to_string()))
    }

    /// Wraps the data key of every original with the newest key, and adds the results to `sum`. The encrypted documents stay as
    /// they are.
    pub(crate) async fn rewrap(self: &Arc<Self>, sum: &mut Rewrapped) -> Result<(), Problem> {
        let blobs = self.clone();
        let ids = blocking(move || {
            let mut ids = Vec::new();
            let listed = blobs.store.each(|stored| ids.push(stored.id));
            listed.map(|()| ids).map_err(|e| Problem::internal("storage", e.to_string()))
        })
        .await?;
        for id in ids {
            match self.rewrap_one(Record { stream: self.stream.clone(), id }).await? {
                None => {}
                Some(Ok(true)) => sum.rewrapped += 1,
                Some(Ok(false)) => sum.unchanged += 1,
                Some(Err((id, why))) => {
                    tracing::error!(stream = %self.stream, blob = %id, %why, "an original cannot be read");
                    sum.damaged += 1;
                }
            }
        }
        Ok(())
    }

    /// Wraps the data key of one original. Returns true if it was rewritten, false if it is already wrapped with the newest key,
    /// and `None` if it was removed meanwhile.
    async fn rewrap_one(
        self: &Arc<Self>,
        record: Record,
    ) -> Result<Option<Result<bool, (BlobId, SealedError)>>, Problem> {
        let blobs = self.clone();
        let (bytes, record) = blocking(move || {
            let bytes =
                blobs.store.get(&record.id).map_err(|e| Problem::internal("storage", e.to_string()))?;
            Ok((bytes, record))
        })
        .await?;
        let Some(bytes) = bytes else { return Ok(None) };
        let mut sealed = match Sealed::parse(bytes, &record) {
            Ok(sealed) => sealed,
            Err(why) => return Ok(Some(Err((record.id, why)))),
        };
        let rewrapped = self.keys.rewrap(&record, &sealed.key).await;
        let rewrapped = match rewrapped {
            Ok(rewrapped) => rewrapped,
            Err(Unavailable::Now(why)) => return Err(Problem::unavailable("encryption-unavailable", why)),
            Err(Unavailable::Damaged) => return Ok(Some(Err((record.id, SealedError::Undecipherable)))),
        };
        let Some(key) = rewrapped else { return Ok(Some(Ok(false))) };
        sealed.key = key;
        let blobs = self.clone();
        blocking(move || {
            let bytes = sealed.to_bytes(&record).map_err(|e| Problem::internal("storage", e.to_string()))?;
            blobs.store.put(&record.id, &bytes).map_err(|e| Problem::internal("storage", e.to_string()))
        })
        .await?;
        Ok(Some(Ok(true)))
    }
}

fn not_encrypted(why: &str) -> Problem {
    tracing::error!(why, "an original could not be encrypted; its capture failed");
    Problem::unavailable(
        "encryption-unavailable",
        format!(
            "the document was not captured, because its original cannot be encrypted now: {why}; send it again later"
        ),
    )
}

fn not_stored(e: &rig_recorder::Error) -> Problem {
    tracing::error!(error = %e, "an original could not be stored; its capture failed");
    Problem::unavailable(
        "storage",
        format!(
            "the document was not captured, because its original cannot be stored: {e}; send it again once that is mended"
        ),
    )
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Problem::internal("defect", e.to_string())))
}
