//! The contract of a holder of key-encryption keys: a file, or a Transit service.

use rig_recorder::BoxFuture;
use rig_recorder::blob::{DataKey, Record, Wrapped};

/// The reason why a data key cannot be wrapped or unwrapped. It quotes neither keys nor responses of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    /// Not now.
    #[error("{0}")]
    Now(String),
    /// Never: the wrapped key is not what was written.
    #[error("its data key is damaged")]
    Damaged,
}

/// A holder of key-encryption keys.
pub(crate) trait Wrap: Send + Sync {
    /// Returns true if it is one of its keys that this data key is wrapped with.
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

    /// Returns the same data key wrapped with the newest key, or `None` if it already is.
    fn rewrap<'a>(
        &'a self,
        record: &'a Record,
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<Option<Wrapped>, Unavailable>>;
}
