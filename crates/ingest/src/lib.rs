//! Documents that nobody posts: files that change, devices whose configuration is collected, snapshots that come by message.
//!
//! In reading order: [`files`] (which files have changed), [`watch`] (`[[watch]]` of `hub.toml`), `ssh` (`[[device]]`), `nats` (`[nats]`).
//! Each is a component of its own. `ssh` and `nats` are features, on by default.

pub mod files;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "ssh")]
pub mod ssh;
pub mod watch;
