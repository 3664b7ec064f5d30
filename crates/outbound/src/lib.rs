//! Connections that a hub makes to others: which addresses are allowed, and the secrets that settings refer to.
//!
//! In reading order: [`guard`] (no address inside a network is connected to unless it is allowed), [`secret`] (secrets are named by
//! environment variable or file, and read when they are needed).

pub mod guard;
pub mod secret;

pub use guard::Allowed;
pub use secret::Secret;
