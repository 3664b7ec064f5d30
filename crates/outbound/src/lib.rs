//! Connections from a hub to other servers: the addresses that are allowed, and the secrets that settings refer to.
//!
//! In reading order: [`guard`] (internal addresses are refused unless they are allowed), [`secret`] (secrets are named by
//! environment variable or file, and read when they are needed).

pub mod guard;
pub mod secret;

pub use guard::Allowed;
pub use secret::Secret;
