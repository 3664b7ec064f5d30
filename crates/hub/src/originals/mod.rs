//! The originals of documents: encrypted before the event that names them, readable for callers with the scope `secrets`, deleted
//! when nothing names them (docs/secrecy.md).
//!
//! In reading order: `wrap` (the contract of a holder of key-encryption keys) and its two implementations, `local` (a file) and
//! `transit` (OpenBao or Vault); `keys` (those that a hub has); `blobs` (the originals of one stream).

mod blobs;
mod keys;
mod local;
mod transit;
mod wrap;

pub(crate) use self::blobs::{Blobs, Rewrapped};
pub(crate) use self::keys::Keys;
pub(crate) use self::local::LocalKeys;
